"""What the GPU suite shares. It needs NumPy, TensorRT, cuda-python or pycuda, onnx and pytest, and imports no more.

Started by `make test-gpu`, never by `make test`. What was measured goes into gpu_results/.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Callable, Dict, Iterator, Tuple

import numpy as np
import pytest

from bisenet_ros.engines.cuda_driver import require_gpu
from bisenet_ros.engines.tensorrt_api import load_tensorrt
from bisenet_ros.engines.tensorrt_engine import TensorRtEngine
from bisenet_ros.machine import describe_machine
from bisenet_ros.model_card import read_card
from test_gpu.make_references import SIZES, make_references

Size = Tuple[int, int]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--references", type=Path, help="a folder of `python -m test_gpu.make_references`; else made here")
    parser.addoption("--results", type=Path, default=Path("gpu_results"), help="a folder for what was measured")
    parser.addoption("--frames", type=int, default=10_000, help="of the endurance test")
    parser.addoption("--iterations", type=int, default=5_000, help="of the benchmark")


def pytest_sessionstart(session: pytest.Session) -> None:
    try:
        require_gpu()
        load_tensorrt()
    except (RuntimeError, ModuleNotFoundError) as error:
        pytest.exit(f"the GPU suite cannot run here: {error}", returncode=1)


@pytest.fixture(scope="session")
def results(pytestconfig: pytest.Config) -> Iterator[Dict[str, Any]]:
    """Numbers by test, written down at the end, with the machine they are from."""
    numbers: Dict[str, Any] = {}
    yield numbers
    folder = pytestconfig.getoption("results")
    folder.mkdir(parents=True, exist_ok=True)
    report = {"machine": describe_machine(), "results": numbers}
    (folder / "gpu_tests.json").write_text(json.dumps(report, indent=2) + "\n")


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
def plans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache that the whole session shares, so that every plan is built once."""
    return tmp_path_factory.mktemp("plans")


@pytest.fixture
def create(references: Path, plans: Path) -> Iterator[Callable[..., TensorRtEngine]]:
    """Makes engines by precision, and closes them after the test."""
    engines = []

    def create_engine(precision: str = "fp16", *, cache: Path = plans, bindings: bool = False) -> TensorRtEngine:
        model = references / ("int8.onnx" if precision == "int8" else "model.onnx")
        engines.append(TensorRtEngine(model, read_card(model), precision=precision, cache=cache, bindings=bindings))
        return engines[-1]

    yield create_engine
    for engine in engines:
        engine.close()


def on_gpu(engine: TensorRtEngine, function: Callable[..., Any], *arguments: Any) -> Any:
    """What a function says on the thread that owns the GPU."""
    return engine._thread.call(function, *arguments)


def device_memory(engine: TensorRtEngine) -> int:
    """Bytes of the GPU's memory in use, by everybody."""
    free, total = on_gpu(engine, lambda: engine._gpu._device.memory())
    return total - free
