"""The paper's augmentation: random scale from a list, random crop, horizontal flip; colour jitter; then tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Optional, Sequence, Tuple

import cv2
import numpy as np
import torch

from bisenet_ros.labels import IGNORE


@dataclass(frozen=True)
class ToTensor:
    """H x W x 3 uint8 BGR and H x W uint8 labels to 3 x H x W float32 normalised RGB and H x W int64.

    Attributes:
        mean, std: of RGB in 0 to 1, as in the model's card.
    """

    mean: Sequence[float]
    std: Sequence[float]

    def __call__(self, image: np.ndarray, labels: np.ndarray) -> Tuple[torch.Tensor, torch.Tensor]:
        rgb = image[..., ::-1].astype(np.float32) / 255
        rgb = (rgb - np.asarray(self.mean, np.float32)) / np.asarray(self.std, np.float32)
        return torch.from_numpy(rgb.transpose(2, 0, 1).copy()), torch.from_numpy(labels.astype(np.int64))


@dataclass(frozen=True)
class Augment:
    """Random scale, crop, flip and colours, then `then`.

    Attributes:
        scales: one is drawn for each image.
        crop: (height, width); smaller images are padded with the mean colour and label 255.
        resize: (height, width) that the crop is resized to, as for Cityscapes; None keeps it.
        flip: mirror every second image.
        colour_jitter: brightness, contrast and saturation are multiplied by 1 - this to 1 + this.
    """

    scales: Sequence[float]
    crop: Tuple[int, int]
    resize: Optional[Tuple[int, int]]
    flip: bool
    colour_jitter: float
    then: ToTensor

    def __call__(
        self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator
    ) -> Tuple[torch.Tensor, torch.Tensor]:
        """Draws from `rng`; the result is crop's size, or resize's where that is given."""
        image, labels = self._pad(*self._scaled_crop(image, labels, rng.choice(self.scales), rng))
        if self.resize:
            image, labels = _resize(image, labels, self.resize)
        if self.flip and rng.random() < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        if self.colour_jitter:
            image = _jitter(image, *rng.uniform(1 - self.colour_jitter, 1 + self.colour_jitter, 3))
        return self.then(image, labels)

    def _scaled_crop(
        self, image: np.ndarray, labels: np.ndarray, scale: float, rng: np.random.Generator
    ) -> Tuple[np.ndarray, np.ndarray]:
        """The crop of the scaled image, without scaling what is cut off."""
        windows, size = [], []
        for have, want in zip(labels.shape, self.crop):
            length = min(have, max(1, round(want / scale)))
            start = int(rng.integers(have - length + 1))
            windows.append(slice(start, start + length))
            size.append(min(want, max(1, round(have * scale))))
        image, labels = image[tuple(windows)], labels[tuple(windows)]
        return (image, labels) if tuple(size) == labels.shape else _resize(image, labels, (size[0], size[1]))

    def _pad(self, image: np.ndarray, labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        bottom = max(0, self.crop[0] - image.shape[0])
        right = max(0, self.crop[1] - image.shape[1])
        if not bottom and not right:
            return image, labels
        mean_bgr = [255 * channel for channel in reversed(self.then.mean)]
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=mean_bgr)
        labels = cv2.copyMakeBorder(labels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=IGNORE)
        return image, labels


def _resize(image: np.ndarray, labels: np.ndarray, size: Tuple[int, int]) -> Tuple[np.ndarray, np.ndarray]:
    height, width = size
    return (
        cv2.resize(image, (width, height), interpolation=cv2.INTER_LINEAR),
        cv2.resize(labels, (width, height), interpolation=cv2.INTER_NEAREST),
    )


def _jitter(image: np.ndarray, brightness: float, contrast: float, saturation: float) -> np.ndarray:
    """Multiplies the image, its distance to its mean, and each pixel's distance to its own grey."""
    pixels = image.astype(np.float32) * np.float32(brightness)
    pixels += np.float32(contrast - 1) * (pixels - pixels.mean())
    grey = cv2.cvtColor(pixels, cv2.COLOR_BGR2GRAY)[..., None]
    pixels += np.float32(saturation - 1) * (pixels - grey)
    return np.clip(pixels, 0, 255).astype(np.uint8)
