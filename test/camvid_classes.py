# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The classes of the shipped model, written out once more: what tests expect of it, and give to models of their own."""

from bisenet_ros.model.class_map import ClassMap, SegmentationClass

CAMVID = ClassMap(
    (
        SegmentationClass("sky", (128, 128, 128)),
        SegmentationClass("building", (128, 0, 0)),
        SegmentationClass("pole", (192, 192, 128)),
        SegmentationClass("road", (128, 64, 128)),
        SegmentationClass("sidewalk", (60, 40, 222)),
        SegmentationClass("tree", (128, 128, 0)),
        SegmentationClass("signsymbol", (192, 128, 128)),
        SegmentationClass("fence", (64, 64, 128)),
        SegmentationClass("car", (64, 0, 128)),
        SegmentationClass("pedestrian", (64, 64, 0)),
        SegmentationClass("bicyclist", (0, 128, 192)),
    )
)
"""CamVid's 11 classes in the usual order, in SegNet's display colors."""
