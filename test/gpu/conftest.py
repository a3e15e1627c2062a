# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the GPU tests share. They need NumPy, TensorRT, cuda-python or pycuda, onnx and pytest, and import no more.

`make test-gpu` runs them, `make test` does not. Measurements go to gpu_results/ after each test, and plans stay there,
so that the tests can be run in parts (`--part quick`, `-k parity`, ...).
"""

from __future__ import annotations

import json
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, List, Tuple

import numpy as np
import pytest

from bisenet_ros.benchmark.machine import describe_machine
from bisenet_ros.engines.cuda.libcuda import require_gpu
from bisenet_ros.engines.tensorrt import api as tensorrt_api
from bisenet_ros.engines.tensorrt.api import load_tensorrt
from bisenet_ros.engines.tensorrt.engine import TensorRtEngine
from bisenet_ros.engines.tensorrt.plan import BindingPlan
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.model_card import read_card
from gpu.make_references import SIZES, make_references

Size = Tuple[int, int]

RESULTS = "gpu_results"
QUICK = (
    "test_our_kernel_gives",
    "test_kernel_and_copies",
    "test_memory_is_told",
    "test_a_graph_replays",
    "test_a_graph_is_as_right",
    "test_waiting_for_the_gpu",
    "test_the_gpu_is_opened_again",
    "test_an_illegal_access",
    "test_masks_are_those_of_the_cpu[1280x720-fp16-tensors]",
    "test_masks_are_those_of_the_cpu[1280x720-fp32-tensors]",
    "test_confidence_is_that_of_the_cpu[1280x720]",
    "test_frames_as_floats",
    "test_pycuda_gives",
    "test_torch_on_the_same_gpu",
    "test_a_batch_has_the_masks_of_its_frames[tensors]",
    "test_miou_by_precision[fp16]",
    "test_a_second_engine_builds",
    "test_a_damaged_plan_is_built_again[truncated]",
    "test_ten_thousand_frames",
    "test_benchmark_by_the_papers_protocol",
    "test_miou_by_precision[int8]",
    "test_the_node_segments_over_dds",
)
"""The beginnings of the names of the tests that say most in 20 minutes, in their order; the others follow."""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--part", choices=("quick", "full", "all"), default="all", help="which tests; full is the rest")
    parser.addoption("--references", type=Path, help="a folder of `python -m gpu.make_references`; else made here")
    parser.addoption("--results", type=Path, default=Path(RESULTS), help="a folder for what was measured")
    parser.addoption("--plans", type=Path, default=Path(RESULTS, "plans"), help="a folder where plans stay")
    parser.addoption("--frames", type=int, default=10_000, help="of the endurance test")
    parser.addoption("--iterations", type=int, default=5_000, help="of the benchmark")
    parser.addoption("--seconds", type=float, default=60, help="of the benchmark, per frame size")


def pytest_sessionstart(session: pytest.Session) -> None:
    try:
        require_gpu()
        load_tensorrt()
    except BisenetError as error:
        pytest.exit(f"the GPU tests cannot run here: {error}", returncode=1)
    session.config.pluginmanager.register(Journal(session.config.getoption("results") / "gpu_tests.json"), "journal")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: List[pytest.Item]) -> None:
    items.sort(key=_place)
    part = config.getoption("part")
    items[:] = [item for item in items if part == "all" or (_place(item) < len(QUICK)) == (part == "quick")]


def _place(item: pytest.Item) -> int:
    return next((i for i, name in enumerate(QUICK) if item.name.startswith(name)), len(QUICK))


class Journal:
    """Every run of the suite: when, where, which tests passed, and what was measured; written down after each test.

    Attributes:
        results: numbers of this run, by what they are of.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._earlier = json.loads(path.read_text()) if path.is_file() else []
        self._began = datetime.now(timezone.utc).isoformat(timespec="seconds")
        self._machine = describe_machine()
        self._tests: Dict[str, str] = {}
        self.results: Dict[str, Any] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" or report.outcome != "passed":
            self._tests[report.nodeid] = report.outcome
        if report.when == "teardown":
            self._write()

    def _write(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        run = {"began": self._began, "machine": self._machine, "tests": self._tests, "results": self.results}
        self._path.write_text(json.dumps([*self._earlier, run], indent=2) + "\n")
        self._path.with_name("table.md").write_text(as_table(self.results))


def as_table(results: Dict[str, Any]) -> str:
    """README's table: speed of whole frames and by the paper's protocol, and mIoU by precision, as far as measured."""
    miou = {name.split()[1]: found["GPU"] for name, found in results.items() if name.startswith("mIoU ")}
    lines = [
        "| protocol | frame size | precision | FPS, whole frame | FPS without copies | network, ms | mIoU |",
        "|---|---|---|---|---|---|---|",
    ]
    for protocol, found in results.items():
        if not protocol.startswith("benchmark_"):
            continue
        for name, times in found.items():
            size, precision = name.split()
            copies = sum(times[stage] for stage in times if stage.startswith("copy"))
            speeds = [f"{1000 / times['whole']:.0f}", f"{1000 / max(times['whole'] - copies, 1e-3):.0f}"]
            cells = [protocol[len("benchmark_") :], size, precision, *speeds, f"{times['network']:.3f}"]
            lines.append(f"| {' | '.join([*cells, str(miou.get(precision, '-'))])} |")
    return "\n".join(lines) + "\n"


@pytest.fixture
def results(pytestconfig: pytest.Config) -> Dict[str, Any]:
    """Where a test puts what it measured."""
    return pytestconfig.pluginmanager.get_plugin("journal").results


@pytest.fixture(scope="session")
def references(pytestconfig: pytest.Config, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = pytestconfig.getoption("references")
    if folder is None:
        folder = tmp_path_factory.mktemp("references")
        make_references(folder)
    return folder


@pytest.fixture(scope="session")
def arrays(references: Path) -> Dict[str, np.ndarray]:
    """The frames, and what the CPU engines make of them."""
    with np.load(references / "references.npz") as file:
        return dict(file)


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[1]}x{size[0]}")
def size(request: pytest.FixtureRequest) -> Size:
    return request.param


@pytest.fixture(scope="session")
def plans(pytestconfig: pytest.Config) -> Path:
    """A cache that all tests and all runs share, so that every plan is built once; its place by XDG_CACHE_HOME."""
    return pytestconfig.getoption("plans").absolute() / "bisenet_ros"


@pytest.fixture
def create(references: Path, plans: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., TensorRtEngine]]:
    """Makes engines by precision, and closes them after the test.

    `api="bindings"` has the test's plans run by the calls of TensorRT before 8.5, even where there are newer ones.
    """
    engines = []

    def create_engine(precision: str = "fp16", *, cache: Path = plans, api: str = "", **options: Any) -> TensorRtEngine:
        if api == "bindings":
            monkeypatch.setattr(tensorrt_api, "TensorPlan", lambda engine, *_: BindingPlan(engine))
        model = references / ("int8.onnx" if precision == "int8" else "model.onnx")
        engines.append(TensorRtEngine(model, read_card(model), precision=precision, cache=cache, **options))
        return engines[-1]

    yield create_engine
    for engine in engines:
        engine.close()


def on_gpu(engine: TensorRtEngine, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function says on the thread that owns the GPU."""
    return engine._thread.call(function, *arguments)


def device_memory(engine: TensorRtEngine) -> int:
    """Bytes of the GPU's memory in use, by everybody."""
    free, total = on_gpu(engine, lambda: engine._gpu.device.memory())
    return total - free
