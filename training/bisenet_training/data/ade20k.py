# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ADE20K with the 150 classes of the scene parsing benchmark."""

from bisenet_ros.model.class_map import IGNORE
from bisenet_training.data.label_encoding import IdEncoding
from bisenet_training.data.layout import Layout
from bisenet_training.data.named_classes import named_classes
from bisenet_training.data.segmentation_dataset import SegmentationDataset

OTHER = 0
"""Everything outside the 150 classes, which the benchmark does not evaluate."""


class Ade20K(SegmentationDataset):
    """ADEChallengeData2016: `images/SPLIT/ADE_*.jpg` and `annotations/SPLIT/ADE_*.png` with 0 (other) to 150."""

    classes = named_classes("ade20k.txt")
    layout = Layout(images="images/{split}/{name}.jpg", labels="annotations/{split}/{name}.png")
    encoding = IdEncoding({OTHER: IGNORE, **{i + 1: i for i in range(150)}})
    splits = ("training", "validation")
    official_frames = {"training": 20210, "validation": 2000}
