"""Frames on the GPU: bytes are copied to it, a plan runs, a kernel after it, and masks are copied back."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Callable, Dict, List, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.device import Graph
from bisenet_ros.engines.cuda.kernels import Kernels, MaskUpsampling, bytes_to_floats
from bisenet_ros.engines.engine import Result
from bisenet_ros.engines.tensorrt.plan import Plan
from bisenet_ros.model.input_size import Size
from bisenet_ros.model.model_file import ModelError

PLAN = "plan"
Steps = List[Tuple[str, Callable[[], None]]]
logger = logging.getLogger(__name__)


class FramePipeline:
    """For frames of one size. Created, used and closed on one thread.

    A frame is 3 x H x W bytes to copy to the GPU, and H x W bytes of mask to copy back, and as many of confidence where
    it is asked for. Where CUDA graphs are available, one replays all steps from the second batch on. A graph is valid
    for one shape of its plan's context, so that it is dropped when the number of frames changes. Batches run one after
    the other: the newest frame wins, so there is no next one to copy meanwhile.
    """

    def __init__(self, kernels: Kernels, plan: Plan, *, frame_size: Size, classes: int, max_batch: int = 1) -> None:
        """
        Args:
            plan: from frames to MASK or LOGITS; closed with the pipeline.
            frame_size: (height, width).
            classes: as many as the model's card has.
            max_batch: as the plan was built for.

        Raises:
            ModelError: the plan returns something else.
            RuntimeError: the GPU has no memory left, or a kernel does not compile.
        """
        self._device = kernels.device
        self._kernels = kernels
        self._plan = plan
        self._batch = 0
        self._has_run = False
        self._graphs: Dict[bool, Optional[Graph]] = {}
        with ExitStack() as resources:
            self._resources = resources
            resources.callback(plan.close)
            self._allocate(frame_size, classes, max_batch)
            self._resources = resources.pop_all()

    def _allocate(self, frame_size: Size, classes: int, max_batch: int) -> None:
        (frames,), (output,) = self._plan.inputs, self._plan.outputs
        self._stream = self._device.create_stream()
        self._resources.callback(self._device.destroy_stream, self._stream)
        self._frames = self._pinned((max_batch, *frame_size, 3))
        self._masks = self._pinned((max_batch, *frame_size))
        self._frames_address = self._on_device(self._frames.nbytes)
        self._masks_address = self._on_device(self._masks.nbytes)
        self._addresses = {frames.name: self._frames_address, output.name: self._masks_address}
        self._takes_floats = frames.dtype == np.float32
        if self._takes_floats:
            self._addresses[frames.name] = self._on_device(4 * self._frames.size)
        self._upsampling: Optional[MaskUpsampling] = None
        if output.dtype == np.float32:
            self._confidence = self._pinned((max_batch, *frame_size))
            self._confidence_address = self._on_device(self._confidence.nbytes)
            self._logits_address = self._on_device(4 * max_batch * int(np.prod(output.shape[1:])))
            self._addresses[output.name] = self._logits_address
            _require(output.shape[1:-2] == (classes,), f"logits of N x {classes} x h x w", output.shape)
            logits_size = (output.shape[-2], output.shape[-1])
            self._upsampling = MaskUpsampling(
                self._kernels, classes=classes, logits_size=logits_size, frame_size=frame_size
            )
            self._resources.callback(self._upsampling.close)
        else:
            _require(output.shape[1:] == frame_size, f"masks of N x {frame_size}", output.shape)

    def run(self, frames: Sequence[np.ndarray], *, confidence: bool = False) -> List[Result]:
        """The mask of each of 1 to `max_batch` H x W x 3 uint8 frames, and the confidence if the plan returns logits.

        Raises:
            RuntimeError: CUDA or TensorRT failed.
        """
        self._prepare(len(frames))
        for place, frame in zip(self._frames, frames):
            np.copyto(place, frame)
        if self._has_run and confidence not in self._graphs:
            # Not at the first run: TensorRT allocates memory in it, which a graph cannot record.
            self._graphs[confidence] = self._capture(confidence)
        graph = self._graphs.get(confidence)
        if graph:
            graph.launch(self._stream)
        else:
            self._enqueue(confidence)
        self._device.synchronize(self._stream)
        self._has_run = True
        masks = [place.copy() for place in self._masks[: self._batch]]
        if not confidence:
            return [*masks]
        return [*zip(masks, (place.copy() for place in self._confidence[: self._batch]))]

    def stage_milliseconds(self, frame: np.ndarray, *, network: float) -> Dict[str, float]:
        """How long each stage of one frame takes, run one by one.

        Args:
            network: milliseconds of the network alone; the rest of the plan's time is resizing.
        """
        self._prepare(1)
        steps = self._steps(confidence=False)
        events = [self._device.create_event() for _ in range(len(steps) + 1)]
        start = time.perf_counter()
        np.copyto(self._frames[0], frame)
        copied = time.perf_counter()
        self._device.record(events[0], self._stream)
        for (_, step), event in zip(steps, events[1:]):
            step()
            self._device.record(event, self._stream)
        self._device.synchronize(self._stream)
        done = time.perf_counter()
        self._masks[0].copy()
        end = time.perf_counter()
        stages = {"copy into pinned memory": 1000 * (copied - start)}
        for (name, _), begin, finish in zip(steps, events, events[1:]):
            stages[name] = self._device.elapsed(begin, finish)
            if name == PLAN:
                plan = stages.pop(PLAN)
                stages["resize" if self._upsampling else "resize and upsampling"] = max(0.0, plan - network)
                stages["network"] = min(network, plan)
        stages["copy out of pinned memory"] = 1000 * (end - done)
        for event in events:
            self._device.destroy_event(event)
        return stages

    def close(self) -> None:
        """Frees everything on the GPU, the plan too; a second call does nothing."""
        self._close_graphs()
        self._resources.close()

    def _prepare(self, batch: int) -> None:
        if batch == self._batch:
            return
        self._close_graphs()
        self._plan.prepare(batch)
        self._batch, self._has_run = batch, False

    def _close_graphs(self) -> None:
        for graph in self._graphs.values():
            if graph:
                graph.close()
        self._graphs.clear()

    def _steps(self, confidence: bool) -> Steps:
        """The steps of a batch, in order; each puts its work on the stream."""
        device, stream, batch = self._device, self._stream, self._batch
        frames, masks = self._frames[:batch], self._masks[:batch]
        steps: Steps = [("copy to device", lambda: device.upload(self._frames_address, frames, stream))]
        if self._takes_floats:
            floats, count = self._addresses[self._plan.inputs[0].name], frames.size
            steps.append(
                ("to float", lambda: bytes_to_floats(self._kernels, self._frames_address, floats, count, stream))
            )
        steps.append((PLAN, lambda: self._plan.enqueue(self._addresses, stream)))
        if self._upsampling:
            upsampling, certain = self._upsampling, self._confidence_address if confidence else 0
            steps.append(
                (
                    "upsampling",
                    lambda: upsampling.enqueue(
                        self._logits_address, self._masks_address, certain, stream, frames=batch
                    ),
                )
            )
        steps.append(("copy to host", lambda: device.download(masks, self._masks_address, stream)))
        if confidence:
            confidences = self._confidence[:batch]
            steps.append(("copy to host", lambda: device.download(confidences, self._confidence_address, stream)))
        return steps

    def _enqueue(self, confidence: bool) -> None:
        for _, step in self._steps(confidence):
            step()

    def _capture(self, confidence: bool) -> Optional[Graph]:
        try:
            return self._device.capture(self._stream, lambda: self._enqueue(confidence))
        except (RuntimeError, NotImplementedError) as error:
            logger.debug("frames run without a CUDA graph: %s", error)
            return None

    def _pinned(self, shape: Tuple[int, ...]) -> np.ndarray:
        array = self._device.allocate_pinned(shape)
        self._resources.callback(self._device.free_pinned, array)
        return array

    def _on_device(self, size: int) -> int:
        address = self._device.allocate(size)
        self._resources.callback(self._device.free, address)
        return address


def _require(condition: bool, expected: str, found: Tuple[int, ...]) -> None:
    if not condition:
        raise ModelError(f"expected a plan that returns {expected}, got {found}; export the model again")
