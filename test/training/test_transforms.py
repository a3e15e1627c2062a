# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Augmentation: image and target stay together, draws follow the generator, every option does what it says."""

from __future__ import annotations

from typing import Tuple

import cv2
import numpy as np
import pytest
from bisenet_training.data.transforms import Augment, PhotometricJitter, resize_image, resize_target

FRAME = np.random.default_rng(0).integers(60, 140, (48, 64, 3), np.uint8)


def augment(
    *,
    scales=(1.0,),
    scale_range=None,
    crop=(64, 96),
    resize=None,
    target_size=None,
    flip=False,
    frame_size=None,
    **jitter,
) -> Augment:
    return Augment(
        scales=scales,
        scale_range=scale_range,
        crop=crop,
        resize=resize,
        target_size=target_size,
        flip=flip,
        jitter=PhotometricJitter(**jitter),
        mean=(0.1, 0.2, 0.4),
        frame_size=frame_size,
    )


def frame_of_blocks() -> Tuple[np.ndarray, np.ndarray]:
    """An image whose gray values are the target's class ids."""
    target = np.kron(np.random.default_rng(0).integers(0, 11, (9, 12)), np.ones((40, 40))).astype(np.uint8)
    return np.repeat(target[..., None], 3, axis=2), target


@pytest.mark.parametrize("resize, shape", [(None, (240, 320)), ((120, 160), (120, 160))])
def test_image_and_target_move_together(resize, shape):
    moving = augment(scales=[0.5, 1.0, 2.0], crop=(240, 320), resize=resize, flip=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        pixels, target = moving(*frame_of_blocks(), rng)
        assert pixels.shape == (*shape, 3) and target.shape == shape
        labeled = target != 255
        assert np.mean((pixels[..., 0] == target)[labeled]) > 0.9


@pytest.mark.parametrize("length", [121, 151, 263, 307, 433])
def test_a_target_is_not_moved_against_its_image(length):
    """A ramp as image and as target. An odd length has no pixel that is between two, but for the one in the middle."""
    ramp = np.repeat(np.arange(200, dtype=np.uint8)[:, None], 40, axis=1)
    for frame, size in ((ramp, (length, 40)), (np.ascontiguousarray(ramp.T), (40, length))):
        image, target = resize_image(frame.astype(np.float32), size), resize_target(frame, size)
        assert image.shape == size and abs((target - image).mean()) * length / 200 < 0.01, "pixels of the target"


def test_targets_can_keep_the_crops_resolution():
    """As the loss at full resolution has them, of images at half of it."""
    frame, target = frame_of_blocks()
    half = augment(crop=target.shape, resize=(180, 240), target_size=target.shape)
    pixels, kept = half(frame, target, np.random.default_rng(0))
    assert pixels.shape == (180, 240, 3) and np.array_equal(kept, target)


def test_draws_follow_the_generator():
    moving = augment(scale_range=(0.5, 2.0), flip=True, brightness=0.2, channel_gain=0.1)
    first, again, other = (
        np.stack([moving(*frame_of_blocks(), rng)[0] for rng in [np.random.default_rng(seed)] for _ in range(4)])
        for seed in (1, 1, 2)
    )
    assert np.array_equal(first, again) and not np.array_equal(first, other)


@pytest.mark.parametrize("size", [(180, 240), (720, 960), (360, 480)])
def test_frames_of_any_size_are_brought_to_one_size_before_they_are_scaled(size):
    frame, target = frame_of_blocks()
    other = cv2.resize(target, size[::-1], interpolation=cv2.INTER_NEAREST)
    moving = augment(scales=[0.5], crop=(90, 120), frame_size=(180, 240))
    pixels, found = moving(np.repeat(other[..., None], 3, axis=2), other, np.random.default_rng(0))
    expected = cv2.resize(target, (120, 90), interpolation=cv2.INTER_NEAREST_EXACT)
    assert np.mean(found == expected) > 0.9 and np.mean(pixels[..., 0] == expected) > 0.8


def test_a_small_image_is_padded_with_the_ignored_id():
    image, ids = np.full((32, 32, 3), 9, np.uint8), np.full((32, 32), 9, np.uint8)
    pixels, target = augment()(image, ids, np.random.default_rng(0))
    assert (target == 9).sum() == 32 * 32 and (target == 255).sum() == 64 * 96 - 32 * 32
    assert np.abs(pixels[target == 255] - [102, 51, 25.5]).max() <= 0.5, "the mean color, in BGR"


def ramps(height: int, width: int) -> Tuple[np.ndarray, np.ndarray]:
    """An image whose blue and green values are the column and the row of a pixel, and a target of zeros."""
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0], image[..., 1] = np.arange(width), np.arange(height)[:, None]
    return image, np.zeros((height, width), np.uint8)


def test_scales_are_drawn_log_uniformly_from_the_range():
    """The slope of a ramp in the crop tells the scale."""
    rng = np.random.default_rng(0)
    moving = augment(scale_range=(0.5, 2.0), crop=(32, 32))
    found = []
    for _ in range(400):
        blue = moving(*ramps(200, 200), rng)[0][16, :, 0]
        found.append(29 / (float(blue[30]) - float(blue[1])))
    logs = np.log2(found)
    assert -1.2 < logs.min() < -0.9 and 0.9 < logs.max() < 1.2
    quarters = np.histogram(logs, bins=[-1.3, -0.5, 0, 0.5, 1.3])[0]
    assert (quarters > 70).all(), "as many in each half octave"


@pytest.mark.parametrize("scale", [0.9, 1.0, 1.37, 2.0])
def test_crops_lie_wholly_inside_a_frame_that_is_large_enough(scale):
    rng = np.random.default_rng(0)
    moving = augment(scales=[scale], crop=(64, 96))
    tops, lefts = [], []
    for _ in range(100):
        pixels, target = moving(*ramps(100, 140), rng)
        assert (target == 0).all(), "nothing is padded"
        tops.append(float(pixels[..., 1].min()))
        lefts.append(float(pixels[..., 0].min()))
    assert min(tops) < 3 and max(tops) > 97 - 64 / scale - 4, "every place is possible"
    assert min(lefts) < 3 and max(lefts) > 137 - 96 / scale - 4


def test_half_the_images_are_mirrored():
    image, ids = np.zeros((64, 96, 3), np.uint8), np.tile(np.arange(96, dtype=np.uint8), (64, 1))
    rng = np.random.default_rng(0)
    mirrored = sum(int(augment(flip=True)(image, ids, rng)[1][0, 0] == 95) for _ in range(200))
    assert 70 < mirrored < 130


def test_without_jitter_an_image_is_as_it_was():
    assert PhotometricJitter()(FRAME, np.random.default_rng(0)) is FRAME


def test_brightness_and_contrast_stay_within_their_shares():
    gray = np.full((8, 8, 3), 100, np.uint8)
    gray[:4] = 60
    rng = np.random.default_rng(0)
    means = [PhotometricJitter(brightness=0.3)(gray, rng).mean() for _ in range(200)]
    assert 55 <= min(means) < 62 and 98 < max(means) <= 105
    changed = [PhotometricJitter(contrast=0.25)(gray, rng).astype(int) for _ in range(200)]
    distances = [image[7, 0, 0] - image[0, 0, 0] for image in changed]
    assert 29 <= min(distances) < 33 and 47 < max(distances) <= 51
    assert all(abs(image.mean() - 80) < 1 for image in changed), "the mean stays"


def test_saturation_moves_colors_to_and_from_gray_and_leaves_gray():
    rng = np.random.default_rng(0)
    jitter = PhotometricJitter(saturation=0.4)
    color = np.full((4, 4, 3), (90, 120, 150), np.uint8)
    changed = np.array([jitter(color, rng)[0, 0] for _ in range(200)], int)
    spreads = changed[:, 2] - changed[:, 0]
    assert 35 <= spreads.min() < 42 and 78 < spreads.max() <= 85, "60 times 0.6 to 1.4"
    grays = changed @ [0.114, 0.587, 0.299]
    assert np.abs(grays - cv2.cvtColor(color, cv2.COLOR_BGR2GRAY)[0, 0]).max() < 1.5
    gray = np.full((4, 4, 3), 77, np.uint8)
    assert all((jitter(gray, rng) == 77).all() for _ in range(20))


def test_channels_have_gains_of_their_own():
    rng = np.random.default_rng(0)
    gains = np.array([PhotometricJitter(channel_gain=0.1)(FRAME, rng).mean(axis=(0, 1)) for _ in range(200)])
    gains /= FRAME.mean(axis=(0, 1))
    assert 0.89 < gains.min() < 0.92 and 1.08 < gains.max() < 1.11
    assert np.abs(np.corrcoef(gains.T) - np.eye(3)).max() < 0.25


def test_all_together_are_the_three_steps_one_after_the_other():
    """The plain computation in floats, with the factors that the generator gives."""
    options = dict(brightness=0.3, contrast=0.25, saturation=0.4, channel_gain=0.05)
    found = PhotometricJitter(**options)(FRAME, np.random.default_rng(5))
    rng = np.random.default_rng(5)
    brightness, contrast, saturation = (rng.uniform(1 - x, 1 + x) for x in (0.3, 0.25, 0.4))
    pixels = FRAME * (brightness * rng.uniform(0.95, 1.05, 3))
    pixels = pixels.mean() + contrast * (pixels - pixels.mean())
    gray = pixels @ [0.114, 0.587, 0.299]
    pixels = gray[..., None] + saturation * (pixels - gray[..., None])
    assert np.abs(found - np.clip(pixels, 0, 255)).max() <= 1
    assert np.abs(found.astype(int) - FRAME).mean() > 5, "something changed"


def test_noise_has_deviations_from_none_to_the_largest():
    rng = np.random.default_rng(0)
    gray = np.full((64, 64, 3), 120, np.uint8)
    noisy = [PhotometricJitter(noise=0.1)(gray, rng).astype(float) for _ in range(200)]
    deviations = np.array([image.std() for image in noisy])
    assert deviations.min() < 1 and 24 < deviations.max() < 26.5
    assert np.histogram(deviations, bins=4, range=(0, 26))[0].min() > 30, "as many in each quarter"
    assert all(abs(image.mean() - 120) < 1.5 for image in noisy), "the mean stays"
    planes = noisy[int(deviations.argmax())].reshape(-1, 3).T
    assert np.abs(np.corrcoef(planes) - np.eye(3)).max() < 0.1, "every value has its own"


def test_noise_follows_from_the_generator():
    gray = np.full((64, 64, 3), 120, np.uint8)
    first, again, other = (PhotometricJitter(noise=0.1)(gray, np.random.default_rng(seed)) for seed in (1, 1, 2))
    assert np.array_equal(first, again) and not np.array_equal(first, other)
