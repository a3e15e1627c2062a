"""How far the masks of two reports on the same frames agree."""

from __future__ import annotations

from itertools import zip_longest
from typing import Iterator, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import read_masks
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.report.finished_report import FinishedReport, ReportError
from bisenet_ros.evaluation.report.record_summary import BINS, Extremes, Series
from bisenet_ros.evaluation.run_summary import Source


class MaskAgreement:
    """The agreement of the masks of one topic.

    Attributes:
        differing: share of the pixels with another class, 0 to 1, over time.
        extremes: the frames by that share, with the records of the first report.
        pixels: of all frames.
        pairs: classes x classes int64: differing pixels, rows the first report's class, columns the second's.
        confusions: of each report, over the frames for which both have ground truth.
        scored: how many frames those are.
    """

    def __init__(self, *, frames: int, classes: int) -> None:
        bins = min(BINS, frames)
        self.frames = frames
        self.differing = Series(bins)
        self.extremes = Extremes(bins, frames)
        self.pixels = 0
        self.pairs = np.zeros((classes, classes), np.int64)
        self.confusions = np.zeros((2, classes, classes), np.int64)
        self.scored = 0
        self._seen = 0

    def add(self, records: Tuple[FrameRecord, FrameRecord], masks: Tuple[np.ndarray, np.ndarray]) -> None:
        """Takes the next frame: its records and its H x W uint8 masks."""
        classes = len(self.pairs)
        place = self._seen * self.differing.mean.size // self.frames
        differs = masks[0] != masks[1]
        pairs = classes * masks[0][differs].astype(np.int64) + masks[1][differs]
        self.pairs += np.bincount(pairs, minlength=classes**2).reshape(classes, classes)
        self.pixels += differs.size
        share = len(pairs) / differs.size
        self.differing.add(place, share)
        self.extremes.add(place, share, self._seen, records[0])
        if all(record.confusion is not None for record in records):
            self.scored += 1
            self.confusions += [record.dense_confusion() for record in records]
        self._seen += 1


def compare_masks(reports: Tuple[FinishedReport, FinishedReport], source: Source, *, frames: int) -> MaskAgreement:
    """Reads the masks of one topic from both reports, one frame at a time.

    Raises:
        ReportError: the frames are not the same. BagError: a mask bag cannot be read.
    """
    agreement = MaskAgreement(frames=frames, classes=len(reports[0].classes))
    streams = [_stream(report, source) for report in reports]
    for first, second in zip_longest(*streams):
        if first is None or second is None:
            missing = reports[0 if first is None else 1].folder
            raise ReportError(
                f"{missing} has fewer frames of {source.bag} {source.topic} than the other report; "
                "evaluate both models on the same bag"
            )
        records, masks = (first[0], second[0]), (first[1], second[1])
        one, other = ((record.index, record.stamp_ns, record.width, record.height) for record in records)
        if one != other:
            raise ReportError(
                f"the frames of {source.bag} {source.topic} are not the same: {_name(records[0])} in "
                f"{reports[0].folder}, {_name(records[1])} in {reports[1].folder}; evaluate both models on the same bag"
            )
        agreement.add(records, masks)
    return agreement


def _stream(report: FinishedReport, source: Source) -> Iterator[Tuple[FrameRecord, np.ndarray]]:
    """Records with their masks; `source` may be the other report's."""
    own = next(entry for entry in report.sources if (entry.bag, entry.topic) == (source.bag, source.topic))
    masks = read_masks(report.folder / own.masks, own.mask_topic)
    for record in report.records_of(own):
        stamp, mask = next(masks, (None, None))
        if mask is None or stamp != record.stamp_ns or mask.shape != (record.height, record.width):
            raise ReportError(
                f"{report.folder / own.masks} does not have the mask of {_name(record)}; make the report again"
            )
        if mask.max() >= len(report.classes):
            raise ReportError(
                f"{report.folder / own.masks} has class {mask.max()} where there are {len(report.classes)} classes; "
                "make the report again"
            )
        yield record, mask


def _name(record: FrameRecord) -> str:
    return f"frame {record.number} of {record.width}x{record.height} with stamp {record.stamp_ns} ns"
