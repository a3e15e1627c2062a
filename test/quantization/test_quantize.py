# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet quantize`: from images, a bag or a data set to an int8 version that says what it costs."""

from __future__ import annotations

import errno
import os
import re
import tempfile
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
from camvid_classes import CAMVID
from small_camvid import write_small_camvid
from tiny_model import save_stem_model

from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, IMAGE
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.cli import main
from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.engines.precision import choose_precision
from bisenet_ros.images.compression import encode_jpeg
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import model_sha256
from bisenet_ros.quantization import frame_source, quantized_model
from bisenet_ros.quantization.frame_source import FrameSource
from bisenet_ros.quantization.quantization_cost import quantization_cost
from bisenet_ros.quantization.quantized_model import choose_layers_left_out
from bisenet_ros.quantization.static_quantization import layer_costs, quantize, quantized_layers
from bisenet_ros.sources.image_source import open_source
from demo.clip import frame_ids, read_image

SIZE = (72, 96)
FRAMES = [cv2.resize(read_image(frame_id), SIZE[::-1]) for frame_id in frame_ids()[::40]]


@pytest.fixture
def model(tmp_path, card):
    return save_stem_model(tmp_path / "m.onnx", card)


@pytest.fixture
def images(tmp_path):
    folder = tmp_path / "my_drive"
    folder.mkdir()
    for number, frame in enumerate(FRAMES):
        cv2.imwrite(str(folder / f"{number}.png"), frame)
    return folder


@pytest.fixture
def labels(tmp_path, model, images):
    """The model's own masks but for some rows."""
    folder = tmp_path / "labels"
    folder.mkdir()
    engine = load_engine(model, device="cpu", precision="fp32")
    for number, frame in enumerate(FRAMES):
        mask = engine.segment(frame)
        mask[:18], mask[18:20] = 255, 0
        cv2.imwrite(str(folder / f"{number}.png"), mask)
    return folder


def run(*arguments) -> int:
    return main(["quantize", "--force", *map(str, arguments)])


def test_with_ground_truth_the_card_has_what_auto_asks_for(model, images, labels, capsys, monkeypatch):
    assert run(model, "--calibration", images, "--ground-truth", labels, "--frames", 3) == 0
    path = model.with_name("m.int8.onnx")
    printed = capsys.readouterr()
    assert "calibrating with 3 frames of my_drive" in printed.err
    assert re.search(r"m.int8.onnx: 2 of 3 convolutions are int8, [\d.]+% of the multiplications", printed.out)
    found = re.search(
        r"on 3 frames of my_drive, .*, CPU, int8: mIoU fp32 ([\d.]+)%, int8 ([\d.]+)% \((.*?) po", printed.out
    )
    before, after, change = map(float, found.groups())
    assert 50 < before < 100 and after != before and change == pytest.approx(after - before, abs=0.02)

    quantization = read_card(path).quantization
    assert quantization["made_from_sha256"] == model_sha256(model)
    assert quantization["calibration"] == {"source": "my_drive", "frames": 3}
    assert quantization["layers_in_fp32"] == ["first"]
    assert quantization["compared"]["miou"]["fp32"] == pytest.approx(before / 100, abs=1e-4)
    assert 0.9 < quantization["compared"]["same_class"] < 1
    assert read_card(path).int8_loss == pytest.approx(before - after, abs=0.02)

    monkeypatch.setattr("bisenet_ros.engines.precision.LARGEST_LOSS", 100)
    monkeypatch.setattr("bisenet_ros.engines.precision.cpu_flags", lambda: {"avx512_vnni"})
    assert choose_precision(model, device="cpu", precision="auto")[:2] == ("int8", path)


def test_frames_without_labels_are_not_counted_as_labeled(model, images, labels, capsys):
    (labels / "0.png").unlink()
    cv2.imwrite(str(labels / "1.png"), np.full(SIZE, 255, np.uint8))
    assert run(model, "--calibration", images, "--ground-truth", labels) == 0
    count = len(FRAMES) - 2
    assert (
        f"points) on the {count} that are labeled, over the classes that the ground truth has; "
        in capsys.readouterr().out
    )
    compared = read_card(model.with_name("m.int8.onnx")).quantization["compared"]
    assert compared["frames"] == len(FRAMES) and compared["labeled_frames"] == count


def test_without_ground_truth_it_says_what_is_missing(model, images, tmp_path, capsys):
    output = tmp_path / "other.onnx"
    assert run(model, "--calibration", images, "-o", output) == 0
    printed = capsys.readouterr().out
    assert re.search(r"int8: \d\d\.\d+% of the pixels keep their class; a frame takes [\d.]+ of fp32's time", printed)
    assert "needs ground truth: --ground-truth DIR" in printed
    card = read_card(output)
    assert card.int8_loss is None and "miou" not in card.quantization["compared"]


@pytest.mark.parametrize("with_labels", [True, False])
def test_frames_of_a_bag(model, images, labels, tmp_path, capsys, with_labels):
    bag, truth = tmp_path / "recording", tmp_path / "truth"
    make_bag = ["make-bag", images, "--labels", labels, "--export-labels", truth, "-o", bag, "--topic", "/front/image"]
    assert main([*map(str, make_bag)]) == 0
    options = ("--ground-truth", truth) if with_labels else ()
    arguments = (model, "--calibration", bag, "--topic", "/front/image", *options)
    capsys.readouterr()
    assert run(*arguments, "--frames", 2) == 0
    printed = capsys.readouterr().out
    assert "on 2 frames of recording" in printed and ("mIoU fp32" in printed) == with_labels
    assert run(*arguments) == 0
    assert f"on {len(FRAMES)} frames of recording" in capsys.readouterr().out


def write_stamped(bag: Path, stamps_ns, *, compressed: bool = False) -> None:
    with BagWriter(bag, storage="sqlite3", topics={"/image": COMPRESSED_IMAGE if compressed else IMAGE}) as writer:
        for number, stamp_ns in enumerate(stamps_ns):
            frame, header = FRAMES[number % len(FRAMES)], {"stamp_ns": stamp_ns, "frame_id": "", "log_ns": number}
            if compressed:
                writer.write_compressed("/image", encode_jpeg(frame, quality=95), format="jpeg", **header)
            else:
                writer.write_image("/image", frame, encoding="bgr8", **header)


@pytest.mark.parametrize(
    "stamps_ns, compressed",
    [
        ([0] * 10, False),  # of a driver that leaves them zero
        ([0, 1, 2, 3, 4, 6, 6, 7, 8, 9], True),  # of two frames one of which is passed over
        ([0, 1, 2, 3, 4, 5, 6, 7, 8, 8], False),
    ],
)
def test_ground_truth_that_may_be_of_several_frames_is_refused(model, tmp_path, capsys, stamps_ns, compressed):
    bag, truth = tmp_path / "recording", tmp_path / "truth"
    truth.mkdir()
    repeated = max(stamps_ns, key=stamps_ns.count)
    cv2.imwrite(str(truth / f"{repeated}.png"), np.zeros(SIZE, np.uint8))
    write_stamped(bag, stamps_ns, compressed=compressed)
    assert run(model, "--calibration", bag, "--ground-truth", truth, "--frames", 5) == 1
    told = f"several frames of {bag} have the stamp {repeated}, so that it is not known whose"
    assert told in capsys.readouterr().err


def test_frames_without_ground_truth_may_have_one_stamp(tmp_path):
    bag, truth = tmp_path / "recording", tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / "1000000002.png"), np.zeros(SIZE, np.uint8))
    write_stamped(bag, [10**9, 10**9 + 2, 10**9])
    frames = list(FrameSource(str(bag), classes=CAMVID, most=9, ground_truth=truth))
    assert [ground_truth is not None for _, ground_truth in frames] == [False, True, False]


def test_a_frame_of_a_bag_that_cannot_be_read_is_named(model, tmp_path, capsys):
    bag = tmp_path / "recording"
    with BagWriter(bag, storage="sqlite3", topics={"/image": COMPRESSED_IMAGE}) as writer:
        for number, data in enumerate((encode_jpeg(FRAMES[0], quality=95), b"no image")):
            writer.write_compressed("/image", data, format="jpeg", stamp_ns=number, log_ns=number, frame_id="")
    assert run(model, "--calibration", bag) == 1
    assert f"message 2 of /image in {bag}: " in capsys.readouterr().err


def test_a_model_that_is_replaced_meanwhile_is_told(model, images, card, capsys, monkeypatch):
    def replace_it(*arguments):
        save_stem_model(model, replace(card, name="another"))
        return quantization_cost(*arguments)

    monkeypatch.setattr(quantized_model, "quantization_cost", replace_it)
    assert run(model, "--calibration", images) == 1
    assert f"{model} was replaced while it was quantized; give the same command again" in capsys.readouterr().err
    assert not model.with_name("m.int8.onnx").exists()


def test_the_card_has_the_frames_that_were_read_not_those_that_were_promised(model, images, tmp_path, capsys):
    bag = tmp_path / "recording"
    assert main(["make-bag", str(images), "-o", str(bag)]) == 0
    metadata = bag / "metadata.yaml"
    promised = metadata.read_text().replace(f"message_count: {len(FRAMES)}", "message_count: 40")
    metadata.write_text(promised)
    assert run(model, "--calibration", bag) == 0 and promised.count("message_count: 40") > 1
    quantization = read_card(model.with_name("m.int8.onnx")).quantization
    assert quantization["calibration"]["frames"] == quantization["compared"]["frames"] == len(FRAMES)
    warnings = [line for line in capsys.readouterr().err.splitlines() if "warning" in line]
    assert len(warnings) == 1 and "40" in warnings[0] and str(len(FRAMES)) in warnings[0], "once"


def test_layers_are_judged_by_frames_of_the_whole_source(model, images, monkeypatch):
    judged = []

    def judge(quantized, fp32, frames, **_):
        judged.extend(frames)
        return []

    monkeypatch.setattr(quantized_model, "SENSITIVITY_FRAMES", 2)
    monkeypatch.setattr(quantized_model, "choose_layers_left_out", judge)
    assert len(FRAMES) == 3 and run(model, "--calibration", images) == 0
    assert [np.array_equal(frame, FRAMES[i]) for frame, i in zip(judged, (0, 2))] == [True, True] and len(judged) == 2


def test_ground_truth_of_no_frame_is_refused(model, images, labels, tmp_path, capsys):
    bag, truth = tmp_path / "recording", tmp_path / "truth"
    make_bag = ["make-bag", images, "--labels", labels, "--export-labels", truth, "-o", bag]
    assert main([*map(str, make_bag)]) == 0
    for path in list(truth.iterdir()):
        path.rename(path.with_name(f"{int(path.stem) + 7}.png"))
    assert run(model, "--calibration", bag, "--topic", "/camera/image_raw", "--ground-truth", truth) == 1
    message = f"none of the {len(FRAMES)} frames of recording has ground truth in {truth}, "
    printed = capsys.readouterr().err
    assert message in printed and "calibrating" not in printed
    for path in list(labels.iterdir())[1:]:
        path.unlink()
    (labels / "0.png").unlink(missing_ok=True)
    cv2.imwrite(str(labels / "1.png"), np.zeros(SIZE, np.uint8))
    assert run(model, "--calibration", images, "--ground-truth", labels, "--frames", 1) == 1
    assert "none of the 1 frames of my_drive has ground truth in" in capsys.readouterr().err


@pytest.mark.parametrize(
    "most, expected", [(1, [0]), (2, [0, 4]), (4, [0, 2, 4, 6]), (7, list(range(7))), (100, list(range(7)))]
)
def test_frames_are_spread_over_the_whole_source(tmp_path, most, expected):
    for number in range(7):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((*SIZE, 3), number, np.uint8))
    source = FrameSource(str(tmp_path), classes=CAMVID, most=most)
    assert [frame[0, 0, 0] for frame, _ in source] == expected and len(source) == len(expected)


def test_a_temporary_folder_without_room_is_told(model, images, capsys, monkeypatch):
    def fail(*_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(onnx, "save", fail)
    assert run(model, "--calibration", images) == 1
    error = capsys.readouterr().err
    assert (
        f"No space left on device writing {tempfile.gettempdir()}; free some space, and try again, or set TMPD" in error
    )


def test_frames_of_a_bag_are_spread_too(tmp_path):
    images, bag = tmp_path / "images", tmp_path / "bag"
    images.mkdir()
    for number in range(7):
        cv2.imwrite(str(images / f"{number}.png"), np.full((*SIZE, 3), 30 * number, np.uint8))
    assert main(["make-bag", str(images), "-o", str(bag)]) == 0
    source = FrameSource(str(bag), classes=CAMVID, most=3)
    assert [round(frame.mean() / 30) for frame, _ in source] == [0, 3, 6] and len(source) == 3


def test_frames_of_a_video_are_spread_too(tmp_path):
    path = tmp_path / "drive.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
    for number in range(7):
        video.write(np.full((*SIZE, 3), 30 * number, np.uint8))
    video.release()
    source = FrameSource(str(path), classes=CAMVID, most=3)
    assert [round(frame.mean() / 30) for frame, _ in source] == [0, 3, 6] and source.name == "drive.avi"


def test_frames_of_a_video_that_does_not_say_how_many_it_has_are_spread_too(images, monkeypatch):
    folder = open_source(str(images))
    monkeypatch.setattr(frame_source, "open_source", lambda *_, **__: replace(folder, count=0))
    source = FrameSource(str(images), classes=CAMVID, most=2)
    assert len(FRAMES) == 3 and len(source) == 2
    assert [np.array_equal(frame, FRAMES[i]) for (frame, _), i in zip(source, (0, 2))] == [True, True]


class PaintedEngine(Engine):
    """Gives one mask for every frame."""

    def __init__(self, card, mask: np.ndarray) -> None:
        super().__init__(card, description="painted")
        self.mask = mask

    def _segment(self, frame, *, confidence):
        return Segmentation(self.mask.copy())


def test_both_precisions_are_scored_on_the_classes_that_are_labeled(card):
    ground_truth = np.repeat(np.uint8([0, 1]), 8).reshape(4, 4)
    fp32, int8 = ground_truth.copy(), ground_truth.copy()
    fp32[0, 0] = 2  # a class that the ground truth does not have
    int8[:2, 0] = 1
    cost = quantization_cost(
        PaintedEngine(card, fp32), PaintedEngine(card, int8), [(np.zeros((4, 4, 3), np.uint8), ground_truth)]
    )
    assert cost.miou == pytest.approx(((7 / 8 + 1) / 2, (6 / 8 + 8 / 10) / 2))
    assert cost.worst_class == (card.classes[1].name, pytest.approx(20))
    assert f"{card.classes[1].name} loses most, 20.00 points of IoU; " in str(cost)
    assert cost.to_dict()["worst_class"] == {"name": card.classes[1].name, "loss_points": 20.0}


class HeightEngine(Engine):
    """Gives every pixel the class of its frame's height."""

    def __init__(self, card, class_ids: dict[int, int]) -> None:
        super().__init__(card, description="by height")
        self.class_ids = class_ids

    def _segment(self, frame, *, confidence):
        return Segmentation(np.full(frame.shape[:2], self.class_ids[len(frame)], np.uint8))


def test_the_share_that_keeps_its_class_is_of_the_pixels_of_all_frames(card, monkeypatch):
    fp32, int8 = HeightEngine(card, {4: 0, 12: 0}), HeightEngine(card, {4: 1, 12: 0})
    frames = [np.zeros((height, 4, 3), np.uint8) for height in (4, 12)]
    assert quantization_cost(fp32, int8, [(frame, None) for frame in frames]).same_class == 0.75
    monkeypatch.setattr(quantized_model, "_open", lambda *_, **__: int8)
    options = {"costs": {}, "same_class": 0.75, "on_progress": print}
    assert choose_layers_left_out(onnx.ModelProto(), fp32, frames, **options) == []


def test_a_share_that_is_not_reached_is_told(model, card, monkeypatch):
    quantized, told = quantize(onnx.load(model), card, FRAMES), []
    fp32 = quantized_model._open(onnx.load(model), card, precision="fp32")
    monkeypatch.setattr(quantized_model, "_open", lambda *_, **__: fp32)
    monkeypatch.setattr(quantized_model, "share_of_same_class", lambda *_: 0.5)
    options = {"costs": dict.fromkeys(["branch", "fuse"], 0.1), "same_class": 0.8, "on_progress": told.append}
    assert sorted(choose_layers_left_out(quantized, fp32, FRAMES, **options)) == ["branch", "fuse"]
    assert told[-1] == "no more layers are left out, although less than 80.00% of the pixels keep their class"


def test_int8_is_compared_on_other_frames(model, images, labels, tmp_path, capsys):
    other = tmp_path / "other_drive"
    other.mkdir()
    cv2.imwrite(str(other / "0.png"), FRAMES[0])
    assert run(model, "--calibration", other, "--evaluation", images, "--ground-truth", labels) == 0
    assert f"on {len(FRAMES)} frames of my_drive, " in capsys.readouterr().out
    quantization = read_card(model.with_name("m.int8.onnx")).quantization
    assert quantization["calibration"]["source"] == "other_drive"
    assert quantization["compared"]["source"] == "my_drive" and read_card(model.with_name("m.int8.onnx")).int8_loss


@pytest.fixture
def cityscapes_model(tmp_path, card):
    """A model of Cityscapes' 19 classes."""
    data = pytest.importorskip("bisenet_training.data.find_dataset")
    return save_stem_model(tmp_path / "c.onnx", replace(card, classes=data.find_dataset("cityscapes").classes))


@pytest.fixture
def camvid(tmp_path):
    """A data set of CamVid's 11 classes, as `quantize` takes it."""
    (tmp_path / "camvid").mkdir()
    return f"camvid:{write_small_camvid(tmp_path / 'camvid', frame_ids()[:2], size=SIZE)}:val"


def test_ground_truth_of_other_classes_is_not_scored(cityscapes_model, camvid, capsys):
    """CamVid's ids are ids of Cityscapes too, where they mean something else."""
    assert run(cityscapes_model, "--calibration", camvid) == 1
    error = capsys.readouterr().err
    assert "expected a model of the data set's 11 classes, got one of 19" in error
    assert "0: road / sky" in error and "--class-map" in error


def test_a_class_map_makes_them_the_models(cityscapes_model, camvid, capsys):
    assert run(cityscapes_model, "--calibration", camvid, "--class-map", "camvid_to_cityscapes") == 0
    assert re.search(r"on 2 frames of camvid val, .*: mIoU fp32", capsys.readouterr().out)


def test_frames_to_calibrate_with_alone_may_be_of_any_data_set(cityscapes_model, camvid, images, capsys):
    assert run(cityscapes_model, "--calibration", camvid, "--evaluation", images) == 0
    assert f"on {len(FRAMES)} frames of my_drive" in capsys.readouterr().out


def test_a_class_map_goes_with_a_data_set(model, images, capsys):
    assert run(model, "--calibration", images, "--class-map", "camvid_to_cityscapes") == 1
    assert f"--class-map goes with a data set as NAME:ROOT[:SPLIT], got {images}" in capsys.readouterr().err


def test_the_layers_that_change_masks_most_are_left_in_fp32(model, images, capsys):
    assert run(model, "--calibration", images, "--same-class", 100) == 0
    printed = capsys.readouterr()
    assert re.search(r"keep their class; measuring each of 2 layers\n1/2: .* without branch\n2/2: ", printed.err)
    assert "left in fp32: fuse" in printed.out
    path = model.with_name("m.int8.onnx")
    assert "fuse" in read_card(path).quantization["layers_in_fp32"]
    assert "fuse" not in quantized_layers(onnx.load(path))


def test_a_layer_that_a_runtime_gets_wrong_is_the_first_to_be_left_out(model, card, monkeypatch):
    """As OpenVINO does behind a Concat of signed tensors."""
    pytest.importorskip("openvino")
    monkeypatch.setattr("bisenet_ros.engines.cpu.openvino_engine.read_with_uint8_activations", lambda path: path)
    quantized = quantize(onnx.load(model), card, FRAMES)
    fp32 = quantized_model._open(onnx.load(model), card, precision="fp32")
    progress = []
    costs = layer_costs(onnx.load(model), SIZE)
    left_out = choose_layers_left_out(
        quantized, fp32, FRAMES, costs=costs, same_class=0.98, on_progress=progress.append
    )
    assert left_out == ["fuse"], progress


def test_one_layer_more_is_left_out_until_enough_pixels_keep_their_class(model, card, monkeypatch):
    quantized = quantize(onnx.load(model), card, FRAMES)
    fp32 = quantized_model._open(onnx.load(model), card, precision="fp32")
    asked = []

    def opened(network, *_, **__):
        asked.append(sorted({"branch", "fuse"} - set(quantized_layers(network))))
        return fp32

    monkeypatch.setattr(quantized_model, "_open", opened)
    shares = iter(np.repeat([0.5, 0.6, 0.7, 0.7, 0.9], len(FRAMES)))
    monkeypatch.setattr(quantized_model, "share_of_same_class", lambda *_: next(shares))
    options = {"costs": dict.fromkeys(["branch", "fuse"], 0.1), "on_progress": lambda _: None}
    left_out = choose_layers_left_out(quantized, fp32, FRAMES, same_class=0.8, **options)
    assert asked == [[], ["branch"], ["fuse"], ["fuse"], ["branch", "fuse"]]
    assert left_out == ["fuse", "branch"]


@pytest.mark.parametrize(
    "make, reason",
    [
        (lambda path: path.write_text("text"), "1.png cannot be decoded as an image"),
        (
            lambda path: cv2.imwrite(str(path), np.zeros((8, 9), np.uint8)),
            "96x72 pixels in the ground truth of 1.png, got 9x8",
        ),
        (
            lambda path: cv2.imwrite(str(path), np.full(SIZE, 11, np.uint8)),
            "ids 0 to 10.*ground truth of 1.png, got 11",
        ),
    ],
)
def test_ground_truth_that_does_not_fit_is_named_before_anything_is_quantized(
    model, images, labels, capsys, make, reason
):
    make(labels / "1.png")
    assert run(model, "--calibration", images, "--ground-truth", labels) == 1
    printed = capsys.readouterr().err
    assert re.search(reason, printed) and "calibrating" not in printed
    assert not model.with_name("m.int8.onnx").exists()


def test_ground_truth_without_a_label_is_refused(model, images, labels, capsys):
    for path in labels.iterdir():
        cv2.imwrite(str(path), np.full(SIZE, 255, np.uint8))
    assert run(model, "--calibration", images, "--ground-truth", labels) == 1
    assert "expected ground truth with labels, got 255" in capsys.readouterr().err


def test_what_cannot_be_quantized_or_calibrated_with(model, images, tmp_path, capsys):
    assert run(model, "--calibration", tmp_path / "none") == 1
    assert "expected a folder of images, a video or a data set" in capsys.readouterr().err
    assert run(model, "--calibration", images / "0.png", "--ground-truth", images) == 1
    assert "--ground-truth goes with a folder of images or a bag" in capsys.readouterr().err
    assert run(model, "--calibration", images, "--frames", 0) == 1
    assert "--frames must be 1 or more, got 0" in capsys.readouterr().err
    assert run(model, "--calibration", images, "--frames", 1) == 0
    assert run(model.with_name("m.int8.onnx"), "--calibration", images) == 1
    assert "is quantized already; give the model file that it was made from" in capsys.readouterr().err


def test_a_topic_goes_with_a_bag(model, images, capsys):
    assert run(model, "--calibration", images, "--topic", "/front/image") == 1
    assert f"--topic goes with a bag, got {images}" in capsys.readouterr().err


def test_the_model_itself_is_kept_with_force_too(model, images, capsys):
    before = model.read_bytes()
    assert run(model, "--calibration", images, "-o", model) == 1
    assert "is the model itself, which would be replaced" in capsys.readouterr().err and model.read_bytes() == before


def test_an_output_that_cannot_be_written_is_told_before_the_work(model, images, tmp_path, capsys):
    for output, words in (
        (tmp_path / "none" / "q.onnx", f"expected a folder at {tmp_path / 'none'} to write q.onnx to, found none"),
        (images, f"expected a file to write, got the folder {images}"),
    ):
        assert run(model, "--calibration", images, "-o", output, "--force") == 1
        error = capsys.readouterr().err
        assert words in error and "calibrating" not in error


def test_an_int8_file_that_exists_is_kept_without_force(tmp_path, capsys):
    model, output = tmp_path / "model.onnx", tmp_path / "model.int8.onnx"
    output.write_bytes(b"as it was")
    assert main(["quantize", str(model), "--calibration", str(tmp_path)]) == 1
    assert f"{output} exists; add --force to replace it" in capsys.readouterr().err
    assert output.read_bytes() == b"as it was"
