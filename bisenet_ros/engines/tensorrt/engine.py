# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The engine on NVIDIA GPUs: TensorRT runs the network."""

from __future__ import annotations

import logging
import weakref
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotInTime
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.cuda.libcuda import fault_that_ends_the_process
from bisenet_ros.engines.cuda.open_device import open_device
from bisenet_ros.engines.engine import Engine, EngineError, FatalEngineError, Segmentation
from bisenet_ros.engines.tensorrt import tail_choice
from bisenet_ros.engines.tensorrt.api import load_tensorrt
from bisenet_ros.engines.tensorrt.builder import PlanRequest, PlanStore, tails
from bisenet_ros.engines.tensorrt.frame_pipeline import FramePipeline, NetworkTimer
from bisenet_ros.engines.tensorrt.pipeline_cache import PipelineCache
from bisenet_ros.engines.tensorrt.plan import LOGITS, MASK, NETWORK, Plan, TensorRtError
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.engines.tensorrt.worker_thread import WorkerThread
from bisenet_ros.model.input_size import CARD, Size, size_text
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import model_sha256

MOST_SIZES = 4
"""Frame sizes whose plans stay on the GPU."""
MEMORY_TIMEOUT = 0.1
"""Seconds that a question about memory waits for the engine's thread; then the answer is None."""
MEBIBYTE = 1 << 20

logger = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """fp32, fp16 or int8 on the GPU, called from any thread; frames that come at once wait for each other.

    A frame of a new size has its plan built first, which may take minutes; `building` says so meanwhile. The mask is
    made of the logits by the plan itself or by our own kernel, whichever is faster here: that is measured once and kept
    beside the plans.
    """

    def __init__(
        self,
        model: Path,
        card: ModelCard,
        *,
        precision: str,
        cache: Optional[Path] = None,
        size_choice: str = CARD,
        max_batch: int = 1,
    ) -> None:
        """
        Args:
            cache: a folder for plans, by default ~/.cache/bisenet_ros.
            size_choice: a `choice` of `network_size`.
            max_batch: the most frames that run at once; plans are fastest with as many.

        Raises:
            GpuError: there is no driver, no GPU, or no Python package to use it.
            TensorRtError: TensorRT is not installed.
            RuntimeError: TensorRT cannot be used with the GPU.
            FatalEngineError: the GPU has failed, and only a new process can use it.
        """
        self._thread = WorkerThread("tensorrt")
        opening = self._thread.submit(_Gpu, model, card, precision, PlanCache(cache), size_choice, max_batch)
        try:
            self._gpu = opening.result()
        except BaseException:  # also Ctrl-C, while the other thread goes on
            self._thread.submit(_close_opened, opening)
            self._thread.close()
            del opening  # its error's traceback refers to it: a cycle would keep what pycuda frees when it is forgotten
            raise
        # Also when the engine is forgotten, and when the interpreter exits.
        self._close = weakref.finalize(self, _close, self._thread, self._gpu)
        description = f"{self._gpu.description}, {precision}"
        super().__init__(card, description=description, size_choice=size_choice, max_batch=max_batch)

    @property
    def has_confidence(self) -> bool:  # type: ignore[override]  # nobody sets it
        return LOGITS in self._gpu.tails

    @property
    def building(self) -> str:
        return self._gpu.building

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        return self._thread.call(self._gpu.stage_milliseconds, frame)

    def memory_mib(self) -> Optional[Tuple[float, float]]:
        if self.building:
            return None
        try:
            memory = self._thread.submit(lambda: self._gpu.device.memory())
        except RuntimeError:  # the engine is closed
            return None
        try:
            free, total = memory.result(timeout=MEMORY_TIMEOUT)
        except (NotInTime, RuntimeError):  # or the GPU has failed
            memory.cancel()
            return None
        return (total - free) / MEBIBYTE, total / MEBIBYTE

    def last_logits(self) -> Optional[np.ndarray]:
        return self._thread.call(self._gpu.last_logits)

    def close(self) -> None:
        self._close()

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        return self._segment_batch([frame], confidence=confidence)[0]

    def _segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool) -> List[Segmentation]:
        return self._thread.call(self._gpu.segment, frames, confidence)


def _close_opened(opening: Future[_Gpu]) -> None:
    """Closes what was opened for nobody; pycuda aborts the process where a thread ends with a context."""
    if opening.exception() is None:
        opening.result().close()


def _close(thread: WorkerThread, gpu: _Gpu) -> None:
    try:
        thread.call(gpu.close)
    except RuntimeError as error:  # the GPU may have failed before
        logger.warning("not everything on the GPU could be freed: %s", error)
    finally:
        thread.close()


@contextmanager
def _fatal_faults() -> Iterator[None]:
    """Tells the faults that only a new process cures from others, whoever raises them; also a decorator."""
    try:
        yield
    except Exception as error:
        fault = fault_that_ends_the_process()
        if not fault:
            raise
        raise FatalEngineError(f"the GPU answers {fault}, after which only a new process can use it") from error


class _Gpu:
    """What the engine has on the GPU; used on the engine's own thread only."""

    @_fatal_faults()
    def __init__(
        self, model: Path, card: ModelCard, precision: str, cache: PlanCache, size_choice: str, max_batch: int
    ) -> None:
        self.building = ""
        self._model = model
        self._model_sha256 = model_sha256(model)  # plans of other frame sizes are built later, with the same card
        self._card = card
        self._precision = precision
        self._size_choice = size_choice
        self._max_batch = max_batch
        # Each camera may have a size of its own.
        self.pipelines = PipelineCache(self._make_pipeline, most_sizes=max(MOST_SIZES, max_batch))
        self._network_timer: Optional[Tuple[Size, NetworkTimer]] = None
        self._faster: Dict[Size, str] = {}
        self._last: Optional[FramePipeline] = None
        self.tensorrt = load_tensorrt()
        self.device = open_device()
        with ExitStack() as undo:
            undo.callback(self.device.close)
            self.tensorrt.require_gpu(self.device.compute_capability)
            self.tensorrt.require_precision(precision, self.device.compute_capability)
            self.plans = PlanStore(self.tensorrt, self.device, cache)
            self.tails = self._possible_tails()
            undo.pop_all()
        self.description = f"{self.tensorrt.name}, {self.device.name}"

    @_fatal_faults()
    def segment(self, frames: Sequence[np.ndarray], confidence: bool) -> List[Segmentation]:
        """Segments 1 to `max_batch` frames of one size."""
        size = (frames[0].shape[0], frames[0].shape[1])
        if confidence and LOGITS not in self.tails:
            raise EngineError("confidence needs our own kernel and a plan to the logits; the log says which is missing")
        tail, self._last = LOGITS if confidence else self._faster_tail(frames[0]), None
        results = self.pipelines.run(size, tail, frames, confidence=confidence)
        self._last = self.pipelines.get(size, tail)
        return results

    @_fatal_faults()
    def last_logits(self) -> Optional[np.ndarray]:
        """See `Engine.last_logits`; a small copy from the GPU, of those who ask for it alone."""
        return self._last.last_logits() if self._last else None

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        size = (frame.shape[0], frame.shape[1])
        tail, network = self._faster_tail(frame), self._time_network(size)
        return self.pipelines.get(size, tail).stage_milliseconds(frame, network=network)

    def close(self) -> None:
        with ExitStack() as steps:  # each is taken, whatever fails before
            steps.callback(self.device.close)
            steps.callback(self._close_network_timer)
            steps.callback(self.pipelines.close)

    def _possible_tails(self) -> Tuple[str, ...]:
        possible = tails(self.tensorrt)
        try:
            self.device.kernel("mask_upsampling")
        except (GpuError, RuntimeError) as error:
            if MASK not in possible:
                raise
            logger.warning("the plan itself upsamples, and there is no confidence: %s", error)
            return (MASK,)
        return possible

    def _make_pipeline(self, size: Size, tail: str) -> FramePipeline:
        """Creates the pipeline of a frame size and a tail.

        Where that fails, the tail is chosen again for the next frame; without the one to the logits there is no
        confidence.
        """
        try:
            return self._try_twice(size, tail) if len(self.tails) > 1 else self._new_pipeline(size, tail)
        except (TensorRtError, RuntimeError) as error:
            self._faster.pop(size, None)
            if tail == MASK or MASK not in self.tails:
                raise
            self.tails = (MASK,)
            raise TensorRtError(f"{error}; from now on there are masks without confidence") from error

    def _try_twice(self, size: Size, tail: str) -> FramePipeline:
        """Tries once more after a fault that may pass, such as full memory, before the other tail is taken."""
        try:
            return self._new_pipeline(size, tail)
        except RuntimeError as error:
            if fault_that_ends_the_process():
                raise
            logger.warning("the plan to %s for %s is tried once more: %s", tail, size_text(size), error)
            return self._new_pipeline(size, tail)

    def _new_pipeline(self, size: Size, tail: str) -> FramePipeline:
        plan, classes = self._load(self.request(size, tail)), len(self._card.classes)
        return FramePipeline(self.device, plan, frame_size=size, classes=classes, max_batch=self._max_batch)

    def _load(self, request: PlanRequest) -> Plan:
        self.building = f"a plan for {size_text(request.frame_size)}"
        try:
            return self.plans.load(request)
        finally:
            self.building = ""

    def _time_network(self, size: Size) -> float:
        """Milliseconds of the network alone, measured with a plan of its own."""
        if self._network_timer is None or self._network_timer[0] != size:
            self._close_network_timer()
            plan = self._load(self.request(size, NETWORK)._replace(max_batch=1))
            self._network_timer = size, NetworkTimer(self.device, plan)
        return self._network_timer[1].milliseconds()

    def _close_network_timer(self) -> None:
        if self._network_timer:
            self._network_timer[1].close()
        self._network_timer = None

    def request(self, size: Size, tail: str) -> PlanRequest:
        return PlanRequest(
            self._model,
            size,
            precision=self._precision,
            max_batch=self._max_batch,
            tail=tail,
            size_choice=self._size_choice,
            model_sha256=self._model_sha256,
        )

    def _faster_tail(self, frame: np.ndarray) -> str:
        if len(self.tails) == 1:
            return self.tails[0]
        size = (frame.shape[0], frame.shape[1])
        if size not in self._faster:
            self._faster[size] = tail_choice.faster_tail(
                self.pipelines,
                self.tails,
                frames=[frame] * self._max_batch,
                kept_at=self.plans.cache.path(self.plans.key(self.request(size, MASK))).with_suffix(".tail"),
            )
        return self._faster[size]
