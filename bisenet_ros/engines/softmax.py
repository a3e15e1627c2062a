# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The softmax of logits: the class probabilities of each cell, and its confidence."""

import cv2
import numpy as np


def softmax(logits: np.ndarray) -> np.ndarray:
    """The probabilities of the classes of each cell.

    Args:
        logits: classes x h x w float32.

    Returns:
        classes x h x w float32; those of a cell sum to 1.
    """
    exponentials = cv2.exp(logits - logits.max(axis=0)).reshape(logits.shape)  # OpenCV's is vectorized
    return exponentials / exponentials.sum(axis=0)


def cell_confidence(logits: np.ndarray) -> np.ndarray:
    """The softmax probability of the class of each cell, h x w float32, of its classes x h x w float32 logits."""
    return softmax(logits).max(axis=0)
