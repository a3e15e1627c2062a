# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet benchmark`: what is timed, in which order, what is written, and what is refused."""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import os
import shutil
import sys
from pathlib import Path
from typing import Dict, List

import numpy as np
import pytest
from tiny_model import save_int8_version, save_tiny_model

from bisenet_ros.benchmark import machine, paper
from bisenet_ros.benchmark.engine_benchmark import Choice, EngineBenchmark, choose_engines
from bisenet_ros.benchmark.interleaved_timing import WARM_UP, Timings, rounds, time_engines
from bisenet_ros.benchmark.machine import describe_load
from bisenet_ros.benchmark.report import statistics, to_table
from bisenet_ros.cli import main
from bisenet_ros.commands.benchmark import SWEEP_SIZES
from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.engines.loader import Runtime, installed_runtimes
from bisenet_ros.model.input_size import parse_size
from bisenet_ros.model.model_card import ModelCard, read_card

FRAME = np.zeros((32, 64, 3), np.uint8)


@pytest.fixture(scope="module")
def model(tmp_path_factory, card):
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card)


@pytest.fixture(scope="module")
def large(tmp_path_factory, card):
    card = dataclasses.replace(card, name="BiSeNetV2-Large")
    return save_tiny_model(tmp_path_factory.mktemp("large") / "large.onnx", card)


@pytest.fixture(autouse=True)
def cpu_alone(monkeypatch):
    """A GPU's plans take minutes to build; and the same engines wherever the tests run."""
    find = importlib.util.find_spec
    absent = ("tensorrt", "tensorrt_rtx")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name in absent else find(name))


class Recorder(Engine):
    """Does nothing but note its turns."""

    def __init__(self, name: str, turns: List[str], stages: Dict[str, float], card: ModelCard) -> None:
        super().__init__(card, description=name)
        self._turns, self._stages = turns, stages

    def _segment(self, frame, *, confidence):
        self._turns.append(f"{self.description} segments")
        return Segmentation(np.zeros(frame.shape[:2], np.uint8))

    def stage_milliseconds(self, frame):
        self._turns.append(f"{self.description} by stages")
        return self._stages


def test_a_stage_that_takes_no_time_is_written_like_the_others(model, card):
    class Instant(Recorder):
        def stage_milliseconds(self, frame):
            return {"resize": 0.0, "network": 1.0}

    runtime = Runtime("none", ("fp32",), "fp32", lambda *_, **__: Instant("none", [], {}, card))
    benchmark = EngineBenchmark([Choice(model, runtime, "fp32")], [(32, 64)], "card", iterations=1, seconds=60)
    (only,) = benchmark.run(on_progress=print)["measurements"]
    assert only["stages"]["resize"]["median_ms"] == 0
    assert "resize 0 %, network 100 %" in to_table([only])


def test_statistics_of_known_times():
    found = statistics([*range(1, 100), 1000], fps=True)
    expected = {"median_ms": 50.5, "p90_ms": 90.1, "p99_ms": 99 + 0.01 * 901, "mean_ms": 59.5}
    expected.update(fps=1000 / 50.5, fps_mean=1000 / 59.5)
    assert found == pytest.approx(expected, abs=1e-4)
    assert statistics([0.0]) == {"median_ms": 0, "p90_ms": 0, "p99_ms": 0, "mean_ms": 0}, "no division by zero"


def test_engines_take_turns_frame_by_frame(card):
    turns: List[str] = []
    engines = [Recorder(name, turns, {"network": 1.0}, card) for name in "AB"]
    timings = time_engines(engines, FRAME, iterations=3, seconds=60)
    assert turns == ["A segments", "B segments", "A by stages", "B by stages"] * (WARM_UP + 3)
    assert [len(timing.whole) for timing in timings] == [3, 3], "warm-up is not counted"
    assert [timing.stages for timing in timings] == [{"network": [1.0] * 3}] * 2


def test_time_ends_the_rounds_but_never_before_the_least():
    assert list(rounds(5, seconds=60, least=1)) == [0, 1, 2, 3, 4]
    assert list(rounds(5, seconds=0, least=2)) == [0, 1]


def test_copies_are_left_out_of_the_paper_s_protocol():
    stages = {"copy in": [1.0, 2.0], "network": [6.0, 7.0], "after": [2.0, 2.0], "copy out": [1.0, 4.0]}
    assert Timings(whole=[11.0, 12.0], stages=stages).without_copies == [8.0, 9.0]
    assert Timings(whole=[11.0, 12.0], stages={"network": [6.0, 7.0]}).without_copies == [11.0, 12.0]
    assert Timings(whole=[11.0, 12.0]).without_copies is None


def test_shares_are_of_the_stages_sum():
    timings = Timings(stages={"before": [1.0, 1.0, 9.0], "network": [2.0, 3.0, 4.0]})
    assert timings.shares == {"before": 25, "network": 75}


def test_a_cpu_engine_tells_its_stages_apart(model):
    engine = OnnxRuntimeEngine(model, read_card(model))
    stages = engine.stage_milliseconds(FRAME)
    assert list(stages) == ["before", "network", "after"]
    assert min(stages.values()) > 0


def test_installed_engines_are_timed_side_by_side(model, tmp_path, capsys):
    pytest.importorskip("openvino")
    numbers = tmp_path / "new" / "numbers.json"
    assert main(["benchmark", str(model), "--size", "96x64", "--iterations", "3", "--json", str(numbers)]) == 0
    found = json.loads(numbers.read_text())
    assert list(found) == ["models", "paper", "protocol", "machine", "measurements", "left_out"]
    (described,) = found["models"]
    assert described["file"] == "tiny.onnx" and len(described["SHA-256"]) == 64
    assert {"whole", "without copies", "stages", "order", "warm-up", "frames", "threads"} <= set(found["protocol"])
    assert {"CPU", "cores", "CPU frequency governor", "Python", "numpy", "onnxruntime"} <= set(found["machine"])
    first, second = found["measurements"]
    assert first["engine"].startswith("OpenVINO") and second["engine"].startswith("ONNX Runtime")
    assert (first["frames"], first["frame_size"], first["network_size"]) == (3, "96x64", "512x352")
    assert set(first["whole"]) == {"median_ms", "p90_ms", "p99_ms", "mean_ms", "fps", "fps_mean"}
    assert first["without_copies"] == first["whole"], "a CPU copies nothing"
    assert set(first["stages"]) == set(first["shares_percent"]) == {"before", "network", "after"}
    assert sum(first["shares_percent"].values()) == pytest.approx(100, abs=0.3)
    assert first["ratio"] == 1
    assert second["ratio"] == pytest.approx(second["whole"]["median_ms"] / first["whole"]["median_ms"], abs=0.01)
    printed = capsys.readouterr().out
    assert "| 96x64 " in printed and first["engine"] in printed and "CPU frequency governor: " in printed


def test_models_of_one_file_name_are_told_apart(model, tmp_path, capsys):
    other = tmp_path / "other" / model.name
    other.parent.mkdir()
    other.write_bytes(model.read_bytes())
    numbers = tmp_path / "numbers.json"
    command = ["benchmark", str(model), str(other), "--size", "96x64", "--iterations", "2", "--json", str(numbers)]
    assert main(command) == 0
    found = json.loads(numbers.read_text())
    assert {entry["model"] for entry in found["measurements"]} == {str(model), str(other)}
    assert "instructions" in found["machine"]


def test_a_sweep_writes_its_three_files(model, tmp_path, capsys, monkeypatch):
    cv2 = pytest.importorskip("cv2")
    pytest.importorskip("matplotlib")
    monkeypatch.chdir(tmp_path)
    arguments = ["--sweep", "--iterations", "2", "--network-size", "half", "--size", "128x64", "96x64"]
    assert main(["benchmark", str(model), *arguments]) == 0
    folder = tmp_path / "benchmark_sweep"
    assert sorted(path.name for path in folder.iterdir()) == ["benchmark.json", "benchmark.md", "benchmark.png"]
    measurements = json.loads((folder / "benchmark.json").read_text())["measurements"]
    sizes = [(entry["frame_size"], entry["network_size"]) for entry in measurements]
    assert list(dict.fromkeys(sizes)) == [("128x64", "64x32"), ("96x64", "64x32")]
    table = (folder / "benchmark.md").read_text()
    assert "| 128x64 " in table and "| 96x64 " in table
    assert "- frames: 2 per engine and size" in table and "- CPU: " in table
    picture = cv2.imread(str(folder / "benchmark.png"))
    assert picture.shape[1] > 600 and len(np.unique(picture)) > 50
    assert "timing 96x64" in capsys.readouterr().err
    assert main(["benchmark", "report", str(folder / "benchmark.json"), str(tmp_path / "again")]) == 0
    for name in ("benchmark.json", "benchmark.md"):
        assert (tmp_path / "again" / name).read_bytes() == (folder / name).read_bytes()
    assert (tmp_path / "again" / "benchmark.png").stat().st_size > 10_000
    command = ["benchmark", "report", str(folder / "benchmark.json")]
    assert main([*command, str(folder)]) == 0, "its own table and plot, drawn again"
    assert main([*command, str(tmp_path / "again")]) == 1
    assert "holds the results of an earlier run; add --force to replace them" in capsys.readouterr().err
    assert main([*command, str(tmp_path / "again"), "--force"]) == 0


@pytest.mark.parametrize(
    "content, told",
    (
        (b"{}", "KeyError: 'measurements'"),
        (b'{"measurements": []}', "ValueError: it has no measurements"),
        (b"[" * 10**5, "RecursionError"),
        (b"\xff" * 10_000, "UnicodeDecodeError"),
    ),
)
def test_a_file_of_other_numbers_makes_no_report(tmp_path, content, told, capsys):
    (tmp_path / "numbers.json").write_bytes(content)
    assert main(["benchmark", "report", str(tmp_path / "numbers.json"), str(tmp_path / "again")]) == 1
    error = capsys.readouterr().err
    assert f"is no file of `bisenet benchmark --json`: {told}" in error and len(error) < 1000
    assert not [*(tmp_path / "again").glob("*")]


def test_an_engine_that_cannot_run_is_left_out_and_named(model, tmp_path, capsys, monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tensorrt" or find(name))
    monkeypatch.setitem(sys.modules, "tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt_rtx", None)
    numbers = tmp_path / "numbers.json"
    command = ["benchmark", str(model), "--size", "96x64", "--iterations", "1", "--json", str(numbers)]
    assert main(command) == 0
    left_out = json.loads(numbers.read_text())["left_out"]
    assert list(left_out) == ["tiny.onnx, TensorRT fp16, 96x64"] and left_out["tiny.onnx, TensorRT fp16, 96x64"]
    assert "left out: tiny.onnx, TensorRT fp16: " in capsys.readouterr().err

    assert main([*command, "--device", "cuda", "--force"]) == 1
    assert "tiny.onnx cannot be run by any engine here: tiny.onnx, TensorRT fp16, 96x64: " in capsys.readouterr().err


def test_tensorrt_takes_a_quantized_model_in_int8_alone(monkeypatch):
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: name == "tensorrt" or find(name))
    (plain,), (quantized,) = (installed_runtimes("cuda", quantized=quantized) for quantized in (False, True))
    assert (plain.automatic, plain.precisions) == ("fp16", ("fp32", "fp16", "int8"))
    assert (quantized.automatic, quantized.precisions) == ("int8", ("int8",))


def test_engines_are_closed_in_the_end_also_one_that_fails(model, card):
    closed = []

    class Closing(Recorder):
        def close(self):
            closed.append(self.description)

    class Failing(Closing):
        def _segment(self, frame, *, confidence):
            raise RuntimeError("out of\n  memory")

    def choice(name, engine):
        runtime = Runtime(name, ("fp32",), "fp32", lambda *_, **__: engine(name, [], {}, card))
        return Choice(model, runtime, "fp32")

    choices = [choice("bad", Failing), choice("good", Closing)]
    found = EngineBenchmark(choices, [(32, 64)], "card", iterations=2, seconds=60).run(on_progress=print)
    (only,) = found["measurements"]
    assert sorted(closed) == ["bad", "good"]
    assert only["runtime"] == "good" and only["ratio"] == 1, "the first that runs is what others are compared to"
    assert found["left_out"] == {"tiny.onnx, bad fp32, 64x32": "out of memory"}


def test_a_sweep_takes_every_precision_and_otherwise_each_engine_its_own():
    one = Runtime("one", ("fp32", "bf16"), automatic="bf16", create=OnnxRuntimeEngine)
    two = Runtime("two", ("fp32",), automatic="fp32", create=OnnxRuntimeEngine)
    model = Path("model.onnx")
    first, second = Choice(model, one, "bf16"), Choice(model, two, "fp32")
    assert choose_engines(model, [one, two], "auto", every=False) == [first, second]
    assert choose_engines(model, [one, two], "auto", every=True) == [Choice(model, one, "fp32"), first, second]
    assert choose_engines(model, [one, two], "bf16", every=True) == [first]
    with pytest.raises(
        ValueError, match=r"no engine here computes in int8; choose one of these: one: fp32, bf16; two: fp32"
    ):
        choose_engines(model, [one, two], "int8", every=False)


def test_the_paper_s_benchmark_has_its_set_up_and_figures_beside_ours(model, large, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(paper, "ITERATIONS", 2)
    monkeypatch.setattr(paper, "FRAME_SIZE", "128x64")
    numbers = tmp_path / "numbers.json"
    assert main(["benchmark", str(model), str(large), "--paper", "--json", str(numbers)]) == 0
    found = json.loads(numbers.read_text())
    assert found["paper"] == paper.PROTOCOL and "1 / median" in found["protocol"]["FPS"]
    assert found["protocol"]["frames"] == "2 per engine and size", "without a time limit"
    assert {(entry["network_size"], entry["precision"]) for entry in found["measurements"]} == {("64x32", "fp32")}
    printed = capsys.readouterr().out
    rows = [line.split("|") for line in printed.splitlines() if line.startswith(("| tiny.onnx", "| large.onnx"))]
    figures = {row[1].strip(): row[3].strip() for row in rows if len(row) == 7}
    assert figures == {"tiny.onnx": "156.0", "large.onnx": "47.3"}
    assert "TensorRT 5.1.5, CUDA 9.0, cuDNN 7.0" in printed
    assert main(["benchmark", str(model), "--paper", "--iterations", "7"]) == 1
    assert "--paper measures as the paper did; leave out --iterations" in capsys.readouterr().err


def test_each_size_is_timed_once_and_a_sweep_goes_down(model, tmp_path):
    numbers = tmp_path / "numbers.json"
    command = ["benchmark", str(model), "--iterations", "1", "--network-size", "64x32", "--json", str(numbers)]
    assert main([*command, "--size", "64x32", "96x64", "64x32"]) == 0
    sizes = [entry["frame_size"] for entry in json.loads(numbers.read_text())["measurements"]]
    assert list(dict.fromkeys(sizes)) == ["64x32", "96x64"] and len(sizes) == 4
    swept = [height * width for height, width in map(parse_size, SWEEP_SIZES)]
    assert "2048x1024" not in SWEEP_SIZES and swept == sorted(swept, reverse=True), "as in Fig. 10"


def test_a_busy_machine_is_said_to_be_busy():
    assert describe_load(0.4, cores=2) == "0.4 on 2 cores"
    assert "other programs were running" in describe_load(3.0, cores=2)


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--iterations", "0"], "--iterations must be 1 or more, got 0"),
        (["--seconds", "0"], "--seconds must be a number above 0, got 0"),
        (["--seconds", "nan"], "--seconds must be a number above 0, got nan"),
        (["--size", "huge"], "expected a size as WIDTHxHEIGHT in pixels, such as 2048x1024, got 'huge'"),
        (["--network-size", "tiny"], "expected card, half, full or WIDTHxHEIGHT"),
        (["--precision", "int8"], "tiny.int8.onnx, which is not there; make it with `bisenet quantize"),
        (["--device", "cuda"], "no engine is installed for device cuda; install TensorRT as docs/gpu.md says"),
        (["--json", "."], "expected a file to write, got the folder ."),
    ],
)
def test_what_cannot_be_benchmarked_is_refused_before_anything_is_timed(model, capsys, arguments, message):
    assert main(["benchmark", str(model), *arguments]) == 1
    error = capsys.readouterr().err
    assert message in error and "timing" not in error


def test_precision_int8_takes_the_int8_version_that_is_there(model, tmp_path, capsys):
    pytest.importorskip("openvino")
    fp32 = Path(shutil.copy(model, tmp_path))
    int8 = save_int8_version(fp32, tmp_path)
    options = ["--device", "cpu", "--precision", "int8", "--size", "96x64", "--iterations", "3"]
    assert main(["benchmark", str(fp32), str(int8), *options, "--json", str(tmp_path / "numbers.json")]) == 0
    found = json.loads((tmp_path / "numbers.json").read_text())
    assert [described["file"] for described in found["models"]] == ["tiny.int8.onnx"]
    assert {measured["precision"] for measured in found["measurements"]} == {"int8"}


def test_the_paper_s_benchmark_has_nothing_for_quantized_models(model, tmp_path, capsys):
    int8 = save_int8_version(Path(shutil.copy(model, tmp_path)), tmp_path)
    assert main(["benchmark", str(int8), "--paper", "--device", "cpu"]) == 1
    assert "--paper times fp32 and fp16, got quantized models alone; give the model files" in capsys.readouterr().err


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
@pytest.mark.parametrize("option, file", [("--json", "numbers.json"), ("--output", "benchmark.json")])
def test_a_folder_that_is_not_writable_is_told_before_anything_is_timed(model, tmp_path, capsys, option, file):
    (tmp_path / "results").mkdir(mode=0o500)
    place = tmp_path / "results" / file if option == "--json" else tmp_path / "results"
    assert main(["benchmark", str(model), option, str(place)]) == 1
    error = capsys.readouterr().err
    assert f"{file} cannot be written to {tmp_path / 'results'}: permission denied" in error and "timing" not in error


def test_a_missing_model_is_named(tmp_path, capsys):
    assert main(["benchmark", str(tmp_path / "none.onnx")]) == 1
    assert "expected a model file at" in capsys.readouterr().err


def test_without_any_runtime_the_error_says_what_to_install(model, capsys, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    assert main(["benchmark", str(model)]) == 1
    assert "install one with `pip install openvino` or `pip install onnxruntime`" in capsys.readouterr().err


def test_without_matplotlib_only_the_plot_is_refused(model, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    small = ["--size", "64x32", "--iterations", "1"]
    assert main(["benchmark", str(model), *small, "-o", str(tmp_path / "report")]) == 1
    assert "needs the Python package 'matplotlib" in capsys.readouterr().err
    assert main(["benchmark", str(model), *small]) == 0
    assert main(["benchmark", str(model), *small, "--sweep", "--json", str(tmp_path / "numbers.json")]) == 0
    assert not (tmp_path / "report").exists()


def test_a_gpu_is_described_by_nvidia_smi(tmp_path, monkeypatch):
    tool = tmp_path / "nvidia-smi"
    tool.write_text("#!/bin/sh\necho 'NVIDIA X, 550.1, 1980 MHz, 1985 MHz, 2619 MHz, 700.00 W'\n")
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    found = machine.describe_machine()
    assert (found["GPU"], found["GPU driver"], found["GPU clock (graphics)"]) == ("NVIDIA X", "550.1", "1980 MHz")
    tool.write_text("#!/bin/sh\nexit 9\n")
    assert machine.describe_machine()["GPU"] == "nvidia-smi does not answer"


def test_an_empty_table_has_its_heading():
    assert to_table([]).splitlines()[0].startswith("| model | frame | network | engine |")
