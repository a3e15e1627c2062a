# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Opens the engine for a model file: chooses the device, and the runtime that is installed for it."""

import logging
import tempfile
import weakref
from contextlib import contextmanager
from pathlib import Path
from typing import Callable, Iterator, List, NamedTuple, Optional, Sequence, Union

import numpy as np

from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.cuda.libcuda import require_gpu
from bisenet_ros.engines.cuda.open_device import has_cuda_python
from bisenet_ros.engines.engine import Engine, EngineError, FatalEngineError, check_max_batch
from bisenet_ros.engines.precision import PRECISIONS, PrecisionChoice, choose_precision, computes_in_bf16
from bisenet_ros.engines.tensorrt.plan import PRECISIONS as CUDA_PRECISIONS
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.installed_package import installed_version, is_importable
from bisenet_ros.model.class_groups import ClassGroups, read_class_groups
from bisenet_ros.model.grouped_model import write_grouped_model
from bisenet_ros.model.input_size import CARD, check_size_choice, describe_size_choice
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.model.model_file import ModelError, read_model

DEVICES = ("auto", "cpu", "cuda")
LONGEST_REASON = 300
"""Characters of a runtime's error that are shown."""

logger = logging.getLogger(__name__)
_folders: "weakref.WeakSet[tempfile.TemporaryDirectory]" = weakref.WeakSet()
"""Those of the model files that were made for an engine."""


class Runtime(NamedTuple):
    """An installed library that runs networks.

    Attributes:
        name: human-readable.
        precisions: those it has instructions for here; it may emulate others.
        automatic: the one it runs in if nothing else is asked for.
        create: (model: Path, card: ModelCard, *, precision: str, size_choice: str = CARD) to an engine.
    """

    name: str
    precisions: Sequence[str]
    automatic: str
    create: Callable[..., Engine]


def load_engine(
    model: Union[str, Path],
    *,
    device: str = "auto",
    precision: str = "auto",
    cache: Optional[Path] = None,
    network_size: str = CARD,
    class_map: Union[str, Path, None] = None,
    max_batch: int = 1,
) -> Engine:
    """The fastest installed engine for a model file.

    On the CPU that is OpenVINO where it is installed, else ONNX Runtime; on a GPU it is TensorRT, which builds its plan
    at the first frame of a size, unless the cache has it. Where a GPU is there but TensorRT cannot use it, "auto" takes
    the CPU after all, and a warning says why.

    Args:
        model: an ONNX file with its card inside, as `bisenet export` writes it.
        device: "cpu", "cuda" or "auto"; see `choose_device`.
        precision: "fp32", "bf16" (CPU), "fp16" (GPU), "int8", or "auto"; see `choose_precision`.
        cache: a folder for TensorRT's plans, by default ~/.cache/bisenet_ros.
        network_size: the size that frames have for the network: "card", "half", "full" or "WIDTHxHEIGHT"; see
            `bisenet_ros.model.input_size.network_size`.
        class_map: a file that says what the model's classes are merged into; see `bisenet_ros.model.class_groups`.
        max_batch: the most frames that TensorRT may run at once; a CPU engine's own `max_batch` stays 1.

    Raises:
        ModelError: the file is missing or broken, has no card, or its network does not do what the card says.
        EngineError: an unknown device or precision, or one that is not available here or not with this file; no
            runtime is installed; a `max_batch` that is not 1 to 64.
        SizeError: an unknown network size.
        ClassMapError: the class map cannot be used, or not with the model's classes.
        OSError: there is no such class map.
        FatalEngineError: the GPU has failed, and only a new process can use it.
    """
    check_max_batch(max_batch)
    check_size_choice(network_size)
    groups = read_class_groups(Path(class_map)) if class_map else None
    if choose_device(device, precision) == "cuda":
        prepared = _prepare(Path(model), groups, device="cuda", precision=precision)
        try:
            engine = _open_on_gpu(prepared, cache=cache, size_choice=network_size, max_batch=max_batch)
            return _described(engine, prepared, class_map)
        except EngineError as error:
            if device != "auto":
                raise
            logger.warning("device auto takes the CPU: %s", error)
    prepared = _prepare(Path(model), groups, device="cpu", precision=precision)
    return _described(_open_on_cpu(prepared, size_choice=network_size), prepared, class_map)


class _Prepared(NamedTuple):
    """A model file as it is run; with a class map it is one that was made for it, in a temporary `folder`."""

    choice: PrecisionChoice
    path: Path
    card: ModelCard
    unlisted: Optional[int] = None
    folder: Optional[tempfile.TemporaryDirectory] = None


def _prepare(model: Path, groups: Optional[ClassGroups], *, device: str, precision: str) -> _Prepared:
    """The model file for a precision: as it is, or one of its own with its classes merged."""
    choice = choose_precision(model, device=device, precision=precision)
    card = read_card(choice.model)
    if groups is None:
        read_model(choice.model)  # a runtime may not tell that weights are not finite
        return _Prepared(choice, choice.model, card)
    grouping = groups.fit(card.classes)
    folder = tempfile.TemporaryDirectory(prefix="bisenet_ros.")
    _folders.add(folder)
    path = Path(folder.name, choice.model.name)
    with explain_full_disk(path.parent, advice="try again, or set TMPDIR to a folder on a larger disk"):
        card = write_grouped_model(choice.model, card, grouping, path)
    return _Prepared(choice, path, card, grouping.unlisted, folder)


def _open_on_gpu(prepared: _Prepared, *, cache: Optional[Path], size_choice: str, max_batch: int) -> Engine:
    """Opens the TensorRT engine, with which the file stays: TensorRT reads it at every new frame size."""
    engine = _open_tensorrt(
        prepared.path,
        prepared.card,
        precision=prepared.choice.precision,
        cache=cache,
        size_choice=size_choice,
        max_batch=max_batch,
    )
    if prepared.folder:
        weakref.finalize(engine, prepared.folder.cleanup)
    return engine


def _open_on_cpu(prepared: _Prepared, *, size_choice: str) -> Engine:
    """Opens the CPU engine and segments a frame.

    That compiles and allocates, and shows whether the network is what its card says.
    """
    runtime = installed_runtimes("cpu")[0]
    try:
        engine = runtime.create(
            prepared.path, prepared.card, precision=prepared.choice.precision, size_choice=size_choice
        )
        engine.segment(np.zeros((*prepared.card.network_size, 3), np.uint8))
    except EngineError:  # not of the model
        raise
    except Exception as error:  # each runtime has its own
        reason = " ".join(str(error).split())  # a runtime's may be pages of its own source files
        shown = reason if len(reason) <= LONGEST_REASON else f"{reason[:LONGEST_REASON]}..."
        raise ModelError(f"{prepared.choice.model} cannot be run: {shown}") from error
    if prepared.folder:
        prepared.folder.cleanup()  # the runtime has read it; a process that is killed leaves no file behind
    return engine


def _described(engine: Engine, prepared: _Prepared, class_map: Union[str, Path, None]) -> Engine:
    """The engine, which says what was chosen."""
    engine.model_file, engine.precision_reason = prepared.choice.model, prepared.choice.reason
    engine.unlisted = prepared.unlisted
    size = describe_size_choice(engine.size_choice, trained=engine.card.network_size)
    engine.description = f"{engine.description}, network size {size}"
    if class_map:
        engine.description += f", class map {Path(class_map).name}"
    return engine


def remove_made_files() -> None:
    """Removes the model files that were made for engines, before `os._exit`, which leaves temporary files behind."""
    for folder in list(_folders):
        folder.cleanup()


def choose_device(device: str, precision: str = "auto") -> str:
    """The device, "cpu" or "cuda"; "auto" is the GPU where all it needs is there, unless bf16 is asked for.

    Raises:
        EngineError: an unknown device or precision.
    """
    for what, value, known in (("device", device, DEVICES), ("precision", precision, PRECISIONS)):
        if value not in known:
            raise EngineError(f"{what} must be one of {', '.join(known)}, got {value!r}")
    if device != "auto":
        return device
    return "cuda" if precision != "bf16" and has_usable_gpu() else "cpu"


def installed_runtimes(device: str, *, quantized: bool = False) -> List[Runtime]:
    """The runtimes for "cpu", for "cuda" or, with "auto", for both; the fastest of each device first.

    Args:
        quantized: the model file is, which runs only in int8.

    Raises:
        EngineError: there is none; the message says what to install.
    """
    runtimes: List[Runtime] = []
    if device != "cuda" and is_importable("openvino"):
        precisions = ("fp32", "bf16") if computes_in_bf16() else ("fp32",)
        runtimes.append(Runtime("OpenVINO", precisions, precisions[-1], _open_openvino))
    if device != "cuda" and is_importable("onnxruntime"):
        runtimes.append(Runtime("ONNX Runtime", ("fp32",), "fp32", _open_onnxruntime))
    if device != "cpu" and _has_tensorrt():
        runtimes.append(Runtime("TensorRT", CUDA_PRECISIONS, "fp16", _open_tensorrt))
    if quantized:
        runtimes = [runtime._replace(precisions=("int8",), automatic="int8") for runtime in runtimes]
    if not runtimes:
        cpu = "one with `pip install openvino` or `pip install onnxruntime`"
        advice = "TensorRT as docs/gpu.md says" if device == "cuda" else cpu
        raise EngineError(f"no engine is installed for device {device}; install {advice}")
    return runtimes


def has_usable_gpu() -> bool:
    """Whether TensorRT, what it needs from Python, a driver and a GPU are all there; nothing of it is imported."""
    if not _has_tensorrt() or not (has_cuda_python() or is_importable("pycuda")):
        return False
    try:
        require_gpu()
    except GpuError:
        return False
    return True


@contextmanager
def _blaming_package(package: str, needed: str) -> Iterator[None]:
    """Raises EngineError where a runtime cannot be imported, as one that is too old or built for another NumPy."""
    try:
        yield
    except (ImportError, AttributeError, OSError) as error:
        version = installed_version(package) or "of unknown version"
        raise EngineError(
            f"{package} {version} is installed but cannot be used: {error}; install {needed}, or uninstall it and have "
            "another runtime"
        ) from error


def _open_openvino(model: Path, card: ModelCard, *, precision: str, size_choice: str = CARD) -> Engine:
    with _blaming_package("openvino", "2023.1 or newer"):
        from bisenet_ros.engines.cpu.openvino_engine import OpenVinoEngine

    return OpenVinoEngine(model, card, precision=precision, size_choice=size_choice)


def _open_onnxruntime(model: Path, card: ModelCard, *, precision: str, size_choice: str = CARD) -> Engine:
    with _blaming_package("onnxruntime", "one that fits this NumPy"):
        from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine

    return OnnxRuntimeEngine(model, card, precision=precision, size_choice=size_choice)


def _open_tensorrt(
    model: Path,
    card: ModelCard,
    *,
    precision: str,
    cache: Optional[Path] = None,
    size_choice: str = CARD,
    max_batch: int = 1,
) -> Engine:
    from bisenet_ros.engines.tensorrt.engine import TensorRtEngine

    try:
        return TensorRtEngine(
            model, card, precision=precision, cache=cache, size_choice=size_choice, max_batch=max_batch
        )
    except FatalEngineError:
        raise
    except (GpuError, RuntimeError) as error:
        raise EngineError(f"device cuda cannot be used: {error}") from error


def _has_tensorrt() -> bool:
    return is_importable("tensorrt") or is_importable("tensorrt_rtx")
