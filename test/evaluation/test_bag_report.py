# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report of a run over bags: the page, the JSON, the CSV."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Iterator, List, Optional

import numpy as np
import pytest
from PIL import Image

from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.report.bag_report import write_bag_report
from bisenet_ros.evaluation.report.comparison import MaskAgreement
from bisenet_ros.evaluation.report.figures import CONFIDENCE, series_chart, shares_chart
from bisenet_ros.evaluation.report.picture_loader import Picture
from bisenet_ros.evaluation.report.record_summary import BINS, Series, engine_percentiles, lowest_frames, summarize
from bisenet_ros.evaluation.run_summary import NodeReplay, RunSummary, Source
from bisenet_ros.model.class_map import ClassMap, SegmentationClass

CLASSES = ClassMap(
    (
        SegmentationClass("road", (128, 64, 128)),
        SegmentationClass("<sky>", (70, 130, 180)),
        SegmentationClass("car", (0, 0, 142)),
    )
)
HEIGHT, WIDTH = 30, 40


def record(index: int, *, truth: bool = False, stamp_ns: Optional[int] = None, topic: str = "/camera", **values):
    fields = {
        "shares": [0.5, 0.5 - index % 5 / 10, index % 5 / 10],
        "change": None if index == 0 else [[0, 80, index % 7], [1, 20, 0]],
        "confidence": 0.9 - index % 10 / 100,
        "engine_ms": 10.0 + index,
        "confusion": [[0, 0, 90 - index % 9], [0, 1, index % 9], [1, 1, 10]] if truth else None,
        **values,
    }
    stamp_ns = index * 10**8 if stamp_ns is None else stamp_ns
    return FrameRecord(bag="drive", topic=topic, index=index, stamp_ns=stamp_ns, width=WIDTH, height=HEIGHT, **fields)


def summary(**values) -> RunSummary:
    source = {
        "bag": "drive",
        "path": "/data/drive",
        "topic": "/camera",
        "message_type": "sensor_msgs/msg/Image",
        "masks": "masks",
        "mask_topic": "/segmentation/mask",
        "skipped": {},
    }
    topics = values.pop("topics", ["/camera"])
    return RunSummary(
        classes=CLASSES,
        model={"file": "m.onnx", "sha256": "0" * 64},
        engine="OpenVINO",
        machine={"CPU": "a & b"},
        protocol={"jobs": "1"},
        sources=[Source(**{**source, "topic": topic, **values.pop("source", {})}) for topic in topics],
        **values,
    )


def load_pictures(keys) -> Iterator[Picture]:
    for bag, topic, index in keys:
        labels = np.full((HEIGHT, WIDTH), index % 3, np.uint8)
        yield Picture((bag, topic, index), np.full((HEIGHT, WIDTH, 3), index % 256, np.uint8), labels, labels)


def report(folder: Path, records: List[FrameRecord], run: Optional[RunSummary] = None):
    folder.mkdir(exist_ok=True)
    write_bag_report(folder, records, run or summary(), load_pictures=load_pictures)
    page = (folder / "report.html").read_text(encoding="utf-8")
    return page, json.loads((folder / "report.json").read_text())


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """The page of 60 frames, some with truth."""
    return report(tmp_path_factory.mktemp("whole"), [record(i, truth=i % 3 == 0) for i in range(60)])[0]


class Reader(HTMLParser):
    """What a page links to, its pictures, and whether its elements are closed."""

    VOID = ("meta", "img", "source", "br", "use")

    def __init__(self, page: str) -> None:
        super().__init__()
        self.links: List[str] = []
        self.pictures: List[str] = []
        self.unnamed = 0
        self.open: List[str] = []
        self.headings: List[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        values = dict(attributes)
        self.links += [values[name] for name in ("href", "xlink:href", "srcset") if values.get(name)]
        if tag == "img":
            self.pictures.append(values["src"])
            self.unnamed += not values.get("alt")
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data
        if self.open and self.open[-1] in ("h1", "h2"):
            self.headings.append(data)


def test_a_page_stands_alone_and_has_every_part(whole):
    page, read = whole, Reader(whole)
    assert not read.open and not read.unnamed
    assert all(link.startswith(("data:", "#")) for link in [*read.links, *read.pictures])
    assert not re.search(r"url\((?!#)", page) and "<script" not in page
    headings = " ".join(read.headings)
    for part in ("mIoU", "In motion", "Classes", "Worst frames", "Most uncertain", "Most changed", "Confusion"):
        assert part in headings
    for part in ("Classes over time", "Temporal consistency", "Confidence", "Engine time"):
        assert page.count(f"<h3>{part}</h3>") == 1
    assert "&lt;sky&gt;" in page and "<sky>" not in page and "a &amp; b" in page


def test_ids_of_the_figures_do_not_meet(whole):
    referred = set(re.findall(r'(?:url\(#|href="#)([^)"]+)', whole))
    ids = re.findall(r'id="([^"]+)"', whole)
    assert referred and all(ids.count(name) == 1 for name in referred)


def test_the_worst_frames_have_their_truth_beside_them(whole):
    wrong = whole[whole.index("Worst frames") : whole.index("Most uncertain")]
    titles = re.findall(r'<img alt="([\w ]+?) of frame (\d+)', wrong)
    assert [title for title, _ in titles[:5]] == ["frame", "mask", "overlay", "ground truth", "errors"]
    for number, data in re.findall(r'<img alt="ground truth of frame (\d+)[^>]*base64,([^"]+)', wrong):
        picture = np.array(Image.open(io.BytesIO(base64.b64decode(data))))
        assert picture.shape == (HEIGHT, WIDTH, 3)
        assert set(map(tuple, picture.reshape(-1, 3))) == {CLASSES.classes[(int(number) - 1) % 3].color}


def test_the_strip_moves(whole):
    data = re.search(r"data:image/webp;base64,([^\"]+)", whole)
    assert data
    strip = Image.open(io.BytesIO(base64.b64decode(data.group(1))))
    assert strip.n_frames == 48 and strip.size == (WIDTH, HEIGHT)


def test_the_json_has_the_scores_and_their_units(tmp_path):
    records = [record(i, truth=i in (0, 8)) for i in range(20)]
    _, found = report(tmp_path, records)
    confusion = np.array([[172, 8, 0], [0, 20, 0], [0, 0, 0]])
    assert found["confusion"] == confusion.tolist() and found["truth_frames"] == 2
    assert found["iou"] == {"road": round(172 / 180, 6), "<sky>": round(20 / 28, 6), "car": None}
    assert found["miou"] == pytest.approx((172 / 180 + 20 / 28) / 2, abs=1e-6)
    assert found["units"]["miou, pixel_accuracy, iou"] == "fraction, 0 to 1"
    assert found["changed"] == pytest.approx(sum(i % 7 for i in range(1, 20)) / 1900, abs=1e-6)
    assert found["changed_by_class"]["<sky>"] == 0.0 and found["changed_by_class"]["car"] is None
    assert found["confidence"] == pytest.approx(0.855)
    assert found["engine_ms"]["p50"] == 19.5 and found["engine_ms"]["highest"] == 29
    assert found["share"]["road"] == 0.5
    assert found["sources"][0]["span_s"] == 1.9
    assert [frame["index"] for frame in found["extreme_frames"]["wrong"]] == [8, 0]
    assert [frame["index"] for frame in found["extreme_frames"]["changed"]][:2] == [6, 13]


def test_the_share_of_a_class_is_over_the_pixels_of_all_frames(tmp_path):
    large = replace(record(0, shares=[1.0, 0.0, 0.0]), width=3 * WIDTH)
    _, found = report(tmp_path, [large, record(1, shares=[0.0, 1.0, 0.0])])
    assert found["share"] == {"road": 0.75, "<sky>": 0.25, "car": 0}


def test_without_truth_there_is_no_score(tmp_path):
    page, found = report(tmp_path, [record(i) for i in range(5)])
    assert found["miou"] is None and found["iou"] is None and found["confusion"] is None
    assert "mIoU" not in page and "Confusion" not in page and "Worst" not in page and ">IoU" not in page


def test_the_csv_has_a_row_per_frame_with_units(tmp_path):
    records = [record(i, truth=i == 1) for i in range(3)]
    report(tmp_path, records)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["report.csv", "report.html", "report.json"]
    rows = list(csv.DictReader((tmp_path / "report.csv").open()))
    assert [int(row["stamp_ns"]) for row in rows] == [0, 10**8, 2 * 10**8]
    assert [row["changed"] for row in rows] == ["", "0.010000", "0.020000"]
    assert [bool(row["miou"]) for row in rows] == [False, True, False]
    assert rows[2]["share_car"] == "0.200000" and rows[2]["engine_ms"] == "12.000" and rows[2]["width_px"] == "40"


def test_what_went_wrong_is_said(tmp_path):
    source = {"ended_early": "the bag ends after 3 frames", "skipped": {"encoding": 2}, "backwards": 1}
    records = [record(i, stamp_ns=stamp) for i, stamp in enumerate((5, 6, 2, 3))]
    replay = NodeReplay(
        bag="drive",
        topic="/camera",
        rate=2.0,
        sent=4,
        received=3,
        losses={"dropped for a newer frame": 1},
        latency_p50_ms=20.0,
        latency_p99_ms=31.0,
        differing_frames=[6],
        differing_pixels=17,
        engine="OpenVINO",
    )
    page, found = report(tmp_path, records, summary(source=source, through_node=(replay,)))
    for words in ("the bag ends after 3 frames", "2 messages were skipped: encoding", "stamps went backwards 1 times"):
        assert words in page
    assert "frame (stamps go backwards)" in page
    assert "1: 1 dropped for a newer frame" in page and "17 in 1 frames" in page and "20.0 / 31.0 ms" in page
    assert found["through_node"][0]["differing_frames"] == [6] and found["sources"][0]["skipped"] == {"encoding": 2}


def test_names_of_topics_and_bags_are_no_markup(tmp_path):
    name = "/<script>alert(1)</script>"
    records = [record(i, topic=name) for i in range(3)]
    run = summary(topics=[name], notices=(f"{name} failed",), source={"ended_early": name, "path": f"{name}\"'"})
    page, found = report(tmp_path, records, run)
    assert "<script" not in page and "&lt;script&gt;alert(1)" in page and not Reader(page).open
    assert found["notices"] == [f"{name} failed"]


def test_a_truth_without_a_labeled_pixel_is_a_truth(tmp_path):
    records = [record(0, confusion=[]), record(1, truth=True), record(2, confusion=[])]
    page, found = report(tmp_path / "some", records)
    assert found["truth_frames"] == found["sources"][0]["truth_frames"] == 3
    assert [frame["index"] for frame in found["extreme_frames"]["wrong"]] == [1]
    page, found = report(tmp_path / "none", records[::2])
    assert found["truth_frames"] == 2 and found["miou"] is None and "nan" not in Reader(page).text
    agreement = MaskAgreement(classes=3)
    labels = np.zeros((HEIGHT, WIDTH), np.uint8)
    agreement.add((records[0], records[2]), (labels, labels))
    assert agreement.scored == 1


def test_every_topic_has_its_own_curves(tmp_path):
    records = [record(i // 2, topic=("/left", "/right")[i % 2]) for i in range(20)]
    page, found = report(tmp_path, records, summary(topics=["/left", "/right"]))
    assert page.count("<h3>Engine time</h3>") == 2 and page.count("image/webp") == 2
    assert [source["frames"] for source in found["sources"]] == [10, 10]


def test_one_frame_is_enough_for_a_report(tmp_path):
    page, found = report(tmp_path, [record(0)])
    assert found["frames"] == 1 and found["changed"] is None and "Temporal consistency" not in page


def test_many_classes_share_an_area_and_have_no_matrix(tmp_path):
    classes = ClassMap(tuple(SegmentationClass(f"class {i}", (i, i, i)) for i in range(150)))
    records = [record(i, shares=[1 / 150] * 150, confusion=[[3, 4, 9], [3, 3, 1]]) for i in range(3)]
    run = RunSummary(**{**vars(summary()), "classes": classes})
    page, _ = report(tmp_path, records, run)
    assert "all others" in page and "ground truth \\ mask" not in page and "<td>class 3</td><td>class 4</td>" in page


def test_long_topics_are_drawn_as_bands_and_lose_no_extreme():
    def records() -> Iterator[FrameRecord]:
        for i in range(3000):
            yield record(i, confidence=0.2 if i == 1234 else 0.9, engine_ms=500.0 if i == 2000 else 10.0)

    class Stream:
        def __iter__(self):
            return records()

    topic = summarize(Stream(), classes=3)["drive", "/camera"]
    engine_ms, confidence = Series(topic.engine_ms), Series(topic.confidence)
    assert topic.frames == 3000 and len(engine_ms.mean) == BINS == len(Series(topic.shares).mean)
    assert np.nanmax(engine_ms.highest) == 500 and np.nanmin(confidence.lowest) == 0.2
    assert engine_ms.total_mean == pytest.approx((2999 * 10 + 500) / 3000)
    lowest = lowest_frames([topic], lambda topic: topic.confidence)
    assert lowest[0] == (0.2, ("drive", "/camera", 1234))
    found = [index for _, (_, _, index) in lowest]
    assert min(abs(a - b) for a in found for b in found if a != b) >= 3000 / 24


def test_only_charts_that_have_bands_tell_of_them():
    topic, run = summarize((record(i) for i in range(2 * BINS)), classes=3)["drive", "/camera"], summary()
    shares = shares_chart(topic, run.sources[0], run.classes)["caption"]
    assert shares == "Share of the pixels that every class has. Each point is the mean of up to 2 frames."
    confidence = series_chart(topic, run.sources[0], CONFIDENCE, [topic.confidence])["caption"]
    assert confidence.endswith("the mean of up to 2 frames; bands go from lowest to highest.")


def test_times_are_percentiles_over_all_frames_of_all_topics():
    records = (record(index, topic=f"/{index % 2}", engine_ms=float(index)) for index in range(101))
    found = engine_percentiles(summarize(records, classes=3).values())
    assert found == {"mean": 50.0, "p50": 50.0, "p90": 90.0, "p99": 99.0, "highest": 100.0}
