"""How far the masks of two reports on the same frames agree."""

from __future__ import annotations

from array import array
from itertools import zip_longest
from typing import Tuple

import numpy as np

from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.report.finished_report import FinishedReport, ReportError
from bisenet_ros.evaluation.run_summary import TopicKey


class MaskAgreement:
    """The agreement of the masks of one topic.

    Attributes:
        agreeing: share of the pixels with the same class, 0 to 1, of every frame.
        pixels: of all frames.
        pairs: classes x classes int64: differing pixels, rows the first report's class, columns the second's.
        confusions: 2 x classes x classes int64, of each report, over the frames for which both have ground truth.
        scored: how many frames those are.
    """

    def __init__(self, *, classes: int) -> None:
        self.agreeing = array("d")
        self.pixels = 0
        self.pairs = np.zeros((classes, classes), np.int64)
        self.confusions = np.zeros((2, classes, classes), np.int64)
        self.scored = 0

    def add(self, records: Tuple[FrameRecord, FrameRecord], masks: Tuple[np.ndarray, np.ndarray]) -> None:
        """Takes the next frame: its records and its H x W uint8 masks."""
        classes = len(self.pairs)
        differs = masks[0] != masks[1]
        pairs = classes * masks[0][differs].astype(np.int64) + masks[1][differs]
        self.pairs += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.pixels += differs.size
        self.agreeing.append(1 - len(pairs) / differs.size)
        if all(record.confusion is not None for record in records):
            self.scored += 1
            self.confusions += [record.dense_confusion() for record in records]


def compare_masks(reports: Tuple[FinishedReport, FinishedReport], topic: TopicKey) -> MaskAgreement:
    """Reads the masks of one topic from both reports, one frame at a time.

    Raises:
        ReportError: the frames are not the same. BagError: a bag of masks cannot be read.
    """
    agreement = MaskAgreement(classes=len(reports[0].classes))
    name = " ".join(topic)
    for first, second in zip_longest(*(report.read_masks(topic) for report in reports)):
        if first is None or second is None:
            missing = reports[0 if first is None else 1].folder
            raise ReportError(
                f"{missing} has fewer frames of {name} than the other report; evaluate both models on the same bag"
            )
        records, masks = zip(first, second)
        one, other = records
        if one.key != other.key or one.stamp_ns != other.stamp_ns or masks[0].shape != masks[1].shape:
            raise ReportError(
                f"the frames of {name} are not the same: {one.title} of {one.width}x{one.height} pixels in "
                f"{reports[0].folder}, {other.title} of {other.width}x{other.height} pixels in {reports[1].folder}; "
                "evaluate both models on the same bag"
            )
        agreement.add(records, masks)
    return agreement
