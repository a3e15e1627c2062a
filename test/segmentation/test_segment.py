# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet segment`: images, videos and cameras become masks and overlays."""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import subprocess
import sys

import cv2
import numpy as np
import pytest
from bag_workshop import BlueEngine, InterruptingEngine
from PIL import Image
from tiny_model import save_int8_version, save_tiny_model

from bisenet_ros.cli import main
from bisenet_ros.engines import load_engine
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.atomic_write import partial_of
from bisenet_ros.files.folder_lock import lock_folder
from bisenet_ros.images import OPACITY
from bisenet_ros.images.colors import blend
from bisenet_ros.images.compression import encode_jpeg
from bisenet_ros.segmentation import OUTPUTS, output_folder, video_file
from bisenet_ros.segmentation import run as segment_run
from bisenet_ros.segmentation.run import Outcome, Request, segment_inputs
from bisenet_ros.segmentation.video_file import VideoFile
from bisenet_ros.segmentation.window import shrink

SIZE = (48, 64)


@pytest.fixture
def model(tmp_path, card):
    return save_tiny_model(tmp_path / "tiny.onnx", card)


@pytest.fixture
def images(tmp_path):
    """img_1.png, img_2.png and img_10.png, of noise."""
    (tmp_path / "images").mkdir()
    for number in (1, 2, 10):
        pixels = np.random.default_rng(number).integers(0, 256, (*SIZE, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"img_{number}.png"), pixels)
    return tmp_path / "images"


def write_video(path, frames=6, *, size=SIZE, codec="MJPG", rate=12):
    """Frames of one brightness each."""
    video = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), rate, size[::-1])
    for number in range(frames):
        video.write(np.full((*size, 3), 20 * number % 256, np.uint8))
    video.release()
    return path


def read_video(path):
    video, frames = cv2.VideoCapture(str(path)), []
    while True:
        read, frame = video.read()
        if not read:
            return frames, video.get(cv2.CAP_PROP_FPS)
        frames.append(frame)


def files_of(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def segment(model, *inputs, output, options=()):
    return main(["segment", *map(str, inputs), "-o", str(output), "--model", str(model), *options])


def request_for(model, *inputs, output, outputs=("mask", "overlay")):
    return Request(inputs=list(map(str, inputs)), model=model, output=output, outputs=outputs)


def segment_stubbed(request: Request, *, engine: BlueEngine, **options) -> Outcome:
    """`segment_inputs` with a stub engine."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(segment_run, "load_engine", lambda *_, **__: engine)
        return segment_inputs(request, **options)


def test_images_are_segmented_without_what_reads_bags():
    """The libraries for bags need Python 3.10; a Jetson may have 3.8."""
    blocked = "import sys; sys.modules.update(rosbags=None, mcap=None, backports=None, compression=None)"
    done = subprocess.run([sys.executable, "-c", f"{blocked}; import bisenet_ros.segmentation.run"], timeout=60)
    assert done.returncode == 0


def test_an_image_that_is_too_wide_for_an_overlay_is_told_and_the_others_are_made(tmp_path, model, images):
    cv2.imwrite(str(images / "img_0.png"), np.zeros((2, 65501), np.uint8))
    count, out = len(list(images.iterdir())), tmp_path / "out"
    outcome = segment_stubbed(request_for(model, images, output=out), engine=BlueEngine())
    assert outcome.is_imperfect and len(list((out / "overlay").iterdir())) == count - 1
    assert "img_0.jpg cannot be written: expected sides of at most 65500 pixels for a JPEG" in outcome.warnings[0]


def test_every_output_of_images_and_videos(tmp_path, model, images, capsys):
    single = tmp_path / "single.jpg"
    cv2.imwrite(str(single), cv2.imread(str(images / "img_1.png"))[:24])
    video, out = write_video(tmp_path / "drive.avi"), tmp_path / "out"
    options = ["--write", "confidence,overlay,mask,color_mask", "--device", "cpu", "--precision", "fp32"]
    assert segment(model, images, video, single, output=out, options=options) == 0
    assert f"{out}: 10 frames segmented; mask, color_mask, overlay, confidence\n" in capsys.readouterr().out
    names = ["img_1", "img_2", "img_10", *(f"drive_{number:06}" for number in range(6)), "single"]
    for output in OUTPUTS:
        suffix = "jpg" if output == "overlay" else "png"
        expected = {f"{name}.{suffix}" for name in names} | ({"drive.mp4"} if output == "overlay" else set())
        assert {path.name for path in (out / output).iterdir()} == expected

    engine = load_engine(model, device="cpu", precision="fp32")
    frame = cv2.imread(str(images / "img_2.png"))
    mask, confidence = engine.segment(frame, confidence=True)
    ids = Image.open(out / "mask" / "img_2.png")
    assert ids.mode == "L" and np.array_equal(np.asarray(ids), mask) and len(np.unique(mask)) > 3
    assert np.array_equal(np.asarray(Image.open(out / "confidence" / "img_2.png")), confidence)
    colors = engine.card.classes.color_table()
    assert np.array_equal(np.asarray(Image.open(out / "color_mask" / "img_2.png").convert("RGB")), colors[mask])
    overlay = encode_jpeg(blend(frame, mask, colors, opacity=OPACITY))
    assert (out / "overlay" / "img_2.jpg").read_bytes() == overlay
    frames, rate = read_video(out / "overlay" / "drive.mp4")
    assert len(frames) == 6 and rate == 12
    shown = [cv2.imread(str(out / "overlay" / f"drive_{number:06}.jpg")) for number in range(6)]
    assert all(np.abs(a.astype(int) - b).mean() < 6 for a, b in zip(frames, shown))


def test_the_default_is_masks_and_overlays_of_the_shipped_model(tmp_path, images):
    assert main(["segment", str(images / "img_1.png"), "-o", str(tmp_path / "out")]) == 0
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"mask", "overlay", "segment.json", "lock"}


def test_two_runs_at_once_do_not_share_a_folder(tmp_path, model, images, capsys):
    out = tmp_path / "out"
    with lock_folder(out):
        assert segment(model, images, output=out) == 1
    assert f"another process is at work in {out}; wait for it or stop it" in capsys.readouterr().err
    assert segment(model, images, output=out) == 0


def test_what_a_killed_process_had_begun_to_write_is_removed_and_is_no_result(tmp_path, model, images):
    out = tmp_path / "out"
    settings = request_for(model, images, output=out)
    segment_stubbed(settings, engine=BlueEngine())
    for file in files_of(out / "mask"):
        (out / "mask" / file).rename(partial_of(out / "mask" / file))
    for file in (out / "overlay").glob("*"):
        file.unlink()
    assert segment(model, images, output=out, options=["--min-confidence", "0.5"]) == 0, "with other settings"
    assert not list(out.rglob("*.partial"))


def test_a_stopped_run_goes_on_with_the_frames_left(tmp_path, model, images):
    video = write_video(tmp_path / "drive.avi")
    whole, out = (request_for(model, images, video, output=tmp_path / name) for name in ("whole", "out"))
    assert segment_stubbed(whole, engine=BlueEngine()).segmented == 9
    with pytest.raises(KeyboardInterrupt):
        segment_stubbed(out, engine=InterruptingEngine(fails_at=6))
    assert len(list((out.output / "mask").iterdir())) == 5
    assert not list(out.output.glob("overlay/*.mp4")), "neither whole nor in part"
    engine = BlueEngine()
    outcome = segment_stubbed(out, engine=engine)
    assert (outcome.segmented, outcome.earlier, engine.frames) == (4, 5, 4)
    made, expected = files_of(out.output), files_of(whole.output)
    video_of = "overlay/drive.mp4"
    assert len(read_video(out.output / video_of)[0]) == 6
    assert {name: data for name, data in made.items() if name != video_of} == {
        name: data for name, data in expected.items() if name != video_of
    }
    again = segment_stubbed(out, engine=BlueEngine(fails_at=1))
    assert (again.segmented, again.earlier) == (0, 9) and files_of(out.output) == made


def test_more_inputs_and_outputs_are_added_to_a_folder(tmp_path, model, images, capsys):
    out, video = tmp_path / "out", write_video(tmp_path / "drive.avi")
    assert segment(model, images, output=out) == 0
    assert segment(model, video, output=out, options=["--write", "mask"]) == 0
    assert segment(model, video, images, output=out) == 0
    assert "6 frames segmented, 3 were there already; mask, overlay\n" in capsys.readouterr().out
    assert (out / "overlay" / "drive.mp4").exists()


def test_the_results_of_another_run_are_never_overwritten(tmp_path, model, images, card, capsys):
    out = tmp_path / "out"
    assert segment(model, images, output=out) == 0
    before = files_of(out)
    os.utime(images / "img_2.png", (1, 1))
    assert segment(model, images, output=out) == 1
    assert f"(img_2: {images}/img_2.png, now another file of this name and place)" in capsys.readouterr().err
    (tmp_path / "b").mkdir()
    other = tmp_path / "b" / "img_10.jpg"
    cv2.imwrite(str(other), np.zeros((*SIZE, 3), np.uint8))
    assert segment(model, other, output=out) == 1
    assert f"(img_10: {images}/img_10.png, now {other}); name another folder" in capsys.readouterr().err
    assert segment(model, images / "img_1.png", output=out, options=["--network-size", "half"]) == 1
    assert "holds the results of another run (engine: " in capsys.readouterr().err
    (tmp_path / "models").mkdir()
    assert segment(save_tiny_model(tmp_path / "models" / "tiny.onnx", card), images / "img_1.png", output=out) == 0
    assert files_of(out) == before


def test_a_model_that_was_quantized_again_is_another_model(tmp_path, model, images, capsys):
    options = ["--device", "cpu", "--precision", "int8"]
    for loss, code in ((0.1, 0), (0.1, 0), (0.2, 1)):
        save_int8_version(model, tmp_path, loss=loss)
        assert segment(model, images, output=tmp_path / "out", options=options) == code
    assert re.search(r"results of another run \(model file: \w{12}\.\.\., now \w{12}\.\.\.\)", capsys.readouterr().err)


def test_class_groups(tmp_path, model, images, capsys):
    groups, out = tmp_path / "groups.yaml", tmp_path / "out"
    groups.write_text("classes: [{name: ground, color: [1, 200, 3], of: [road, sidewalk]}]")
    options = ["--class-map", str(groups), "--write", "mask,color_mask,confidence"]
    assert segment(model, images, output=out, options=options) == 0
    mask = cv2.imread(str(out / "mask" / "img_2.png"), cv2.IMREAD_UNCHANGED)
    assert set(np.unique(mask)) == {0, 255}
    colors = np.asarray(Image.open(out / "color_mask" / "img_2.png").convert("RGB"))
    assert (colors[mask == 0] == (1, 200, 3)).all() and not colors[mask == 255].any()
    groups.write_text("classes: [{name: ground, color: [1, 200, 3], of: [road]}]")
    assert segment(model, images, output=out, options=options) == 1
    assert re.search(r"results of another run \(class map: \w{12}\.\.\., now \w{12}\.\.\.\)", capsys.readouterr().err)
    groups.write_text("classes: [{name: ground, color: [1, 200, 3], of: [lawn]}]")
    assert segment(model, images, output=tmp_path / "other", options=options) == 1
    assert segment(model, images, output=tmp_path / "other", options=["--class-map", "none.yaml"]) == 1
    told = capsys.readouterr().err
    assert "the model has no class 'lawn'" in told and "expected a class map (.yaml) at none.yaml" in told
    assert not (tmp_path / "other").exists()


def test_unknown_pixels(tmp_path, model, images, capsys):
    hood, out = np.zeros(SIZE, np.uint8), tmp_path / "out"
    hood[36:] = 1
    cv2.imwrite(str(tmp_path / "hood.png"), hood)
    plain = ["--write", "mask,overlay,confidence", "--device", "cpu", "--precision", "fp32"]
    options = [*plain, "--ignore-mask", str(tmp_path / "hood.png"), "--min-confidence", "0.5"]
    assert segment(model, images, output=out, options=options) == 0
    engine, frame = load_engine(model, device="cpu", precision="fp32"), cv2.imread(str(images / "img_2.png"))
    expected, certain = engine.segment(frame, confidence=True)
    expected[(hood > 0) | (certain < 128)] = 255
    assert 0.01 < (expected[:36] == 255).mean() < 0.99, "else nothing is shown"
    found = {name: cv2.imread(str(out / name / "img_2.png"), cv2.IMREAD_UNCHANGED) for name in ("mask", "confidence")}
    assert np.array_equal(found["mask"], expected)
    assert np.array_equal(found["confidence"], np.where(hood, 0, certain))
    overlay = encode_jpeg(blend(frame, expected, engine.classes.color_table(), opacity=OPACITY))
    assert (out / "overlay" / "img_2.jpg").read_bytes() == overlay

    assert segment(model, images, output=out, options=plain) == 1
    changed = r"\(ignore mask: \w{12}\.\.\., now none; min confidence: 0.5, now none\)"
    assert re.search(f"results of another run {changed}", capsys.readouterr().err)
    cv2.imwrite(str(images / "wide.png"), np.zeros((48, 96, 3), np.uint8))
    assert segment(model, images, output=out, options=options) == 3
    assert "mask of the size of wide, 96x48, got one of 64x48 as --ignore-mask; make one" in capsys.readouterr().err
    video = write_video(tmp_path / "wide.avi", size=(48, 96))
    assert segment(model, video, output=tmp_path / "video", options=options) == 1
    assert capsys.readouterr().err.count("make one") == 1, "once, not for each of its frames"
    assert segment(model, images, output=tmp_path / "no", options=["--ignore-mask", str(tmp_path / "no.png")]) == 1
    assert "no.png, found no file" in capsys.readouterr().err and not (tmp_path / "no").exists()
    for text in ("50", "half"):
        with pytest.raises(SystemExit, match="2"):
            segment(model, images, output=out, options=["--min-confidence", text])
        assert f"argument --min-confidence: expected a confidence of 0 to 1, got '{text}'" in capsys.readouterr().err


@pytest.mark.parametrize(
    "content",
    (
        None,
        "[]",
        "{",
        "[" * 10**5,
        '{"settings": 3, "inputs": {}}',
        '{"settings": {}, "inputs": []}',
        '{"settings": {}, "inputs": {"a": 5}}',
        '{"settings": {}, "inputs": {"a": []}}',
    ),
)
def test_a_folder_of_something_else_is_left_alone(tmp_path, model, images, content, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / ("segment.json" if content else "notes.txt")).write_text(content or "mine")
    assert segment(model, images, output=out) == 1
    assert "name a new folder with -o" in capsys.readouterr().err and len(list(out.iterdir())) == 1


@pytest.fixture
def refuse(tmp_path, model, capfd):
    """Runs the command, which fails and makes nothing; what it prints."""

    def run(*inputs, output=tmp_path / "out", options=()):
        assert segment(model, *inputs, output=output, options=options) == 1
        assert not output.exists()
        printed = capfd.readouterr().err
        lines = [line for line in printed.splitlines() if not line.startswith("[mov")]  # FFmpeg's
        assert len(lines) == 1 and lines[0].startswith("bisenet: error: "), printed
        return lines[0]

    return run


def test_inputs_that_cannot_be_used_are_named(tmp_path, images, refuse):
    missing, text, empty = tmp_path / "none.mp4", tmp_path / "text.mp4", tmp_path / "empty"
    text.write_text("no video")
    empty.mkdir()
    assert f"camera:NUMBER, got '{missing}': there is no such file" in refuse(images, missing)
    (tmp_path / "bag").mkdir()
    (tmp_path / "bag" / "metadata.yaml").touch()
    assert "`bisenet evaluate-bag` segments bags" in refuse(tmp_path / "bag")
    (tmp_path / "drive").mkdir()
    (tmp_path / "drive" / "drive_0.mcap").touch()
    for bag in (tmp_path / "drive", tmp_path / "drive" / "drive_0.mcap"):
        assert f"expected images, got the bag {bag}; `bisenet evaluate-bag` segments bags" in refuse(bag)
    os.mkfifo(tmp_path / "pipe.mp4")
    assert "expected a file or a folder, got " in refuse(tmp_path / "pipe.mp4")
    notes = tmp_path / "notes.txt"
    notes.write_text("no video\n" * 100)
    for file in (text, notes):
        assert f"got {file}, a file that begins with" in refuse(file)
    assert "expected images (.jpg, " in refuse(empty)
    assert "a camera that OpenCV can open as number 97" in refuse("camera:97")
    twin = images / "img_2.jpg"
    twin.write_bytes(b"")
    assert "two inputs are called 'img_2', " in refuse(images)
    twin.rename(images / "drive_000003.png")
    video = write_video(tmp_path / "drive.avi")
    assert f"{images}/drive_000003.png is called as a frame of {video}" in refuse(images, video)


@pytest.mark.parametrize("video_first", [True, False])
def test_an_image_that_is_called_as_a_frame_of_an_earlier_runs_video_is_refused(tmp_path, model, capsys, video_first):
    """Its mask would be that of the frame, or the frame's that of the image."""
    image, video = tmp_path / "drive_000003.png", write_video(tmp_path / "drive.avi")
    cv2.imwrite(str(image), np.zeros((*SIZE, 3), np.uint8))
    first, second = (video, image) if video_first else (image, video)
    assert segment(model, first, output=tmp_path / "out") == 0
    before = files_of(tmp_path / "out")
    assert segment(model, second, output=tmp_path / "out") == 1
    assert f"{image} is called as a frame of {video}); name another folder with -o" in capsys.readouterr().err
    assert files_of(tmp_path / "out") == before


def test_results_do_not_lie_among_the_inputs(tmp_path, model, images, refuse, capfd):
    assert "must lie apart" in refuse(images, output=images / "out")
    assert "must lie apart" in refuse(images / "img_1.png", images, output=images / "a" / "b")
    assert segment(model, images, output=images) == 1
    assert segment(model, images, output=tmp_path) == 1
    assert capfd.readouterr().err.count("must lie apart") == 2
    assert segment(model, images / "img_1.png", output=images / "out") == 0, "one image's results may lie beside it"


def test_an_image_that_cannot_be_read_does_not_stop_the_others(tmp_path, model, images, refuse, capfd):
    broken = images / "img_2.png"
    broken.write_bytes(broken.read_bytes()[:-300])
    out = tmp_path / "out"
    assert segment(model, images, output=out) == 3
    printed = capfd.readouterr()
    assert f"bisenet: warning: {broken}" in printed.err and "2 frames segmented" in printed.out
    assert segment(model, broken, output=tmp_path / "alone") == 1
    assert "not one frame could be read" in capfd.readouterr().err


def test_what_is_no_image_in_a_folder_is_named(tmp_path, model, images, capfd):
    (images / "more").mkdir()
    (images / ".hidden").touch()
    write_video(images / "drive.avi")
    assert segment(model, images, output=tmp_path / "out") == 0
    named = f"bisenet: warning: {images} has more than images, which is not segmented: drive.avi, more\n"
    assert named in capfd.readouterr().err
    for number in range(6):
        (images / f"a{number}.txt").touch()
    assert segment(model, images, output=tmp_path / "out") == 0
    assert "not segmented: a0.txt, a1.txt, a2.txt, a3.txt, a4.txt and 3 more\n" in capfd.readouterr().err


def test_a_link_to_nowhere_does_not_stop_the_others(tmp_path, model, images, capfd):
    (images / "img_3.png").symlink_to(tmp_path / "nowhere.png")
    assert segment(model, images, output=tmp_path / "out") == 3
    printed = capfd.readouterr()
    assert "img_3.png cannot be read: No such file" in printed.err and "3 frames segmented" in printed.out


def test_images_may_be_links_to_files_without_a_suffix(tmp_path, model, images):
    """As DVC and git-annex make them. One is called as a video's frame would be, and one is replaced."""
    store = tmp_path / "store"
    store.mkdir()
    for name, content in (("a", "img_1"), ("a_000001", "img_2")):
        (images / f"{content}.png").rename(store / name)
        (images / f"{name}.png").symlink_to(store / name)
    (images / "bad.png").symlink_to(store / "bad")
    (store / "bad").write_bytes(b"nothing")
    assert segment(model, images, output=tmp_path / "out") == 3
    (store / "bad").write_bytes((store / "a").read_bytes())
    assert segment(model, images, output=tmp_path / "out") == 0
    assert (tmp_path / "out" / "mask" / "bad.png").exists()


def test_a_file_that_a_power_cut_left_empty_is_made_again(tmp_path, model, images, capsys):
    assert segment(model, images, output=tmp_path / "out") == 0
    empty = tmp_path / "out" / "mask" / "img_1.png"
    whole = empty.read_bytes()
    empty.write_bytes(b"")
    assert segment(model, images, output=tmp_path / "out") == 0
    assert "1 frame segmented, 2 were there already" in capsys.readouterr().out
    assert empty.read_bytes() == whole


def test_the_same_command_goes_on_with_an_image_that_was_copied_again(tmp_path, model, images, capsys):
    broken, out = images / "img_2.png", tmp_path / "out"
    whole = broken.read_bytes()
    broken.write_bytes(whole[:-300])
    assert segment(model, images, output=out) == 3
    broken.write_bytes(whole)
    assert segment(model, images, output=out) == 0
    assert "1 frame segmented" in capsys.readouterr().out and len(list((out / "mask").iterdir())) == 3


def test_settings_of_a_run_that_wrote_nothing_may_change(tmp_path, model, images):
    ignored, out = tmp_path / "hood.png", tmp_path / "out"
    options = ["--ignore-mask", str(ignored)]
    for size, brightness, code in (((10, 10), 255, 1), (SIZE, 255, 0), (SIZE, 200, 1)):  # the last one finds masks
        pixels = np.zeros(size, np.uint8)
        pixels[-2:] = brightness
        cv2.imwrite(str(ignored), pixels)
        assert segment(model, images, output=out, options=options) == code


def test_a_video_that_ends_early_is_told(tmp_path, model, capfd):
    video = write_video(tmp_path / "drive.avi", frames=60)
    video.write_bytes(video.read_bytes()[: video.stat().st_size // 2])
    assert segment(model, video, output=tmp_path / "out") == 3
    read = len(list((tmp_path / "out" / "mask").iterdir()))
    assert 0 < read < 60
    assert f"warning: {video} promises 60 frames, {read} could be read\n" in capfd.readouterr().err
    assert len(read_video(tmp_path / "out" / "overlay" / "drive.mp4")[0]) == read


def test_a_video_without_a_frame_is_told(tmp_path, model, images, capfd):
    video = write_video(tmp_path / "drive.avi", frames=0)
    assert segment(model, video, images, output=tmp_path / "out") == 3
    assert f"warning: {video} has no frame\n" in capfd.readouterr().err


def test_a_colon_in_a_relative_path_is_no_protocol(tmp_path, model, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video("12:30.avi")
    assert segment(model, "12:30.avi", output="out:1") == 0
    assert len(read_video(tmp_path / "out:1" / "overlay" / "12:30.mp4")[0]) == 6


def test_names_that_are_not_utf8(tmp_path, model, images, refuse, capfd):
    odd = images / os.fsdecode(b"caf\xe9.png")
    (images / "img_1.png").rename(odd)
    out = tmp_path / os.fsdecode(b"out\xff")
    assert segment(model, images, output=out) == 0
    assert (out / "mask" / odd.name).exists()
    assert segment(model, images, output=out) == 0
    assert "0 frames segmented, 3 were there already" in capfd.readouterr().out
    video = write_video(tmp_path / "drive.avi")
    broken = video.rename(tmp_path / os.fsdecode(b"caf\xe9.avi"))
    assert "expected a path in UTF-8" in refuse(broken)


@pytest.mark.parametrize("function", ["write_json", "write_png"])
def test_a_full_disk_is_told_and_the_same_command_goes_on(tmp_path, model, images, monkeypatch, capsys, function):
    def fail(path, content):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setattr(output_folder, function, fail)
        assert segment(model, images, output=out) == 1
    assert f"No space left on device writing {out}; free some space, and give the same" in capsys.readouterr().err
    (out / f"segment.json.{'0' * 32}.partial").touch()  # as a process that is killed leaves it
    assert segment(model, images, output=out) == 0
    assert not list(out.glob("*.partial"))


@pytest.mark.parametrize("rate", [90000.0, 0.001, float("nan")])
def test_the_overlays_of_a_video_whose_rate_cannot_be_meant_have_the_usual_one(tmp_path, model, monkeypatch, rate):
    class RatedVideo:
        def __init__(self, path: str) -> None:
            self._video = video_capture(path)

        def __getattr__(self, name):
            return getattr(self._video, name)

        def get(self, what):
            return rate if what == cv2.CAP_PROP_FPS else self._video.get(what)

    video, out, video_capture = write_video(tmp_path / "drive.avi"), tmp_path / "out", cv2.VideoCapture
    with monkeypatch.context() as patch:
        patch.setattr(cv2, "VideoCapture", RatedVideo)
        assert segment(model, video, output=out, options=["--write", "overlay"]) == 0
    assert read_video(out / "overlay" / "drive.mp4")[1] == video_file.RATE


def test_a_video_that_cannot_be_written_whole_is_no_video(tmp_path, monkeypatch):
    path = tmp_path / "long.mp4"
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (30000, hard))  # as a disk that is full from there on
    try:
        with pytest.raises(OSError, match=rf"{path} cannot be written: \d+ of 200 frames; \d+ MiB are free"):
            with VideoFile(path, rate=0) as video:
                for shift in range(200):
                    video.write(np.roll(noise, shift, axis=0))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(video_file, "CODEC", "none")
    with pytest.raises(OSError, match="OpenCV has no encoder"), VideoFile(path, rate=5) as video:
        video.write(noise)
    monkeypatch.undo()
    with pytest.raises(ValueError, match="frames of 64x64, got 32x64"), VideoFile(path, rate=5) as video:
        video.write(noise)
        video.write(noise[:, :32])
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("rate", [0.5, 59.94, 65.535, 66.667, 90.123, 144.001, 1000.0])
def test_any_rate_of_a_camera_is_written(tmp_path, rate):
    path = tmp_path / "v.mp4"
    with VideoFile(path, rate=rate) as video:
        for _ in range(2):
            video.write(np.zeros((*SIZE, 3), np.uint8))
    frames, written = read_video(path)
    assert len(frames) == 2 and written == pytest.approx(rate, rel=1e-4)


def test_a_video_s_name_may_be_as_long_as_the_file_system_takes(tmp_path):
    path = tmp_path / (251 * "v" + ".mp4")
    with VideoFile(path, rate=5) as video:
        video.write(np.zeros((*SIZE, 3), np.uint8))
    assert [*tmp_path.iterdir()] == [path]


def test_what_a_killed_process_has_written_of_a_video_is_removed_when_it_is_made_again(tmp_path):
    program = f"""
import os, signal
import numpy as np
from pathlib import Path
from bisenet_ros.segmentation.video_file import VideoFile
with VideoFile(Path({str(tmp_path / "v[1].mp4")!r}), rate=5) as video:
    video.write(np.zeros((64, 96, 3), np.uint8))
    os.kill(os.getpid(), signal.SIGKILL)
"""
    assert subprocess.run([sys.executable, "-c", program]).returncode == -signal.SIGKILL
    assert [*tmp_path.glob("v[[]1].mp4.*.partial/v[[]1].mp4")]
    with VideoFile(tmp_path / "v[1].mp4", rate=5):
        pass
    assert not [*tmp_path.iterdir()]


def test_odd_sides_and_an_unknown_rate(tmp_path):
    path = tmp_path / "odd.mp4"
    with VideoFile(path, rate=0) as video:
        for _ in range(3):
            video.write(np.full((47, 63, 3), 200, np.uint8))
    frames, rate = read_video(path)
    assert len(frames) == 3 and frames[0].shape == (46, 62, 3) and rate == 25


class FakeCamera:
    """A camera of four frames; then it is unplugged."""

    def __init__(self, number):
        self.left = 4 if number == 2 else 0

    def isOpened(self):
        return self.left > 0

    def set(self, what, value):
        return True

    def read(self):
        self.left -= 1
        return self.left >= 0, np.full((*SIZE, 3), 40, np.uint8)

    def release(self):
        pass


def test_a_camera_adds_frames_named_by_their_time(tmp_path, model, monkeypatch, capsys):
    monkeypatch.setattr(cv2, "VideoCapture", FakeCamera)
    for count in (4, 8):
        assert segment(model, "camera:2", output=tmp_path / "out") == 1
        assert "camera 2 gives no more frames; is it still connected?" in capsys.readouterr().err
        names = [path.stem for path in (tmp_path / "out" / "mask").iterdir()]
        assert len(names) == count and all(name.startswith("camera2_20") for name in names)
    assert not list((tmp_path / "out" / "overlay").glob("*.mp4"))


def test_frames_are_shown_also_where_no_overlay_is_written(tmp_path, model, images):
    shown = []
    request = request_for(model, images, output=tmp_path / "out", outputs=["mask"])
    segment_stubbed(request, engine=BlueEngine(), show=shown.append)
    frame, mask = cv2.imread(str(images / "img_2.png")), cv2.imread(str(tmp_path / "out" / "mask" / "img_2.png"), -1)
    colors = BlueEngine().card.classes.color_table()
    assert len(shown) == 3 and np.array_equal(shown[1], blend(frame, mask, colors, opacity=OPACITY))


def test_a_window_needs_a_display(refuse, images, monkeypatch):
    monkeypatch.setenv("DISPLAY", ":123")
    assert re.search("a window needs (a display|Python's tkinter)", refuse(images, options=["--show"]))
    monkeypatch.delenv("DISPLAY")
    assert re.search("a window needs (a display|Python's tkinter)", refuse(images, options=["--show"]))


def test_a_frame_is_shrunk_to_the_screen():
    frame = np.full((1000, 2000, 3), 7, np.uint8)
    assert shrink(frame, (1000, 1000)).shape == (450, 900, 3)
    assert shrink(frame, (2223, 1112)) is frame


def test_an_engine_that_fails_or_gives_no_confidence(tmp_path, model, images):
    request = request_for(model, images, output=tmp_path / "out", outputs=["confidence"])
    with pytest.raises(BisenetError, match="blue engine failed on img_2: out of blue"):
        segment_stubbed(request, engine=BlueEngine(fails_at=2))
    engine = BlueEngine()
    engine.has_confidence = False
    with pytest.raises(BisenetError, match="blue engine gives no confidence; leave it out of --write"):
        segment_stubbed(request, engine=engine)


def test_an_unknown_output_is_a_usage_error(tmp_path, model, images, capsys):
    with pytest.raises(SystemExit):
        segment(model, images, output=tmp_path / "out", options=["--write", "mask,depth"])
    assert "expected some of mask,color_mask,overlay,confidence, got 'depth'" in capsys.readouterr().err
