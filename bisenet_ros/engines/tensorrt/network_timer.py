"""Times the network alone on the GPU, so that the resizing around it can be told apart."""

from contextlib import ExitStack

import numpy as np

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.tensorrt.plan import Plan


class NetworkTimer:
    """Runs a plan of the network alone, from a normalized image to the logits. Created, used and closed on one thread.

    The image is noise, since a GPU may compute zeros faster. It is copied each time, like a frame: the plan is put on
    the stream during the copy, so that the CPU's time for that is not measured.
    """

    def __init__(self, device: CudaDevice, plan: Plan) -> None:
        """
        Args:
            plan: of "image" to logits, batch 1; closed with the timer.

        Raises:
            RuntimeError: the GPU has no memory left.
        """
        self._device = device
        self._plan = plan
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
            plan.prepare(1)
            self._owner = owner.pop_all()

    def milliseconds(self) -> float:
        """How long one run takes on the GPU.

        Raises:
            RuntimeError: CUDA or TensorRT failed.
        """
        begin, end = self._events
        self._device.upload(self._image_address, self._image, self._stream)
        self._device.record(begin, self._stream)
        self._plan.enqueue(self._addresses, self._stream)
        self._device.record(end, self._stream)
        self._device.synchronize(self._stream)
        return self._device.elapsed(begin, end)

    def close(self) -> None:
        """Frees everything on the GPU, the plan too; a second call does nothing."""
        self._owner.close()
