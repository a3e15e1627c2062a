# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's augmentation: random scale, random crop, horizontal flip; and photometric jitter."""

import math
from dataclasses import dataclass
from typing import Any, Sequence

import cv2
import numpy as np

from bisenet_ros.model.class_map import IGNORE

GRAY_OF_BGR = np.array([0.114, 0.587, 0.299])
"""How much of blue, green and red is in gray, by ITU-R BT.601, as in OpenCV."""


@dataclass(frozen=True)
class PhotometricJitter:
    """Varies the colors of an image; each factor is drawn from 1 - x to 1 + x.

    Attributes:
        brightness: of the factor of every pixel.
        contrast: of the factor of a pixel's distance to the image's mean.
        saturation: of the factor of a pixel's distance to its own gray.
        channel_gain: of the factors of blue, green and red, one each.
        noise: the largest standard deviation of noise that is added to every value, as a share of 255.
    """

    brightness: float = 0.0
    contrast: float = 0.0
    saturation: float = 0.0
    channel_gain: float = 0.0
    noise: float = 0.0

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Varies the colors of an image, H x W x 3 uint8 BGR; draws from `rng`."""
        if any((self.brightness, self.contrast, self.saturation, self.channel_gain)):
            image = self._recolored(image, rng)
        return self._noisy(image, rng) if self.noise else image

    def _recolored(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        brightness, contrast, saturation = (
            rng.uniform(1 - spread, 1 + spread) for spread in (self.brightness, self.contrast, self.saturation)
        )
        gains = brightness * rng.uniform(1 - self.channel_gain, 1 + self.channel_gain, 3)
        mean = np.mean(gains * cv2.mean(image)[:3])
        # All three are linear: one matrix, and an offset, for every pixel.
        mix = saturation * np.eye(3) + (1 - saturation) * GRAY_OF_BGR
        return cv2.transform(image, np.column_stack([contrast * mix * gains, np.full(3, (1 - contrast) * mean)]))

    def _noisy(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        deviation = rng.uniform(0, 255 * self.noise)
        cv2.setRNGSeed(int(rng.integers(2**31)))  # of this thread; OpenCV draws in a third of numpy's time
        noise = cv2.randn(np.empty(image.shape, np.float32), np.zeros(3), np.full(3, deviation))
        return cv2.add(image, noise, dtype=cv2.CV_8U)


@dataclass(frozen=True)
class Augment:
    """Random scale, crop, flip and colors.

    Attributes:
        scales: one is drawn for each image.
        scale_range: (smallest, largest), drawn log-uniformly in place of `scales`; None draws from `scales`.
        crop: (height, width); smaller images are padded with the mean color and id 255.
        resize: (height, width) that the crop is resized to, as for Cityscapes; None keeps it.
        target_size: (height, width) that targets are resized to, by the nearest pixel; None is the image's size.
        flip: mirror every second image.
        jitter: how much the colors vary.
        mean: of RGB in 0 to 1; the color that small images are padded with.
        frame_size: (height, width); scales count from a frame shrunk or enlarged to as many pixels, so that the
            frames of different cameras are of one scale. None: they count from the frame as it is.
    """

    scales: Sequence[float]
    scale_range: Sequence[float] | None
    crop: Sequence[int]
    resize: Sequence[int] | None
    target_size: Sequence[int] | None
    flip: bool
    jitter: PhotometricJitter
    mean: Sequence[float]
    frame_size: Sequence[int] | None = None

    def __call__(
        self, image: np.ndarray, target: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Augments an image, H x W x 3 uint8 BGR, and its target, H x W uint8; draws from `rng`.

        The sizes are that of the crop, or those of `resize` and `target_size`.
        """
        image, target = self._scaled_crop(image, target, self._scale(rng) * self._zoom(target.shape), rng)
        image, target = pad_frame(image, self.crop, mean=self.mean), pad_target(target, self.crop)
        if self.resize:
            image = resize_image(image, self.resize)
        target_size = self.target_size or self.resize
        if target_size:
            target = resize_target(target, target_size)
        if self.flip and rng.random() < 0.5:
            image, target = image[:, ::-1], target[:, ::-1]
        return self.jitter(image, rng), target

    def _scale(self, rng: np.random.Generator) -> float:
        if self.scale_range is None:
            return float(rng.choice(self.scales))
        return float(np.exp(rng.uniform(*np.log(self.scale_range))))

    def _zoom(self, size: Sequence[int]) -> float:
        """The scale that gives a frame of this height and width as many pixels as `frame_size`."""
        return math.sqrt(math.prod(self.frame_size) / math.prod(size)) if self.frame_size else 1.0

    def _scaled_crop(
        self, image: np.ndarray, target: np.ndarray, scale: float, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """The crop of the scaled image, without scaling what is cut off."""
        windows, size = [], []
        for have, want in zip(target.shape, self.crop):
            length = min(have, max(1, round(want / scale)))
            start = int(rng.integers(have - length + 1))
            windows.append(slice(start, start + length))
            size.append(min(want, max(1, round(have * scale))))
        image, target = image[tuple(windows)], target[tuple(windows)]
        if tuple(size) == target.shape:
            return image, target
        return resize_image(image, size), resize_target(target, size)


def pad_frame(frame: np.ndarray, size: Sequence[int], *, mean: Sequence[float]) -> np.ndarray:
    """Pads a frame at the bottom and the right to at least `size` (height, width), with the mean color.

    H x W x 3 BGR to the same; `mean` is of RGB in 0 to 1.
    """
    return _pad(frame, size, value=[255 * channel for channel in reversed(mean)])


def pad_target(target: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Pads H x W train ids as `pad_frame` does, with 255, which is ignored."""
    return _pad(target, size, value=IGNORE)


def _pad(pixels: np.ndarray, size: Sequence[int], *, value: Any) -> np.ndarray:
    bottom, right = (max(0, want - have) for want, have in zip(size, pixels.shape))
    if not bottom and not right:
        return pixels
    return cv2.copyMakeBorder(pixels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=value)


def resize_image(image: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resizes an image, H x W x 3, bilinearly to `size` (height, width)."""
    return cv2.resize(image, (size[1], size[0]), interpolation=cv2.INTER_LINEAR)


def resize_target(target: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Resizes H x W train ids to `size` (height, width), by the pixel whose center is nearest.

    OpenCV's INTER_NEAREST would move them against the image, by half a pixel at most scales.
    """
    return cv2.resize(target, (size[1], size[0]), interpolation=cv2.INTER_NEAREST_EXACT)
