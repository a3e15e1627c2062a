# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Our own kernels on the GPU: mask_upsampling.cu after the network, bytes_to_floats.cu before an older TensorRT."""

from contextlib import ExitStack
from typing import List

import numpy as np

from bisenet_ros.engines.bilinear import two_step_taps
from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.model.input_size import STRIDE, Size

ROWS = 8
"""Pixels of a column per thread, as mask_upsampling.cu has it."""
THREADS = 128
"""Threads of a block."""


class MaskUpsampling:
    """From logits of one size to masks of one size, in one pass on the GPU, computed as in `upsample_logits`."""

    def __init__(
        self, device: CudaDevice, owner: ExitStack, stream: int, *, classes: int, logits_size: Size, frame_size: Size
    ) -> None:
        """
        Args:
            owner: frees the device's memory when it is closed.
            stream: of the copies of its tables, which are done when this returns.
            logits_size, frame_size: (height, width).
        """
        self._device = device
        self._kernel = device.kernel("mask_upsampling")
        self._sizes = [np.int32(size) for size in (classes, *logits_size, *frame_size)]
        self._grid = (-(-frame_size[1] // THREADS), -(-frame_size[0] // ROWS))
        self._taps: List[np.uint64] = []
        for size_in, size_out in zip(logits_size, frame_size):
            for array in two_step_taps(size_in, STRIDE * size_in, size_out):
                address = device.allocate(array.nbytes, owner)
                device.upload(address, array, stream)
                device.synchronize(stream)
                self._taps.append(np.uint64(address))

    def enqueue(self, logits: int, mask: int, confidence: int, stream: int, *, frames: int = 1) -> None:
        """Puts the pass on a stream.

        Args:
            logits: address of frames x classes x h x w float32.
            mask: address of frames x height x width uint8, which is written.
            confidence: likewise, or 0 if it is not asked for.
        """
        ends = [np.uint64(address) for address in (mask, confidence)]
        arguments: List[np.generic] = [np.uint64(logits), *self._taps, *ends, *self._sizes]
        self._device.launch(self._kernel, (*self._grid, frames), (THREADS, 1, 1), arguments, stream)


def bytes_to_floats(device: CudaDevice, source: int, target: int, count: int, stream: int) -> None:
    """Puts the conversion of `count` uint8 at `source` to float32 at `target` on a stream."""
    arguments: List[np.generic] = [np.uint64(source), np.uint64(target), np.int32(count)]
    device.launch(device.kernel("bytes_to_floats"), (-(-count // THREADS), 1, 1), (THREADS, 1, 1), arguments, stream)
