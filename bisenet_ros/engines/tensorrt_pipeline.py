"""A frame's way over the GPU: its bytes up, one plan, one kernel after it, its labels down."""

from __future__ import annotations

import logging
import time
from contextlib import ExitStack
from typing import Callable, Dict, List, Optional, Tuple, Union

import numpy as np

from bisenet_ros.engines.cuda_device import Graph
from bisenet_ros.engines.cuda_kernels import Kernels, LabelUpsampling, bytes_to_floats
from bisenet_ros.engines.engine import Confidence, Labels
from bisenet_ros.engines.tensorrt_api import Plan
from bisenet_ros.model_card import ModelError

Steps = List[Tuple[str, Callable[[], None]]]
logger = logging.getLogger(__name__)


class FramePipeline:
    """For frames of one size. Created, used and closed on one thread.

    Only the frame goes up, 3 x H x W bytes, and only labels come down, H x W bytes, and as many of confidence where it
    is asked for. From its second frame on a CUDA graph replays the whole way, where that is to be had. A frame waits
    for the one before it: the newest frame wins, so that there is never a second one to copy meanwhile.
    """

    def __init__(self, kernels: Kernels, plan: Plan, *, frame_size: Tuple[int, int], classes: int) -> None:
        """
        Args:
            plan: of "frames" to either "labels" or "logits"; closed with the pipeline.
            frame_size: (height, width).
            classes: as many as the model's card has.

        Raises:
            ModelError: the plan returns something else.
            RuntimeError: the GPU has no memory left, or a kernel does not compile.
        """
        self._device = kernels.device
        self._kernels = kernels
        self._plan = plan
        self._graphs: Dict[bool, Optional[Graph]] = {}
        with ExitStack() as resources:
            self._resources = resources
            resources.callback(plan.close)
            self._allocate(frame_size, classes)
            self._resources = resources.pop_all()

    def _allocate(self, frame_size: Tuple[int, int], classes: int) -> None:
        (frames,), (output,) = self._plan.inputs, self._plan.outputs
        self._stream = self._device.create_stream()
        self._resources.callback(self._device.destroy_stream, self._stream)
        self._frame = self._pinned((*frame_size, 3))
        self._labels = self._pinned(frame_size)
        self._frame_address = self._on_device(self._frame.nbytes)
        self._labels_address = self._on_device(self._labels.nbytes)
        self._addresses = {frames.name: self._frame_address, output.name: self._labels_address}
        self._takes_floats = frames.dtype == np.float32
        if self._takes_floats:
            self._addresses[frames.name] = self._on_device(4 * self._frame.size)
        self._upsampling: Optional[LabelUpsampling] = None
        if output.dtype == np.float32:
            self._confidence = self._pinned(frame_size)
            self._confidence_address = self._on_device(self._confidence.nbytes)
            self._logits_address = self._on_device(4 * int(np.prod(output.shape)))
            self._addresses[output.name] = self._logits_address
            _require(output.shape[:-2] == (1, classes), f"logits of 1 x {classes} x h x w", output.shape)
            logits_size = (output.shape[-2], output.shape[-1])
            self._upsampling = LabelUpsampling(
                self._kernels, classes=classes, logits_size=logits_size, frame_size=frame_size
            )
            self._resources.callback(self._upsampling.close)
        else:
            _require(output.shape == (1, *frame_size), f"labels of {(1, *frame_size)}", output.shape)
        self._plan.prepare(1)

    def run(self, frame: np.ndarray, *, confidence: bool = False) -> Union[Labels, Tuple[Labels, Confidence]]:
        """The labels of an H x W x 3 uint8 frame, and the confidence where the plan returns logits.

        Raises:
            RuntimeError: CUDA or TensorRT failed.
        """
        np.copyto(self._frame, frame)
        graph = self._graphs.get(confidence)
        if graph:
            graph.launch(self._stream)
        else:
            self._enqueue(confidence)
        self._device.synchronize(self._stream)
        if confidence not in self._graphs:
            # TensorRT allocates in its first run, which a graph cannot hold.
            self._graphs[confidence] = self._capture(confidence)
        return (self._labels.copy(), self._confidence.copy()) if confidence else self._labels.copy()

    def stage_milliseconds(self, frame: np.ndarray) -> Dict[str, float]:
        """How long each stage of one frame takes, run one by one."""
        steps = self._steps(confidence=False)
        events = [self._device.create_event() for _ in range(len(steps) + 1)]
        start = time.perf_counter()
        np.copyto(self._frame, frame)
        copied = time.perf_counter()
        self._device.record(events[0], self._stream)
        for (_, step), event in zip(steps, events[1:]):
            step()
            self._device.record(event, self._stream)
        self._device.synchronize(self._stream)
        done = time.perf_counter()
        self._labels.copy()
        end = time.perf_counter()
        stages = {"copy into pinned memory": 1000 * (copied - start)}
        for (name, _), begin, finish in zip(steps, events, events[1:]):
            stages[name] = self._device.elapsed(begin, finish)
        stages["copy out of pinned memory"] = 1000 * (end - done)
        for event in events:
            self._device.destroy_event(event)
        return stages

    def close(self) -> None:
        """Frees everything on the GPU, the plan too; again is harmless."""
        for graph in self._graphs.values():
            if graph:
                graph.close()
        self._graphs.clear()
        self._resources.close()

    def _steps(self, confidence: bool) -> Steps:
        """What a frame goes through, in order; each puts its work on the stream."""
        device, stream = self._device, self._stream
        steps: Steps = [("copy to device", lambda: device.upload(self._frame_address, self._frame, stream))]
        if self._takes_floats:
            floats, count = self._addresses[self._plan.inputs[0].name], self._frame.size
            steps.append(
                ("to float", lambda: bytes_to_floats(self._kernels, self._frame_address, floats, count, stream))
            )
        plan = "resize and network" if self._upsampling else "resize, network and upsampling"
        steps.append((plan, lambda: self._plan.enqueue(self._addresses, stream)))
        if self._upsampling:
            upsampling, certain = self._upsampling, self._confidence_address if confidence else 0
            steps.append(
                (
                    "upsampling",
                    lambda: upsampling.enqueue(self._logits_address, self._labels_address, certain, stream),
                )
            )
        steps.append(("copy to host", lambda: device.download(self._labels, self._labels_address, stream)))
        if confidence:
            steps.append(("copy to host", lambda: device.download(self._confidence, self._confidence_address, stream)))
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


def _require(holds: bool, expected: str, found: Tuple[int, ...]) -> None:
    if not holds:
        raise ModelError(f"expected a plan that returns {expected}, got {found}; export the model again")
