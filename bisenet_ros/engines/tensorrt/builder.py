# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a model file to a TensorRT plan for one camera: wrapped, built and cached."""

import hashlib
import logging
import os
import pkgutil
from functools import lru_cache, partial
from pathlib import Path
from typing import Callable, NamedTuple, Optional, Tuple

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.tensorrt.api import TACTIC_SOURCES, BuiltPlan, TensorRt
from bisenet_ros.engines.tensorrt.heartbeat import heartbeat
from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK, Plan, TensorRtError
from bisenet_ros.engines.tensorrt.plan_cache import CachedPlan, Key, PlanCache
from bisenet_ros.model.input_size import CARD, Size
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError, model_sha256, read_model

CODE = (
    ("bisenet_ros.engines.tensorrt", "api.py"),
    ("bisenet_ros.engines.tensorrt", "builder.py"),
    ("bisenet_ros.engines.tensorrt", "onnx_graph.py"),
    ("bisenet_ros.model", "fp16_weights.py"),
    ("bisenet_ros.model", "input_size.py"),
)
"""The packages and files that decide what a plan computes."""

Progress = Callable[[float], None]
"""Called with the seconds so far."""
logger = logging.getLogger(__name__)

ROOM_FOR_LOADING = 2
"""Free memory on the GPU, in sizes of a plan; with less, a plan that is refused is taken to be too large for it."""


class PlanRequest(NamedTuple):
    """What a plan is built from and for.

    Attributes:
        model: the model file.
        frame_size: (height, width) of the camera's frames.
        precision: "fp32", "fp16" or "int8"; the last, and only the last, takes a model file that is quantized.
        max_batch: the most frames in a batch.
        tail: where the plan ends: MASK, LOGITS or NETWORK.
        size_choice: the size that frames have for the network, a `choice` of `network_size`.
        model_sha256: of the model file that is meant, where another may have taken its place; empty: as it is now.
    """

    model: Path
    frame_size: Size
    precision: str = "fp32"
    max_batch: int = 1
    tail: str = MASK
    size_choice: str = CARD
    model_sha256: str = ""


def tails(tensorrt: TensorRt) -> Tuple[str, ...]:
    """Where a plan may end: without uint8 it cannot give the mask, and the logits go to our own kernel."""
    return (MASK, LOGITS) if tensorrt.has_uint8 else (LOGITS,)


def log_progress(seconds: float) -> None:
    """Logs how long a build takes so far."""
    logger.info("building the TensorRT plan, %.0f s so far", seconds)


class PlanStore:
    """Plans for one GPU: from the cache where they are there, else built and kept.

    Its methods raise ModelError where the model file is not one of `bisenet export`, and TensorRtError where the model
    or the precision is not available here.
    """

    def __init__(
        self, tensorrt: TensorRt, device: CudaDevice, cache: PlanCache, *, on_progress: Progress = log_progress
    ) -> None:
        """
        Args:
            device: the GPU that plans are for, and that TensorRT builds on.
            on_progress: called every few seconds while a plan is built, from another thread.
        """
        self.cache = cache
        self._tensorrt = tensorrt
        self._device = device
        self._on_progress = on_progress

    def key(self, request: PlanRequest) -> Key:
        """What the request's plan is cached under."""
        return {
            "model_sha256": request.model_sha256 or model_sha256(request.model),
            "gpu": self._device.name,
            "compute_capability": list(self._device.compute_capability),
            "multiprocessors": self._device.multiprocessors,  # GPUs of one name may differ in them
            "flavor": self._tensorrt.flavor,
            "version": self._tensorrt.version,
            "cuda": self._tensorrt.cuda_package,
            "tactic_sources": os.environ.get(TACTIC_SOURCES, ""),
            "precision": request.precision,
            "frame_size": list(request.frame_size),
            "max_batch": request.max_batch,
            "tail": request.tail,
            "uint8": self._tensorrt.has_uint8,
            "network_size": request.size_choice,
            "code_sha256": _code_sha256(),  # so that an update does not run plans of older code
        }

    def get(self, request: PlanRequest, *, rebuild: bool = False) -> CachedPlan:
        """The request's plan.

        Args:
            rebuild: build it in any case, and replace a kept one.
        """
        key = self.key(request)

        def build() -> bytes:
            if model_sha256(request.model) != key["model_sha256"]:
                raise ModelError(
                    f"{request.model} is not the file any more that the engine was opened with; open it again (clean "
                    "the node up and configure it), or put the earlier file back"
                )
            logger.info("building the TensorRT plan %s; this may take minutes, once", self.cache.path(key))
            timings = self.cache.timing_cache(key)
            built = build_plan(
                request,
                self._tensorrt,
                timing_cache=timings,
                compute_capability=self._device.compute_capability,
                on_progress=self._on_progress,
            )
            if built.timing_cache:
                self.cache.keep_timing_cache(key, built.timing_cache)
            return built.plan

        return self.cache.get(key, build, rebuild=rebuild)

    def load(self, request: PlanRequest) -> Plan:
        """The request's plan, ready to run; one from the cache that TensorRT refuses is built again, once.

        Raises:
            RuntimeError: there is no room on the GPU.
        """
        key = self.key(request)
        content, was_built, _ = self.get(request)
        try:
            plan = self._tensorrt.load(content, kernels=self.cache.kernels(key))
        except TensorRtError as error:
            if was_built:
                raise
            path = self.cache.path(key)
            if self._device.memory()[0] < ROOM_FOR_LOADING * len(content):  # else a good plan would be built again
                raise RuntimeError(
                    f"the GPU has too little free memory to load the plan {path}: {error}; free some, or delete the "
                    "plan if it is refused all the same"
                ) from error
            logger.warning("the plan %s is built again: %s", path, error)
            plan = self._tensorrt.load(self.get(request, rebuild=True).content)
        plan.keep_kernels = partial(self.cache.keep_kernels, key)
        return plan


def build_plan(
    request: PlanRequest,
    tensorrt: TensorRt,
    *,
    timing_cache: bytes = b"",
    compute_capability: Optional[Tuple[int, int]] = None,
    on_progress: Progress = log_progress,
) -> BuiltPlan:
    """Builds the request's plan, which takes no GPU with TensorRT for RTX; see `PlanStore` and `TensorRt.build`."""
    with heartbeat(on_progress):
        return tensorrt.build(
            wrapped_model(request, tensorrt),
            precision=request.precision,
            max_batch=request.max_batch,
            timing_cache=timing_cache,
            compute_capability=compute_capability,
        )


def wrapped_model(request: PlanRequest, tensorrt: TensorRt) -> bytes:
    """The model file's network with everything that is done to a frame around it, as this TensorRT takes it."""
    from bisenet_ros.engines.tensorrt.onnx_graph import wrap_network

    return wrap_network(
        read_model(request.model),
        read_card(request.model),
        frame_size=request.frame_size,
        max_batch=request.max_batch,
        half=request.precision != "fp32" and not tensorrt.has_fp16_flag,
        tail=request.tail,
        size_choice=request.size_choice,
        uint8=tensorrt.has_uint8,
    ).SerializeToString()


@lru_cache(maxsize=None)
def _code_sha256() -> str:
    sources = (pkgutil.get_data(package, name) for package, name in CODE)
    return hashlib.sha256(b"".join(source or b"" for source in sources)).hexdigest()
