"""The node with an engine that takes no time, so that nothing but the node itself is measured."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, Tuple, Union

import numpy as np

from bisenet_ros.engines.engine import Confidence, Engine, Mask
from bisenet_ros.model.input_size import Size
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.node.run_node import run_node


class StubEngine(Engine):
    """Returns a mask that was made at the first frame of a size."""

    def __init__(self, card: ModelCard) -> None:
        super().__init__(card, description="stub of zero cost")
        self._made: Dict[Size, Tuple[Mask, Confidence]] = {}

    def _segment(self, frame: np.ndarray, *, confidence: bool) -> Union[Mask, Tuple[Mask, Confidence]]:
        size = frame.shape[:2]
        if size not in self._made:
            mask = np.arange(size[0] * size[1]).reshape(size) // 64 % len(self.card.classes)
            self._made[size] = mask.astype(np.uint8), np.full(size, 255, np.uint8)
        return self._made[size] if confidence else self._made[size][0]


def load_stub(model: Union[str, Path], *_: Any, **__: Any) -> StubEngine:
    """Takes the place of `load_engine`; only the model's card is read."""
    return StubEngine(read_card(Path(model)))


if __name__ == "__main__":
    sys.exit(run_node(load=load_stub))
