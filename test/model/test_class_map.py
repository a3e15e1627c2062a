# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Class maps: read, refused with a reason, and compared."""

from __future__ import annotations

import pytest
from camvid_classes import CAMVID

from bisenet_ros.model.class_map import ClassMap, ClassMapError, SegmentationClass, check_same_classes


def test_camvid_classes():
    assert len(CAMVID) == 11
    assert CAMVID.names[3] == "road"
    assert ClassMap.from_list(CAMVID.to_list()[::-1]) == CAMVID
    table = CAMVID.color_table()
    assert table[3].tolist() == [128, 64, 128] and table[255].tolist() == [0, 0, 0]


def test_colors_as_version_0_1_0_spelled_them():
    older = [{"id": 0, "name": "road", "colour": [1, 2, 3]}]
    assert ClassMap.from_list(older).to_list() == [{"id": 0, "name": "road", "color": [1, 2, 3]}]


def test_duplicate_names():
    entry = {"name": "road", "color": [0, 0, 0]}
    with pytest.raises(ClassMapError, match="'road' is used twice"):
        ClassMap.from_list([{"id": 0, **entry}, {"id": 1, **entry}])


def test_other_classes_are_listed():
    names = [*CAMVID.names[:4], "pavement", *CAMVID.names[5:], "rail"]
    other = ClassMap(tuple(SegmentationClass(name, (0, 0, 0)) for name in names))
    check_same_classes(CAMVID, CAMVID)
    with pytest.raises(ClassMapError, match=r"11 classes, got one of 12; .* 4: pavement / sidewalk, 11: rail / none;"):
        check_same_classes(other, CAMVID)
