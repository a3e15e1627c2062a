"""The network in TensorRT: a frame's bytes go to the GPU, its labels come back."""

from __future__ import annotations

import json
import logging
import os
import statistics
import time
import weakref
from collections import OrderedDict
from contextlib import ExitStack, suppress
from functools import partial
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.driver import open_device
from bisenet_ros.engines.cuda.kernels import Kernels
from bisenet_ros.engines.engine import Engine, Result
from bisenet_ros.engines.tensorrt.api import Plan, load_tensorrt
from bisenet_ros.engines.tensorrt.builder import PlanRequest, load_plan, plan_key, tails
from bisenet_ros.engines.tensorrt.frame_pipeline import FramePipeline
from bisenet_ros.engines.tensorrt.network_timer import NetworkTimer
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.engines.tensorrt.worker_thread import WorkerThread
from bisenet_ros.model.model_card import ModelCard

LABELS, LOGITS, NETWORK = "labels", "logits", "network"
MOST_PIPELINES = 4
"""A camera has one size; if frames change theirs all the time, the GPU's memory must not fill up."""
MEASURED_FRAMES, WARM_UP_FRAMES = 30, 5
PATIENCE = 0.1
"""Seconds to wait for the engine's thread before its memory is said to be unknown."""
MEBIBYTE = 1 << 20

Size = Tuple[int, int]
logger = logging.getLogger(__name__)


class TensorRtEngine(Engine):
    """fp32, fp16 or int8 on the GPU, called from any thread; frames that come at once wait for each other.

    A frame of a new size has its plan built first, which may take minutes; `building` says so meanwhile. After the
    plan's logits either the plan itself upsamples and takes the argmax, or our own kernel does: whichever is faster
    here, which is measured once and kept beside the plans.
    """

    def __init__(
        self,
        model: Path,
        card: ModelCard,
        *,
        precision: str = "fp16",
        cache: Optional[Path] = None,
        max_batch: int = 1,
        bindings: bool = False,
    ) -> None:
        """
        Args:
            model: the model file.
            cache: a folder for plans, by default ~/.cache/bisenet_ros.
            max_batch: the most frames that run at once; plans are fastest with as many.
            bindings: use TensorRT's calls from before 8.5 where there are both.

        Raises:
            RuntimeError: there is no driver or no GPU, or TensorRT cannot be used with it.
            ModuleNotFoundError: TensorRT, or what it needs from Python, is not installed.
        """
        self._thread = WorkerThread("tensorrt")
        open_gpu = partial(_Gpu, model, card, precision=precision, cache=PlanCache(cache), max_batch=max_batch)
        try:
            self._gpu = self._thread.call(partial(open_gpu, bindings=bindings))
        except BaseException:
            self._thread.close()
            raise
        # Also when the engine is forgotten, and when the interpreter exits.
        self._close = weakref.finalize(self, _close, self._thread, self._gpu)
        super().__init__(card, description=f"{self._gpu.description}, {precision}")
        self.max_batch = max_batch

    @property
    def building(self) -> str:
        return self._gpu.building

    def prepare(self, frame_size: Size) -> None:
        """Has everything ready for frames of (height, width), so that the first takes no longer than the others."""
        frame = np.zeros((*frame_size, 3), np.uint8)
        for batch in sorted({self.max_batch, 1}, reverse=True):
            self._thread.call(self._gpu.segment, [frame] * batch, False)

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        return self._thread.call(self._gpu.stage_milliseconds, frame)

    def memory_mib(self) -> Optional[Tuple[float, float]]:
        if self.building:
            return None
        try:
            found = self._thread.call_within(PATIENCE, self._gpu.memory)
        except RuntimeError:  # the engine is closed, or the GPU has failed
            return None
        return found and ((found[1] - found[0]) / MEBIBYTE, found[1] / MEBIBYTE)

    def close(self) -> None:
        self._close()

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Result:
        return self._segment_batch([frame], confidence=confidence)[0]

    def _segment_batch(self, frames: Sequence[np.ndarray], *, confidence: bool) -> List[Result]:
        return self._thread.call(self._gpu.segment, frames, confidence)


def _close(thread: WorkerThread, gpu: _Gpu) -> None:
    with suppress(RuntimeError):  # the GPU may have failed before
        thread.call(gpu.close)
    thread.close()


class _Gpu:
    """What the engine has on the GPU. Everything here runs on the engine's own thread."""

    def __init__(
        self, model: Path, card: ModelCard, *, precision: str, cache: PlanCache, max_batch: int, bindings: bool
    ) -> None:
        self.building = ""
        self._model = model
        self._card = card
        self._precision = precision
        self._cache = cache
        self._max_batch = max_batch
        self._bindings = bindings
        self._pipelines: OrderedDict[Tuple[Size, str], FramePipeline] = OrderedDict()  # the latest used is the last
        self._network_timer: Optional[Tuple[Size, NetworkTimer]] = None
        self._faster: Dict[Size, str] = {}
        self._tensorrt = load_tensorrt()
        self._device = open_device()
        with ExitStack() as undo:
            undo.callback(self._device.close)
            self._kernels = Kernels(self._device)
            self._tails = self._possible_tails()
            undo.pop_all()
        self.description = f"{self._tensorrt.name}, {self._device.name}"

    def memory(self) -> Tuple[int, int]:
        """Free and total bytes."""
        return self._device.memory()

    def segment(self, frames: Sequence[np.ndarray], confidence: bool) -> List[Result]:
        """For 1 to `max_batch` frames of one size."""
        size = (frames[0].shape[0], frames[0].shape[1])
        if confidence and LOGITS not in self._tails:
            raise RuntimeError("confidence needs our own kernel, which does not compile here; see the log of the start")
        tail = LOGITS if confidence else self._faster_tail(size)
        return self._run(size, tail, frames, confidence=confidence)

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        size = (frame.shape[0], frame.shape[1])
        tail, network = self._faster_tail(size), self._time_network(size)
        return self._pipeline(size, tail).stage_milliseconds(frame, network=network)

    def close(self) -> None:
        self._close_network_timer()
        while self._pipelines:
            self._drop(next(iter(self._pipelines)))
        self._device.close()

    def _possible_tails(self) -> Tuple[str, ...]:
        possible = tails(self._tensorrt)
        try:
            self._kernels["mask_upsampling"]
        except (RuntimeError, ModuleNotFoundError) as error:
            if LABELS not in possible:
                raise
            logger.warning("the plan itself upsamples, and there is no confidence: %s", error)
            return (LABELS,)
        return possible

    def _run(self, size: Size, tail: str, frames: Sequence[np.ndarray], *, confidence: bool = False) -> List[Result]:
        pipeline = self._pipeline(size, tail)
        try:
            return pipeline.run(frames, confidence=confidence)
        except Exception:
            self._drop((size, tail))  # the next frame begins anew
            raise

    def _pipeline(self, size: Size, tail: str) -> FramePipeline:
        if (size, tail) not in self._pipelines:
            while len(self._pipelines) >= MOST_PIPELINES:
                self._drop(next(iter(self._pipelines)))
            self._pipelines[size, tail] = self._open(size, tail)
        self._pipelines.move_to_end((size, tail))
        return self._pipelines[size, tail]

    def _open(self, size: Size, tail: str) -> FramePipeline:
        plan = self._load(self._request(size, tail))
        classes = len(self._card.classes)
        return FramePipeline(self._kernels, plan, frame_size=size, classes=classes, max_batch=self._max_batch)

    def _load(self, request: PlanRequest) -> Plan:
        height, width = request.frame_size
        self.building = f"a plan for {width}x{height}"
        try:
            return load_plan(request, self._tensorrt, self._device, self._cache, bindings=self._bindings)
        finally:
            self.building = ""

    def _time_network(self, size: Size) -> float:
        """Milliseconds of the network alone, which has a plan of its own for this."""
        if self._network_timer is None or self._network_timer[0] != size:
            self._close_network_timer()
            plan = self._load(self._request(size, NETWORK)._replace(max_batch=1))
            self._network_timer = size, NetworkTimer(self._device, plan)
        return self._network_timer[1].milliseconds()

    def _close_network_timer(self) -> None:
        if self._network_timer:
            self._network_timer[1].close()
        self._network_timer = None

    def _drop(self, key: Tuple[Size, str]) -> None:
        self._pipelines.pop(key).close()

    def _request(self, size: Size, tail: str) -> PlanRequest:
        return PlanRequest(self._model, size, precision=self._precision, max_batch=self._max_batch, tail=tail)

    def _faster_tail(self, size: Size) -> str:
        if len(self._tails) == 1:
            return self._tails[0]
        if size not in self._faster:
            key = plan_key(self._request(size, LABELS), self._tensorrt, self._device)
            kept_at = self._cache.path(key).with_suffix(".tail")
            self._faster[size] = _read_tail(kept_at) or self._measure(size, kept_at)
        return self._faster[size]

    def _measure(self, size: Size, kept_at: Path) -> str:
        """Runs both in turn on the largest batch, and keeps the faster."""
        frames = [np.zeros((*size, 3), np.uint8)] * self._max_batch
        times: Dict[str, List[float]] = {tail: [] for tail in self._tails}
        for _ in range(WARM_UP_FRAMES + MEASURED_FRAMES):
            for tail in self._tails:
                self._pipeline(size, tail)  # building is no part of the time
                start = time.perf_counter()
                self._run(size, tail, frames)
                times[tail].append(1000 * (time.perf_counter() - start))
        medians = {tail: statistics.median(times[tail][WARM_UP_FRAMES:]) for tail in self._tails}
        faster, slower = sorted(self._tails, key=medians.__getitem__)
        told = ", ".join(f"{milliseconds:.3f} ms to {tail}" for tail, milliseconds in medians.items())
        logger.info("frames of %dx%d by where their plan ends: %s", size[1], size[0], told)
        self._drop((size, slower))
        _keep_tail(kept_at, faster, medians)
        return faster


def _read_tail(path: Path) -> Optional[str]:
    """What was measured before, if it can be read."""
    try:
        tail = json.loads(path.read_text())["tail"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return tail if tail in (LABELS, LOGITS) else None


def _keep_tail(path: Path, tail: str, milliseconds: Dict[str, float]) -> None:
    draft = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        draft.write_text(json.dumps({"tail": tail, "milliseconds": milliseconds}) + "\n")
        os.replace(draft, path)
    except OSError as error:
        logger.warning("%s cannot be kept, and is measured again at the next start: %s", path, error)
