# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Cityscapes with its 19 evaluation classes."""

from bisenet_ros.model.class_map import IGNORE, ClassMap, SegmentationClass
from bisenet_training.data.label_encoding import IdEncoding
from bisenet_training.data.layout import Layout
from bisenet_training.data.segmentation_dataset import SegmentationDataset

CLASSES = {
    7: SegmentationClass("road", (128, 64, 128)),
    8: SegmentationClass("sidewalk", (244, 35, 232)),
    11: SegmentationClass("building", (70, 70, 70)),
    12: SegmentationClass("wall", (102, 102, 156)),
    13: SegmentationClass("fence", (190, 153, 153)),
    17: SegmentationClass("pole", (153, 153, 153)),
    19: SegmentationClass("traffic light", (250, 170, 30)),
    20: SegmentationClass("traffic sign", (220, 220, 0)),
    21: SegmentationClass("vegetation", (107, 142, 35)),
    22: SegmentationClass("terrain", (152, 251, 152)),
    23: SegmentationClass("sky", (70, 130, 180)),
    24: SegmentationClass("person", (220, 20, 60)),
    25: SegmentationClass("rider", (255, 0, 0)),
    26: SegmentationClass("car", (0, 0, 142)),
    27: SegmentationClass("truck", (0, 0, 70)),
    28: SegmentationClass("bus", (0, 60, 100)),
    31: SegmentationClass("train", (0, 80, 100)),
    32: SegmentationClass("motorcycle", (0, 0, 230)),
    33: SegmentationClass("bicycle", (119, 11, 32)),
}
"""The official table by label id, in the order of the train ids; the other ids of 0 to 33 are not evaluated."""

NO_ID = 255
"""-1 in 8 bits: what has no id of its own, such as license plates."""


class Cityscapes(SegmentationDataset):
    """`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`."""

    classes = ClassMap(tuple(CLASSES.values()))
    layout = Layout(
        images="leftImg8bit/{split}/*/{name}_leftImg8bit.png", labels="gtFine/{split}/*/{name}_gtFine_labelIds.png"
    )
    encoding = IdEncoding(
        {**dict.fromkeys((*range(34), NO_ID), IGNORE), **{label_id: i for i, label_id in enumerate(CLASSES)}}
    )
    official_frames = {"train": 2975, "val": 500, "test": 1525}
