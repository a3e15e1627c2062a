# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's tables of network variants: what each row changes, and the GFLOPs of the published tables.

The paper's text has no GFLOPs.
"""

from typing import Any, NamedTuple

PAPER_GFLOPS = 21.15
"""GFLOPs of the default network, the same in every table of the paper."""


class Row(NamedTuple):
    """A variant of the paper's tables.

    Attributes:
        table: its number.
        change: what differs from the default network, as text.
        options: the same, as arguments of BiSeNetV2.
        gflops: the paper's figure; None where we do not have it.
    """

    table: str
    change: str
    options: dict[str, Any]
    gflops: float | None = None


ROWS = (
    Row("2", "detail only", {"branches": "detail"}),
    Row("2", "semantics only", {"branches": "semantics"}),
    Row("2", "sum", {"aggregation": "sum"}),
    Row("2", "concatenation", {"aggregation": "concat"}),
    Row("2", "BGA (default)", {}, PAPER_GFLOPS),
    Row("3a", "lambda 1/2", {"lambda_ratio": 1 / 2}, 25.84),
    Row("3a", "lambda 1/8", {"lambda_ratio": 1 / 8}, 19.93),
    Row("3a", "lambda 1/16", {"lambda_ratio": 1 / 16}, 19.61),
    Row("3b", "without gather layer", {"gather": False}),
    Row("3b", "without double depthwise", {"double_depthwise": False}),
    Row("3b", "without context embedding", {"context_embedding": False}, 21.07),
    Row("3c", "epsilon 1", {"expansion": 1}, 17.78),
    Row("3c", "epsilon 2", {"expansion": 2}),
    Row("3c", "epsilon 4", {"expansion": 4}, 19.80),
    Row("3c", "epsilon 8", {"expansion": 8}),
    Row("5", "alpha 1.25", {"width": 1.25}),
    Row("5", "alpha 1.5", {"width": 1.5}),
    Row("5", "alpha 1.75", {"width": 1.75}),
    Row("5", "alpha 2", {"width": 2.0}),
    Row("5", "d 2", {"depth": 2}, 25.26),
    Row("5", "d 3", {"depth": 3}),
    Row("5", "d 4", {"depth": 4}, 33.50),
    Row("5", "alpha 2, d 3 (Large)", {"width": 2.0, "depth": 3}),
    Row("6", "ShuffleNetV2 1.5x", {"backbone": "shufflenet_v2", "context_embedding": False}),
    Row("6", "MobileNetV2", {"backbone": "mobilenet_v2", "context_embedding": False}),
    Row("6", "ResNet-18", {"backbone": "resnet18", "context_embedding": False}),
)
