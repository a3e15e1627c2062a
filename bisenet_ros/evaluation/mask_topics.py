"""The topics of a bag of masks, named as the node names its topics."""

from __future__ import annotations

from typing import Dict, Sequence

OUTPUTS = ("mask", "color_mask", "overlay")
"""What a bag of masks may hold; the first is always there."""


def mask_namespaces(topics: Sequence[str]) -> Dict[str, str]:
    """Where the masks of each image topic go: /segmentation, or /segmentation/CAMERA for several."""
    if len(topics) == 1:
        return {topics[0]: "/segmentation"}
    cameras = {topic: _camera(topic) for topic in topics}
    if len(set(cameras.values())) < len(topics):
        cameras = {topic: topic.strip("/") for topic in topics}
    return {topic: f"/segmentation/{camera}" for topic, camera in cameras.items()}


def _camera(topic: str) -> str:
    """The "front" of /front/image_raw and of /front/image_raw/compressed."""
    parts = topic.strip("/").split("/")
    if parts[-1] == "compressed":
        parts = parts[:-1]
    return "/".join(parts[:-1] if parts[:-1] and parts[-1].startswith("image") else parts)
