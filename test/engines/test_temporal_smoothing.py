# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Temporal smoothing: what flickers is averaged, what moves is followed, what is new is taken as new."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from bisenet_ros.engines import load_engine
from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.engines.cpu.temporal_smoothing import TemporalSmoothing
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.evaluation.temporal_consistency import TemporalConsistency
from bisenet_ros.images.image_file import read_image
from bisenet_ros.images.label_file import read_label_file
from demo.clip import FOLDER, frame_ids

CLASSES, HEIGHT, WIDTH = 4, 24, 32
PERIOD = 1 / 15


def texture(shift: int = 0) -> np.ndarray:
    """A frame with something for the flow to hold on to, moved to the right by so many cells of the logits."""
    noise = np.random.default_rng(0).integers(0, 256, (HEIGHT * 8, WIDTH * 8 + 400), np.uint8)
    smooth = cv2.normalize(cv2.GaussianBlur(noise, (0, 0), 9), np.empty(0), 0, 255, cv2.NORM_MINMAX)
    start = 200 - 8 * shift
    return np.repeat(smooth[:, start : start + WIDTH * 8, None], 3, axis=2)


def logits_of(ids: np.ndarray, certainty: float = 4.0) -> np.ndarray:
    return np.float32(certainty) * np.eye(CLASSES, dtype=np.float32)[ids].transpose(2, 0, 1)


def softmax(logits: np.ndarray) -> np.ndarray:
    exponentials = np.exp(logits - logits.max(axis=0))
    return exponentials / exponentials.sum(axis=0)


def uniform(class_id: int) -> np.ndarray:
    return logits_of(np.full((HEIGHT, WIDTH), class_id))


def test_the_first_frame_stays_as_it_is() -> None:
    logits = np.random.default_rng(0).standard_normal((CLASSES, HEIGHT, WIDTH)).astype(np.float32)
    smoothed = TemporalSmoothing().smooth(logits, texture(), stamp=0.0, past=0.5)
    assert smoothed.dtype == np.float32 and np.allclose(softmax(smoothed), softmax(logits), atol=1e-4)


def test_frames_without_a_past_that_can_be_used_are_counted() -> None:
    smoothing = TemporalSmoothing()
    for stamp, restarts in ((0.0, 1), (0.4, 0), (1.0, 1), (2.0, 2), (2.1, 0), (1.0, 1)):
        smoothing.smooth(uniform(0), texture(), stamp=stamp, past=0.5)
        assert smoothing.restarts == restarts


def test_probabilities_of_a_still_picture_are_averaged() -> None:
    smoothing, frame = TemporalSmoothing(), texture()
    smoothing.smooth(uniform(0), frame, stamp=0.0, past=0.6)
    smoothed = softmax(smoothing.smooth(uniform(1), frame, stamp=PERIOD, past=0.6))
    expected = 0.6 * softmax(uniform(0)) + 0.4 * softmax(uniform(1))
    inner = np.s_[:, 2:-2, 2:-2]  # of the flow, which sees no further than the frame
    assert np.allclose(smoothed[inner], expected[inner], atol=1e-3)
    assert (smoothed.argmax(axis=0) == 0).mean() > 0.9, "one deviating frame does not win"


def test_the_average_moves_with_the_picture() -> None:
    left = np.zeros((HEIGHT, WIDTH), int)
    left[8:16, 8:14] = 2
    moved, shift = np.roll(left, 3, axis=1), 3
    smoothing = TemporalSmoothing()
    smoothing.smooth(logits_of(left), texture(), stamp=0.0, past=0.7)
    uncertain = logits_of(moved, certainty=0.5)
    mask = smoothing.smooth(uncertain, texture(shift), stamp=PERIOD, past=0.7).argmax(axis=0)
    assert (mask == moved)[:, 5:-5].mean() > 0.97
    still = smoothing_without_flow(logits_of(left), uncertain)
    assert (still.argmax(axis=0) == moved)[:, 5:-5].mean() < 0.95, "an average in place would lag behind"


def smoothing_without_flow(before: np.ndarray, now: np.ndarray) -> np.ndarray:
    return 0.7 * softmax(before) + 0.3 * softmax(now)


def test_where_the_picture_has_changed_the_past_is_not_used() -> None:
    frame, changed = texture(), texture()
    changed[64:128, 96:160] = 255 - changed[64:128, 96:160] // 4
    smoothing = TemporalSmoothing()
    smoothing.smooth(uniform(0), frame, stamp=0.0, past=0.9)
    mask = smoothing.smooth(uniform(1), changed, stamp=PERIOD, past=0.9).argmax(axis=0)
    assert (mask[9:15, 13:19] == 1).all() and (mask[:, :8] == 0).mean() > 0.9


@pytest.mark.parametrize("stamp", [10.6, 9.9], ids=["a gap", "a step back"])
def test_a_gap_or_a_step_back_begins_again(stamp: float) -> None:
    smoothing, frame = TemporalSmoothing(), texture()
    smoothing.smooth(uniform(0), frame, stamp=10.0, past=0.9)
    assert (smoothing.smooth(uniform(1), frame, stamp=stamp, past=0.9).argmax(axis=0) == 1).all()


def test_another_size_begins_again() -> None:
    smoothing = TemporalSmoothing()
    smoothing.smooth(uniform(0), texture(), stamp=0.0, past=0.9)
    smaller = logits_of(np.ones((HEIGHT // 2, WIDTH), int))
    assert (smoothing.smooth(smaller, texture(), stamp=PERIOD, past=0.9).argmax(axis=0) == 1).all()


@pytest.mark.parametrize("height, width", [(8, 40), (12, 208), (4, 4), (1, 1), (16, 200)])
def test_flat_and_small_pictures_do_no_harm(height: int, width: int) -> None:
    """OpenCV's flow crashes on pictures of less than 32 pixels a side."""
    smoothing, rng = TemporalSmoothing(), np.random.default_rng(0)
    for number in range(4):
        frame = rng.integers(0, 256, (height * 16, width * 16, 3), dtype=np.uint8)
        logits = rng.standard_normal((CLASSES, height, width)).astype(np.float32)
        smoothed = smoothing.smooth(logits, frame, stamp=number * PERIOD, past=0.5)
        assert smoothed.shape == logits.shape and np.isfinite(smoothed).all()


def test_on_a_noisy_clip_a_fifth_less_flickers_and_no_miou_is_lost(shipped_model: Path) -> None:
    """The shipped model was trained on this clip; strong noise makes its masks flicker as those of other roads do."""
    rng = np.random.default_rng(0)
    engine = load_engine(shipped_model, device="cpu", precision="fp32", network_size="320x240")
    smoothing = TemporalSmoothing()
    classes = len(engine.card.classes)
    confusions = {past: np.zeros((classes, classes), np.int64) for past in (False, True)}
    consistency = {past: TemporalConsistency(classes) for past in (False, True)}
    changes = {past: np.zeros(2, np.int64) for past in (False, True)}
    for number, frame_id in enumerate(frame_ids()[:30]):
        image = read_image(FOLDER / "images" / f"{frame_id}.jpg")
        frame = np.clip(image + rng.normal(0, 30, image.shape), 0, 255).astype(np.uint8)
        ground_truth = read_label_file(FOLDER / "labels" / f"{frame_id}.png")
        logits = engine.frame_logits(frame, engine.network_size(*frame.shape[:2])).copy()
        smoothed = smoothing.smooth(logits, frame, stamp=number * PERIOD, past=0.3)
        for past, chosen in ((False, logits), (True, smoothed)):
            mask = upsample_logits(chosen, frame.shape[:2]).mask
            confusions[past] += confusion_matrix(ground_truth, mask, classes=classes)
            change = consistency[past].compare(frame, mask, stamp_ns=round(number * PERIOD * 1e9))
            changes[past] += np.sum([row[1:] for row in change or []], axis=0, dtype=np.int64)
    changed = {past: counts[1] / counts[0] for past, counts in changes.items()}
    assert changed[True] < 0.8 * changed[False]
    assert mean_iou(confusions[True]) >= mean_iou(confusions[False]) - 0.003
