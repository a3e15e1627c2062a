# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How images become a bag: its topics, stamps, encoding and camera."""

import re
from dataclasses import dataclass
from typing import Any, Optional

from bisenet_ros.bags import STORAGES
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.file_names import is_utf8

RATE = 10.0
"""Images a second, where nothing says otherwise."""
FIELD_OF_VIEW = 60.0
"""Horizontal field of view of the guessed camera, in degrees."""
STAMP_LIMIT = 2**31
"""The first second that a stamp has no room for (int32)."""
COMPRESSIONS = ("jpeg", "png")
URI_CHARACTERS = "?#%"
"""Characters of a path that make rosbags write elsewhere, since its SQLite takes paths as URIs."""
TOPIC_NAME = re.compile(r"(/[A-Za-z_][A-Za-z0-9_]*)+")
CAMERA_INFO_TOPIC, LABELS_TOPIC = "/camera_info", "/labels"
"""Topics beside the images', in their namespace."""


@dataclass(frozen=True)
class Recording:
    """How images become a bag.

    Attributes:
        topic: of the raw images; compressed ones, of one of COMPRESSIONS, go to topic/compressed.
        rate: images a second; None for a video's own stamps, or RATE.
        camera_info: a message; guessed from `field_of_view` (degrees, horizontal) where there is none.
    """

    topic: str = "/camera/image_raw"
    frame_id: str = "camera"
    rate: Optional[float] = None
    start_ns: int = 10**9
    compressed: str = ""
    storage: str = STORAGES[0]
    camera_info: Optional[Any] = None
    field_of_view: float = FIELD_OF_VIEW

    @property
    def image_topic(self) -> str:
        return f"{self.topic}/compressed" if self.compressed else self.topic

    @property
    def camera_info_topic(self) -> str:
        return self.topic.rpartition("/")[0] + CAMERA_INFO_TOPIC

    @property
    def labels_topic(self) -> str:
        return self.topic.rpartition("/")[0] + LABELS_TOPIC


def check_topic(text: str) -> str:
    """The name of a raw image topic, with its leading slash; raises BisenetError where it cannot be one."""
    topic = text if text.startswith("/") else f"/{text}"
    if not TOPIC_NAME.fullmatch(topic):
        raise BisenetError(
            f"expected --topic as ROS names topics, such as {Recording.topic} (letters, digits and underscores between "
            f"single slashes, no digit after a slash, no slash at the end), got {text!r}"
        )
    if topic.endswith((CAMERA_INFO_TOPIC, LABELS_TOPIC)):
        raise BisenetError(
            f"--topic names the images, and {CAMERA_INFO_TOPIC} and {LABELS_TOPIC} go beside them, got {text!r}"
        )
    if topic.endswith("/compressed"):
        raise BisenetError(f"--topic names the raw topic, without /compressed, got {text!r}")
    return topic


def check_frame_id(text: str) -> str:
    """Raises BisenetError where a text is not UTF-8, as strings of ROS messages are."""
    if not is_utf8(text):
        raise BisenetError(f"expected --frame-id in UTF-8, got {text!r}")
    return text
