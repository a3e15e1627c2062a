# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A network with all that is done to a frame around it, in plain torch on one device."""

from functools import partial
from typing import Callable, Dict, Sequence

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from bisenet_ros.model.input_size import STRIDE, Size
from bisenet_ros.model.model_card import ModelCard


def has_gpu() -> bool:
    """Whether torch finds a GPU that it can use."""
    return torch.cuda.is_available()


class FrameNetwork:
    """From a frame to its mask, as docs/architecture.md says under "How a frame becomes a mask".

    Nothing is compiled. Convolutions of fp32 are computed in fp32, not in TF32, by cuDNN's fastest algorithm.

    Attributes:
        description: PyTorch, the device and the precision, human-readable.

    Args:
        network: 1 x 3 x h x w normalized RGB to 1 x classes x h/8 x w/8 logits; it is moved to the device.
        device: "cpu" or "cuda".
        half: the network computes in fp16; all around it is fp32.
    """

    def __init__(self, network: nn.Module, card: ModelCard, *, device: str, half: bool = False) -> None:
        where = torch.cuda.get_device_name() if device == "cuda" else "CPU"
        self.description = f"PyTorch {torch.__version__}, {where}, {'fp16' if half else 'fp32'}"
        self._on_gpu = device == "cuda"
        self._type = torch.float16 if half else torch.float32
        self._network = network.eval().to(device=device, dtype=self._type)
        self._mean, self._std = (torch.tensor(values, device=device).view(3, 1, 1) for values in (card.mean, card.std))

    def steps(self, frame_size: Size, network_size: Size) -> Dict[str, Callable]:
        """The stages of a frame by name, in order; on the CPU nothing is copied.

        The first takes H x W x 3 uint8 BGR, each other one what that before it gives, the last gives H x W uint8.
        """
        before, after = partial(self._normalize, size=network_size), partial(self._mask, size=frame_size)
        if not self._on_gpu:
            return {
                "before": lambda frame: before(self._upload(frame)),
                "network": self._logits,
                "after": lambda logits: after(logits).numpy(),
            }
        return {
            "copy to device": self._upload,
            "before": before,
            "network": self._logits,
            "after": after,
            "copy to host": lambda mask: mask.cpu().numpy(),
        }

    def wait(self) -> None:
        """Until the device has done what was asked of it."""
        if self._on_gpu:
            torch.cuda.synchronize()

    def _upload(self, frame: np.ndarray) -> Tensor:
        return torch.from_numpy(np.ascontiguousarray(frame)).to(self._mean.device)

    @torch.inference_mode()
    def _normalize(self, frame: Tensor, *, size: Sequence[int]) -> Tensor:
        rgb = frame.flip(-1).permute(2, 0, 1)[None].float() / 255
        return (F.interpolate(rgb, size=size, mode="bilinear") - self._mean) / self._std

    @torch.inference_mode()
    def _logits(self, image: Tensor) -> Tensor:
        with torch.backends.cudnn.flags(enabled=True, benchmark=True, allow_tf32=False):
            return self._network(image.to(self._type)).float()

    @torch.inference_mode()
    def _mask(self, logits: Tensor, *, size: Sequence[int]) -> Tensor:
        logits = F.interpolate(logits, scale_factor=STRIDE, mode="bilinear")
        return F.interpolate(logits, size=size, mode="bilinear")[0].argmax(dim=0).to(torch.uint8)
