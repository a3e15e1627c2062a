# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Class probabilities of the cells of logits."""

import numpy as np

from bisenet_ros.engines.softmax import cell_confidence, softmax


def test_probabilities_are_those_of_double_precision() -> None:
    logits = np.random.default_rng(0).normal(0, 5, (11, 6, 8)).astype(np.float32)
    exponentials = np.exp(logits.astype(np.float64))
    expected = exponentials / exponentials.sum(axis=0)
    np.testing.assert_allclose(softmax(logits), expected, atol=1e-5)
    np.testing.assert_allclose(cell_confidence(logits), expected.max(axis=0), atol=1e-5)
