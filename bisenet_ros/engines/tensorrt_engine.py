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
from typing import Dict, List, Optional, Tuple, Union

import numpy as np

from bisenet_ros.engines.cuda_driver import open_device
from bisenet_ros.engines.cuda_kernels import Kernels
from bisenet_ros.engines.engine import Confidence, Engine, Labels
from bisenet_ros.engines.plan_cache import PlanCache
from bisenet_ros.engines.tensorrt_api import load_tensorrt
from bisenet_ros.engines.tensorrt_builder import PlanRequest, load_plan, plan_key, tails
from bisenet_ros.engines.tensorrt_pipeline import FramePipeline
from bisenet_ros.engines.worker_thread import WorkerThread
from bisenet_ros.model_card import ModelCard

LABELS, LOGITS = "labels", "logits"
MOST_PIPELINES = 4
"""A camera has one size; if frames change theirs all the time, the GPU's memory must not fill up."""
MEASURED_FRAMES, WARM_UP_FRAMES = 30, 5

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
        bindings: bool = False,
    ) -> None:
        """
        Args:
            model: the model file.
            cache: a folder for plans, by default ~/.cache/bisenet_ros.
            bindings: use TensorRT's calls from before 8.5 where there are both.

        Raises:
            RuntimeError: there is no driver or no GPU, or TensorRT cannot be used with it.
            ModuleNotFoundError: TensorRT, or what it needs from Python, is not installed.
        """
        self._thread = WorkerThread("tensorrt")
        open_gpu = partial(_Gpu, model, card, precision=precision, cache=PlanCache(cache), bindings=bindings)
        try:
            self._gpu = self._thread.call(open_gpu)
        except BaseException:
            self._thread.close()
            raise
        # Also when the engine is forgotten, and when the interpreter exits.
        self._close = weakref.finalize(self, _close, self._thread, self._gpu)
        super().__init__(card, description=f"{self._gpu.description}, {precision}")

    @property
    def building(self) -> str:
        return self._gpu.building

    def prepare(self, frame_size: Size) -> None:
        """Has everything ready for frames of (height, width), so that the first takes no longer than the others."""
        self._thread.call(self._gpu.segment, np.zeros((*frame_size, 3), np.uint8), False)

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        return self._thread.call(self._gpu.stage_milliseconds, frame)

    def close(self) -> None:
        self._close()

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Union[Labels, Tuple[Labels, Confidence]]:
        return self._thread.call(self._gpu.segment, frame, confidence)


def _close(thread: WorkerThread, gpu: _Gpu) -> None:
    with suppress(RuntimeError):  # the GPU may have failed before
        thread.call(gpu.close)
    thread.close()


class _Gpu:
    """What the engine has on the GPU. Everything here runs on the engine's own thread."""

    def __init__(self, model: Path, card: ModelCard, *, precision: str, cache: PlanCache, bindings: bool) -> None:
        self.building = ""
        self._model = model
        self._card = card
        self._precision = precision
        self._cache = cache
        self._bindings = bindings
        self._pipelines: OrderedDict[Tuple[Size, str], FramePipeline] = OrderedDict()  # the latest used is the last
        self._faster: Dict[Size, str] = {}
        self._tensorrt = load_tensorrt()
        self._device = open_device()
        with ExitStack() as undo:
            undo.callback(self._device.close)
            self._kernels = Kernels(self._device)
            self._tails = self._possible_tails()
            undo.pop_all()
        self.description = f"{self._tensorrt.name}, {self._device.name}"

    def segment(self, frame: np.ndarray, confidence: bool) -> Union[Labels, Tuple[Labels, Confidence]]:
        size = (frame.shape[0], frame.shape[1])
        if confidence and LOGITS not in self._tails:
            raise RuntimeError("confidence needs our own kernel, which does not compile here; see the log of the start")
        tail = LOGITS if confidence else self._faster_tail(size)
        return self._run(size, tail, frame, confidence=confidence)

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        size = (frame.shape[0], frame.shape[1])
        return self._pipeline(size, self._faster_tail(size)).stage_milliseconds(frame)

    def close(self) -> None:
        while self._pipelines:
            self._drop(next(iter(self._pipelines)))
        self._device.close()

    def _possible_tails(self) -> Tuple[str, ...]:
        possible = tails(self._tensorrt)
        try:
            self._kernels["label_upsampling"]
        except (RuntimeError, ModuleNotFoundError) as error:
            if LABELS not in possible:
                raise
            logger.warning("the plan itself upsamples, and there is no confidence: %s", error)
            return (LABELS,)
        return possible

    def _run(
        self, size: Size, tail: str, frame: np.ndarray, *, confidence: bool = False
    ) -> Union[Labels, Tuple[Labels, Confidence]]:
        pipeline = self._pipeline(size, tail)
        try:
            return pipeline.run(frame, confidence=confidence)
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
        self.building = f"a plan for {size[1]}x{size[0]}"
        try:
            request = self._request(size, tail)
            plan = load_plan(request, self._tensorrt, self._device, self._cache, bindings=self._bindings)
            return FramePipeline(self._kernels, plan, frame_size=size, classes=len(self._card.labels))
        finally:
            self.building = ""

    def _drop(self, key: Tuple[Size, str]) -> None:
        self._pipelines.pop(key).close()

    def _request(self, size: Size, tail: str) -> PlanRequest:
        return PlanRequest(self._model, size, precision=self._precision, tail=tail)

    def _faster_tail(self, size: Size) -> str:
        if len(self._tails) == 1:
            return self._tails[0]
        if size not in self._faster:
            key = plan_key(self._request(size, LABELS), self._tensorrt, self._device)
            kept_at = self._cache.path(key).with_suffix(".tail")
            self._faster[size] = _read_tail(kept_at) or self._measure(size, kept_at)
        return self._faster[size]

    def _measure(self, size: Size, kept_at: Path) -> str:
        """Runs both in turn, and keeps the faster."""
        frame = np.zeros((*size, 3), np.uint8)
        times: Dict[str, List[float]] = {tail: [] for tail in self._tails}
        for _ in range(WARM_UP_FRAMES + MEASURED_FRAMES):
            for tail in self._tails:
                self._pipeline(size, tail)  # building is no part of the time
                start = time.perf_counter()
                self._run(size, tail, frame)
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
