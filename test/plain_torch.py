# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The definition of a mask in plain torch, which every engine is compared with."""

from __future__ import annotations

from typing import Tuple

import numpy as np
import torch
from torch.nn import functional as F

from bisenet_ros.model.model_card import ModelCard


def plain_torch_logits(
    network: torch.nn.Module, card: ModelCard, frame: np.ndarray, network_size: Tuple[int, int]
) -> torch.Tensor:
    """Resize, normalize, network, upsample x8 and to the frame's size: classes x H x W. Its argmax is the mask.

    Args:
        network: N x 3 x h x w normalized RGB to N x classes x h/8 x w/8.
        frame: H x W x 3 uint8 BGR.
        network_size: (h, w).
    """
    rgb = torch.from_numpy(frame[..., ::-1].astype(np.float32)).permute(2, 0, 1)[None] / 255
    rgb = F.interpolate(rgb, size=network_size, mode="bilinear")
    mean, std = (torch.tensor(values).view(3, 1, 1) for values in (card.mean, card.std))
    with torch.no_grad():
        logits = network((rgb - mean) / std)
    logits = F.interpolate(logits, scale_factor=8, mode="bilinear")
    return F.interpolate(logits, size=frame.shape[:2], mode="bilinear")[0]
