"""The paper's augmentation: random scale from a list, random crop, horizontal flip; then tensors."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Sequence, Tuple

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
    """Random scale, crop and flip, then `then`; drawn from torch's generator, so that workers differ and seeds hold.

    Attributes:
        scales: one is drawn for each image.
        crop: (height, width); smaller images are padded with the mean colour and label 255.
        flip: mirror every second image.
    """

    scales: Sequence[float]
    crop: Tuple[int, int]
    flip: bool
    then: ToTensor

    def __call__(self, image: np.ndarray, labels: np.ndarray) -> Tuple[torch.Tensor, torch.Tensor]:
        rng = np.random.default_rng(int(torch.randint(2**31, ())))
        image, labels = self._scale(image, labels, rng.choice(self.scales))
        image, labels = self._crop(*self._pad(image, labels), rng)
        if self.flip and rng.random() < 0.5:
            image, labels = image[:, ::-1], labels[:, ::-1]
        return self.then(image, labels)

    @staticmethod
    def _scale(image: np.ndarray, labels: np.ndarray, scale: float) -> Tuple[np.ndarray, np.ndarray]:
        if scale == 1:
            return image, labels
        size = (round(image.shape[1] * scale), round(image.shape[0] * scale))
        return (
            cv2.resize(image, size, interpolation=cv2.INTER_LINEAR),
            cv2.resize(labels, size, interpolation=cv2.INTER_NEAREST),
        )

    def _pad(self, image: np.ndarray, labels: np.ndarray) -> Tuple[np.ndarray, np.ndarray]:
        bottom = max(0, self.crop[0] - image.shape[0])
        right = max(0, self.crop[1] - image.shape[1])
        if not bottom and not right:
            return image, labels
        mean_bgr = [255 * channel for channel in reversed(self.then.mean)]
        image = cv2.copyMakeBorder(image, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=mean_bgr)
        labels = cv2.copyMakeBorder(labels, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=IGNORE)
        return image, labels

    def _crop(self, image: np.ndarray, labels: np.ndarray, rng: np.random.Generator) -> Tuple[np.ndarray, np.ndarray]:
        top, left = (rng.integers(have - want + 1) for have, want in zip(labels.shape, self.crop))
        window = slice(top, top + self.crop[0]), slice(left, left + self.crop[1])
        return image[window], labels[window]
