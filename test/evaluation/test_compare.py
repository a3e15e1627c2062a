# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Two reports on the same bag, side by side."""

from __future__ import annotations

import base64
import json
import re
import shutil
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Optional

import cv2
import numpy as np
import pytest
from bag_workshop import CAMERA, BlueEngine, image, picture, write_bag, write_model
from stub_evaluation import evaluate_stubbed

from bisenet_ros.bags.bag_images import IMAGE, BagFrame
from bisenet_ros.bags.bag_writer import BagWriter
from bisenet_ros.cli import main
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.evaluation.bag_evaluation import Request
from bisenet_ros.evaluation.frame_record import RECORDS, FrameMeasurer, RecordFile
from bisenet_ros.evaluation.report import bag_report
from bisenet_ros.evaluation.report.bag_report import describe_findings
from bisenet_ros.evaluation.report.comparison import Row, compare_reports
from bisenet_ros.evaluation.report.comparison_report import load_gallery, to_text
from bisenet_ros.evaluation.report.finished_report import read_report
from bisenet_ros.evaluation.report.record_summary import summarize
from bisenet_ros.evaluation.run_summary import RunSummary, Source
from bisenet_ros.files.atomic_write import write_json
from bisenet_ros.model.class_groups import UNLISTED
from bisenet_ros.model.class_map import IGNORE, ClassMap, SegmentationClass

CLASSES = ClassMap(
    (
        SegmentationClass("road", (128, 64, 128)),
        SegmentationClass("sky", (70, 130, 180)),
        SegmentationClass("car", (0, 0, 142)),
    )
)
SIZE = (32, 48)
FRAMES = 6
TOPIC, MASKS = "/camera/image_raw", "/segmentation/mask"


def stamp(index: int) -> int:
    return 10**9 + index * 10**8


def truth_of(index: int) -> np.ndarray:
    labels = np.zeros(SIZE, np.uint8)
    labels[:16] = 1
    labels[20:28, 8 * (index % 4) : 8 * (index % 4) + 12] = 2
    return labels


@pytest.fixture(scope="module")
def bag(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("bags") / "drive"
    random = np.random.default_rng(0)
    with BagWriter(path, storage="sqlite3", topics={TOPIC: IMAGE}) as writer:
        for index in range(FRAMES):
            frame = random.integers(0, 256, (*SIZE, 3), dtype=np.uint8)
            writer.write_image(TOPIC, frame, encoding="bgr8", stamp_ns=stamp(index), frame_id="", log_ns=stamp(index))
    return path


def make_report(
    folder: Path,
    bag: Path,
    *,
    wrong_rows: int = 0,
    classes: ClassMap = CLASSES,
    frames: int = FRAMES,
    later: int = 0,
    truth_every: Optional[int] = 1,
    engine_ms: float = 10.0,
    jobs: str = "1",
    cpu: str = "a CPU",
) -> Path:
    """A report of a model that takes the lowest rows of frame 4 (and half as many of the others) for sky."""
    folder.mkdir()
    measurer, records = FrameMeasurer(len(classes)), RecordFile(folder / RECORDS)
    with BagWriter(folder / "masks", storage="sqlite3", topics={MASKS: IMAGE}) as writer:
        for index in range(frames):
            mask, rows = truth_of(index), wrong_rows if index == 4 else wrong_rows // 2
            mask[SIZE[0] - rows :] = 1
            at, pixels = stamp(index) + later, np.full((*SIZE, 3), 90, np.uint8)
            record = measurer.measure(
                BagFrame(TOPIC, index, stamp_ns=at, frame_id="", log_ns=at, pixels=pixels),
                mask,
                np.full(SIZE, 200, np.uint8),
                bag=bag.name,
                engine_ms=engine_ms,
                ground_truth=truth_of(index) if truth_every and index % truth_every == 0 else None,
            )
            records.append(record)
            if classes.names[-1] == UNLISTED:
                mask[mask == len(classes) - 1] = IGNORE
            writer.write_image(MASKS, mask, encoding="mono8", stamp_ns=at, frame_id="", log_ns=at)
    source = Source(bag.name, str(bag), TOPIC, "sensor_msgs/msg/Image", "masks", MASKS, {})
    model = {"file": f"{folder.name}.onnx", "sha256": "0" * 64}
    run = RunSummary(classes, model, "OpenVINO", {"CPU": cpu, "cores": "2", "Python": cpu}, {"jobs": jobs}, [source])
    topics = list(summarize(records, classes=len(classes)).values())
    write_json(folder / "report.json", describe_findings(topics, run, {}))
    return folder


@pytest.fixture(scope="module")
def good(tmp_path_factory, bag) -> Path:
    return make_report(tmp_path_factory.mktemp("good") / "good", bag)


@pytest.fixture(scope="module")
def worse(tmp_path_factory, bag) -> Path:
    return make_report(tmp_path_factory.mktemp("worse") / "worse", bag, wrong_rows=4, engine_ms=5.0, truth_every=2)


@pytest.fixture(scope="module")
def compared(tmp_path_factory, good, worse) -> Path:
    output = tmp_path_factory.mktemp("compared") / "out"
    assert main(["compare", str(good), str(worse), "-o", str(output)]) == 0
    return output


def test_an_earlier_comparison_is_replaced_only_by_force(good, worse, compared, capsys):
    command = ["compare", str(good), str(worse), "-o", str(compared)]
    assert main(command) == 1 and "add --force to replace them" in capsys.readouterr().err
    assert main([*command, "--force"]) == 0
    assert main(["compare", str(good), str(worse), "-o", str(good), "--force"]) == 1
    assert f"{good} exists and holds something else" in capsys.readouterr().err


def test_what_got_worse_is_found(compared):
    found = json.loads((compared / "compare.json").read_text())
    wrong = (2 * 2 + 4) * 48  # pixels of the frames 0, 2 and 4 that were road
    assert found["scored_frames"] == 3 and found["frames"] == 6
    assert found["scores"]["mIoU"]["a"] == 1 and found["scores"]["mIoU"]["difference"] < 0
    sky = 3 * 16 * 48
    assert found["iou"]["sky"] == {
        "a": 1.0,
        "b": round(sky / (sky + wrong), 6),
        "difference": round(sky / (sky + wrong) - 1, 6),
    }
    assert list(found["iou"]) == ["car", "sky", "road"]  # from the best to the worst
    assert found["engine_ratio"] == {"p50": 0.5, "p90": 0.5, "p99": 0.5}
    assert found["units"]["difference"] == "b - a"
    assert found["units"]["mIoU"] == "mean over the classes that the ground truth has"


def test_one_pixel_of_a_class_without_ground_truth_costs_one_pixel(bag, tmp_path):
    """In one report it would be a class of 0 %, and none in the other."""
    first, second = (make_report(tmp_path / name, bag, frames=1) for name in ("first", "second"))
    for folder, row in ((first, [[0, 0, 700], [1, 1, 836]]), (second, [[0, 0, 699], [0, 2, 1], [1, 1, 836]])):
        (record,) = RecordFile(folder / RECORDS)
        (folder / RECORDS).unlink()
        RecordFile(folder / RECORDS).append(replace(record, confusion=row))
    miou = compare_reports(read_report(first), read_report(second)).scores[0]
    assert miou.name == "mIoU" and miou.a == 1 and miou.b == pytest.approx((699 / 700 + 1) / 2)


def test_frames_where_they_disagree_most_come_first(compared):
    found = json.loads((compared / "compare.json").read_text())
    first, *others = found["most_differing_frames"]
    assert first["index"] == 4 and first["stamp_ns"] == stamp(4)
    assert first["differing"] == round(4 / 32, 6) and others[0]["differing"] == round(2 / 32, 6)
    assert found["differing"] == round((4 + 5 * 2) / (6 * 32), 6)
    assert found["differing_classes"] == [{"a": "road", "b": "sky", "share": 1.0}]


def test_the_page_stands_alone_and_shows_both(compared):
    page = (compared / "compare.html").read_text()
    for words in ("good.onnx", "worse.onnx", "worse</td>", "0.50 times", "Where they disagree most", "Agreement"):
        assert words in page
    assert "mIoU is the mean over the classes that the ground truth has." in page
    assert page.count("data:image/jpeg") == 4 * 4
    assert not re.search(r"(src|href)=\"(?!data:|#)", page)


def test_the_text_says_the_same(compared):
    text = (compared / "compare.txt").read_text()
    assert "A has ground truth for 6 frames and B for 3; both are scored on the 3 where it is the same" in text
    assert re.search(r"mIoU +% +100\.00 .* worse\n", text)
    assert "mIoU is the mean over the classes that the ground truth has\n" in text
    assert re.search(r"sky +% +100\.00 +85\.71 +-14\.29  worse\n", text)


def test_names_of_a_bag_do_not_control_the_terminal(good):
    found = compare_reports(read_report(good), read_report(good))
    text = to_text(replace(found, notices=["no masks of /x\x1b[31m\x07 \udcff"]))
    assert "note: no masks of /x\\x1b[31m\\x07 \\udcff\n" in text and text.encode("utf-8")


def test_a_report_against_itself_has_no_difference(good, capsys):
    assert main(["compare", str(good), str(good)]) == 0
    printed = capsys.readouterr().out
    assert "masks differ in 0.00 %" in printed and "no frame" in printed
    assert "worse" not in printed.replace("worse.onnx", "") and "better" not in printed


@pytest.mark.parametrize(
    "change, words",
    [
        ({"jobs": "2"}, "the jobs side by side share the machine, 1 of A and 2 of B"),
        ({"cpu": "another CPU"}, "the hardware differs, of A (CPU a CPU, cores 2) and of B (CPU another CPU, cores 2)"),
    ],
)
def test_times_of_runs_with_other_jobs_or_hardware_are_no_slowdown(good, bag, tmp_path, capsys, change, words):
    several = make_report(tmp_path / "several", bag, engine_ms=30.0, **change)
    assert main(["compare", str(good), str(several), "-o", str(tmp_path / "out")]) == 0
    printed = capsys.readouterr().out
    assert f"note: {words}: the engine's times cannot be compared" in printed
    assert "3.00 times" not in printed
    found = json.loads((tmp_path / "out" / "compare.json").read_text())
    assert found["engine_ratio"] == {} and found["scores"]["mIoU"]["difference"] == 0
    assert "Engine time" not in (tmp_path / "out" / "compare.html").read_text()


def test_a_small_difference_is_neither_better_nor_worse():
    assert [Row("mIoU", 0.5, 0.5 + points / 100).note for points in (-1, -0.1, -0.04, 0.01, 0.2)] == [
        "worse",
        "worse",
        "",
        "",
        "better",
    ]


def test_without_truth_the_rest_is_compared(good, bag, tmp_path, capsys):
    unscored = make_report(tmp_path / "unscored", bag, wrong_rows=4, truth_every=None)
    assert main(["compare", str(good), str(unscored)]) == 0
    printed = capsys.readouterr().out
    assert "it is never the same: no scores" in printed and "mIoU" not in printed
    assert "engine, p99" in printed


def test_without_the_bag_only_the_pictures_are_missing(bag, tmp_path, capsys):
    moved = tmp_path / "drive"
    first = make_report(tmp_path / "first", bag)
    second = make_report(tmp_path / "second", bag, wrong_rows=2)
    for folder in (first, second):
        report = (folder / "report.json").read_text()
        (folder / "report.json").write_text(report.replace(str(bag), str(moved)))
    assert main(["compare", str(first), str(second), "-o", str(tmp_path / "out")]) == 0
    page = (tmp_path / "out" / "compare.html").read_text()
    assert "the pictures are left out" in page and "Where they disagree most" not in page


@pytest.mark.parametrize(
    "other, words",
    [
        ({"frames": 5}, "fewer frames of drive /camera/image_raw"),
        ({"later": 1}, "the frames of drive /camera/image_raw are not the same: frame 1 of"),
        (
            {"classes": ClassMap((*CLASSES.classes, SegmentationClass("bus", (0, 60, 100))))},
            "the same classes, got road, sky, car in",
        ),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(good, bag, tmp_path, capsys, other, words):
    second = make_report(tmp_path / "second", bag, **other)
    for pair in ([good, second], [second, good]):
        assert main(["compare", *map(str, pair), "-o", str(tmp_path / "out")]) == 1
        error = capsys.readouterr().err
        assert error.startswith("bisenet: error: ") and words.split(", got")[0] in error
    assert not (tmp_path / "out").exists()


class OtherEngine(BlueEngine):
    """Takes every class for the next."""

    def _segment(self, frame, *, confidence):
        labels, certain = super()._segment(frame, confidence=True)
        return Segmentation((labels + 1) % len(self.card.classes), certain)


def test_bags_in_another_order_are_shown_each_with_its_own_masks(tmp_path, monkeypatch):
    monkeypatch.setattr(bag_report, "write_bag_page", lambda *_: None)
    model = write_model(tmp_path / "m.onnx")
    bags = [
        write_bag(tmp_path / name, count=1, messages=lambda i, rows=rows: {CAMERA: image(picture(i)[:rows])})
        for name, rows in (("a", 24), ("b", 12))
    ]
    first = Request(bags=bags, model=model, output=tmp_path / "first")
    second = Request(bags=bags[::-1], model=model, output=tmp_path / "second")
    assert evaluate_stubbed(first).exit_code == evaluate_stubbed(second, make=OtherEngine).exit_code == 0
    found = compare_reports(read_report(first.output), read_report(second.output))
    rows, _ = load_gallery(found)
    assert {row["title"].split(" /")[0] for row in rows} == {"frame 1 of a", "frame 1 of b"}
    assert all(len(row["pictures"]) == 4 for row in rows)


def test_another_bag_with_the_same_name_and_stamps_is_told(tmp_path, monkeypatch, capsys):
    """As of bags that `bisenet make-bag` has made of other images."""
    monkeypatch.setattr(bag_report, "write_bag_page", lambda *_: None)
    model = write_model(tmp_path / "m.onnx")

    def messages(number, *, first, rear):
        frame = {CAMERA: image(picture(first + number), stamp_ns=stamp(number))}
        return {**frame, "/rear": image(picture(0))} if rear else frame

    def evaluate(name):
        bag, output = tmp_path / name / "drive", tmp_path / f"of_{name}"
        request = Request(bags=[bag], topics=[CAMERA], model=model, output=output)
        assert evaluate_stubbed(request).exit_code == 0
        return str(request.output)

    for name, options in {"one": (0, False), "other": (1, False), "larger": (1, True)}.items():
        first, rear = options
        write_bag(tmp_path / name / "drive", messages=partial(messages, first=first, rear=rear))
    shutil.copytree(tmp_path / "one", tmp_path / "copy")
    one, other, larger, copy = map(evaluate, ("one", "other", "larger", "copy"))
    assert main(["compare", one, copy]) == 0
    assert "note: " not in capsys.readouterr().out
    for others in (other, larger):
        assert main(["compare", one, others]) == 0
        assert "note: the files of bag drive do not have the same sizes and times" in capsys.readouterr().out


@pytest.mark.parametrize("change", ({"count": 2}, {"stamps": 1}, {"size": 8}, {"topic": "/rear"}, {"encoding": "odd"}))
def test_another_bag_at_the_place_of_the_evaluated_one_is_told(tmp_path, change):
    def messages(number):
        frame = image(np.zeros((change.get("size", SIZE[0]), SIZE[1], 3), np.uint8))
        frame.header.stamp.sec, frame.header.stamp.nanosec = divmod(stamp(number) + change.get("stamps", 0), 10**9)
        frame.encoding = change.get("encoding", "bgr8")
        return {change.get("topic", TOPIC): frame}

    other = write_bag(tmp_path / "drive", count=change.get("count", FRAMES), messages=messages)
    first, second = (make_report(tmp_path / str(rows), other, wrong_rows=rows) for rows in (0, 4))
    found = compare_reports(read_report(first), read_report(second))
    rows, (notice,) = load_gallery(found)
    assert not rows and "the pictures are left out" in notice and "frame " in notice


def test_pixels_that_a_class_map_leaves_out_in_one_report_are_red(bag, tmp_path):
    classes = ClassMap((*CLASSES.classes[:2], SegmentationClass(UNLISTED, (0, 0, 0))))
    first, second = (make_report(tmp_path / str(rows), bag, classes=classes, wrong_rows=rows) for rows in (0, 12))
    rows, _ = load_gallery(compare_reports(read_report(first), read_report(second)))
    data = base64.b64decode(rows[0]["pictures"]["differing"].partition(",")[2])
    blue, _, red = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[24, 4]
    assert rows[0]["title"].startswith("frame 5") and red > 150 > blue, "unlisted in the first, sky in the second"


def test_frames_whose_ground_truth_was_corrected_meanwhile_are_not_scored(good, bag, tmp_path):
    """The gain would be that of the labels, not of the model."""
    second = make_report(tmp_path / "second", bag)
    records = list(RecordFile(second / RECORDS))
    (second / RECORDS).unlink()
    for record in records:
        moved = [[2, *cell[1:]] if record.index < 2 and cell[0] == 0 else cell for cell in record.confusion]
        RecordFile(second / RECORDS).append(replace(record, confusion=moved))
    found = compare_reports(read_report(good), read_report(second))
    assert found.scored == 4 and found.scores[0][1:3] == (1.0, 1.0)
    (notice,) = found.notices
    assert "A has ground truth for 6 frames and B for 6; both are scored on the 4 where it is the same" in notice


def test_another_topic_is_refused(good, bag, tmp_path, capsys):
    second = make_report(tmp_path / "second", bag)
    for name in ("report.json", RECORDS):
        text = (second / name).read_text()
        (second / name).write_text(text.replace(TOPIC, "/rear/image_raw"))
    assert main(["compare", str(good), str(second)]) == 1
    assert "same bags and topics, got drive /camera/image_raw in" in capsys.readouterr().err


def test_a_topic_whose_frames_only_one_report_has_is_refused(bag, tmp_path, capsys):
    first, second = (make_report(tmp_path / name, bag) for name in ("first", "second"))
    for folder in (first, second):
        report = json.loads((folder / "report.json").read_text())
        report["sources"].append({**report["sources"][0], "topic": "/rear"})
        write_json(folder / "report.json", report)
    for record in list(RecordFile(second / RECORDS)):
        RecordFile(second / RECORDS).append(replace(record, topic="/rear"))
    for pair in ([first, second], [second, first]):
        assert main(["compare", *map(str, pair)]) == 1
        assert f"{first} has fewer frames of drive /rear than the other report" in capsys.readouterr().err


def test_a_folder_without_a_report_is_refused(good, tmp_path, capsys):
    assert main(["compare", str(good), str(tmp_path)]) == 1
    assert "has no report.json" in capsys.readouterr().err
    for text in ("{}", "[]", "{", "7"):
        (tmp_path / "report.json").write_text(text)
        (tmp_path / RECORDS).write_text("")
        assert main(["compare", str(good), str(tmp_path)]) == 1
        assert "is not a report as `bisenet evaluate-bag` writes it" in capsys.readouterr().err


def test_masks_that_are_not_the_records_are_refused(good, bag, tmp_path, capsys):
    second = make_report(tmp_path / "second", bag)
    lines = (second / RECORDS).read_text().splitlines()
    with (second / RECORDS).open("w") as file:
        file.writelines(f"{line}\n" for line in [*lines, lines[-1]])
    assert main(["compare", str(second), str(good)]) == 1
    assert "does not have the mask of frame 6 of" in capsys.readouterr().err
