# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet benchmark node`: small runs over real DDS, and how its numbers are made."""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import onnx
import pytest

from bisenet_ros.cli import main
from bisenet_ros.engines import load_engine
from bisenet_ros.node import frame_statistics
from bisenet_ros.node.benchmark import engine_alone
from bisenet_ros.node.benchmark.baseline import Baseline, softmax_confidence, with_resized_logits
from bisenet_ros.node.benchmark.engine_alone import EngineAlone
from bisenet_ros.node.benchmark.measurement import saturating_rate
from bisenet_ros.node.benchmark.part import Part, Turn
from bisenet_ros.node.benchmark.report import draw_latencies, to_markdown
from bisenet_ros.node.benchmark.scenario import Scenario
from bisenet_ros.node.driver.interval import Interval, SentFrame
from bisenet_ros.node.frame_statistics import FrameStatistics
from demo.clip import frame_ids, read_image

SECOND = 10**9


# Over real DDS


def run_benchmark(folder: Path, *arguments: str) -> Dict[str, Any]:
    path = folder / "numbers.json"
    assert main(["benchmark", "node", "--json", str(path), *arguments]) == 0
    return json.loads(path.read_text())


def assert_adds_up(part: Dict[str, Any]) -> None:
    assert part["sent"] == part["received"] + part["lost"], part
    assert part["lost"] == sum(part["lost_where"].values()), part
    assert part["repeated"] == 0 and min(part["lost_where"].values(), default=1) > 0, part
    latency = part["latency"]  # None where a slow machine has answered too late to count
    assert latency is None or 0 < latency["p50"] <= latency["p99"] <= latency["max"], part
    assert set(part["cores"]) == {"cameras", part["pipeline"], "listener"} and max(part["cores"].values()) > 0, part


def test_a_stub_is_measured_with_several_cameras_and_topics(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = run_benchmark(
        tmp_path,
        *("--engine", "stub", "--size", "160x120", "--rate", "30", "--seconds", "1", "--cameras", "2"),
        *("--topics", "confidence,color_mask,overlay/compressed", "--encoding", "jpeg"),
    )
    parts = {(part["part"], part["pipeline"]): part for part in found["parts"]}
    assert set(parts) == {("at rate", "node"), ("at rate", "echo"), ("saturated", "node")}
    for part in parts.values():
        assert_adds_up(part)
    node = parts["at rate", "node"]
    assert 10 <= node["sent"] <= 64  # two cameras for a second; a camera that cannot keep up sends less
    assert set(node["outputs"]) == {"mask", "confidence", "color_mask", "overlay/compressed"}
    assert all(node["outputs"].values()) and node["outputs_per_second"]["mask"] == node["frames_per_second"] > 0
    assert {f"{stage}_p50_ms" for stage in ("receive", "wait", "convert", "engine", "publish")} <= set(node["times"])
    assert found["setup"]["engine_used"] == "stub of zero cost"
    printed = capsys.readouterr().out
    assert "color_mask" in printed and "Protocol" in printed
    assert found["engine_alone"] == {} and "engine alone, FPS" not in printed


def test_the_shipped_model_is_measured_and_what_it_cannot_take_is_reported_as_loss(tmp_path: Path) -> None:
    # 400 frames per second are more than any CPU's share.
    arguments = ("--size", "320x240", "--network-size", "full", "--rate", "400", "--seconds", "2")
    found = run_benchmark(tmp_path, *arguments, "-o", str(tmp_path / "out"))
    parts = {(part["part"], part["pipeline"]): part for part in found["parts"]}
    at_rate = {("at rate", pipeline) for pipeline in ("node", "echo", "plain")}
    assert set(parts) == {*at_rate, ("saturated", "node"), ("saturated", "plain"), ("held", "node")}
    for part in parts.values():
        assert_adds_up(part)
    assert all(parts["at rate", pipeline]["latency"] for pipeline in ("node", "echo"))
    flooded = parts["at rate", "node"]
    assert flooded["lost"] >= 0.1 * flooded["sent"] > 0 and flooded["lost_where"]["dropped_newer"] > 0, flooded
    assert parts["held", "node"]["rate"] < parts["saturated", "node"]["rate"] < flooded["rate"] == 400
    assert {"cameras", "latency", "plain", "load average before"} <= set(found["protocol"])
    assert found["machine"]["cores"] and found["setup"]["network_size"] == "full"
    assert "network size the frame's" in found["setup"]["engine_used"]
    assert list(found["engine_alone"]) == ["320x240"] and found["engine_alone"]["320x240"] > 0
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "node_benchmark.json",
        "node_benchmark.md",
        "node_benchmark.png",
    ]


def test_a_node_that_cannot_run_ends_it_with_the_nodes_own_reason(capsys: pytest.CaptureFixture) -> None:
    arguments = ("--device", "cpu", "--precision", "fp16", "--size", "160x120")
    assert main(["benchmark", "node", *arguments]) == 1
    said = capsys.readouterr().err
    assert "the node cannot run: " in said and "precision fp16 needs a GPU with TensorRT" in said


# What is said before anything starts


@pytest.mark.parametrize(
    "arguments, said",
    (
        (["--rate", "0"], "--rate must be above 0 and at most 400 Hz, got 0"),
        (["--seconds", "0"], "--seconds must be 1 or more, got 0"),
        (["--cameras", "99"], "--cameras must be 1 to 16, got 99"),
        (["--size", "640x480", "big"], "expected a size as WIDTHxHEIGHT"),
        (["--network-size", "big"], "expected card, half, full or WIDTHxHEIGHT"),
        (["--model", "missing.onnx"], "expected a model file at "),
    ),
)
def test_arguments_out_of_range_are_refused(arguments: List[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "node", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_an_unknown_topic_is_a_usage_error(capsys: pytest.CaptureFixture) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["benchmark", "node", "--topics", "mask,smell"])
    topics = "mask,confidence,color_mask,color_mask/compressed,overlay,overlay/compressed"
    assert f"argument --topics: expected some of {topics}, got 'smell'" in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setitem(sys.modules, "psutil", None)
    monkeypatch.delitem(sys.modules, "bisenet_ros.node.benchmark.measurement", raising=False)
    assert main(["benchmark", "node"]) == 1
    said = capsys.readouterr().err
    assert "needs the Python package 'psutil'" in said and "pip install '.[ros,benchmark]'" in said


def test_a_model_file_still_follows_the_one_word_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "missing.onnx"]) == 1
    assert "missing.onnx" in capsys.readouterr().err


# The numbers


def make_turn(pipeline: str = "node", *, sent: int = 40, answered: int = 40, latency: float = 0.1) -> Turn:
    """Frames at 10 Hz; `latency` in seconds. A node drops what is not answered."""
    interval = Interval(outputs=("mask",))
    interval.sent = {("camera", i): SentFrame(i, i * SECOND // 10) for i in range(sent)}
    for key, frame in list(interval.sent.items())[:answered]:
        interval.note_arrival(key, "mask", time=frame.time + round(latency * SECOND))
    if pipeline == "node":
        interval.counts = Counter({"received": sent, "published": answered, "dropped_newer": sent - answered})
    return Turn(interval, sent / 10, {pipeline: 1.0, "cameras": 0.5, "listener": 0.25}, {"engine_p50_ms": 50.0})


def test_a_part_has_all_turns_together_without_the_first_half_second() -> None:
    part = Part("at rate", "node", (120, 160), 10.0, [make_turn(), make_turn(answered=20, latency=0.3)]).to_dict()
    assert (part["sent"], part["received"], part["lost"]) == (80, 60, 20)
    assert part["lost_where"] == {"dropped_newer": 20}
    assert len(part["latencies"]) == 35 + 15
    assert part["latency"]["max"] == pytest.approx(300)
    assert part["frames_per_second"] == pytest.approx((10 + 5) / 2), "the second half of a turn has no answer"
    assert part["cores"] == {"node": 0.25, "cameras": 0.125, "listener": 0.062}
    assert part["processor_ms"] == pytest.approx(2000 / 60, abs=0.01)
    assert part["times"] == {"engine_p50_ms": 50.0}


def test_the_losses_of_all_turns_sum_to_the_frames_lost() -> None:
    repeated, lossy = make_turn(answered=38), make_turn(answered=38)
    repeated.interval.counts = Counter({"received": 41, "published": 38, "dropped_newer": 3})
    part = Part("at rate", "node", (120, 160), 10.0, [repeated, lossy]).to_dict()
    assert part["lost"] == 4 and part["lost_where"] == {"to_the_node": -1, "dropped_newer": 5}


def test_the_report_has_every_size_and_what_the_node_keeps_of_its_engines_frame_rate() -> None:
    turns = {
        "node": [make_turn()._replace(times={"engine_p50_ms": 50.0, "engine_p99_ms": 60.0})],
        "plain": [make_turn("plain", answered=20)._replace(times={})],
    }
    parts = [
        Part(name, pipeline, size, 10.0, turns[pipeline]).to_dict()
        for size in ((120, 160), (480, 640))
        for name in ("at rate", "saturated")
        for pipeline in turns
    ]
    numbers = {
        "setup": {"rate": 10.0, "model": "m.onnx", "engine_used": "an engine", "outputs": ["mask"], "encoding": "bgr8"},
        "parts": parts,
        "engine_alone": {"160x120": 20.0, "640x480": 12.5},
        "protocol": {"load average before": "0.1"},
        "machine": {"CPU": "a CPU", "cores": "2"},
    }
    rows = [re.split(r" *\| *", line.strip("| ")) for line in to_markdown(numbers).splitlines() if line.startswith("|")]
    rate = f"{parts[0]['frames_per_second']:.1f}"
    assert ["160x120", "20.0", rate, f"{100 * parts[0]['frames_per_second'] / 20:.0f} %"] in rows
    assert ["640x480", "12.5", rate, f"{100 * parts[0]['frames_per_second'] / 12.5:.0f} %"] in rows
    assert [row[:3] for row in rows if row[1:3] == ["plain", "saturated"]] == [
        ["160x120", "plain", "saturated"],
        ["640x480", "plain", "saturated"],
    ]
    titles = [axes.get_title() for axes in draw_latencies(numbers).axes]
    assert titles[0].startswith("160x120") and titles[2].startswith("640x480")


def test_of_a_pipeline_without_diagnostics_it_is_only_known_that_frames_were_not_answered() -> None:
    part = Part("at rate", "plain", (120, 160), 10.0, [make_turn("plain", answered=38)]).to_dict()
    assert part["lost_where"] == {"unanswered": 2}


def test_a_pipeline_that_answers_nothing_has_no_latency() -> None:
    part = Part("at rate", "plain", (120, 160), 10.0, [make_turn("plain", answered=0)]).to_dict()
    assert part["latency"] is None and part["frames_per_second"] == 0 and part["lost"] == 40


def test_saturating_cameras_are_faster_than_the_engine() -> None:
    assert saturating_rate(50.0, batches=1) == pytest.approx(30)
    assert saturating_rate(50.0, batches=2) == pytest.approx(15)
    assert saturating_rate(0.0, batches=1) == 400


def test_the_frame_rate_does_not_depend_on_when_an_interval_ends() -> None:
    for latency in (0.01, 0.06, 0.11):
        interval = make_turn(sent=15, answered=15, latency=latency).interval
        assert interval.per_second(skip=0.5) == pytest.approx(10)


class BatchEngine:
    """As the engine of a GPU: frames of all cameras at once, here in 10 ms."""

    max_batch = 2

    def __init__(self) -> None:
        self.batches: List[int] = []

    def segment_batch(self, frames: List[np.ndarray], *, confidence: bool) -> None:
        self.batches.append(len(frames))
        time.sleep(0.01)

    def close(self) -> None:
        pass


def test_an_engine_that_takes_several_frames_at_once_is_timed_with_as_many(monkeypatch: pytest.MonkeyPatch) -> None:
    engine, asked = BatchEngine(), []
    monkeypatch.setattr(engine_alone, "load_engine", lambda *_, max_batch, **__: asked.append(max_batch) or engine)
    with EngineAlone(Scenario("m.onnx", size=(96, 128), cameras=2)) as alone:
        alone.take_turn(0.2)
    assert asked == [2] and alone.batch == 2 and set(engine.batches) == {2}
    assert 50 < alone.frames_per_second <= 200


def test_the_times_are_those_of_the_last_seconds(monkeypatch: pytest.MonkeyPatch) -> None:
    statistics, now = FrameStatistics(), [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    statistics.add_seconds(engine=0.5, wait=0.1)
    now[0] += frame_statistics.WINDOW + 1
    statistics.add_seconds(engine=0.02)
    assert statistics.milliseconds() == {"engine_p50_ms": "20.0", "engine_p99_ms": "20.0"}


# The baseline


def test_the_baseline_finds_the_same_mask_as_the_engine(shipped_model: Path) -> None:
    """It resizes a frame that is already normalized, which may tip a pixel on a border and no more."""
    frame = read_image(frame_ids()[0])[:240, :320]
    logits = Baseline(shipped_model, frame_size=frame.shape[:2], precision="fp32").logits(frame)
    mask, confidence = load_engine(shipped_model, device="cpu", precision="fp32").segment(frame, confidence=True)
    assert logits.shape == (11, 240, 320)
    assert np.mean(logits.argmax(axis=0) == mask) > 0.99
    assert np.mean(np.abs(softmax_confidence(logits).astype(int) - confidence)) < 3


def test_the_plain_graph_is_valid_onnx(shipped_model: Path) -> None:
    model = with_resized_logits(onnx.load(shipped_model), classes=11, frame_size=(100, 150))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node][-2:] == ["Resize", "Resize"]
