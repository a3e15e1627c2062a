"""Cityscapes with its 19 evaluation classes."""

from __future__ import annotations

from bisenet_ros.labels import IGNORE, Label, LabelSet
from bisenet_training.datasets.base import SegmentationDataset
from bisenet_training.datasets.label_encoding import IdEncoding
from bisenet_training.datasets.layout import Layout

CLASSES = {
    7: Label("road", (128, 64, 128)),
    8: Label("sidewalk", (244, 35, 232)),
    11: Label("building", (70, 70, 70)),
    12: Label("wall", (102, 102, 156)),
    13: Label("fence", (190, 153, 153)),
    17: Label("pole", (153, 153, 153)),
    19: Label("traffic light", (250, 170, 30)),
    20: Label("traffic sign", (220, 220, 0)),
    21: Label("vegetation", (107, 142, 35)),
    22: Label("terrain", (152, 251, 152)),
    23: Label("sky", (70, 130, 180)),
    24: Label("person", (220, 20, 60)),
    25: Label("rider", (255, 0, 0)),
    26: Label("car", (0, 0, 142)),
    27: Label("truck", (0, 0, 70)),
    28: Label("bus", (0, 60, 100)),
    31: Label("train", (0, 80, 100)),
    32: Label("motorcycle", (0, 0, 230)),
    33: Label("bicycle", (119, 11, 32)),
}
"""The official table by label id, in the order of the train ids; the other ids of 0 to 33 are not evaluated."""

NO_ID = 255
"""-1 in 8 bits: labels without an id, such as licence plates."""


class Cityscapes(SegmentationDataset):
    """`leftImg8bit/SPLIT/CITY/*_leftImg8bit.png` and `gtFine/SPLIT/CITY/*_gtFine_labelIds.png`."""

    labels = LabelSet(tuple(CLASSES.values()))
    layout = Layout(
        images="leftImg8bit/{split}/*/{name}_leftImg8bit.png", labels="gtFine/{split}/*/{name}_gtFine_labelIds.png"
    )
    encoding = IdEncoding(
        {**dict.fromkeys((*range(34), NO_ID), IGNORE), **{label_id: i for i, label_id in enumerate(CLASSES)}}
    )
    official_frames = {"train": 2975, "val": 500, "test": 1525}
