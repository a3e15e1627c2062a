# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet evaluate-bag`: masks and a report of bags, the same each time."""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Callable

import cv2
import numpy as np
import pytest
from bag_workshop import (
    CAMERA,
    SIZE,
    BlueEngine,
    DyingEngine,
    FullDiskEngine,
    InterruptingEngine,
    camera_messages,
    image,
    picture,
    read_frames,
    stamp,
    write_bag,
    write_model,
)
from camvid_classes import CAMVID
from mcap.writer import IndexType
from mcap.writer import Writer as McapWriter
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin, Writer
from stub_evaluation import StubLoader, evaluate_stubbed
from tiny_model import save_int8_version, save_tiny_model

from bisenet_ros.bags import STORAGES
from bisenet_ros.bags.bag_images import IMAGE, TYPES, read_masks
from bisenet_ros.bags.bag_reader import LABEL_CLASSES, BagError
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.cli import main
from bisenet_ros.commands import evaluate_bag
from bisenet_ros.errors import IMPERFECT, BisenetError
from bisenet_ros.evaluation import bag_evaluation, bag_results, ground_truth_preparation, run_folder
from bisenet_ros.evaluation.bag_evaluation import Request, evaluate_bags
from bisenet_ros.evaluation.bag_executor import open_executor
from bisenet_ros.evaluation.bag_outcome import Outcome
from bisenet_ros.evaluation.bag_task import mask_namespaces
from bisenet_ros.evaluation.frame_record import RecordFile
from bisenet_ros.evaluation.ground_truth import GroundTruthError
from bisenet_ros.evaluation.report import bag_report
from bisenet_ros.evaluation.run_engine import EngineLoader, EngineOptions
from bisenet_ros.files import result_folder
from bisenet_ros.images.colors import blend, paint
from bisenet_ros.model.model_file import ModelError, model_sha256
from demo.clip import FOLDER, frame_ids

MASK = "/segmentation/mask"
TRUTH = "/camera/labels"


@pytest.fixture
def real_page():
    """For the tests that look at the page; its figures take seconds, so that the others do without."""


@pytest.fixture(autouse=True)
def no_page(request, monkeypatch):
    if "real_page" not in request.fixturenames:
        monkeypatch.setattr(bag_report, "write_bag_page", lambda *_: None)


@pytest.fixture
def request_for(tmp_path):
    """Makes the request for bags, with results in OUT of the test's folder."""
    model = write_model(tmp_path / "blue.onnx")

    def make(*bags: Path, **options) -> Request:
        options = {"output": tmp_path / "OUT", **options}
        return Request(bags=bags, model=model, **options)

    return make


def evaluate(request: Request, **options) -> int:
    """What the command does and prints; the engine is a `BlueEngine` unless `make` makes another."""
    return evaluate_bag.show(request, evaluate_stubbed(request, **options))


def evaluate_for_real(request: Request) -> int:
    """The same with the engine of the request's model."""
    return evaluate_bag.show(request, evaluate_bags(request))


def interrupt(request: Request, *, at: int) -> None:
    """As if Ctrl-C were pressed at a frame."""
    with pytest.raises(KeyboardInterrupt):
        evaluate_stubbed(request, make=partial(InterruptingEngine, fails_at=at))


def mask_of(number: int) -> np.ndarray:
    return picture(number)[..., 0] % len(CAMVID)


def wait_until(is_so: Callable[[], object], *, seconds: float = 60) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def report_of(output: Path):
    return json.loads((output / "report.json").read_text())


def without_timings(output: Path):
    """Everything that a run wrote and that must be the same each time."""
    report = {k: v for k, v in report_of(output).items() if k not in ("engine_ms", "protocol", "machine")}
    records = [replace(record, engine_ms=0.0) for record in RecordFile(output / "frames.jsonl")]
    masks = {path.relative_to(output): path.read_bytes() for path in output.rglob("masks*") if path.is_file()}
    metadata = {path.relative_to(output): path.read_text() for path in output.rglob("metadata.yaml")}
    text = json.dumps(report, indent=1)
    return "\n".join(line for line in text.splitlines() if '"engine_ms"' not in line), records, masks, metadata


def test_the_bag_of_masks_is_a_bag_of_ros_with_the_headers_of_the_frames(tmp_path, request_for):
    for storage in ("sqlite3", "mcap"):
        bag = write_bag(tmp_path / f"{storage}_bag", storage=storage)
        output = tmp_path / storage
        outputs = ("mask", "color_mask", "overlay")
        assert evaluate(request_for(bag, output=output, storage=storage, outputs=outputs)) == 0
        with AnyReader([output / "masks"]) as reader:
            assert reader.message_count == 36
            for connection in reader.connections:
                assert connection.msgtype == "sensor_msgs/msg/Image" and connection.msgcount == 12
                assert "uint32 step" in connection.msgdef.data and connection.ext.serialization_format == "cdr"
                assert connection.ext.offered_qos_profiles[0].reliability.name == "RELIABLE"
            found = {(c.topic, log_ns): reader.deserialize(data, c.msgtype) for c, log_ns, data in reader.messages()}
        mask = found[MASK, stamp(3)]
        assert (mask.header.frame_id, mask.header.stamp.sec, mask.header.stamp.nanosec) == ("front", 1, 300_000_000)
        assert (mask.encoding, mask.width, mask.height, mask.step) == ("mono8", 32, 24, 32)
        assert np.array_equal(mask.data.reshape(SIZE), mask_of(3))
        colored, overlay = found["/segmentation/color_mask", stamp(3)], found["/segmentation/overlay", stamp(3)]
        table = CAMVID.color_table()
        assert colored.encoding == "rgb8" and overlay.encoding == "bgr8"
        assert np.array_equal(colored.data.reshape(*SIZE, 3), paint(mask_of(3), table))
        expected = blend(picture(3), mask_of(3), table, opacity=0.5)
        assert np.array_equal(overlay.data.reshape(*SIZE, 3), expected)


def test_every_frame_has_a_record_and_the_report_is_there(tmp_path, request_for, real_page):
    bag = write_bag(tmp_path / "bag", count=13)
    assert evaluate(request_for(bag)) == 0
    records = list(RecordFile(tmp_path / "OUT" / "frames.jsonl"))
    assert [record.index for record in records] == list(range(13))
    assert [record.stamp_ns for record in records] == [stamp(i) for i in range(13)]
    assert [record.change is None for record in records] == [True] + [False] * 12
    assert records[0].bag == "bag" and records[0].confidence == pytest.approx(picture(0)[..., 1].mean() / 255)
    report = report_of(tmp_path / "OUT")
    assert report["frames"] == 13 and report["miou"] is None
    assert "frames per second offline" in report["protocol"]
    names = {path.name for path in (tmp_path / "OUT").iterdir()}
    assert names == {"frames.jsonl", "masks", "report.html", "report.json", "report.csv", "run.json"}
    assert not (tmp_path / "OUT.partial").exists()


def truth_of(number: int) -> np.ndarray:
    """The labels of `BlueEngine`, the upper half wrong, a column unlabeled."""
    truth = mask_of(number)
    truth[:12] = (truth[:12] + 1) % len(CAMVID)
    truth[:, 0] = 255
    return truth


def write_truth(folder: Path, numbers, *, shift_ns: int = 0) -> Path:
    folder.mkdir(exist_ok=True)
    for number in numbers:
        cv2.imwrite(str(folder / f"{stamp(number) + shift_ns}.png"), truth_of(number))
    return folder


def test_truth_is_matched_by_stamp_from_files_and_from_a_topic(tmp_path, request_for, capsys):
    def messages(number):
        # The truth of a frame comes 3 frames later, or for the last ones before.
        truth = {TRUTH: image(truth_of(11 - number), encoding="8UC1", stamp_ns=stamp(11 - number))}
        return {**camera_messages(number), **(truth if number % 3 == 0 else {})}

    bag = write_bag(tmp_path / "bag", messages=messages)
    folder = write_truth(tmp_path / "truth", (2, 5, 8, 11))
    by_topic = request_for(bag, output=tmp_path / "topic", truth_topic=TRUTH)
    by_files = request_for(bag, output=tmp_path / "files", truth_folder=folder, topics=[CAMERA])
    assert evaluate(by_topic) == evaluate(by_files) == 0
    assert without_timings(tmp_path / "topic") == without_timings(tmp_path / "files")
    records = list(RecordFile(tmp_path / "topic" / "frames.jsonl"))
    assert [record.index for record in records if record.confusion is not None] == [2, 5, 8, 11]
    report = report_of(tmp_path / "topic")
    assert report["pixel_accuracy"] == 0.5 and 0 < report["miou"] < 0.5
    assert report["protocol"]["frames with ground truth"] == "4 of 12"
    assert capsys.readouterr().err == ""


def test_truth_that_cannot_be_used_is_named(tmp_path, request_for, capsys):
    bag = write_bag(tmp_path / "bag")

    def error(folder: Path) -> str:
        with pytest.raises(GroundTruthError) as raised:
            evaluate(request_for(bag, truth_folder=folder, restart=True))
        assert not (tmp_path / "OUT").exists()
        return str(raised.value)

    folder = tmp_path / "truth"
    folder.mkdir()
    file = folder / f"{stamp(4)}.png"
    assert "found none" in error(folder)
    cv2.imwrite(str(file), np.zeros((10, 10), np.uint8))
    assert f"expected the frame's 32x24 pixels in the ground truth {file}, got 10x10" in error(folder)
    cv2.imwrite(str(file), np.full(SIZE, 11, np.uint8))
    assert (
        f"expected ids 0 to 10, or 255 where there is no label, in the ground truth {file}, got 11 on 768 pixels"
        in error(folder)
    )
    cv2.imwrite(str(file), np.zeros((*SIZE, 3), np.uint8))
    assert f"expected {file} to have one channel of class ids" in error(folder)
    file.write_bytes(b"noise")
    assert f"{file} cannot be decoded as an image" in error(folder)
    file.rename(folder / "road.png")
    assert "expected ground truth as <stamp in ns>.png, got road.png" in error(folder)
    (folder / "road.png").unlink()
    write_truth(folder, (4,))
    for name in (f"0{stamp(4)}.png", f"{stamp(4)}.PNG", f"{stamp(4)}_1.png"):
        (folder / name).write_bytes((folder / f"{stamp(4)}.png").read_bytes())
        assert "expected one file of ground truth for a frame, got" in error(folder)
        (folder / name).unlink()
    (folder / f"{stamp(4)}.png").unlink()
    write_truth(folder, (1, 2), shift_ns=1)
    assert f"none of the 2 stamps of the ground truth, such as {stamp(1) + 1}, is that of a frame" in error(folder)
    capsys.readouterr()
    write_truth(folder, (3,))
    assert evaluate(request_for(bag, truth_folder=folder, restart=True)) == 3
    warning = (
        f"2 files of the ground truth belong to no frame that was segmented: {stamp(1) + 1}.png, {stamp(2) + 1}.png"
    )
    assert warning in capsys.readouterr().err


def test_ground_truth_that_a_bag_promises_and_does_not_have_is_told(tmp_path, request_for, capsys):
    def messages(number):
        return {**camera_messages(number), TRUTH: image(truth_of(number), encoding="mono8", stamp_ns=stamp(number))}

    bag = write_bag(tmp_path / "bag", count=4, messages=messages)
    with sqlite3.connect(bag / "bag.db3") as connection:
        connection.execute("DELETE FROM messages WHERE id IN (2, 4)")
    assert evaluate(request_for(bag, truth_topic=TRUTH)) == 3
    assert f"bag, {TRUTH}: 4 masks of ground truth promised, 2 read\n" in capsys.readouterr().err


@pytest.mark.parametrize("storage", STORAGES)
def test_ground_truth_of_other_classes_is_not_scored(tmp_path, request_for, storage):
    """Its ids may be ids of the model too, where they mean something else."""
    names = ["road", *CAMVID.names[1:]]
    topics = {CAMERA: IMAGE, TRUTH: IMAGE}
    custom_data = {LABEL_CLASSES: json.dumps(names)}
    with BagWriter(tmp_path / "bag", storage=storage, topics=topics, custom_data=custom_data) as bag:
        bag.write(CAMERA, image(picture(0)), log_ns=0)
        bag.write(TRUTH, image(truth_of(0), encoding="mono8"), log_ns=0)
    with pytest.raises(GroundTruthError, match=r"classes \(sky, building, .*\), got that of .*bag \(road, building"):
        evaluate(request_for(tmp_path / "bag", truth_topic=TRUTH))


def test_a_folder_of_truth_is_checked_once_for_all_bags(tmp_path, request_for, monkeypatch):
    bags = [write_bag(tmp_path / name, count=2) for name in "abc"]
    checked = []
    check = ground_truth_preparation.check_ground_truth

    def count(*arguments, **options):
        checked.append(arguments)
        check(*arguments, **options)

    monkeypatch.setattr(ground_truth_preparation, "check_ground_truth", count)
    request = request_for(*bags, truth_folder=write_truth(tmp_path / "truth", (0, 1)))
    assert evaluate(request) == 3 and len(checked) == 1  # the bags have the same stamps


def test_files_that_are_not_of_the_run_are_not_thrown_away_with_it(tmp_path, request_for):
    request = request_for(write_bag(tmp_path / "a", count=2), restart=True)
    assert evaluate(request) == evaluate(request) == 0
    notes = tmp_path / "OUT" / "notes.txt"
    notes.write_text("the third frame is wrong")
    with pytest.raises(BisenetError, match="also holds notes.txt, which is of no run; move it away"):
        evaluate(request)
    assert notes.is_file() and not (tmp_path / "OUT.partial").exists()
    assert evaluate(replace(request, restart=False)) == 0
    notes.rename(tmp_path / "OUT" / "masks" / "notes.txt")
    with pytest.raises(BisenetError, match="also holds masks/notes.txt, which is of no run; move it away"):
        evaluate(request)


def test_the_unfinished_folder_of_another_run_is_no_output(tmp_path, request_for):
    request = request_for(write_bag(tmp_path / "a", count=2))
    interrupt(request, at=2)
    with pytest.raises(BisenetError, match="OUT.partial exists and holds something else"):
        evaluate(replace(request, output=tmp_path / "OUT.partial"))


def test_results_of_earlier_runs_are_no_bags_unless_they_are_given(tmp_path, request_for):
    drives, first = tmp_path / "drives", tmp_path / "drives" / "first"
    write_bag(drives / "a", count=2)
    assert evaluate(request_for(drives, output=first)) == 0
    interrupt(request_for(drives, output=drives / "stopped"), at=1)
    assert evaluate(request_for(drives, output=drives / "second")) == 0
    assert [source["bag"] for source in report_of(drives / "second")["sources"]] == ["a"]
    assert evaluate(request_for(first, output=tmp_path / "of masks")) == 0
    assert [source["topic"] for source in report_of(tmp_path / "of masks")["sources"]] == [MASK]


def test_results_of_earlier_runs_among_several_bags_are_left_out(tmp_path, request_for, capsys):
    """As of `evaluate-bag drives/*`, where drives/first and a link in drives/more are runs."""
    drives, first, out = tmp_path / "drives", tmp_path / "drives" / "first", tmp_path / "drives" / "out"
    bag, more = write_bag(drives / "a", count=2), drives / "more"
    write_bag(more / "b", count=2)
    assert evaluate(request_for(bag, output=first)) == evaluate(request_for(bag, output=tmp_path / "elsewhere")) == 0
    (more / "link").symlink_to(tmp_path / "elsewhere")
    interrupt(request_for(bag, first, more, output=out), at=4)
    everything = sorted(drives.iterdir())
    assert drives / "out.partial" in everything
    assert evaluate(request_for(*everything, output=out)) == IMPERFECT
    assert f"left out: {first} holds the results of an earlier run; to use them, name" in capsys.readouterr().err
    assert [source["bag"] for source in report_of(out)["sources"]] == ["a", "b"]
    assert evaluate(request_for(*drives.iterdir(), output=out)) == IMPERFECT, "finished already"
    with pytest.raises(BagError, match="none of the bags can be used: left out: .*first holds .*/out holds"):
        evaluate(request_for(first, out))
    with pytest.raises(BisenetError, match="must lie apart"):
        evaluate(request_for(out, output=out))


def test_truth_belongs_to_the_frames_of_its_own_bag(tmp_path, request_for, capsys):
    def messages(number, *, frames, truth):
        found = {TRUTH: image(truth_of(number), encoding="mono8", stamp_ns=stamp(number))} if number in truth else {}
        return {**camera_messages(frames[number]), **found}

    bags = [
        write_bag(tmp_path / name, count=4, messages=partial(messages, frames=frames, truth=truth))
        for name, frames, truth in (("a", (0, 1, 2, 3), (1, 2, 3)), ("b", (0, 1, 2, 7), (1, 3)))
    ]
    assert evaluate(request_for(*bags, truth_topic=TRUTH)) == 3
    assert report_of(tmp_path / "OUT")["protocol"]["frames with ground truth"] == "4 of 8"
    printed = capsys.readouterr()
    assert f"1 files of the ground truth belong to no frame that was segmented: {stamp(3)}.png\n" in printed.err
    assert re.search(r"8 frames, mIoU [\d.]+ % of the 4 with ground truth\n", printed.out)
    shared = request_for(
        *bags, topics=[CAMERA], truth_folder=write_truth(tmp_path / "truth", (3, 7)), output=tmp_path / "shared"
    )
    assert evaluate(shared) == 0
    assert report_of(tmp_path / "shared")["protocol"]["frames with ground truth"] == "2 of 8"
    assert capsys.readouterr().err == "", "each file is that of a frame of one bag"


def test_ground_truth_that_is_taken_for_frames_of_several_bags_is_told(tmp_path, request_for, capsys):
    """As of bags that `bisenet make-bag` has made: all begin at the same stamp."""
    bags = [write_bag(tmp_path / name, count=3) for name in "ab"]
    truth = write_truth(tmp_path / "truth", (0, 2))
    assert evaluate(request_for(*bags, truth_folder=truth)) == 3
    words = f"2 files of the ground truth have the stamp of frames of several bags, such as {stamp(0)}.png"
    assert words in capsys.readouterr().err
    assert evaluate(request_for(bags[0], truth_folder=truth, restart=True)) == 0


def test_bags_that_are_done_outlive_the_wrong_ground_truth_of_a_later_one(tmp_path, request_for):
    bags = [write_bag(tmp_path / name, count=count) for name, count in (("a", 4), ("b", 12))]
    truth = write_truth(tmp_path / "truth", (1,))
    cv2.imwrite(str(truth / f"{stamp(8)}.png"), np.zeros((10, 10), np.uint8))
    kept = tmp_path / "OUT.partial"
    with pytest.raises(GroundTruthError, match=f"got 10x10; the masks of the bags that were done .* kept in {kept}$"):
        evaluate(request_for(*bags, truth_folder=truth))
    assert [path.name for path in (kept / "bags").iterdir()] == ["a"]
    assert list((kept / "bags" / "a").rglob("*.db3"))


def test_ground_truth_without_a_labeled_pixel_is_told(tmp_path, request_for, capsys):
    bag, truth = write_bag(tmp_path / "bag"), tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / f"{stamp(4)}.png"), np.full(SIZE, 255, np.uint8))
    assert evaluate(request_for(bag, truth_folder=truth)) == 3
    assert "no pixel of the ground truth has a class: nothing was scored" in capsys.readouterr().err


def test_an_error_in_a_process_of_its_own_is_the_same_error(tmp_path, request_for, monkeypatch):
    bags = [write_bag(tmp_path / name, storage="mcap", compression=CompressionMode.FILE) for name in "ab"]
    truth, scratch = write_truth(tmp_path / "truth", (1,)), tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    cv2.imwrite(str(truth / f"{stamp(4)}.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(GroundTruthError, match="expected the frame's 32x24 pixels in the ground truth"):
        evaluate_stubbed(request_for(*bags, truth_folder=truth, jobs=2))
    assert not list(scratch.iterdir()), "what the processes unpacked is gone with them"
    assert not (tmp_path / "OUT.partial").exists()


FULL_DISK = (
    r"bisenet: error: No space left on device writing {place}; "
    "free some space, and give the same command again\n"
)


@pytest.fixture
def restored_storage(monkeypatch):
    """What a `FullDiskEngine` of this process changes is as before."""
    monkeypatch.setattr(sqlite3, "connect", sqlite3.connect)
    monkeypatch.setitem(Writer.STORAGE_PLUGINS, StoragePlugin.MCAP, Writer.STORAGE_PLUGINS[StoragePlugin.MCAP])


@pytest.mark.parametrize("storage, jobs", [("sqlite3", 1), ("mcap", 1), ("sqlite3", 2)])
def test_a_full_disk_is_told_in_one_line_with_its_place(
    tmp_path, request_for, monkeypatch, capfd, restored_storage, storage, jobs
):
    bags = [write_bag(tmp_path / name, count=80) for name in ("bag", "other")[:jobs]]
    make = partial(FullDiskEngine, jobs=jobs)
    monkeypatch.setattr(bag_evaluation, "EngineLoader", partial(StubLoader, make=make))
    request = request_for()
    arguments = ["evaluate-bag", *map(str, bags), "--model", str(request.model), "-o", str(request.output)]
    arguments += ["--storage", storage, "--jobs", str(jobs)]
    assert main(arguments) == 1
    place = str(tmp_path / "OUT.partial" / "bags") + r"/(bag|other)\.\d+\.\w+\.partial/(bag|other)/masks"
    assert re.fullmatch(FULL_DISK.format(place=place), capfd.readouterr().err)


def test_after_a_full_disk_the_same_command_goes_on(tmp_path, request_for):
    request = request_for(write_bag(tmp_path / "bag", count=40))
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match="No space left on device writing"):
        patch.setattr(RecordFile, "append", fail_on_full_disk)
        evaluate_stubbed(request)
    assert evaluate_segmented(request) == 40 + 1, "the bag that was half done is segmented again"
    with pytest.MonkeyPatch.context() as patch, pytest.raises(OSError, match=f"writing {tmp_path / 'OUT.partial'};"):
        patch.setattr(bag_results.shutil, "copyfileobj", fail_on_full_disk)
        evaluate_stubbed(replace(request, restart=True))
    assert evaluate_segmented(request) == 0, "the bag is done"
    assert report_of(tmp_path / "OUT")["frames"] == 40


def evaluate_segmented(request: Request) -> int:
    """How many frames the engine segmented."""
    engine = BlueEngine()
    assert evaluate(request, make=lambda: engine) == 0
    return engine.frames


def fail_on_full_disk(*_):
    with open("/dev/full", "wb", buffering=0) as full:
        full.write(b"0")


def test_an_engine_that_gives_no_confidence_is_refused_before_the_work(tmp_path, request_for):
    engine = BlueEngine()
    engine.has_confidence = False
    with pytest.raises(ModelError, match="blue engine gives no confidence, .* add --device cpu"):
        evaluate(request_for(write_bag(tmp_path / "bag")), make=lambda: engine)
    assert not (tmp_path / "OUT").exists() and not (tmp_path / "OUT.partial").exists() and engine.frames == 0


def test_a_bag_that_cannot_be_read_does_not_cost_the_others(tmp_path, request_for, capsys):
    write_bag(tmp_path / "drives" / "good")
    (tmp_path / "drives" / "cut.db3").write_bytes(b"not much")
    assert evaluate(request_for(tmp_path / "drives")) == IMPERFECT
    said = capsys.readouterr()
    assert "left out: " in said.err and "cut.db3" in said.err and " frames" in said.out
    assert any("cut.db3" in notice for notice in report_of(tmp_path / "OUT")["notices"])


def test_a_bag_that_is_given_twice_is_refused(tmp_path, request_for):
    bag = write_bag(tmp_path / "drives" / "bag")
    other = write_bag(tmp_path / "other")
    (tmp_path / "link").symlink_to(bag)
    (tmp_path / "drives" / "file_link.db3").symlink_to(bag / "bag.db3")
    for again in (bag, bag.parent / "." / "bag", tmp_path / "link", bag / "bag.db3", bag.parent):
        with pytest.raises(BagError, match=f"expected every bag once, but .* is the same bag as {bag.parent}"):
            evaluate(request_for(bag, other, again))
    assert not (tmp_path / "OUT").exists() and not (tmp_path / "OUT.partial").exists()


class SlowToStartEngine(BlueEngine):
    """The first frame of each size takes 0.3 s more, as where a plan is loaded or memory taken."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes = set()

    def _segment(self, frame, *, confidence):
        if frame.shape not in self.sizes:
            time.sleep(0.3)
        self.sizes.add(frame.shape)
        return super()._segment(frame, confidence=confidence)


def test_the_engines_time_is_that_of_a_warm_engine(tmp_path, request_for, real_page):
    def messages(number):
        pixels = picture(number)[: 24 if number < 3 else 16]
        return {CAMERA: image(pixels, stamp_ns=stamp(number))}

    engine = SlowToStartEngine()
    assert evaluate(request_for(write_bag(tmp_path / "bag", messages=messages)), make=lambda: engine) == 0
    assert len(engine.sizes) == 2 and engine.frames == 12 + 2
    assert report_of(tmp_path / "OUT")["engine_ms"]["highest"] < 250
    assert "warms the engine up and does not count" in (tmp_path / "OUT" / "report.html").read_text()


@pytest.mark.parametrize("jobs", ("0", "-1", "many", "9999"))
def test_a_number_of_jobs_that_cannot_be_meant_is_refused(jobs, capsys):
    with pytest.raises(SystemExit):
        main(["evaluate-bag", "bag", "--model", "m.onnx", "-o", "out", "--jobs", jobs])
    assert "expected 1 to " in capsys.readouterr().err


def test_results_in_the_folder_of_bags_are_not_its_bags(tmp_path, request_for):
    for name in "ab":
        write_bag(tmp_path / "drives" / name)
    request = request_for(tmp_path / "drives", output=tmp_path / "drives" / "out")
    interrupt(request, at=9)
    assert evaluate(request) == evaluate(replace(request, restart=True)) == 0
    assert [source["bag"] for source in report_of(request.output)["sources"]] == ["a", "b"]


def test_bags_called_as_the_files_of_a_report_lie_beside_them(tmp_path, request_for, real_page):
    names = ("report.json", "report.html", "report.csv", "frames.jsonl", "run.json", "masks")
    bags = [write_bag(tmp_path / name, count=1) for name in names]
    assert evaluate(request_for(*bags)) == 0
    out = tmp_path / "OUT"
    assert [source["bag"] for source in report_of(out)["sources"]] == [*(f"{name}_2" for name in names[:-1]), "masks"]
    assert all(len(list(read_frames(out / source["masks"], MASK))) == 1 for source in report_of(out)["sources"])
    assert {path.name for path in out.iterdir() if path.is_file()} == set(names[:-1])


def test_a_bag_at_two_points_has_its_folders_name(tmp_path, request_for, monkeypatch):
    bag = write_bag(tmp_path / "drive")
    (bag / "notes").mkdir()
    monkeypatch.chdir(bag / "notes")
    assert evaluate(request_for(Path(".."))) == 0
    assert [source["bag"] for source in report_of(tmp_path / "OUT")["sources"]] == ["drive"]


def test_a_rate_goes_with_the_replay_through_the_node(tmp_path, capsys):
    assert main(["evaluate-bag", "BAG", "--model", "m.onnx", "-o", str(tmp_path / "OUT"), "--rate", "2"]) == 1
    assert "--rate is the pace of the replay; add --through-node" in capsys.readouterr().err


def test_topics_come_after_the_bags_and_several_times(tmp_path, capsys, monkeypatch):
    found = []
    monkeypatch.setattr(bag_evaluation, "evaluate_bags", lambda request, **_: found.append(request) or Outcome(0))
    model = ["--model", "m.onnx", "-o", str(tmp_path / "OUT")]
    for topics in (["--topic", "/a", "/b"], ["--topic", "/a", "--topic", "/b"]):
        assert main(["evaluate-bag", "BAG", *topics, *model]) == 0
    assert [(request.bags, request.topics) for request in found] == [([Path("BAG")], ["/a", "/b"])] * 2
    assert main(["evaluate-bag", "--topic", "/a", "BAG", *model]) == 1
    assert "no bag given; write the bags before --topic" in capsys.readouterr().err


def test_a_network_size_is_the_engines_and_is_in_the_report(tmp_path, request_for, card, capsys):
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    request = replace(request_for(write_bag(tmp_path / "bag", count=2)), model=model, network_size="half")
    assert evaluate_for_real(request) == 0
    assert report_of(tmp_path / "OUT")["engine"].endswith(", network size half of the frame's")
    with pytest.raises(ValueError, match=r"other inputs \(engine: .* half of the frame's, now .* \(card\)\)"):
        evaluate_for_real(replace(request, network_size="card"))
    command = ["evaluate-bag", str(tmp_path / "bag"), "--model", str(model), "-o", str(tmp_path / "B")]
    assert main([*command, "--network-size", "big"]) == 1
    assert "expected card, half, full or WIDTHxHEIGHT" in capsys.readouterr().err


def test_a_model_that_was_quantized_again_is_another_model(tmp_path, request_for, card):
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    int8 = save_int8_version(model, tmp_path, loss=0.1)
    request = replace(request_for(write_bag(tmp_path / "bag", count=2)), model=model, device="cpu", precision="int8")
    assert evaluate_for_real(request) == evaluate_for_real(request) == 0
    found = report_of(tmp_path / "OUT")["model"]
    assert (found["file"], found["sha256"]) == (int8.name, model_sha256(int8))
    save_int8_version(model, tmp_path, loss=0.2)
    with pytest.raises(ValueError, match=r"other inputs \(the model file is not the same as before\)"):
        evaluate_for_real(request)


def test_a_worker_with_another_int8_version_is_refused(tmp_path, card):
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    options = EngineOptions(model, "cpu", "int8", network_size="card", class_map=None)
    load = EngineLoader(options, sha256=model_sha256(save_int8_version(model, tmp_path, loss=0.1)))
    load().close()
    save_int8_version(model, tmp_path, loss=0.2)
    with pytest.raises(BisenetError, match="tiny.int8.onnx is another file now, or on this machine"):
        load()


def test_a_worker_that_runs_the_model_otherwise_is_refused(tmp_path, card):
    model = save_tiny_model(tmp_path / "tiny.onnx", card)
    load = EngineLoader(EngineOptions(model, "cpu", "fp32", network_size="card", class_map=None))
    engine = load()
    replace(load, engine=engine.description)().close()
    words = (
        f"runs the model with {re.escape(engine.description)}, where OpenVINO, CPU, bf16 is expected; install the same"
    )
    with pytest.raises(BisenetError, match=words):
        replace(load, engine="OpenVINO, CPU, bf16")()


def test_ground_truth_stays_with_its_frame_where_one_of_the_same_stamp_cannot_be_read(tmp_path, request_for, capsys):
    def messages(number: int):
        message = image(picture(number), stamp_ns=0)
        message.step = 3 if number == 1 else message.step
        return {CAMERA: message}

    truth = tmp_path / "truth"
    truth.mkdir()
    for number in range(4):
        cv2.imwrite(str(truth / ("0.png" if number == 0 else f"0_{number + 1}.png")), mask_of(number))
    request = request_for(write_bag(tmp_path / "bag", count=4, messages=messages), truth_folder=truth)
    assert evaluate(request) == IMPERFECT
    records = list(RecordFile(tmp_path / "OUT" / "frames.jsonl"))
    assert {record.index: record.ground_truth for record in records} == {0: "0.png", 2: "0_3.png", 3: "0_4.png"}
    assert report_of(tmp_path / "OUT")["miou"] == 1
    assert "1 files of the ground truth belong to no frame that was segmented: 0_2.png" in capsys.readouterr().err


def test_ground_truth_of_the_second_frame_of_a_stamp_is_not_the_first_ones(tmp_path, request_for, capsys):
    truth = tmp_path / "truth"
    truth.mkdir()
    cv2.imwrite(str(truth / "0_2.png"), mask_of(1))
    bag = write_bag(tmp_path / "bag", count=2, messages=lambda number: {CAMERA: image(picture(number), stamp_ns=0)})
    assert evaluate(request_for(bag, truth_folder=truth)) == IMPERFECT, "the other frame of the stamp has none"
    records = list(RecordFile(tmp_path / "OUT" / "frames.jsonl"))
    assert [record.ground_truth for record in records] == [None, "0_2.png"] and report_of(tmp_path / "OUT")["miou"] == 1


def test_ground_truth_of_no_frame_is_told_before_a_frame_is_segmented(tmp_path, request_for):
    bag, truth, engine = write_bag(tmp_path / "bag"), write_truth(tmp_path / "truth", (1, 2), shift_ns=1), BlueEngine()
    with pytest.raises(GroundTruthError, match=f"none of the 2 stamps .*, such as {stamp(1) + 1}, .* {stamp(0)}$"):
        evaluate(request_for(bag, truth_folder=truth), make=lambda: engine)
    assert not engine.frames and not (tmp_path / "OUT.partial").exists()


def test_ground_truth_of_another_size_is_told_before_a_frame_is_segmented(tmp_path, request_for):
    bag, truth, engine = write_bag(tmp_path / "bag"), tmp_path / "truth", BlueEngine()
    truth.mkdir()
    cv2.imwrite(str(truth / f"{stamp(8)}.png"), np.zeros((10, 10), np.uint8))
    with pytest.raises(GroundTruthError, match="expected the frame's 32x24 pixels in the ground truth .*, got 10x10$"):
        evaluate(request_for(bag, truth_folder=truth), make=lambda: engine)
    assert not engine.frames and not (tmp_path / "OUT.partial").exists()


def test_a_frame_with_ground_truth_that_cannot_be_read_is_the_reason_that_is_told(tmp_path, request_for):
    bag = write_bag(
        tmp_path / "bag",
        count=2,
        messages=lambda number: {CAMERA: image(picture(number), encoding="odd8", stamp_ns=stamp(number))},
    )
    with pytest.raises(BisenetError, match="not one frame could be read: .*encoding"):
        evaluate(request_for(bag, truth_folder=write_truth(tmp_path / "truth", (1,))))


def test_a_replay_that_fails_leaves_the_offline_report(tmp_path, request_for, capsys):
    def messages(number):
        return {
            "/good/image_raw": image(picture(number), stamp_ns=stamp(number)),
            "/odd/image_raw": image(picture(number), stamp_ns=stamp(number), encoding="strange"),
        }

    replayed = []

    def fail(source, *_, **__):
        replayed.append(source.topic)
        raise ValueError("the node ended with code 1")

    bag = write_bag(tmp_path / "bag", count=4, messages=messages)
    request = request_for(bag, topics=["/good/image_raw", "/odd/image_raw"])
    assert evaluate(request, replay=fail) == IMPERFECT
    assert replayed == ["/good/image_raw"], "there is nothing to replay of the other"
    (notice,) = report_of(tmp_path / "OUT")["notices"]
    assert "the replay through the node failed: the node ended with code 1" in notice
    assert notice in capsys.readouterr().err


def test_a_truth_topic_that_cannot_be_used_is_named(tmp_path, request_for):
    def messages(number):
        labels = np.full(SIZE, 12, np.uint8)
        return {**camera_messages(number), TRUTH: image(labels, encoding="mono8"), "/rear": image(picture(0))}

    bag = write_bag(tmp_path / "bag", messages=messages)
    for options, words in (
        ({"truth_topic": TRUTH, "topics": [CAMERA]}, f"message 1 of {TRUTH} in .* got 12 on 768 pixels"),
        ({"truth_topic": "/rear", "topics": [CAMERA]}, "message 1 of /rear in .* got 'bgr8'"),
        ({"truth_topic": "/none", "topics": [CAMERA]}, "no topic /none of ground truth"),
        ({"truth_topic": TRUTH, "topics": [CAMERA, "/rear"]}, "expected one --topic, .* got 2"),
    ):
        with pytest.raises(GroundTruthError, match=words):
            evaluate(request_for(bag, restart=True, **options))


@pytest.fixture
def two_cameras(tmp_path) -> Path:
    """23 frames of two cameras: one is rarer, two frames cannot be read, one has a stamp of the past."""

    def messages(number):
        found = {"/front/image_raw": image(picture(number), stamp_ns=stamp(number - 2 * (number == 13)))}
        if number in (4, 10):
            found["/front/image_raw"].encoding = "strange"
        if number % 4 == 0:
            found["/rear/image_raw"] = image(picture(100 + number), stamp_ns=stamp(number))
        return found

    return write_bag(tmp_path / "drive", count=23, messages=messages)


@pytest.mark.parametrize("log_ns", (lambda i: (3, 1, 2, 0)[i], lambda _: 0, lambda _: 2**64 - 1))
def test_masks_have_the_order_of_the_frames_whenever_these_were_recorded(tmp_path, request_for, log_ns):
    with (tmp_path / "drive.mcap").open("wb") as file:
        writer = McapWriter(file, index_types=IndexType.NONE)
        writer.start()
        camera = writer.register_channel(CAMERA, "cdr", writer.register_schema(IMAGE, "ros2msg", b""))
        for number in range(4):
            data = bytes(TYPES.serialize_cdr(camera_messages(number)[CAMERA], IMAGE))
            writer.add_message(camera, log_ns(number), data, 0)
        writer.finish()
    assert evaluate(request_for(tmp_path / "drive.mcap")) == 0
    masks = list(read_masks(tmp_path / "OUT" / "masks", MASK))
    assert [stamp_ns for stamp_ns, _ in masks] == [stamp(i) for i in range(4)]


CAMERAS = ["/front/image_raw", "/rear/image_raw"]


def test_unreadable_frames_are_skipped_counted_and_told(tmp_path, two_cameras, request_for, capsys):
    assert evaluate(request_for(two_cameras, topics=CAMERAS)) == IMPERFECT
    records = list(RecordFile(tmp_path / "OUT" / "frames.jsonl"))
    front = [record for record in records if record.topic == CAMERAS[0]]
    assert [record.index for record in front] == [i for i in range(23) if i not in (4, 10)]
    assert [record.index for record in front if record.change is None] == [0, 5, 11, 13], "no frame right before"
    assert len(records) == 21 + 6
    rear = list(read_masks(tmp_path / "OUT" / "masks", "/segmentation/rear/mask"))
    assert [stamp_ns for stamp_ns, _ in rear] == [stamp(i) for i in range(0, 23, 4)]
    assert np.array_equal(rear[2][1], mask_of(108))
    report = report_of(tmp_path / "OUT")
    (source,) = [source for source in report["sources"] if source["topic"] == CAMERAS[0]]
    assert list(source["skipped"].values()) == [2] and source["backwards"] == 1
    (reason,) = source["skipped"]
    assert "first in message 5: expected an encoding of" in reason and "strange" in reason
    errors = capsys.readouterr().err
    assert "2 messages were skipped: encoding, first in message 5" in errors and "backwards 1 times" in errors


@pytest.fixture
def two_drives(tmp_path, request_for) -> Request:
    """A request for two bags of 23 and 7 frames, three of which cannot be read."""
    drive = write_bag(tmp_path / "drive", count=23, messages=lambda i: camera_messages(i) if i % 9 else bad_message(i))
    return request_for(drive, write_bag(tmp_path / "other" / "drive", count=7))


def test_results_do_not_depend_on_the_number_of_jobs_or_on_interruptions(tmp_path, two_drives):
    assert evaluate(replace(two_drives, output=tmp_path / "one")) == IMPERFECT
    assert evaluate(replace(two_drives, output=tmp_path / "two", jobs=2)) == IMPERFECT
    expected = without_timings(tmp_path / "one")
    assert without_timings(tmp_path / "two") == expected
    assert [report_of(tmp_path / name)["protocol"]["jobs"] for name in ("one", "two")] == ["1", "2"]
    paces = [report_of(tmp_path / name)["protocol"]["frames per second offline"] for name in ("one", "two")]
    assert ["loading the engine in each process" in pace for pace in paces] == [False, True]
    assert {record.bag for record in expected[1]} == {"drive", "drive_2"} and len(expected[1]) == 20 + 7

    again = replace(two_drives, output=tmp_path / "again")
    for frame in (3, 1, 9):
        interrupt(again, at=frame)
        assert not again.output.exists()
    with pytest.raises(BisenetError, match="blue engine failed on message .*: out of blue"):
        evaluate_stubbed(again, make=partial(BlueEngine, fails_at=25))
    assert [path.name for path in (tmp_path / "again.partial" / "bags").glob("*") if path.suffix != ".partial"] == [
        "drive"
    ]
    last = BlueEngine()
    assert evaluate(again, make=lambda: last) == IMPERFECT
    assert last.frames == 7 + 1, "only the bag that was not done, after a frame that warms the engine up"
    assert without_timings(again.output) == expected
    assert evaluate(again, make=lambda: last) == IMPERFECT, "finished already"


def test_results_do_not_depend_on_a_cluster(tmp_path, two_drives):
    distributed = pytest.importorskip("distributed")
    assert evaluate(replace(two_drives, output=tmp_path / "here")) == IMPERFECT
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=1, dashboard_address=None, local_directory=str(tmp_path / "scratch")
    ) as cluster:
        request = replace(two_drives, output=tmp_path / "cluster", dask=cluster.scheduler_address)
        assert evaluate(request) == IMPERFECT
        broken = replace(request, output=tmp_path / "broken", restart=True)
        with pytest.raises(BisenetError, match="out of blue"):
            evaluate_stubbed(broken, make=partial(BlueEngine, fails_at=3))
    assert without_timings(tmp_path / "cluster") == without_timings(tmp_path / "here")
    assert report_of(tmp_path / "cluster")["protocol"]["jobs"] == f"Dask at {request.dask}"


class UnsharedEngine(BlueEngine):
    """Fails where two threads segment at once."""

    busy = threading.Lock()

    def _segment(self, frame, *, confidence):
        if not self.busy.acquire(blocking=False):
            raise RuntimeError("two threads segment at once")
        try:
            time.sleep(0.01)
            return super()._segment(frame, confidence=confidence)
        finally:
            self.busy.release()


def test_a_worker_of_two_threads_segments_one_bag_at_a_time(two_drives):
    distributed = pytest.importorskip("distributed")
    with distributed.LocalCluster(
        n_workers=1, threads_per_worker=2, processes=False, protocol="tcp://", dashboard_address=None
    ) as cluster:
        request = replace(two_drives, dask=cluster.scheduler_address)
        assert evaluate(request, make=UnsharedEngine) == IMPERFECT


def test_a_cluster_that_is_not_there_is_an_error_in_words(tmp_path, two_drives, monkeypatch):
    distributed = pytest.importorskip("distributed")
    monkeypatch.setattr(distributed, "Client", partial(distributed.Client, timeout=0.2))
    with pytest.raises(OSError, match="Timed out"):
        evaluate_stubbed(replace(two_drives, dask="tcp://127.0.0.1:1"))


@pytest.mark.parametrize("address", ["192.168.1.10", "foo://x:3"])
def test_an_address_that_is_none_is_told(two_drives, address):
    pytest.importorskip("distributed")
    with pytest.raises(BisenetError, match=f"expected the address of a Dask scheduler, .*, got '{address}': "):
        evaluate_stubbed(replace(two_drives, dask=address))


def test_a_cluster_whose_workers_or_scheduler_end_is_told(tmp_path):
    distributed = pytest.importorskip("distributed")
    for error, words in (
        (
            distributed.KilledWorker("a bag", SimpleNamespace(address="tcp://a"), 3),
            "workers .* ended at one bag, perhaps",
        ),
        (distributed.CancelledError(), "the Dask scheduler at .* ended; start it again, and the same command goes on"),
    ):
        with distributed.LocalCluster(
            n_workers=0, processes=False, protocol="tcp://", dashboard_address=None
        ) as cluster:
            with pytest.raises(BisenetError, match=words), open_executor(jobs=1, dask=cluster.scheduler_address):
                raise error


def test_without_the_package_a_cluster_is_refused_before_the_work(tmp_path, monkeypatch, capsys):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setitem(sys.modules, "distributed", None)
    command = ["evaluate-bag", "bag", "--model", "m.onnx", "-o", str(tmp_path / "OUT"), "--dask", "tcp://127.0.0.1:1"]
    assert main(command) == 1
    error = capsys.readouterr().err
    assert "--dask needs the package distributed; install what it needs with `pip install '.[cluster]'`" in error


def test_a_process_that_dies_is_told_and_the_same_command_goes_on(tmp_path, two_drives):
    with pytest.raises(BisenetError, match="a process that segments bags ended by itself"):
        evaluate_stubbed(replace(two_drives, jobs=2), make=DyingEngine)
    assert evaluate(two_drives) == IMPERFECT


def bad_message(number: int):
    message = image(picture(number), stamp_ns=stamp(number))
    message.step = 3
    return {CAMERA: message}


def test_other_inputs_are_refused_or_start_again(tmp_path, request_for):
    bag = write_bag(tmp_path / "bag")
    request = request_for(bag)
    interrupt(request, at=9)
    with pytest.raises(ValueError, match=r"other inputs \(masks: mask in sqlite3, now mask in mcap\); .*--restart"):
        evaluate(replace(request, storage="mcap"))
    write_model(request.model, name="another")
    with pytest.raises(ValueError, match=r"other inputs \(the model file is not the same as before\)"):
        evaluate(request)
    engine = BlueEngine()
    assert evaluate(replace(request, restart=True), make=lambda: engine) == 0
    assert engine.frames == 12 + 1, "the first is segmented twice"
    with pytest.raises(ValueError, match=r"other inputs \(the content of bag bag is not the same as before\)"):
        os.utime(bag / "bag.db3", ns=(1, 1))
        evaluate(request)
    assert report_of(tmp_path / "OUT")["frames"] == 12
    assert evaluate(replace(request, restart=True)) == 0


class Killed(BaseException):
    """As SIGKILL, in the middle of removing a folder."""


def remove_half(folder, **_):
    """Whichever half: what tells whose a folder is, or a bag's masks."""
    for path in sorted(Path(folder).rglob("*"), reverse=True):
        if path.name in ("run.json", "bag.json") or path.name.startswith("masks"):
            path.unlink() if path.is_file() else None
    raise Killed


@pytest.mark.parametrize("restart", (False, True))
def test_a_run_that_was_killed_while_it_threw_away_goes_on(tmp_path, request_for, restart):
    request = request_for(write_bag(tmp_path / "bag"))
    interrupt(request, at=9)
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(result_folder, "shutil", SimpleNamespace(rmtree=remove_half))
        evaluate(replace(request, restart=True))
    assert evaluate(replace(request, restart=restart)) == 0
    assert len(list(read_frames(tmp_path / "OUT" / "masks", MASK))) == report_of(tmp_path / "OUT")["frames"] == 12
    assert not (tmp_path / "OUT.partial").exists()


@pytest.mark.parametrize("restart", (False, True))
def test_a_run_that_was_killed_at_its_end_leaves_nothing_for_ever(tmp_path, request_for, restart):
    request = request_for(write_bag(tmp_path / "bag"))
    if restart:
        assert evaluate(request) == 0
    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(result_folder, "shutil", SimpleNamespace(rmtree=remove_half))
        evaluate(replace(request, restart=restart))
    assert list(tmp_path.glob("OUT*.removed"))
    assert evaluate(request) == 0
    assert report_of(tmp_path / "OUT")["frames"] == 12 and not list(tmp_path.glob("OUT?*"))


class ForgettingEngine(BlueEngine):
    """As if a bag's file were moved away at a frame."""

    def __init__(self, *, bag, at):
        super().__init__()
        self._bag, self._at = bag, at

    def _segment(self, frame, *, confidence):
        if self.frames + 1 == self._at:
            (file,) = self._bag.glob("*.db3")
            file.rename(self._bag.with_name("moved.db3"))
        return super()._segment(frame, confidence=confidence)


def test_a_bag_whose_file_is_moved_away_costs_the_pictures_alone(tmp_path, request_for, real_page, capsys):
    bags = [write_bag(tmp_path / name) for name in ("first", "second")]
    assert evaluate(request_for(*bags), make=partial(ForgettingEngine, bag=bags[0], at=20)) == 3
    assert "the report has no pictures: " in capsys.readouterr().err
    report = report_of(tmp_path / "OUT")
    assert report["frames"] == 24 and "the report has no pictures: " in report["notices"][0]
    assert "the report has no pictures: " in (tmp_path / "OUT" / "report.html").read_text()
    assert len(list(read_frames(tmp_path / "OUT" / "first" / "masks", MASK))) == 12


def test_a_bag_that_is_gone_before_its_turn_does_not_cost_the_others(tmp_path, request_for, capsys):
    bags = [write_bag(tmp_path / name) for name in ("first", "second")]
    with pytest.raises(BisenetError, match="the masks of the bags that were done before are kept in"):
        evaluate(request_for(*bags), make=partial(ForgettingEngine, bag=bags[1], at=5))
    (tmp_path / "moved.db3").rename(bags[1] / "second.db3")
    engine = BlueEngine()
    assert evaluate(request_for(*bags), make=lambda: engine) == 0
    assert report_of(tmp_path / "OUT")["frames"] == 24 and engine.frames == 13, "the second bag's, and one to warm up"


def test_a_link_to_a_folder_that_sqlite_takes_for_an_address_is_refused(tmp_path, request_for):
    (tmp_path / "drive #1").mkdir()
    (tmp_path / "link").symlink_to("drive #1")
    with pytest.raises(BisenetError, match="expected a path without any of"):
        evaluate(request_for(write_bag(tmp_path / "bag"), output=tmp_path / "link" / "OUT"))


def test_other_files_where_the_work_would_lie_are_left_alone(tmp_path, request_for):
    partial_folder = tmp_path / "OUT.partial"
    partial_folder.mkdir()
    for name in ("lock", "lock_codes.csv", "run.json", "notes.txt"):
        (partial_folder / name).write_text("mine")
        with pytest.raises(BisenetError, match="OUT.partial exists and holds something else"):
            evaluate(request_for(write_bag(tmp_path / name)))
        assert {path.name: path.read_text() for path in partial_folder.iterdir()} == {name: "mine"}
        (partial_folder / name).unlink()


def test_results_that_were_taken_away_are_made_again(tmp_path, request_for, monkeypatch):
    """A process is killed when the results are in their place and what is left of the work is not removed yet."""
    request = request_for(write_bag(tmp_path / "bag"))
    with monkeypatch.context() as patch:
        patch.setattr(run_folder.RunFolder, "discard", lambda _: None)
        assert evaluate(request) == 0
    shutil.rmtree(tmp_path / "OUT")
    assert evaluate(request) == 0
    assert len(list(read_frames(tmp_path / "OUT" / "masks", MASK))) == 12
    assert not (tmp_path / "OUT.partial").exists()


def test_a_bag_that_is_called_as_unfinished_work_is_not_segmented_again(tmp_path, request_for):
    bags = [write_bag(tmp_path / "drive.partial"), write_bag(tmp_path / "other")]
    interrupt(request_for(*bags), at=20)
    engine = BlueEngine()
    assert evaluate(request_for(*bags), make=lambda: engine) == 0
    assert engine.frames == 13, "the second bag's, and one to warm up"


def test_results_do_not_lie_in_a_bag(tmp_path, request_for):
    bag = write_bag(tmp_path / "bag")
    with pytest.raises(BisenetError, match="/, where results go, and .*bag must lie apart"):
        evaluate(request_for(bag, output=Path("/")))
    for output in (bag / "OUT", bag / "a" / "OUT"):
        with pytest.raises(BisenetError, match="OUT, .* and .*bag must lie apart; name another folder with -o"):
            evaluate(request_for(bag, output=output))
        with pytest.raises(BisenetError, match="OUT, .* and .*bag must lie apart; name another folder with -o"):
            evaluate(request_for(bag / "bag.db3", output=output))
    assert not (bag / "a").exists() and not [*bag.glob("OUT*")]


def test_a_run_that_was_killed_at_its_beginning_goes_on(tmp_path, request_for):
    (tmp_path / "OUT.partial").mkdir()
    for name in ("lock", f"run.json.{'7' * 32}.partial"):
        (tmp_path / "OUT.partial" / name).touch()
    assert evaluate(request_for(write_bag(tmp_path / "bag"))) == 0


def test_an_interrupted_restart_is_not_thrown_away_by_a_finished_run(tmp_path, request_for):
    request = request_for(write_bag(tmp_path / "bag"))
    assert evaluate(request) == 0
    other = replace(request, storage="mcap", restart=True)
    interrupt(other, at=9)
    assert evaluate(request) == 0
    assert (tmp_path / "OUT.partial" / "run.json").exists()


@pytest.mark.parametrize("earlier", ({}, {"storage": "mcap"}, None))
@pytest.mark.parametrize("restart", (False, True))
def test_a_restart_that_was_stopped_goes_on(tmp_path, request_for, earlier, restart):
    bags = [write_bag(tmp_path / name, count=4) for name in "abc"]
    request = request_for(*bags, restart=True)
    if earlier is not None:
        assert evaluate(request_for(*bags, **earlier)) == 0
    for frame in (8, 7):
        interrupt(request, at=frame)
    assert (tmp_path / "OUT").exists() == (earlier is not None)
    interrupt(replace(request, restart=restart), at=3)
    assert evaluate_segmented(replace(request, restart=restart)) == 5, "one bag, and a frame to warm the engine up"
    assert report_of(tmp_path / "OUT")["frames"] == 12 and not (tmp_path / "OUT.partial").exists()
    assert evaluate_segmented(replace(request, restart=False)) == 0, "finished already"
    assert evaluate_segmented(request) == 3 * 5, "what is finished is made again"


def test_a_restart_throws_a_stopped_run_without_it_away(tmp_path, request_for):
    bags = [write_bag(tmp_path / name, count=4) for name in "ab"]
    interrupt(request_for(*bags), at=7)
    assert evaluate_segmented(request_for(*bags, restart=True)) == 2 * 5


def test_a_restart_that_was_stopped_is_of_its_own_inputs(tmp_path, request_for):
    bags = [write_bag(tmp_path / name, count=4) for name in "ab"]
    request = request_for(*bags, restart=True)
    interrupt(request, at=7)
    with pytest.raises(BisenetError, match="partial is of a run with other inputs"):
        evaluate(replace(request, storage="mcap", restart=False))
    assert evaluate_segmented(replace(request, storage="mcap")) == 2 * 5


def test_a_folder_of_something_else_is_left_alone(tmp_path, request_for):
    bag = write_bag(tmp_path / "bag")
    for place in ("OUT", "OUT.partial"):
        (tmp_path / place).mkdir()
        (tmp_path / place / "thesis.txt").write_text("years")
        for restart in (False, True):
            with pytest.raises(ValueError, match="holds something else"):
                evaluate(request_for(bag, restart=restart))
        assert (tmp_path / place / "thesis.txt").read_text() == "years"
        shutil.rmtree(tmp_path / place)
    (tmp_path / "OUT").mkdir()
    assert evaluate(request_for(bag)) == 0, "an empty folder is fine"


@pytest.mark.parametrize("storage", ("sqlite3", "mcap"))
def test_a_truncated_bag_is_reported_with_its_end(tmp_path, request_for, storage, real_page):
    def messages(number):
        return {CAMERA: image(np.tile(picture(number), (5, 5, 1)), stamp_ns=stamp(number))}

    bag = write_bag(tmp_path / "bag", count=80, storage=storage, messages=messages)
    file = bag / f"bag.{'db3' if storage == 'sqlite3' else 'mcap'}"
    os.truncate(file, file.stat().st_size // 2)
    assert evaluate(request_for(bag)) == IMPERFECT
    frames = report_of(tmp_path / "OUT")["frames"]
    assert 18 < frames < 45 and len(list(read_frames(tmp_path / "OUT" / "masks", MASK))) == frames
    (source,) = report_of(tmp_path / "OUT")["sources"]
    assert (source["promised"], source["read"], source["frames"]) == (80, frames, frames)
    page = (tmp_path / "OUT" / "report.html").read_text()
    for words in (
        f"number {frames} of {CAMERA}, recorded at {stamp(frames - 1)} ns",
        f"80 messages promised on {CAMERA} by metadata.yaml, {frames} read",
    ):
        assert words in source["ended_early"] and words in page


def test_a_bag_of_which_nothing_can_be_read_stays_in_the_report(tmp_path, request_for, capsys):
    write_bag(tmp_path / "drives" / "good")
    lost = write_bag(tmp_path / "drives" / "lost", storage="mcap")
    os.truncate(lost / "lost.mcap", (lost / "lost.mcap").stat().st_size // 2)
    assert evaluate(request_for(tmp_path / "drives")) == IMPERFECT
    assert [(source["bag"], source["frames"]) for source in report_of(tmp_path / "OUT")["sources"]] == [
        ("good", 12),
        ("lost", 0),
    ]
    assert f"12 messages promised on {CAMERA} by metadata.yaml, 0 read" in capsys.readouterr().err


@pytest.mark.parametrize("stamps", ((0,) * 12, tuple(i // 3 for i in range(12)), (7, 7, 5, 7) * 3, (-5,) * 12))
def test_ground_truth_of_repeated_stamps_is_matched_by_its_order(tmp_path, request_for, capsys, stamps):
    """Of frames and ground truth that come in any order beside each other."""

    def messages(number):
        truth = image(truth_of(number), encoding="mono8", stamp_ns=stamps[number])
        return {CAMERA: image(picture(number), stamp_ns=stamps[number]), TRUTH: truth}

    bag = write_bag(tmp_path / "bag", messages=messages)
    assert evaluate(request_for(bag, truth_topic=TRUTH)) == 0
    report = report_of(tmp_path / "OUT")
    assert report["pixel_accuracy"] == 0.5 and report["truth_frames"] == 12
    said = capsys.readouterr().err
    assert "frames have the stamp of an earlier frame; they are told apart by their order" in said
    masks = [mask for _, mask in read_masks(tmp_path / "OUT" / "masks", MASK)]
    assert all(np.array_equal(mask, mask_of(i)) for i, mask in enumerate(masks))


def test_repeated_stamps_with_less_ground_truth_than_frames_are_told(tmp_path, request_for, capsys):
    def messages(number):
        truth = {TRUTH: image(truth_of(number), encoding="mono8")} if number > 3 else {}
        return {CAMERA: image(picture(number)), **truth}

    assert evaluate(request_for(write_bag(tmp_path / "bag", messages=messages), truth_topic=TRUTH)) == IMPERFECT
    assert "frames may have been scored by the ground truth of others" in capsys.readouterr().err


def test_a_bag_without_a_frame_is_an_error(tmp_path, request_for, capsys):
    unreadable = write_bag(tmp_path / "unreadable", messages=bad_message)
    with pytest.raises(
        BagError, match="not one frame could be read: 12 messages were skipped: step, first in message 1"
    ):
        evaluate(request_for(unreadable))
    empty = write_bag(tmp_path / "empty", count=0)
    with pytest.raises(BagError, match="no image topic"):
        evaluate(request_for(empty))
    assert not (tmp_path / "OUT").exists()
    assert main(["evaluate-bag", str(tmp_path / "none"), "--model", "m.onnx", "-o", str(tmp_path / "OUT")]) == 1
    assert "expected a bag at" in capsys.readouterr().err
    bag = write_bag(tmp_path / "bag")
    assert main(["evaluate-bag", str(bag), "--model", str(tmp_path / "m.onnx"), "-o", str(tmp_path / "OUT")]) == 1
    assert "m.onnx" in capsys.readouterr().err and not (tmp_path / "OUT.partial").exists()


def test_names_that_are_not_utf8_are_escaped_in_every_output(tmp_path, request_for, real_page):
    bag = write_bag(tmp_path / "bag", count=4)
    folder = Path(os.fsdecode(os.fsencode(tmp_path) + b"/stra\xdfe"))
    bag.rename(folder)
    assert evaluate(request_for(folder)) == 0
    (source,) = report_of(tmp_path / "OUT")["sources"]
    assert source["bag"] == "stra_e" and os.fsencode(source["path"]).endswith(b"/stra\xdfe")
    assert "stra\\udcdfe" in (tmp_path / "OUT" / "report.html").read_text()
    assert main(["compare", str(tmp_path / "OUT"), str(tmp_path / "OUT"), "-o", str(tmp_path / "compared")]) == 0
    other = write_bag(tmp_path / "other", count=4)
    with pytest.raises(BisenetError, match="expected a path in UTF-8"):
        evaluate_stubbed(request_for(other, output=folder.with_name(folder.name + "_report")))


def test_compressed_bags_give_the_same_results(tmp_path, request_for):
    plain = write_bag(tmp_path / "bag")
    packed = write_bag(tmp_path / "packed" / "bag", storage="mcap", compression=CompressionMode.MESSAGE)
    for bag, name in ((plain, "a"), (packed, "b")):
        assert evaluate(request_for(bag, output=tmp_path / name)) == 0
    first, second = (without_timings(tmp_path / name)[1:] for name in "ab")
    assert first == second


def test_masks_go_where_the_node_publishes_them():
    assert mask_namespaces(["/camera/image_raw"]) == {"/camera/image_raw": "/segmentation"}
    several = ["/front/image_raw", "/car/rear/image_raw/compressed", "/odd"]
    assert list(mask_namespaces(several).values()) == [f"/segmentation/{name}" for name in ("front", "car/rear", "odd")]
    alike = ["/front/image_raw", "/front/image_raw/compressed"]
    assert len(set(mask_namespaces(alike).values())) == 2


@pytest.mark.parametrize("number, code", ((signal.SIGKILL, -signal.SIGKILL), (signal.SIGTERM, 143)))
def test_a_killed_run_goes_on_in_the_shipped_model(tmp_path, shipped_model, number, code):
    """The real command on parts of the demo's clip, small: killed with two jobs; then in one process."""
    pytest.importorskip("onnxruntime")
    for part in range(3):
        for kind, ending, interpolation in (("images", "jpg", cv2.INTER_AREA), ("labels", "png", cv2.INTER_NEAREST)):
            (tmp_path / f"{kind}_{part}").mkdir()
            for name in frame_ids()[20 * part : 20 * part + 10]:
                pixels = cv2.imread(str(FOLDER / kind / f"{name}.{ending}"), cv2.IMREAD_UNCHANGED)
                pixels = cv2.resize(pixels, (96, 72), interpolation=interpolation)
                cv2.imwrite(str(tmp_path / f"{kind}_{part}" / f"{name}.png"), pixels)
        arguments = ["--labels", str(tmp_path / f"labels_{part}"), "--rate", "15"]
        target = tmp_path / "clips" / f"clip_{part}"
        assert main(["make-bag", str(tmp_path / f"images_{part}"), *arguments, "-o", str(target)]) == 0

    def command(output: str):
        options = ["--model", str(shipped_model), "--ground-truth-topic", TRUTH, "--device", "cpu"]
        options += ["--precision", "fp32", "--network-size", "192x144"]
        return ["evaluate-bag", str(tmp_path / "clips"), *options, "-o", str(tmp_path / output)]

    assert main(command("alone")) == 0
    assert 0.2 < report_of(tmp_path / "alone")["miou"] < 0.9
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "TMPDIR": str(scratch)}
    arguments = [sys.executable, "-m", "bisenet_ros.cli", *command("killed"), "--jobs", "2"]
    killed = subprocess.Popen(arguments, env=environment)
    bags = tmp_path / "killed.partial" / "bags"
    wait_until(lambda: any(bags.glob("clip_[0-9]")) or killed.poll() is not None)
    killed.send_signal(number)
    assert killed.wait() == code
    assert any(bags.glob("clip_[0-9]")) and not (tmp_path / "killed").exists()
    wait_until(lambda: not list(scratch.iterdir()))
    assert main(command("killed")) == 0
    assert without_timings(tmp_path / "killed") == without_timings(tmp_path / "alone")
    assert report_of(tmp_path / "killed")["protocol"]["jobs"] == "1 and 2"


def test_memory_stays_bounded_on_a_long_bag(tmp_path):
    """2,000 frames; `python test/long_bag.py` takes 20,000."""
    pytest.importorskip("psutil")
    from long_bag import evaluate_watched, write_long_bag

    bag = write_long_bag(tmp_path / "long", frames=2000)
    memory = evaluate_watched(bag, tmp_path / "OUT").memory
    assert len(memory) == 21 and max(memory[5:]) - memory[4] < 30e6, "bytes between frame 400 and the end"
    assert report_of(tmp_path / "OUT")["frames"] == 2000
    with Reader(tmp_path / "OUT" / "masks") as masks:
        assert masks.message_count == 2000 and masks.duration == stamp(1999) - stamp(0) + 1
