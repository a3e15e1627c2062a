# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The confusion matrix and its scores."""

from __future__ import annotations

import numpy as np
import pytest

from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix, mean_iou, pixel_accuracy


def test_scores_of_a_small_case():
    truth = np.array([[0, 0, 1], [1, 2, 255]], np.uint8)
    labels = np.array([[0, 1, 1], [1, 0, 2]], np.uint8)
    confusion = confusion_matrix(truth, labels, classes=4)
    assert confusion.tolist() == [[1, 1, 0, 0], [0, 2, 0, 0], [1, 0, 0, 0], [0, 0, 0, 0]]
    assert class_iou(confusion)[:3].tolist() == pytest.approx([1 / 3, 2 / 3, 0])
    assert np.isnan(class_iou(confusion)[3]), "a class that neither side has does not count"
    assert mean_iou(confusion) == pytest.approx(1 / 3)
    assert pixel_accuracy(confusion) == pytest.approx(3 / 5)


def test_nothing_labeled():
    confusion = confusion_matrix(np.full((2, 2), 255, np.uint8), np.zeros((2, 2), np.uint8), classes=3)
    assert np.isnan(mean_iou(confusion)) and np.isnan(pixel_accuracy(confusion))


def test_sizes_and_ids_are_checked():
    with pytest.raises(ValueError, match="one size"):
        confusion_matrix(np.zeros((2, 2), np.uint8), np.zeros((2, 3), np.uint8), classes=2)
    with pytest.raises(ValueError, match="ground truth must hold ids 0 to 1"):
        confusion_matrix(np.full((2, 2), 7, np.uint8), np.zeros((2, 2), np.uint8), classes=2)
