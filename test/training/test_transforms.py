"""Augmentation: image and labels stay together, draws follow the generator, every option does what it says."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from bisenet_training.data.transforms import Augment, ToTensor  # noqa: E402

TO_GRAY = ToTensor(mean=(0, 0, 0), std=(1 / 255,) * 3)  # tensors hold 0 to 255


def augment(*, scales=(1.0,), crop=(64, 96), resize=None, flip=False, color_jitter=0.0) -> Augment:
    return Augment(scales=scales, crop=crop, resize=resize, flip=flip, color_jitter=color_jitter, then=TO_GRAY)


def frame_of_blocks() -> tuple:
    """An image that shows each pixel's label as its gray value."""
    labels = np.kron(np.random.default_rng(0).integers(0, 11, (9, 12)), np.ones((40, 40))).astype(np.uint8)
    return np.repeat(labels[..., None], 3, axis=2), labels


@pytest.mark.parametrize("resize, shape", [(None, (240, 320)), ((120, 160), (120, 160))])
def test_image_and_labels_move_together(resize, shape):
    moving = augment(scales=[0.5, 1.0, 2.0], crop=(240, 320), resize=resize, flip=True)
    rng = np.random.default_rng(0)
    for _ in range(20):
        pixels, truth = moving(*frame_of_blocks(), rng)
        assert pixels.shape == (3, *shape) and truth.shape == shape
        labeled = truth != 255
        assert torch.mean((pixels[0].round() == truth)[labeled].float()) > 0.9


def test_draws_follow_the_generator():
    moving = augment(scales=[0.5, 1.0, 2.0], flip=True, color_jitter=0.2)
    first, again, other = (
        torch.stack([moving(*frame_of_blocks(), rng)[0] for rng in [np.random.default_rng(seed)] for _ in range(4)])
        for seed in (1, 1, 2)
    )
    assert torch.equal(first, again) and not torch.equal(first, other)


def test_a_small_image_is_padded_with_the_ignored_label():
    image, labels = np.full((32, 32, 3), 9, np.uint8), np.full((32, 32), 9, np.uint8)
    pixels, truth = augment()(image, labels, np.random.default_rng(0))
    assert (truth == 9).sum() == 32 * 32 and (truth == 255).sum() == 64 * 96 - 32 * 32
    assert (pixels[:, truth == 255] == 0).all(), "the mean color"


def test_half_the_images_are_mirrored():
    image, labels = np.zeros((64, 96, 3), np.uint8), np.tile(np.arange(96, dtype=np.uint8), (64, 1))
    rng = np.random.default_rng(0)
    mirrored = sum(int(augment(flip=True)(image, labels, rng)[1][0, 0] == 95) for _ in range(200))
    assert 70 < mirrored < 130


def test_jitter_changes_colors_within_its_share_and_no_label():
    image, labels = np.full((64, 96, 3), 100, np.uint8), np.ones((64, 96), np.uint8)
    rng = np.random.default_rng(0)
    seen = [augment(color_jitter=0.2)(image, labels, rng) for _ in range(50)]
    grays = [float(pixels.mean()) for pixels, _ in seen]
    assert 79 <= min(grays) < 90 and 110 < max(grays) <= 120
    assert all((truth == 1).all() for _, truth in seen)
