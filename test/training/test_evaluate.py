# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet evaluate`: scores, tricks, report, and what is refused."""

from __future__ import annotations

import base64
import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Callable, List

import cv2
import numpy as np
import pytest
import torch
import yaml
from bisenet_training.analysis.evaluation import (
    Evaluation,
    FrameScore,
    evaluate,
    find_examples,
    segment,
)
from bisenet_training.analysis.predictions import write_predictions
from bisenet_training.analysis.test_time_augmentation import AugmentedEngine, augmented, describe_tricks
from bisenet_training.analysis.torch_engine import TorchEngine, open_engine
from bisenet_training.commands.evaluate import print_scores
from bisenet_training.data.find_dataset import find_dataset, open_dataset
from bisenet_training.data.loading import ValidationFrames
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError, OptionError
from camvid_classes import CAMVID
from small_camvid import write_small_camvid
from torch import nn

from bisenet_ros.cli import main
from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.model.class_map import ClassMap, SegmentationClass
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.layers import upsample_to
from demo.clip import frame_ids

SMALL = {"classes": 11, "width": 0.25, "head_width": 16}
FRAMES = frame_ids()[::25][:4]
SIZE = (96, 128)


@pytest.fixture(scope="module")
def camvid(tmp_path_factory) -> Path:
    """Four frames of the clip in CamVid's layout, small."""
    return write_small_camvid(tmp_path_factory.mktemp("camvid"), FRAMES, size=SIZE)


@pytest.fixture(scope="module")
def dataset(camvid) -> SegmentationDataset:
    return open_dataset("camvid", root=camvid, split="val")


@pytest.fixture(scope="module")
def network(dataset) -> BiSeNetV2:
    """Random weights whose batch norms have seen the frames, so that the masks have several classes."""
    torch.manual_seed(0)
    network = BiSeNetV2(**SMALL).train()
    frames = np.stack([dataset[i][0] for i in range(len(dataset))]).transpose(0, 3, 1, 2)
    with torch.no_grad():
        for _ in range(20):
            network(torch.from_numpy(frames / np.float32(128) - 1))
    return network.eval()


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory, network, card) -> Path:
    path = tmp_path_factory.mktemp("checkpoint") / "best.ckpt"
    state = {f"network.{key}": value for key, value in network.state_dict().items()}
    torch.save({"network": SMALL, "card": card.to_dict(), "state_dict": state}, path)
    return path


@pytest.fixture(scope="module")
def model(checkpoint) -> Path:
    path = checkpoint.with_name("model.onnx")
    assert main(["export", str(checkpoint), "-o", str(path)]) == 0
    return path


@pytest.fixture
def engine(network, card) -> TorchEngine:
    return TorchEngine(network, replace(card, network_size=SIZE), device="cpu")


class Frames(SegmentationDataset):
    """Frames in memory."""

    def __init__(self, classes: ClassMap, *frames) -> None:
        self.classes = classes
        self.split = "memory"
        self._pixels = frames

    def __len__(self) -> int:
        return len(self._pixels)

    def __getitem__(self, index: int):
        return self._pixels[index]

    def name(self, index: int) -> str:
        return f"frame {index}"


class Brightness(nn.Module):
    """A mask by the red channel: class 1 where it is above 0 after normalization."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        red = nn.functional.avg_pool2d(image[:, :1], 8)
        return torch.cat([torch.zeros_like(red), red], dim=1)


class NeedsCudnn(nn.Module):
    """Notes whether cuDNN may be used."""

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.enabled, self.tf32 = torch.backends.cudnn.enabled, torch.backends.cudnn.allow_tf32
        return torch.zeros(1, 11, image.shape[2] // 8, image.shape[3] // 8)


def test_a_gpu_computes_with_cudnn_but_not_in_tf32(card):
    engine = TorchEngine(NeedsCudnn(), card, device="cpu")
    engine.frame_logits(np.zeros((96, 128, 3), np.uint8), SIZE)
    assert engine.network.enabled and not engine.network.tf32


TWO = ClassMap((SegmentationClass("dark", (0, 0, 0)), SegmentationClass("bright", (255, 255, 255))))


@pytest.fixture
def brightness(card) -> TorchEngine:
    card = replace(card, classes=TWO, mean=(0.5, 0.5, 0.5), network_size=(64, 64))
    return TorchEngine(Brightness(), card, device="cpu")


def frame(*, right: int) -> np.ndarray:
    """64 x 64, black on the left, this gray on the right."""
    image = np.zeros((64, 64, 3), np.uint8)
    image[:, 32:] = right
    return image


def halves(left: int, right: int) -> np.ndarray:
    return np.repeat(np.array([[left, right]], np.uint8), 32, axis=1).repeat(64, axis=0)


def test_scores_are_those_of_all_pixels_together(brightness):
    """Two frames, dark | bright: one true, the other wrong on its right half, whose top quarter is unlabeled."""
    wrong = halves(0, 0)
    wrong[:16, 32:] = 255
    frames = Frames(TWO, (frame(right=255), halves(0, 1)), (frame(right=255), wrong))
    found = evaluate(brightness, frames)
    half = 64 * 32
    assert found.confusion.tolist() == [[2 * half, half * 3 // 4], [0, half]]
    assert found.iou == pytest.approx({"dark": 2 / 2.75, "bright": 1 / 1.75})
    assert found.miou == pytest.approx((2 / 2.75 + 1 / 1.75) / 2)
    assert found.pixel_accuracy == pytest.approx(3 / 3.75)
    assert found.share == pytest.approx({"dark": 2.75 / 3.75, "bright": 1 / 3.75})
    assert [(score.index, score.name) for score in found.frames] == [(1, "frame 1"), (0, "frame 0")]
    assert [score.miou for score in found.frames] == pytest.approx([(1 / 1.75) / 2, 1])


def test_a_checkpoint_and_its_exported_model_agree(checkpoint, model, dataset):
    found = [evaluate(open_engine(path, device="cpu"), dataset) for path in (checkpoint, model)]
    assert (found[0].confusion > 0).sum() > 20, "a comparison of one class says nothing"
    assert np.abs(found[0].confusion - found[1].confusion).sum() <= 2e-4 * found[0].confusion.sum()
    assert found[0].miou == pytest.approx(found[1].miou, abs=1e-4)
    assert "torch" in found[0].protocol["engine"] and "torch" not in found[1].protocol["engine"]


def test_one_scale_without_flip_is_the_engine_itself(engine, dataset):
    image, _ = dataset[0]
    assert np.array_equal(AugmentedEngine(engine, flip=False, scales=[1]).segment(image), engine.segment(image))


def test_flip_makes_the_mask_of_a_mirrored_frame_the_mirrored_mask(engine, dataset):
    image, _ = dataset[0]
    mirrored = np.ascontiguousarray(image[:, ::-1])

    def asymmetry(of: Callable[[np.ndarray], np.ndarray]) -> float:
        return float(np.mean(of(mirrored)[:, ::-1] != of(image)))

    assert asymmetry(AugmentedEngine(engine, flip=True, scales=[1]).segment) < 0.001 < asymmetry(engine.segment)


def test_scales_average_the_logits_on_the_grid_of_the_largest(engine, dataset):
    image, _ = dataset[0]
    fine, coarse = (engine.frame_logits(image, size).copy() for size in ((128, 160), (64, 64)))
    coarse = nn.functional.interpolate(torch.from_numpy(coarse)[None], size=(16, 20), mode="bilinear")[0].numpy()
    found = AugmentedEngine(engine, flip=False, scales=[1.25, 0.5])
    assert np.allclose(found.frame_logits(image, SIZE), (fine + coarse) / 2, atol=1e-4)
    assert np.mean(found.segment(image) == upsample_logits((fine + coarse) / 2, SIZE).mask) > 0.999


@pytest.mark.parametrize("scales", [[], [0.0], [-1.0], [math.nan], [1.0, 99.0]])
def test_scales_that_cannot_be_meant(engine, scales):
    with pytest.raises(OptionError, match="scales must be above 0 and at most 4, got"):
        AugmentedEngine(engine, flip=False, scales=scales)


def test_tricks_are_named():
    assert describe_tricks(flip=False, scales=[1.0]) is None
    assert describe_tricks(flip=True, scales=[1.0]) == "flip"
    assert describe_tricks(flip=True, scales=[0.75, 1.0]) == "flip and scales 0.75, 1"


def test_an_engine_that_keeps_its_logits_allows_no_tricks(engine):
    class Closed(Engine):
        def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
            raise AssertionError("not asked for")

    closed = Closed(engine.card, description="a closed engine")
    assert augmented(closed, flip=False, scales=[1.0]) is closed
    with pytest.raises(OptionError, match="not possible with a closed engine; choose --device cpu"):
        augmented(closed, flip=True, scales=[1.0])


def test_cityscapes_goes_the_papers_way(card):
    engine = TorchEngine(Brightness(), replace(card, network_size=(512, 1024)), device="cpu")
    assert engine.network_size(1024, 2048) == (512, 1024)


def test_small_frames_are_enlarged_to_the_size_of_the_card(card):
    """A bright column two pixels wide, of a 32x32 frame, that the network has to see eight times as wide."""
    engine = TorchEngine(Brightness(), replace(card, classes=TWO, network_size=(256, 256)), device="cpu")
    assert engine.network_size(32, 32) == (256, 256)
    image = np.zeros((32, 32, 3), np.uint8)
    image[:, 10:12] = 255
    target = (image[..., 0] > 0).astype(np.uint8)
    found = evaluate(engine, Frames(TWO, (image, target)))
    assert found.protocol["network size"] == "256x256" and found.protocol["frame size"] == "32x32"
    assert found.miou > 0.9
    small = TorchEngine(Brightness(), replace(card, classes=TWO, network_size=(32, 32)), device="cpu")
    assert evaluate(small, Frames(TWO, (image, target))).miou < 0.6, "at 1/8 of 32x32 the column is lost"


def test_padding_is_outside_the_mask(brightness):
    image = frame(right=255)[:40, :50]
    brightness.card = replace(brightness.card, network_size=(64, 96))
    seen: List[tuple] = []
    run = brightness.network.forward
    brightness.network.forward = lambda pixels: seen.append(pixels.shape) or run(pixels)
    mask = segment(brightness, image, pad=(64, 96))
    assert seen == [(1, 3, 64, 96)] and mask.shape == (40, 50)
    assert np.array_equal(segment(brightness, image, pad=(0, 0)), brightness.segment(image))


@pytest.mark.parametrize(
    "frames, worst, best",
    [(100, [0, 1, 2, 3], [99, 98, 97, 96]), (5, [0, 1, 2], [4, 3]), (1, [0], [])],
)
def test_no_frame_is_among_the_best_and_the_worst(brightness, frames, worst, best):
    dataset = Frames(TWO, *[(frame(right=2 * i), halves(0, 1)) for i in range(frames)])
    scores = [FrameScore(i, f"frame {i}", i / 100) for i in range(frames)]
    found = find_examples(scores, brightness, dataset, pad=(0, 0))
    assert list(found) == ["Worst frames", "Best frames"]
    for examples, indices in zip(found.values(), (worst, best)):
        assert [example.title for example in examples] == [f"frame {i}: mIoU {i:.2f} %" for i in indices]
        assert all(np.array_equal(example.frame, dataset[i][0]) for example, i in zip(examples, indices))
        assert all(np.array_equal(example.mask, brightness.segment(example.frame)) for example in examples)


def test_an_unlabeled_split_has_no_score(brightness):
    with pytest.raises(DataError, match="none of the 1 frames has a labeled pixel"):
        evaluate(brightness, Frames(TWO, (frame(right=0), halves(255, 255))))


def test_the_command_writes_table_json_and_page(camvid, checkpoint, tmp_path, capsys):
    command = ["evaluate", str(checkpoint), "--data", "camvid", "--root", str(camvid), "--device", "cpu"]
    output, scores = tmp_path / "new" / "report", tmp_path / "other" / "scores.json"
    assert main([*command, "-o", str(output), "--json", str(scores)]) == 0
    printed = capsys.readouterr().out
    found = json.loads(scores.read_text())
    assert f"mIoU {100 * found['miou']:.2f} %, pixel accuracy {100 * found['pixel_accuracy']:.2f} %\n" in printed
    assert "test-time tricks: none, as in the paper" in printed and all(name in printed for name in CAMVID.names)
    assert found["tricks"] is None and list(found["iou"]) == CAMVID.names and list(found["frames"])[0] in FRAMES
    assert list(found["frames"].values()) == sorted(found["frames"].values())
    assert json.loads((output / "scores.json").read_text())["confusion"] == found["confusion"]

    page = (output / "report.html").read_text()
    assert "none, as in the paper" in page and "best.ckpt" in page and "camvid, split val" in page
    assert all(name in page for name in (*CAMVID.names, *FRAMES))
    assert not re.search(r'(src|href)="(?!data:)', page), "the page needs no other file"
    pictures = [base64.b64decode(data) for data in re.findall(r'src="data:image/\w+;base64,([^"]+)"', page)]
    shapes = [cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR).shape for data in pictures]
    assert shapes == [(*SIZE, 3)] * 20, "five pictures of each of the four frames"
    shown = [name for name in re.findall(r"<h3>(\w+): mIoU", page) if name in FRAMES]
    worst_first = list(found["frames"])
    assert shown == [*worst_first[:2], *worst_first[:1:-1]], "the worst first, then the best first"


def test_the_split_is_by_default_the_one_to_validate_with(tmp_path, checkpoint, capsys):
    (tmp_path / "images" / "validation").mkdir(parents=True)
    command = ["evaluate", str(checkpoint), "--root", str(tmp_path), "--device", "cpu"]
    assert main([*command, "--data", "ade20k"]) == 1
    assert "images/validation/*.jpg, found none" in capsys.readouterr().err
    assert main([*command, "--data", "coco_stuff_10k"]) == 1
    assert "imageLists/test.txt, found none" in capsys.readouterr().err


def test_a_file_gets_no_progress_bar(brightness, capfd):
    evaluate(brightness, Frames(TWO, (frame(right=255), halves(0, 1))))
    assert capfd.readouterr().err == ""


def test_tricks_are_reported_everywhere(camvid, model, tmp_path, capsys):
    command = ["evaluate", str(model), "--data", "camvid", "--root", str(camvid), "-o", str(tmp_path / "out")]
    assert main([*command, "--flip", "--scales", "0.75", "1", "--size", "64x48"]) == 0
    named, size = "with flip and scales 0.75, 1 (the paper has no test-time tricks)", "480x360"
    page, printed = (tmp_path / "out" / "report.html").read_text(), capsys.readouterr().out
    assert named in page and named in printed
    found = json.loads((tmp_path / "out" / "scores.json").read_text())
    assert found["tricks"] == "flip and scales 0.75, 1"
    assert found["protocol"]["network size"] == "64x48"
    assert found["protocol"]["--network-size"] == f"64x48; the model's card says {size}"


def test_a_report_is_replaced_only_by_force(camvid, model, tmp_path, capsys):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "scores.json").write_text("earlier")
    command = ["evaluate", str(model), "--data", "camvid", "--root", str(camvid), "--network-size", "64x48"]
    assert main([*command, "-o", str(tmp_path / "out")]) == 1
    assert "add --force to replace them" in capsys.readouterr().err
    assert (tmp_path / "out" / "scores.json").read_text() == "earlier"
    assert main([*command, "-o", str(tmp_path / "out"), "--force"]) == 0
    assert json.loads((tmp_path / "out" / "scores.json").read_text())["tricks"] is None


def test_padding_is_reported(brightness):
    assert find_dataset("coco_stuff_10k").padding == (640, 640) and find_dataset("camvid").padding == (0, 0)
    frames = Frames(TWO, (frame(right=255), halves(0, 1)))
    brightness.card = replace(brightness.card, network_size=(128, 96))
    protocol = evaluate(brightness, frames, pad=(128, 96)).protocol
    assert protocol["padding"] == "to 96x128, with the mean color" and protocol["network size"] == "96x128"


def test_validation_while_training_pads_as_evaluation_does(brightness):
    image, target = frame(right=255), halves(0, 1)
    frames = Frames(TWO, (image, target))
    frames.padding = (128, 96)
    brightness.card = replace(brightness.card, network_size=(128, 96))
    card, (height, width) = brightness.card, target.shape
    validation = ValidationFrames(frames, trained=card.network_size, mean=card.mean, std=card.std)
    pixels, padded = validation[0]
    assert padded.shape == (128, 96) and np.array_equal(padded[:height, :width], target)
    assert (padded[height:] == 255).all() and (padded[:, width:] == 255).all()
    logits = upsample_to(brightness.network(pixels[None]), padded.shape)
    assert np.array_equal(logits[0].argmax(dim=0)[:height, :width], segment(brightness, image, pad=(128, 96)))


def test_frames_of_a_data_set_without_a_size_are_scored_at_their_own(brightness):
    """As ADE20K's, whose size the paper does not state; while training as in `bisenet evaluate`."""
    assert find_dataset("ade20k").size_choice == "full" and find_dataset("camvid").size_choice == "card"
    frames = Frames(TWO, (np.zeros((90, 130, 3), np.uint8), np.zeros((90, 130), np.uint8)))
    frames.padding, frames.size_choice = (0, 0), "full"
    card = brightness.card
    pixels, target = ValidationFrames(frames, trained=card.network_size, mean=card.mean, std=card.std)[0]
    assert pixels.shape == (3, 96, 128) and target.shape == (90, 130)
    brightness.size_choice = frames.size_choice
    assert augmented(brightness, flip=True, scales=[1.0]).network_size(90, 130) == (96, 128)
    assert evaluate(brightness, frames).protocol["network size"] == "128x96"


def test_names_with_markup_stay_text(tmp_path, capsys):
    classes = ClassMap((SegmentationClass("[red]<b>road", (1, 2, 3)), SegmentationClass("never", (4, 5, 6))))
    found = Evaluation(classes, np.array([[3, 0], [0, 0]]), [FrameScore(0, "<i>", 1.0)], {"model": "<u>"}, None)
    print_scores(found)
    assert " [red]<b>road " in capsys.readouterr().out
    assert found.to_dict()["iou"]["never"] is None


def test_what_cannot_be_evaluated_is_refused(camvid, checkpoint, model, tmp_path, capsys):
    def error(path: Path, *arguments: str, data: str = "camvid", root: Path = camvid) -> str:
        assert main(["evaluate", str(path), "--data", data, "--root", str(root), *arguments]) == 1
        return capsys.readouterr().err

    assert "expected a model file (.onnx) or a checkpoint" in error(camvid / "val.txt")
    assert "none.ckpt" in error(tmp_path / "none.ckpt") and "none.onnx" in error(tmp_path / "none.onnx")
    assert "scales must be above 0" in error(checkpoint, "--scales", "0")
    assert "expected a size of 32 to 8192 pixels a side, got 8x8" in error(checkpoint, "--network-size", "8x8")
    assert "expected a size as WIDTHxHEIGHT in pixels" in error(checkpoint, "--pad=-1x8")
    assert "scored in fp32" in error(checkpoint, "--precision", "bf16")
    assert f"expected a file to write, got the folder {tmp_path}" in error(checkpoint, "--json", str(tmp_path))
    assert "no_such_data" in error(checkpoint, data="no_such_data")
    assert "test.txt" in error(checkpoint, "--split", "test")
    assert str(tmp_path) in error(checkpoint, root=tmp_path)
    if not torch.cuda.is_available():
        assert "device cuda cannot be used" in error(model, "--device", "cuda")
        assert "needs a GPU that torch can use" in error(checkpoint, "--device", "cuda")


def test_a_bad_frame_stops_with_its_name(camvid, checkpoint, tmp_path, capsys):
    root = tmp_path / "camvid"
    root.mkdir()
    for name in ("images", "labels"):
        (root / name).symlink_to(camvid / name)
    (root / "val.txt").write_text(f"{FRAMES[0]}\nno_such_frame")
    assert main(["evaluate", str(checkpoint), "--data", "camvid", "--root", str(root), "-o", str(tmp_path / "o")]) == 1
    assert "no_such_frame" in capsys.readouterr().err
    assert not list((tmp_path / "o").iterdir())


def cityscapes_card() -> ModelCard:
    entries = {"name": "BiSeNetV2", "mean": (0.4,) * 3, "std": (0.3,) * 3, "network_size": (96, 128)}
    return ModelCard.from_dict({**entries, "classes": find_dataset("cityscapes").classes.to_list()})


def test_predictions_are_files_as_the_data_set_has_them_without_its_labels(tmp_path, network, capsys):
    """Cityscapes' test server takes labelIds of the frame's size, and finds CITY_SEQUENCE_FRAME*.png."""
    city = tmp_path / "leftImg8bit" / "test" / "berlin"
    city.mkdir(parents=True)
    for number in range(2):
        image = np.random.default_rng(number).integers(0, 256, (96, 128, 3), np.uint8)
        cv2.imwrite(str(city / f"berlin_00000{number}_000019_leftImg8bit.png"), image)
    torch.manual_seed(0)
    engine = TorchEngine(BiSeNetV2(**{**SMALL, "classes": 19}), cityscapes_card(), device="cpu")
    test = open_dataset("cityscapes", root=tmp_path, split="test", labeled=False)
    write_predictions(engine, test, tmp_path / "results", pad=(0, 0))
    for number in range(2):
        written = cv2.imread(str(tmp_path / "results" / f"berlin_00000{number}_000019.png"), cv2.IMREAD_UNCHANGED)
        mask = engine.segment(test.read_image(number))
        assert written.shape == (96, 128) and np.array_equal(test.encoding.decode(written), mask)
        assert set(np.unique(written)) <= {7, 8, 11, 12, 13, 17, *range(19, 29), 31, 32, 33}


def test_the_command_writes_predictions_instead_of_scores(tmp_path, camvid, model, capsys):
    (camvid / "blind.txt").write_text(FRAMES[0])
    arguments = ["evaluate", str(model), "--data", "camvid", "--root", str(camvid), "--split", "blind"]
    assert main([*arguments, "--predictions", str(tmp_path / "masks")]) == 0
    assert capsys.readouterr().out == f"1 masks: {tmp_path / 'masks'}\n"
    assert cv2.imread(str(tmp_path / "masks" / f"{FRAMES[0]}.png"), cv2.IMREAD_UNCHANGED).max() < 11
    assert main([*arguments, "--predictions", str(tmp_path / "masks"), "--json", str(tmp_path / "a.json")]) == 1
    assert "--predictions scores nothing" in capsys.readouterr().err
    assert main([*arguments, "--predictions", str(tmp_path / "masks")]) == 1, "these may be of another model"
    told = f"{tmp_path / 'masks'} holds the masks of an earlier run; add --force to replace them, or name another "
    assert f"{told}folder with --predictions" in capsys.readouterr().err


def test_predictions_are_replaced_by_force_where_nothing_else_is(tmp_path, camvid, model, capsys):
    (camvid / "blind.txt").write_text(FRAMES[0])
    masks = tmp_path / "masks"
    masks.mkdir()
    (masks / f"{FRAMES[0]}.png").write_text("of another model")
    arguments = ["evaluate", str(model), "--data", "camvid", "--root", str(camvid), "--split", "blind", "--force"]
    assert main([*arguments, "--predictions", str(masks)]) == 0
    assert cv2.imread(str(masks / f"{FRAMES[0]}.png"), cv2.IMREAD_UNCHANGED).max() < 11
    (masks / f"{FRAMES[1]}.png").write_text("of no frame of the split")
    assert main([*arguments, "--predictions", str(masks)]) == 1
    assert "exists and holds something else; name a new folder with --predictions" in capsys.readouterr().err
    before = (camvid / "labels" / f"{FRAMES[0]}.png").read_bytes()
    assert main([*arguments, "--predictions", str(camvid / "labels")]) == 1
    assert "must lie apart; name another folder with --predictions" in capsys.readouterr().err
    assert (camvid / "labels" / f"{FRAMES[0]}.png").read_bytes() == before


def test_classes_that_the_data_set_does_not_label_have_no_score_and_no_predictions(tmp_path, camvid, model, capsys):
    """The model may say them, and cannot be right; as a label they would have another class's value."""
    *classes, last = [{"name": name, "values": [i]} for i, name in enumerate(find_dataset("camvid").classes.names)]
    path, scores = tmp_path / "yard.yaml", tmp_path / "scores.json"
    description = {"base": "camvid", "classes": [*classes, {**last, "values": []}], "ignore": [10, 255]}
    path.write_text(yaml.safe_dump(description))
    arguments = ["evaluate", str(model), "--data", str(path), "--root", str(camvid), "--split", "val"]
    assert main([*arguments, "--json", str(scores)]) == 0
    found = json.loads(scores.read_text())
    iou = [value for value in found["iou"].values() if value is not None]
    assert any(row[10] for row in found["confusion"]) and found["iou"][last["name"]] is None
    assert found["miou"] == pytest.approx(np.mean(iou), abs=1e-5)
    assert main([*arguments, "--predictions", str(tmp_path / "masks")]) == 1
    assert f"the label files of the data set have no value for {last['name']}, so that" in capsys.readouterr().err
    assert not (tmp_path / "masks").exists()
