# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The fused passes before and after the network, against plain torch."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.cpu.preprocess import normalize_frame

# logits at 1/8 of the network's size, and the frame's size
SIZES = [
    ((64, 128), (1024, 2048)),
    ((39, 69), (720, 1280)),
    ((45, 60), (360, 480)),
    ((60, 80), (479, 641)),
    ((4, 4), (5, 7)),
]


def plain_upsampling(logits: np.ndarray, size) -> torch.Tensor:
    """The definition, with a plane for every class."""
    height, width = logits.shape[1:]
    x8 = F.interpolate(torch.from_numpy(logits)[None], size=(8 * height, 8 * width), mode="bilinear")
    return F.interpolate(x8, size=size, mode="bilinear")[0]


@pytest.mark.parametrize("logits_size, frame_size", SIZES)
@pytest.mark.parametrize("classes", [1, 2, 19])
def test_masks_agree_with_torch(logits_size, frame_size, classes):
    logits = np.random.default_rng(0).standard_normal((classes, *logits_size), dtype=np.float32)
    mask = upsample_logits(logits, frame_size).mask
    expected = plain_upsampling(logits, frame_size).argmax(0).numpy()
    assert mask.dtype == np.uint8 and mask.shape == frame_size
    assert np.mean(mask == expected) >= 0.9999


def test_ties_go_to_the_lower_id():
    logits = np.zeros((5, 8, 8), np.float32)
    logits[2] = logits[4] = 1
    assert (upsample_logits(logits, (64, 64)).mask == 2).all()


@pytest.mark.parametrize("logits_size, frame_size", SIZES)
def test_confidence_is_the_softmax_probability(logits_size, frame_size):
    logits = 4 * np.random.default_rng(1).standard_normal((11, *logits_size), dtype=np.float32)
    mask, confidence = upsample_logits(logits, frame_size, confidence=True)
    expected = 255 * plain_upsampling(logits, frame_size).softmax(0).max(0).values.numpy()
    assert np.array_equal(mask, upsample_logits(logits, frame_size).mask)
    assert np.abs(confidence - expected).max() <= 1.5
    assert abs((confidence - expected).mean()) < 0.3, "rounded, not cut off"


@pytest.mark.parametrize(
    "frame_size, network_size",
    [((1024, 2048), (512, 1024)), ((720, 1280), (320, 544)), ((360, 480), (360, 480)), ((479, 641), (480, 640))],
)
def test_normalized_frame_agrees_with_torch(frame_size, network_size):
    frame = np.random.default_rng(2).integers(0, 256, (*frame_size, 3), dtype=np.uint8)
    mean, std = (0.1, 0.2, 0.3), (0.9, 0.8, 0.7)
    rgb = torch.from_numpy(frame[..., ::-1].astype(np.float32)).permute(2, 0, 1)[None] / 255
    expected = F.interpolate(rgb, size=network_size, mode="bilinear")
    expected = (expected - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1)
    image = normalize_frame(frame, network_size, mean=mean, std=std)
    assert image.dtype == np.float32 and image.shape == expected.shape
    # torch places its samples in float32; what that makes is a tenth of a gray level at most.
    assert np.abs(image - expected.numpy()).max() < 0.1 / 255 / min(std)


def test_padded_rows_are_left_out():
    padded = np.random.default_rng(3).integers(0, 256, (48, 70, 3), dtype=np.uint8)
    view = padded[:, :64]
    options = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    assert np.array_equal(normalize_frame(view, (48, 64), **options), normalize_frame(view.copy(), (48, 64), **options))
