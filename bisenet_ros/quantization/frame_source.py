# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The frames that `bisenet quantize` calibrates with and compares on: of images, a video, a data set or a bag."""

import math
from itertools import islice
from pathlib import Path
from typing import Dict, Iterator, List, Optional, Set, Tuple

import numpy as np

from bisenet_ros.bags.bag_choice import choose_topics
from bisenet_ros.bags.bag_files import is_bag
from bisenet_ros.bags.bag_images import decode_frame, read_stamp
from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.evaluation.ground_truth import GroundTruthError, check_pixels, list_ground_truth, read_ground_truth
from bisenet_ros.model.class_map import ClassMap, check_same_classes
from bisenet_ros.sources.data_sets import parse_data_set
from bisenet_ros.sources.image_source import ImageSource, SourceImage, open_source

LabeledFrame = Tuple[np.ndarray, Optional[np.ndarray]]
"""H x W x 3 uint8 BGR, and H x W uint8 ids (255: no label) where there is ground truth."""


class FrameSource:
    """Frames, evenly spread over where they come from, one at a time and as often as one iterates.

    Attributes:
        name: where they come from, without the folders above it.
        problems: as text, what is damaged in a bag, and what is missing.
    """

    def __init__(
        self,
        text: str,
        *,
        classes: ClassMap,
        most: int,
        labeled: bool = True,
        ground_truth: Optional[Path] = None,
        class_map: Optional[str] = None,
        topic: str = "",
    ) -> None:
        """
        Args:
            text: a folder of images, a video, a data set as NAME:ROOT[:SPLIT], or a bag.
            classes: the model's, which those of the ground truth must be.
            most: the most frames.
            labeled: False leaves out a data set's ground truth, of whatever classes it is.
            ground_truth: a folder of PNGs of ids: NAME.png of an image NAME.jpg, <stamp in ns>.png of a bag's frame.
            class_map: merges a data set's classes to the model's: the name of one of the training package, or its file.
            topic: the bag's topic; empty for the only one that has images.

        Raises BisenetError where it cannot be opened, or a data set has other classes; OSError.
        """
        self._classes = len(classes)
        self._labeled = labeled
        self._most = most
        self.name = Path(text).name or text
        self.problems: List[str] = []
        path = Path(text)
        if is_bag(path):
            bag = Bag(path)
            self._source = _open_bag(bag, topic, ground_truth, classes=len(classes))
            self.problems = bag.problems
        elif ground_truth and not path.is_dir():
            raise BisenetError(f"--ground-truth goes with a folder of images or a bag, got {text}")
        else:
            self._source = open_source(text, labels=ground_truth, class_map=class_map)
            if not path.exists():
                data_set = parse_data_set(text)
                self.name = f"{data_set.name} {data_set.split}".strip()
        data_set_classes = self._source.classes
        if class_map and not data_set_classes:
            raise BisenetError(f"--class-map goes with a data set as NAME:ROOT[:SPLIT], got {text}")
        if labeled and data_set_classes:
            check_same_classes(classes, data_set_classes)
        # A video that was cut off does not say how many frames it has.
        self._count = self._source.count or sum(1 for _ in self._source.images())
        self._every = max(1, math.ceil(self._count / most))

    def __len__(self) -> int:
        return math.ceil(self._count / self._every)

    def __iter__(self) -> Iterator[LabeledFrame]:
        """Raises BisenetError where a frame or its ground truth cannot be used."""
        for image in islice(self._source.images(every=self._every), self._most):
            ground_truth = image.ground_truth if self._labeled else None
            if ground_truth is not None:
                size, what = image.pixels.shape[:2], f"the ground truth of {image.name}"
                check_pixels(ground_truth, classes=self._classes, size=size, what=what)
            yield image.pixels, ground_truth


def _open_bag(bag: Bag, topic: str, ground_truth: Optional[Path], *, classes: int) -> ImageSource:
    """The frames of a bag's topic; afterwards the bag's problems are known."""
    chosen = choose_topics(bag, [topic] if topic else [])[0]
    count = sum(1 for _ in bag.messages([chosen.name]))  # a damaged bag promises more than it has
    if not count:
        raise BagError(f"no message on {chosen.name} of {bag.path} can be read: {'; '.join(bag.problems)}")
    files = list_ground_truth(ground_truth) if ground_truth else {}
    if files:
        _check_stamps(bag, chosen.name, files)

    def images(every: int = 1) -> Iterator[SourceImage]:
        for message in islice(bag.messages([chosen.name]), 0, None, every):
            name = f"message {message.number} of {chosen.name} in {bag.path}"
            try:
                frame = decode_frame(message)
            except ImageError as error:
                raise ImageError(error.reason, f"{name}: {error}") from error
            file = files.get(frame.stamp_ns, {}).get(1)
            ids = read_ground_truth(file, classes=classes) if file else None
            yield SourceImage(name, frame.pixels, ids)

    return ImageSource(images, count, (bag.path,), labeled=len(files))


def _check_stamps(bag: Bag, topic: str, ground_truth: Dict[int, Dict[int, Path]]) -> None:
    """Raises GroundTruthError where several frames have the stamp of a file, also those that are passed over later."""
    seen: Set[int] = set()
    for stamp_ns in map(read_stamp, bag.messages([topic])):
        if stamp_ns in seen and stamp_ns in ground_truth:
            raise GroundTruthError(
                f"several frames of {bag.path} have the stamp {stamp_ns}, so that it is not known whose ground truth "
                f"{min(ground_truth[stamp_ns].values()).name} is; use images in place of the bag"
            )
        seen.add(stamp_ns)
