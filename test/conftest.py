"""What the tests share: small, real model files."""

from __future__ import annotations

from pathlib import Path

import pytest

from bisenet_ros.labels import CAMVID
from bisenet_ros.model_card import ModelCard


@pytest.fixture(scope="session")
def card() -> ModelCard:
    return ModelCard(
        name="BiSeNetV2", labels=CAMVID, mean=(0.4, 0.42, 0.43), std=(0.31, 0.3, 0.29), network_size=(360, 480)
    )


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return Path(__file__).parents[1] / "models" / "bisenetv2_camvid.onnx"
