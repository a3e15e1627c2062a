"""How far the masks of two reports on the same frames agree."""

from __future__ import annotations

from array import array
from itertools import zip_longest
from typing import Iterator, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import read_masks
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.report.finished_report import FinishedReport, ReportError
from bisenet_ros.evaluation.run_summary import Source


class MaskAgreement:
    """The agreement of the masks of one topic.

    Attributes:
        agreeing: share of the pixels with the same class, 0 to 1, of every frame.
        pixels: of all frames.
        pairs: classes x classes int64: differing pixels, rows the first report's class, columns the second's.
        confusions: of each report, over the frames for which both have ground truth.
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


def compare_masks(reports: Tuple[FinishedReport, FinishedReport], source: Source) -> MaskAgreement:
    """Reads the masks of one topic from both reports, one frame at a time.

    Raises:
        ReportError: the frames are not the same. BagError: a mask bag cannot be read.
    """
    agreement = MaskAgreement(classes=len(reports[0].classes))
    for first, second in zip_longest(*(_stream(report, source) for report in reports)):
        if first is None or second is None:
            missing = reports[0 if first is None else 1].folder
            raise ReportError(
                f"{missing} has fewer frames of {source.bag} {source.topic} than the other report; "
                "evaluate both models on the same bag"
            )
        (one, one_mask), (other, other_mask) = first, second
        if _identity(one) != _identity(other):
            raise ReportError(
                f"the frames of {source.bag} {source.topic} are not the same: {_name(one)} in {reports[0].folder}, "
                f"{_name(other)} in {reports[1].folder}; evaluate both models on the same bag"
            )
        agreement.add((one, other), (one_mask, other_mask))
    return agreement


def _stream(report: FinishedReport, source: Source) -> Iterator[Tuple[FrameRecord, np.ndarray]]:
    """Records with their masks; `source` may be the other report's."""
    own = next(entry for entry in report.sources if entry.key == source.key)
    bag = report.folder / own.masks
    masks = read_masks(bag, own.mask_topic)
    for record in (record for record in report.records if record.key[:2] == own.key):
        stamp, mask = next(masks, (None, None))
        if mask is None or stamp != record.stamp_ns or mask.shape != (record.height, record.width):
            raise ReportError(f"{bag} does not have the mask of {_name(record)}; make the report again")
        if mask.max() >= len(report.classes):
            raise ReportError(
                f"{bag} has class {mask.max()} where there are {len(report.classes)}; make the report again"
            )
        yield record, mask


def _identity(record: FrameRecord) -> Tuple[int, ...]:
    return record.index, record.stamp_ns, record.width, record.height


def _name(record: FrameRecord) -> str:
    return f"frame {record.number} of {record.width}x{record.height} with stamp {record.stamp_ns} ns"
