# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The report of `bisenet evaluate`: the scores of a model on a data set, and its best and worst frames."""

from pathlib import Path
from typing import Mapping, NamedTuple, Optional, Sequence

import numpy as np

from bisenet_ros.evaluation.metrics import class_iou
from bisenet_ros.evaluation.report.numbers import json_number, json_ratio
from bisenet_ros.evaluation.report.page import class_rows, confusion_tables, write_page
from bisenet_ros.evaluation.report.pictures import picture_row
from bisenet_ros.model.class_map import ClassMap


class Example(NamedTuple):
    """A frame for the page: what it is, H x W x 3 uint8 BGR, and H x W uint8 ground truth and mask."""

    title: str
    frame: np.ndarray
    ground_truth: np.ndarray
    mask: np.ndarray


def write_data_set_report(
    path: Path,
    *,
    headline: str,
    protocol: Mapping[str, str],
    classes: ClassMap,
    confusion: np.ndarray,
    galleries: Mapping[str, Sequence[Example]],
    scored: Optional[Sequence[int]] = None,
) -> None:
    """Writes the page.

    Args:
        headline: the scores in a line.
        protocol: how they were measured: names and values, among them "model".
        confusion: classes x classes int64 pixels, rows the ground truth, columns the mask.
        galleries: frames by the title that they are shown under.
        scored: ids of the classes that have an IoU; None: all.
    """
    colors = classes.color_table()
    iou, pixels = class_iou(confusion, scored=scored), confusion.sum(axis=1)
    columns = {
        "IoU": {name: json_number(value) for name, value in zip(classes.names, iou)},
        "share": {name: json_ratio(count, pixels.sum()) for name, count in zip(classes.names, pixels)},
    }
    write_page(
        path,
        "data_set_report.html.jinja",
        title=f"{protocol.get('model', 'a model')}: {headline}",
        notices=[],
        protocol=dict(protocol),
        classes=class_rows(classes, columns),
        confusion=confusion_tables(confusion, classes.names),
        scored=scored,
        galleries=[
            {
                "title": title,
                "caption": "By the frame's own mIoU. Errors are red; black is unlabeled and not scored.",
                "rows": [
                    {"title": it.title, "pictures": picture_row(it.frame, it.mask, it.ground_truth, colors)}
                    for it in examples
                ],
            }
            for title, examples in galleries.items()
        ],
    )
