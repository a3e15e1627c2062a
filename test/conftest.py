"""What the tests share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Iterator

import pytest

from bisenet_ros.model.class_map import CAMVID
from bisenet_ros.model.model_card import ModelCard

if TYPE_CHECKING:
    from node_harness import Vehicle


def pytest_configure() -> None:
    """Torch computes on one thread, here and in the programs that tests start.

    Several wait for each other in busy loops, which take the cores that another test process computes on: a training of
    seconds then takes a minute.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")


@pytest.fixture(scope="session")
def card() -> ModelCard:
    return ModelCard(
        name="BiSeNetV2", classes=CAMVID, mean=(0.4, 0.42, 0.43), std=(0.31, 0.3, 0.29), network_size=(360, 480)
    )


@pytest.fixture(scope="session")
def shipped_model() -> Path:
    return Path(__file__).parents[1] / "models" / "bisenetv2_camvid.onnx"


@pytest.fixture(scope="session")
def vehicle(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vehicle]:
    """The ROS node of the tests, on the run's own domain; whoever asks for it has rclpy."""
    from node_harness import DOMAIN, Vehicle

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ROS_LOG_DIR", str(tmp_path_factory.mktemp("ros_log")))
        vehicle = Vehicle(DOMAIN)
        yield vehicle
        vehicle.close()
