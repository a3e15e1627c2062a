"""`bisenet benchmark node`: small runs over real DDS, and how frames are accounted for and goals judged."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any, Dict, List

import numpy as np
import onnx
import pytest

pytest.importorskip("rclpy")
pytest.importorskip("psutil")
from bisenet_ros.cli import main  # noqa: E402
from bisenet_ros.engines import load_engine  # noqa: E402
from bisenet_ros.model.model_card import read_card  # noqa: E402
from bisenet_ros.node.benchmark.goals import judge  # noqa: E402
from bisenet_ros.node.benchmark.measurement import Measurement  # noqa: E402
from bisenet_ros.node.benchmark.node_account import difference, is_at_rest  # noqa: E402
from bisenet_ros.node.benchmark.processes.plain_network import PlainNetwork, with_resized_logits  # noqa: E402
from bisenet_ros.node.benchmark.processes.plain_pipeline import softmax_confidence, to_input  # noqa: E402
from bisenet_ros.node.benchmark.segment import NodeCounts, Segment  # noqa: E402
from bisenet_ros.node.benchmark.setup import Setup  # noqa: E402
from bisenet_ros.node.benchmark.summary import summarize  # noqa: E402
from demo.clip import frame_ids, read_image  # noqa: E402

SECOND = 10**9


# Over real DDS


def run_benchmark(folder: Path, *arguments: str) -> Dict[str, Any]:
    path = folder / "numbers.json"
    assert main(["benchmark", "node", "--json", str(path), *arguments]) == 0
    return json.loads(path.read_text())


def assert_adds_up(part: Dict[str, Any]) -> None:
    assert part["sent"] == part["received"] + part["lost"], part
    assert part["lost"] == sum(part["lost_where"].values()), part
    assert part["repeated"] == 0 and "unexplained" not in part["lost_where"], part
    latency = part["latency"]  # None where a slow machine has answered too late to count
    assert latency is None or 0 < latency["p50"] <= latency["p99"] <= latency["max"], part
    assert set(part["cores"]) == {"cameras", part["pipeline"], "listener"} and max(part["cores"].values()) > 0, part


def test_a_stub_is_measured_with_several_cameras_and_topics(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    found = run_benchmark(
        tmp_path,
        *("--engine", "stub", "--size", "160x120", "--rate", "30", "--seconds", "1", "--cameras", "2"),
        *("--topics", "confidence,color_mask", "--encoding", "jpeg"),
    )
    parts = {(part["part"], part["pipeline"]): part for part in found["parts"]}
    assert set(parts) == {("at rate", "node"), ("at rate", "echo"), ("saturated", "node")}
    for part in parts.values():
        assert_adds_up(part)
    node = parts["at rate", "node"]
    assert 10 <= node["sent"] <= 64  # two cameras for a second; a camera that cannot keep up sends less
    assert set(node["outputs"]) == {"mask", "confidence", "color_mask"} and all(node["outputs"].values())
    assert {f"{stage}_p50_ms" for stage in ("receive", "wait", "convert", "engine", "publish")} <= set(node["times"])
    assert found["setup"]["engine_used"] == "stub of zero cost"
    assert [goal["holds"] for goal in found["goals"]] == [None]  # another size and rate
    printed = capsys.readouterr().out
    assert "not measured" in printed and "color_mask" in printed and "Protocol" in printed


def test_the_shipped_model_is_measured_and_what_it_cannot_take_is_reported_as_loss(tmp_path: Path) -> None:
    # 400 frames per second are more than any CPU's share.
    found = run_benchmark(tmp_path, "--size", "320x240", "--rate", "400", "--seconds", "2", "-o", str(tmp_path / "out"))
    parts = {(part["part"], part["pipeline"]): part for part in found["parts"]}
    at_rate = {("at rate", pipeline) for pipeline in ("node", "echo", "plain")}
    assert set(parts) == {*at_rate, ("saturated", "node"), ("saturated", "plain"), ("held", "node")}
    for part in parts.values():
        assert_adds_up(part)
    assert all(parts["at rate", pipeline]["latency"] for pipeline in ("node", "echo"))
    flooded = parts["at rate", "node"]
    assert flooded["lost"] >= 0.1 * flooded["sent"] > 0 and flooded["lost_where"]["dropped_newer"] > 0, flooded
    assert len(found["goals"]) == 4 and all(goal["measured"] for goal in found["goals"])
    assert found["goals"][1]["measured"].startswith(f"{flooded['lost']} of {flooded['sent']} frames lost")
    assert found["goals"][1]["holds"] is None  # the engine cannot hold that rate
    assert {"cameras", "latency", "plain", "load average before"} <= set(found["protocol"])
    assert found["machine"]["cores"] and found["setup"]["size"] == [240, 320]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        "node_benchmark.json",
        "node_benchmark.md",
        "node_benchmark.png",
    ]


def test_a_node_that_cannot_run_ends_it_with_the_nodes_own_reason(capsys: pytest.CaptureFixture) -> None:
    arguments = ("--device", "cpu", "--precision", "int8", "--size", "160x120")
    assert main(["benchmark", "node", *arguments]) == 1
    assert "precision int8 needs a GPU with TensorRT" in capsys.readouterr().err


# What is said before anything starts


@pytest.mark.parametrize(
    "arguments, said",
    (
        (["--rate", "0"], "--rate must be above 0 and at most 400 Hz, got 0"),
        (["--seconds", "0"], "--seconds must be 1 or more, got 0"),
        (["--cameras", "99"], "--cameras must be 1 to 16, got 99"),
        (["--topics", "mask,smell"], "--topics must be of mask, confidence, color_mask, overlay, got smell"),
        (["--size", "big"], "expected a size as WIDTHxHEIGHT"),
        (["--model", "missing.onnx"], "expected a model file at "),
    ),
)
def test_arguments_that_cannot_be_meant(arguments: List[str], said: str, capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "node", *arguments]) == 1
    assert said in capsys.readouterr().err


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "psutil", None)
    assert main(["benchmark", "node"]) == 1
    said = capsys.readouterr().err
    assert "needs the Python package 'psutil'" in said and "pip install '.[benchmark]'" in said


def test_a_model_file_still_follows_the_one_word_command(capsys: pytest.CaptureFixture) -> None:
    assert main(["benchmark", "missing.onnx"]) == 1
    assert "missing.onnx" in capsys.readouterr().err


# Frames and goals


def make_segment(
    pipeline: str = "node",
    *,
    sent: int = 40,
    answered: int = 40,
    latency: float = 0.1,
    engine_p99: float = 90.0,
    **node: Any,
) -> Segment:
    """Frames at 10 Hz; `latency` in seconds, `engine_p99` in milliseconds."""
    segment = Segment(pipeline, rate=10.0, outputs=("mask",), seconds=sent / 10, processor={pipeline: 1.0})
    segment.note_sent([["camera", i, i * SECOND // 10] for i in range(sent)])
    times = [["camera", i, i * SECOND // 10 + round(latency * SECOND)] for i in range(answered)]
    segment.note_arrived([[pipeline, camera, "mask", stamp, time] for camera, stamp, time in times])
    if pipeline == "node":
        counts = {"received": sent, "published": answered, "lost": {"dropped_newer": sent - answered}, **node}
        times_of_engine = {"engine_p50_ms": 50.0, "engine_p99_ms": engine_p99}
        segment.node = NodeCounts(times=times_of_engine, engine="OpenVINO, CPU, fp32", **counts)
    return segment


def test_every_lost_frame_has_a_place() -> None:
    segment = make_segment(sent=40, answered=30, received=36, published=33, lost={"dropped_newer": 2, "skipped": 1})
    assert segment.lost == 10
    assert segment.lost_where == {"to_the_node": 4, "dropped_newer": 2, "skipped": 1, "from_the_node": 3}
    assert make_segment("plain", sent=40, answered=38).lost_where == {"unanswered": 2}


def test_a_message_that_comes_twice_is_counted_once_and_what_was_never_sent_not_at_all() -> None:
    segment = make_segment(answered=40)
    segment.note_arrived([["node", "camera", "mask", 3, 9 * SECOND], ["node", "camera", "mask", 77, 9 * SECOND]])
    segment.note_arrived([["echo", "camera", "image", 4, 9 * SECOND]])
    assert (len(segment.answers), segment.lost, segment.repeated) == (40, 0, 1)
    assert max(segment.latencies()) == pytest.approx(100)


def test_latency_and_frame_rate_leave_out_the_settling() -> None:
    segment = make_segment(sent=40, answered=40)
    assert len(segment.latencies()) == 35
    assert segment.frames_per_second == pytest.approx(10, abs=0.4)
    summary = summarize([segment, make_segment(sent=40, answered=20, latency=0.3)])
    assert (summary.sent, summary.received, summary.lost_where) == (80, 60, {"dropped_newer": 20})
    assert summary.latency is not None and summary.latency.max == 300


def make_measurement(**changes: Any) -> Measurement:
    values = {
        "at_rate": {"node": [make_segment(latency=0.07)], "echo": [make_segment("echo", latency=0.02)]},
        "saturated": {"node": [make_segment(answered=40)], "plain": [make_segment("plain", answered=18)]},
        "held": [make_segment()],
    }
    return Measurement(Setup(model="m.onnx"), rate=10.0, **{**values, **changes})


def test_goals_that_are_reached_hold() -> None:
    assert [goal.holds for goal in judge(make_measurement())] == [True, True, True, True]


@pytest.mark.parametrize(
    "place, changes",
    (
        (0, {"at_rate": {"node": [make_segment(latency=0.09)], "echo": [make_segment("echo", latency=0.02)]}}),
        (1, {"at_rate": {"node": [make_segment(answered=39, latency=0.07)], "echo": [make_segment("echo")]}}),
        (2, {"held": [make_segment(answered=39)]}),
        (3, {"saturated": {"node": [make_segment(answered=40)], "plain": [make_segment("plain", answered=30)]}}),
    ),
)
def test_a_goal_that_is_missed_is_said_not_to_hold(place: int, changes: Dict[str, Any]) -> None:
    goals = judge(make_measurement(**changes))
    assert [goal.holds for goal in goals] == [i != place for i in range(4)]
    assert goals[place].verdict == "DOES NOT HOLD"


def test_loss_says_nothing_where_the_engine_did_not_hold_the_rate() -> None:
    lossy, lossless = (make_segment(answered=answered, engine_p99=101.0) for answered in (35, 40))
    goal = judge(make_measurement(held=[lossy]))[2]
    assert goal.holds is None
    assert goal.measured == ("5 of 40 frames lost; the engine is busy 50 % of the time, its p99 has time for 9.9 Hz")
    assert judge(make_measurement(held=[lossless]))[2].holds


def test_the_nodes_account_is_the_difference_of_two_diagnostics() -> None:
    before = {
        "n: segmentation": {"engine": "e"},
        "n: camera a": {"received": "5", "published": "4", "dropped_newer": "1"},
    }
    camera = {"received": "9", "published": "6", "dropped_newer": "2", "skipped": "1", "skipped_size": "1"}
    after = {**before, "n: camera a": {**camera, "engine_p50_ms": "3.5"}}
    counts = difference(before, after)
    assert (counts.received, counts.published, counts.engine) == (4, 2, "e")
    assert counts.lost == {"dropped_newer": 1, "skipped": 1} and counts.times == {"engine_p50_ms": 3.5}
    assert is_at_rest(after) and not is_at_rest({"c": {**camera, "received": "10"}})


# The plain pipeline


def test_the_plain_pipeline_finds_the_same_labels_as_the_engine(shipped_model: Path) -> None:
    """It resizes a frame that is already normalized, which may tip a pixel on a border and no more."""
    card, frame = read_card(shipped_model), read_image(frame_ids()[0])[:240, :320]
    network = PlainNetwork(shipped_model, card, frame_size=frame.shape[:2], precision="fp32")
    image = to_input(frame, network.input_size, mean=np.float32(card.mean), std=np.float32(card.std))
    logits = network.logits(image)
    labels, confidence = load_engine(shipped_model, "cpu", "fp32").segment(frame, confidence=True)
    assert logits.shape == (len(card.classes), 240, 320)
    assert np.mean(logits.argmax(axis=0) == labels) > 0.99
    assert np.mean(np.abs(softmax_confidence(logits).astype(int) - confidence)) < 3


def test_the_plain_graph_is_valid_onnx(shipped_model: Path) -> None:
    model = with_resized_logits(onnx.load(shipped_model), classes=11, frame_size=(100, 150))
    onnx.checker.check_model(model, full_check=True)
    assert [node.op_type for node in model.graph.node][-2:] == ["Resize", "Resize"]
