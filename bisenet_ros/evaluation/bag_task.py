# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What is to be made of one bag, and where it goes."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from bisenet_ros.evaluation.run_summary import Source

MASKS = "masks"
SOURCES = "bag.json"


@dataclass(frozen=True)
class BagTask:
    """What is to be made of one bag.

    Attributes:
        topics: the namespace of the masks of each image topic.
        folder: of the results: the bag MASKS, and the files RECORDS and SOURCES.
        masks: where the bag of masks lies in the end, relative to the report.
        ground_truth: a folder for `list_ground_truth`.
        jobs: how many bags are segmented side by side, as text.
    """

    bag: str
    path: Path
    topics: Dict[str, str]
    folder: Path
    masks: str
    outputs: Tuple[str, ...]
    storage: str
    ground_truth: Optional[Path] = None
    jobs: str = "1"

    def read_sources(self) -> List[Source]:
        """What became of each topic, when the bag is done."""
        return [Source(**source) for source in json.loads((self.folder / SOURCES).read_text(encoding="utf-8"))]


def mask_namespaces(topics: Sequence[str]) -> Dict[str, str]:
    """Where the masks of each image topic go: /segmentation, or /segmentation/CAMERA for several."""
    if len(topics) == 1:
        return {topics[0]: "/segmentation"}
    # The "front" of /front/image_raw and of /front/image_raw/compressed.
    cameras = {topic: re.sub(r"(/image[^/]*)?(/compressed)?$", "", topic.strip("/")) for topic in topics}
    if len(set(cameras.values())) < len(topics):
        cameras = {topic: topic.strip("/") for topic in topics}
    return {topic: f"/segmentation/{camera}" for topic, camera in cameras.items()}
