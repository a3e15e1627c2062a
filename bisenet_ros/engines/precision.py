# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Chooses the number format that a model file's network is computed in."""

from pathlib import Path
from typing import Dict, NamedTuple, Optional, Set

from bisenet_ros.engines.engine import EngineError
from bisenet_ros.engines.tensorrt.plan import PRECISIONS as CUDA_PRECISIONS
from bisenet_ros.files.installed_package import installed_version, is_importable
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError, is_quantized, model_sha256

CPU_PRECISIONS = ("fp32", "bf16", "int8")
PRECISIONS = ("auto", "fp32", "bf16", "fp16", "int8")
ONNXRUNTIME_WITH_INT8 = (1, 21)
"""From this version on ONNX Runtime fuses convolutions whose bias is not quantized, as TensorRT wants it."""
LARGEST_LOSS = 0.5
"""Points of mIoU that "auto" gives for the speed of int8."""


class PrecisionChoice(NamedTuple):
    """The precision that a model is run in.

    Attributes:
        model: the file that is run: for int8 the quantized one.
        reason: why "auto" is this precision, as text; empty where the precision was asked for.
    """

    precision: str
    model: Path
    reason: str = ""


def choose_precision(model: Path, *, device: str, precision: str) -> PrecisionChoice:
    """The precision that a model file is run in, and the file that is run.

    "auto" is int8 for a quantized model. For others it is fp16 on a GPU. On the CPU it is int8 where the CPU has VNNI
    and the model's int8 version (`int8_file`) loses at most 0.5 points of mIoU by its card; else bf16 where OpenVINO is
    installed and the CPU has instructions for it; else fp32.

    Args:
        device: "cpu" or "cuda".
        precision: "auto", or what is asked for.

    Raises:
        EngineError: the device or the file does not go with the precision.
        ModelError: the model file cannot be read.
    """
    if device == "cpu" and precision not in ("auto", *CPU_PRECISIONS):
        raise EngineError(f"precision {precision} needs a GPU with TensorRT; choose one of {', '.join(CPU_PRECISIONS)}")
    if device == "cuda" and precision not in ("auto", *CUDA_PRECISIONS):
        raise EngineError(f"precision {precision} is the CPU's; choose {', '.join(CUDA_PRECISIONS)} for device cuda")
    if precision == "int8":
        return PrecisionChoice("int8", int8_file(model))
    if is_quantized(model):
        if precision != "auto":
            raise EngineError(
                f"{model} is quantized, which is precision int8, not {precision}; choose int8 (--precision int8), "
                "or give the model file that it was made from"
            )
        return PrecisionChoice("int8", model, "the model file is quantized")
    if precision == "bf16" and not is_importable("openvino"):
        raise EngineError("precision bf16 needs OpenVINO; install it with `pip install openvino`, or choose fp32")
    if precision != "auto":
        return PrecisionChoice(precision, model)
    if device == "cuda":
        return PrecisionChoice("fp16", model, "the model file is not quantized")
    return _choose_for_cpu(model)


def _choose_for_cpu(model: Path) -> PrecisionChoice:
    """What "auto" is on the CPU for a model file that is not quantized."""
    against_int8 = _reason_against_runtime() if computes_in_int8() else "the CPU has no VNNI"
    if not against_int8:
        try:
            path = int8_file(model)
            loss = read_card(path).int8_loss
            against_int8 = _reason_against(path, loss)
        except (EngineError, ModelError) as error:
            against_int8 = str(error)
        if not against_int8:
            return PrecisionChoice("int8", path, f"the CPU has VNNI, and {path} loses {loss:.2f} points of mIoU")
    if computes_in_bf16() and is_importable("openvino"):
        return PrecisionChoice("bf16", model, f"the CPU has instructions for bf16; not int8: {against_int8}")
    against_bf16 = "OpenVINO is not installed" if computes_in_bf16() else "the CPU has no instructions for it"
    return PrecisionChoice("fp32", model, f"not bf16: {against_bf16}; not int8: {against_int8}")


def _reason_against_runtime() -> str:
    """Why the runtime that is installed for the CPU gains nothing by int8, as text; empty where it does."""
    version = installed_version("onnxruntime")
    if is_importable("openvino") or version is None:
        return ""
    if tuple(map(int, version.split(".")[:2])) >= ONNXRUNTIME_WITH_INT8:
        return ""
    return f"ONNX Runtime {version} would compute it in fp32; install OpenVINO, or ONNX Runtime 1.21 or newer"


def _reason_against(path: Path, loss: Optional[float]) -> str:
    """Why "auto" does not take an int8 file of this loss, as text; empty where it does."""
    if loss is None:
        return f"the card of {path} does not say what int8 loses; `bisenet quantize` writes it if it has ground truth"
    if loss > LARGEST_LOSS:
        return f"{path} loses {loss:.2f} points of mIoU, more than {LARGEST_LOSS:g}"
    return ""


def int8_path(model: Path) -> Path:
    """Where the int8 version of a model file is: NAME.int8.onnx beside NAME.onnx."""
    return model.parent / f"{model.stem}.int8.onnx"


def int8_file(model: Path) -> Path:
    """The file that a model is run in int8 with: the model file itself if it is quantized, else its int8 version.

    Raises:
        EngineError: there is none, or it was made from another model file.
        ModelError: a file cannot be read.
    """
    if is_quantized(model):
        return model
    path = int8_path(model)
    command = (
        f"make it with `bisenet quantize {model} --calibration IMAGES --ground-truth LABELS`; a bag or a data set do "
        "too; without ground truth precision auto does not take it, as what it loses is not known"
    )
    if not path.is_file():
        raise EngineError(f"precision int8 needs {path}, which is not there; {command}")
    if read_card(path).quantization.get("made_from_sha256") != model_sha256(model):
        raise EngineError(f"{path} was not made from {model} as it is now; {command}")
    return path


def computes_in_bf16() -> bool:
    """Whether the CPU has bf16 instructions; where it has AVX-512 alone, OpenVINO emulates them, slowly."""
    return not cpu_flags().isdisjoint({"amx_bf16", "avx512_bf16"})


def computes_in_int8() -> bool:
    """Whether the CPU has VNNI, which multiplies and sums int8 in one instruction, and exactly.

    Without it int8 takes 0.54 of fp32's time in OpenVINO (Zen 3) instead of 0.32 (Zen 4), and sums can be clipped.
    """
    return not cpu_flags().isdisjoint({"avx512_vnni", "avx_vnni"})


def describe_instructions() -> Dict[str, str]:
    """What the CPU and its runtimes offer, human-readable."""
    return {
        "OpenVINO": "installed" if is_importable("openvino") else "NO: `pip install openvino` makes the CPU faster",
        "instructions for bf16": "yes" if computes_in_bf16() else "no",
        "instructions for int8 (VNNI)": "yes" if computes_in_int8() else "no",
    }


def cpu_flags() -> Set[str]:
    """The CPU's instruction set extensions by the kernel's names; empty where it does not tell."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return set()
    return set(next((line for line in lines if line.startswith(("flags", "Features"))), "").split())
