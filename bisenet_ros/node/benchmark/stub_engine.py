# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The node with an engine that takes no time, so that nothing but the node itself is measured."""

import sys
from functools import lru_cache
from pathlib import Path
from typing import Any, Union

import numpy as np

from bisenet_ros.engines.engine import Engine, Segmentation
from bisenet_ros.model.input_size import Size
from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.run_node import run_node


class StubEngine(Engine):
    """Returns the same mask for every frame of a size, and the same again as the confidence."""

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Segmentation:
        mask = _make_mask(frame.shape[:2], classes=len(self.card.classes))
        return Segmentation(mask, mask if confidence else None)


@lru_cache(maxsize=None)
def _make_mask(size: Size, *, classes: int) -> np.ndarray:
    return (np.arange(size[0] * size[1]).reshape(size) // 64 % classes).astype(np.uint8)


def load_stub(model: Union[str, Path], *_: Any, **__: Any) -> StubEngine:
    """Takes the place of `load_engine`; only the model's card is read."""
    return StubEngine(read_card(Path(model)), description="stub of zero cost")


if __name__ == "__main__":
    sys.exit(run_node(load=load_stub))
