# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The model card: what a model file says of itself, kept as JSON in the ONNX file's metadata."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Dict, Mapping, Optional, Tuple

from bisenet_ros.model.class_map import ClassMap, ClassMapError
from bisenet_ros.model.input_size import LONGEST_SIDE, STRIDE
from bisenet_ros.model.model_file import ModelError, read_model

if TYPE_CHECKING:
    import onnx

METADATA_KEY = "bisenet_ros.card"
SMALLEST_STD = 0.001
"""A quarter of a level of 255."""


@dataclass(frozen=True)
class ModelCard:
    """A model's own description.

    Attributes:
        name: the architecture, such as "BiSeNetV2".
        classes: the classes, with their colors.
        mean, std: normalization of RGB in 0 to 1: `(rgb / 255 - mean) / std`.
        network_size: (height, width); frames are resized to as many pixels. The scores are for this size.
        training: how the weights were made: recipe, data set, splits, iterations, hardware.
        scores: what they reach, such as `{"val_miou": 0.55}`.
        quantization: of an int8 model, as `bisenet quantize` writes it: the SHA-256 of the model file that it was made
            from, calibration, layers that stay in fp32, and what int8 costs.
    """

    name: str
    classes: ClassMap
    mean: Tuple[float, float, float]
    std: Tuple[float, float, float]
    network_size: Tuple[int, int]
    training: Mapping[str, Any] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    quantization: Mapping[str, Any] = field(default_factory=dict)

    @property
    def int8_loss(self) -> Optional[float]:
        """Points of mIoU that int8 loses against fp32, negative where it gains; None where the card does not say."""
        loss = self.quantization.get("loss_points")
        return loss if _is_number(loss) else None

    def to_dict(self) -> Dict[str, Any]:
        return {**vars(self), "classes": self.classes.to_list()}

    @staticmethod
    def from_dict(values: Mapping[str, Any]) -> ModelCard:
        """Reads what `to_dict` wrote.

        Raises:
            ModelError: a value is missing or cannot be meant.
        """
        try:
            return ModelCard(
                name=str(values["name"]),
                # "labels" in version 0.1.0
                classes=ClassMap.from_list(values["labels" if "labels" in values else "classes"]),
                mean=_three_numbers(values, "mean"),
                std=_three_numbers(values, "std", least=SMALLEST_STD),
                network_size=_size(values),
                training=_mapping(values, "training"),
                scores=_mapping(values, "scores"),
                quantization=_mapping(values, "quantization"),
            )
        except KeyError as error:
            raise ModelError(f"the model's card lacks {error}; export the model again with `bisenet export`") from None
        except ClassMapError as error:
            raise ModelError(f"the model's card has a bad class map: {error}") from None


def _three_numbers(values: Mapping[str, Any], key: str, *, least: float = 0) -> Tuple[float, float, float]:
    numbers = values[key]
    if not isinstance(numbers, (list, tuple)) or len(numbers) != 3 or not all(map(_is_number, numbers)):
        raise ModelError(f"the card's {key} must be three numbers (R, G, B), got {numbers!r}")
    first, second, third = (float(number) for number in numbers)
    if not least <= min(numbers) <= max(numbers) <= 1:
        raise ModelError(
            f"the card's {key} must be from {least:g} to 1, of colors of 0 to 1, got {numbers!r}; divide it by 255 if "
            "it is of colors of 0 to 255"
        )
    return first, second, third


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and abs(value) <= sys.float_info.max


def _size(values: Mapping[str, Any]) -> Tuple[int, int]:
    size = values["network_size"]
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ModelError(f"the card's network_size must be [height, width] in whole pixels, got {size!r}")
    height, width = size
    if not STRIDE <= min(height, width) <= max(height, width) <= LONGEST_SIDE:
        raise ModelError(f"the card's network_size must be of {STRIDE} to {LONGEST_SIDE} pixels a side, got {size!r}")
    return height, width


def _mapping(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    entries = values.get(key, {})
    if not isinstance(entries, dict):
        raise ModelError(f"the card's {key} must be an object of names and values, got {entries!r}")
    return entries


def write_card(model: onnx.ModelProto, card: ModelCard) -> None:
    """Puts the card into the model's metadata, replacing any other."""
    import onnx

    others = {entry.key: entry.value for entry in model.metadata_props if entry.key != METADATA_KEY}
    onnx.helper.set_model_props(model, {**others, METADATA_KEY: json.dumps(card.to_dict())})


def read_card(path: Path) -> ModelCard:
    """The card inside a model file.

    Raises:
        ModelError: the file is missing, is not ONNX, lacks a file with its weights, or has no card that can be used.
    """
    model = read_model(path, weights=False)
    texts = [entry.value for entry in model.metadata_props if entry.key == METADATA_KEY]
    if not texts:
        raise ModelError(
            f"{path} has no card inside (metadata {METADATA_KEY!r}), which names its classes and normalization; "
            "make the model with `bisenet export`"
        )
    try:
        return ModelCard.from_dict(_parse(texts[0]))
    except ModelError as error:
        raise ModelError(f"{path}: {error}") from None


def _parse(text: str) -> Mapping[str, Any]:
    """The values of a card in JSON; raises ModelError."""
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:  # protobuf gives bytes where they are no UTF-8
        raise ModelError(f"the model's card is not JSON ({error}); export the model again") from None
    if not isinstance(values, dict):
        raise ModelError(f"the model's card must be a JSON object, got a {type(values).__name__}")
    return values
