# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Frames on the GPU: bytes are copied to it, a plan runs, a kernel after it, and masks are copied back."""

import logging
import time
from contextlib import ExitStack
from functools import partial
from typing import Callable, Dict, List, Optional, Sequence, Set, Tuple

import numpy as np

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.kernels import MaskUpsampling, bytes_to_floats
from bisenet_ros.engines.engine import Segmentation
from bisenet_ros.engines.tensorrt.plan import Plan
from bisenet_ros.model.input_size import Size
from bisenet_ros.model.model_file import ModelError

PLAN = "plan"
Launch = Callable[[], None]
Steps = List[Tuple[str, Launch]]
logger = logging.getLogger(__name__)


class FramePipeline:
    """For frames of one size. Created, used and closed on one thread.

    A frame is 3 x H x W bytes to copy to the GPU, and H x W bytes of mask to copy back, and as many of confidence where
    it is asked for. Where CUDA graphs are available, one for each batch size replays all steps from its second batch
    on. Batches run one after the other: of a camera only the newest frame waits, so none is copied ahead.
    """

    def __init__(self, device: CudaDevice, plan: Plan, *, frame_size: Size, classes: int, max_batch: int = 1) -> None:
        """
        Args:
            plan: from frames to MASK or LOGITS; closed with the pipeline.
            max_batch: as the plan was built for.

        Raises:
            ModelError: the plan returns something else.
            RuntimeError: the GPU has no memory left, or a kernel does not compile.
        """
        self._device = device
        self._plan = plan
        self._batch = 0
        self._has_run: Set[int] = set()  # batch sizes
        self._has_finite_logits = False  # those of the first batch
        self._graphs: Dict[Tuple[int, str], Launch] = {}  # by batch size, and what they replay
        self._graph_owner = ExitStack()
        with ExitStack() as owner:
            owner.callback(plan.close)
            self._allocate(owner, frame_size, classes, max_batch)
            owner.callback(self._close_graphs)
            self._owner = owner.pop_all()

    def _allocate(self, owner: ExitStack, frame_size: Size, classes: int, max_batch: int) -> None:
        device, (frames,), (output,) = self._device, self._plan.inputs, self._plan.outputs
        self._stream = device.create_stream(owner)
        if self._plan.workspace_size:
            self._plan.workspace = device.allocate(self._plan.workspace_size, owner)
        self._frames = device.allocate_pinned((max_batch, *frame_size, 3), owner)
        self._masks = device.allocate_pinned((max_batch, *frame_size), owner)
        self._frames_address = device.allocate(self._frames.nbytes, owner)
        self._masks_address = device.allocate(self._masks.nbytes, owner)
        self._addresses = {frames.name: self._frames_address, output.name: self._masks_address}
        self._takes_floats = frames.dtype == np.float32
        if self._takes_floats:
            self._addresses[frames.name] = device.allocate(4 * self._frames.size, owner)
        self._upsampling: Optional[MaskUpsampling] = None
        if output.dtype != np.float32:
            _require(output.shape[1:] == frame_size, f"masks of N x {frame_size}", output.shape)
            return
        self._confidence = device.allocate_pinned((max_batch, *frame_size), owner)
        self._confidence_address = device.allocate(self._confidence.nbytes, owner)
        self._logits_shape = output.shape[1:]
        self._logits_address = device.allocate(4 * max_batch * int(np.prod(self._logits_shape)), owner)
        self._addresses[output.name] = self._logits_address
        _require(output.shape[1:-2] == (classes,), f"logits of N x {classes} x h x w", output.shape)
        logits_size = (output.shape[-2], output.shape[-1])
        self._upsampling = MaskUpsampling(
            device, owner, self._stream, classes=classes, logits_size=logits_size, frame_size=frame_size
        )

    def run(self, frames: Sequence[np.ndarray], *, confidence: bool = False) -> List[Segmentation]:
        """The masks of 1 to `max_batch` H x W x 3 uint8 frames, and the confidence, which needs a plan to LOGITS.

        Raises:
            ModelError: the logits of the first batch are not finite; later batches are not checked, to save the copy.
            RuntimeError: the GPU or TensorRT fails.
        """
        self._prepare(len(frames))
        for place, frame in zip(self._frames, frames):
            np.copyto(place, frame)
        self._graph_of("confidence" if confidence else "mask", lambda: self._enqueue(confidence))()
        self._device.synchronize(self._stream)
        if self._batch not in self._has_run:
            self._require_finite_logits()
            self._has_run.add(self._batch)
            self._plan.keep_compiled_kernels()
        return [
            Segmentation(self._masks[i].copy(), self._confidence[i].copy() if confidence else None)
            for i in range(self._batch)
        ]

    def last_logits(self) -> Optional[np.ndarray]:
        """A copy of the last batch's logits, N x classes x h x w float32; None where the plan itself upsamples."""
        if self._upsampling is None or not self._batch:
            return None
        logits = np.empty((self._batch, *self._logits_shape), np.float32)
        self._device.download(logits, self._logits_address, self._stream)
        self._device.synchronize(self._stream)
        return logits

    def _require_finite_logits(self) -> None:
        if self._has_finite_logits:
            return
        logits = self.last_logits()
        self._has_finite_logits = logits is None or bool(np.isfinite(logits).all())
        if not self._has_finite_logits:  # the mask would be of the first class alone
            raise ModelError(
                "the logits are not finite: use precision fp32; if they are not finite there, too, the training "
                "diverged, or the file is damaged"
            )

    def stage_milliseconds(self, frame: np.ndarray, *, network: float) -> Dict[str, float]:
        """How long each stage of one frame takes, run one by one, each as a graph where there are graphs.

        Without them, a fast GPU would wait for the CPU to launch a stage's kernels.

        Args:
            network: milliseconds of the network alone; the rest of the plan's time is resizing.
        """
        self._prepare(1)
        if 1 not in self._has_run:
            self.run([frame])
        steps = [(name, self._graph_of(name, step)) for name, step in self._steps(confidence=False)]
        with ExitStack() as owner:
            events = [self._device.create_event(owner) for _ in range(len(steps) + 1)]
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
            times = [self._device.elapsed(*pair) for pair in zip(events, events[1:])]
        stages = {"copy into pinned memory": 1000 * (copied - start)}
        for (name, _), milliseconds in zip(steps, times):
            if name == PLAN:
                stages["resize" if self._upsampling else "resize and upsampling"] = max(0.0, milliseconds - network)
                stages["network"] = min(network, milliseconds)
            else:
                stages[name] = milliseconds
        stages["copy out of pinned memory"] = 1000 * (end - done)
        return stages

    def close(self) -> None:
        """Frees everything on the GPU, the plan too; a second call does nothing."""
        self._batch = 0
        self._owner.close()

    def _prepare(self, batch: int) -> None:
        self._batch = batch
        if not self._plan.prepare(batch, self._stream):
            self._close_graphs()
            self._has_run.discard(batch)

    def _close_graphs(self) -> None:
        self._graphs.clear()
        self._graph_owner.close()

    def _graph_of(self, name: str, enqueue: Launch) -> Launch:
        """What launches the graph of `enqueue` for this batch size, or `enqueue` itself where there is none."""
        if self._batch not in self._has_run:  # TensorRT allocates memory in its first run, which a graph cannot record
            return enqueue
        key = (self._batch, name)
        if key not in self._graphs:
            self._graphs[key] = capture(self._device, self._plan, self._stream, enqueue, self._graph_owner)
        return self._graphs[key]

    def _steps(self, confidence: bool) -> Steps:
        """The steps of a batch, in order; each puts its work on the stream."""
        device, stream, batch = self._device, self._stream, self._batch
        frames, masks = self._frames[:batch], self._masks[:batch]
        steps: Steps = [("copy to device", lambda: device.upload(self._frames_address, frames, stream))]
        if self._takes_floats:
            floats, count = self._addresses[self._plan.inputs[0].name], frames.size
            steps.append(("to float", lambda: bytes_to_floats(device, self._frames_address, floats, count, stream)))
        steps.append((PLAN, lambda: self._plan.enqueue(self._addresses, stream)))
        if self._upsampling:
            certain = self._confidence_address if confidence else 0
            addresses = (self._logits_address, self._masks_address, certain)
            enqueue = self._upsampling.enqueue
            steps.append(("upsampling", lambda: enqueue(*addresses, stream, frames=batch)))
        steps.append(("copy to host", lambda: device.download(masks, self._masks_address, stream)))
        if confidence:
            confidences = self._confidence[:batch]
            steps.append(("copy to host", lambda: device.download(confidences, self._confidence_address, stream)))
        return steps

    def _enqueue(self, confidence: bool) -> None:
        for _, step in self._steps(confidence):
            step()


def capture(device: CudaDevice, plan: Plan, stream: int, enqueue: Launch, owner: ExitStack) -> Launch:
    """What launches the graph of `enqueue`, or `enqueue` itself where its work cannot be captured."""
    if not plan.is_capturable(stream):
        logger.debug("frames run without a CUDA graph: TensorRT says that the plan cannot be captured")
        return enqueue
    try:
        return device.capture(stream, enqueue, owner)
    except NotImplementedError as error:
        logger.debug("frames run without a CUDA graph: %s", error)
    except RuntimeError as error:
        logger.warning("frames run without a CUDA graph, which may be slower: %s", error)
    return enqueue


class NetworkTimer:
    """Times a plan of the network alone, batch 1, so that the resizing around it can be told apart.

    The image is noise, since a GPU may compute zeros faster. It is copied each time, like a frame. The plan is closed
    with the timer.
    """

    def __init__(self, device: CudaDevice, plan: Plan) -> None:
        self._device = device
        (image,), (logits,) = plan.inputs, plan.outputs
        with ExitStack() as owner:
            owner.callback(plan.close)
            self._stream = device.create_stream(owner)
            self._addresses = {
                tensor.name: device.allocate(4 * int(np.prod(tensor.shape)), owner) for tensor in (image, logits)
            }
            self._image_address = self._addresses[image.name]
            noise = np.random.default_rng(0).standard_normal(image.shape, dtype=np.float32)
            self._image = device.allocate_pinned((noise.nbytes,), owner)
            self._image[:] = noise.reshape(-1).view(np.uint8)
            self._events = device.create_event(owner), device.create_event(owner)
            if plan.workspace_size:
                plan.workspace = device.allocate(plan.workspace_size, owner)
            plan.prepare(1, self._stream)
            run = partial(plan.enqueue, self._addresses, self._stream)
            run()  # before it is captured, as with frames
            device.synchronize(self._stream)
            self._launch = capture(device, plan, self._stream, run, owner)
            self._owner = owner.pop_all()

    def milliseconds(self) -> float:
        """How long one run takes on the GPU."""
        begin, end = self._events
        self._device.upload(self._image_address, self._image, self._stream)
        self._device.record(begin, self._stream)
        self._launch()
        self._device.record(end, self._stream)
        self._device.synchronize(self._stream)
        return self._device.elapsed(begin, end)

    def close(self) -> None:
        """Frees everything on the GPU, the plan too; a second call does nothing."""
        self._owner.close()


def _require(condition: bool, expected: str, got: Tuple[int, ...]) -> None:
    if not condition:
        raise ModelError(f"expected a plan that returns {expected}, got {got}; export the model again")
