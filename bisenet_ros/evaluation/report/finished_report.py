"""A report of `bisenet evaluate-bag`, read back."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List

from bisenet_ros.evaluation.frame_record import RECORDS, FrameRecord, RecordFile
from bisenet_ros.evaluation.report.bag_report import REPORT
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.model.class_map import ClassMap, ClassMapError

SOURCE_FIELDS = ("bag", "path", "topic", "message_type", "masks", "mask_topic", "skipped", "ended_early", "backwards")


@dataclass(frozen=True)
class FinishedReport:
    """What compare needs of a report.

    Attributes:
        folder: where it and the bags of its masks are.
        model: facts by name, as in RunSummary.
        records: of all frames.
    """

    folder: Path
    labels: ClassMap
    model: Dict[str, str]
    engine: str
    sources: List[Source]
    records: RecordFile

    def records_of(self, source: Source) -> Iterator[FrameRecord]:
        """A topic's records, in order."""
        return (record for record in self.records if (record.bag, record.topic) == (source.bag, source.topic))


def read_report(folder: Path) -> FinishedReport:
    """Raises ValueError where the folder has no report or the report has been changed; FileNotFoundError."""
    for name in (REPORT, RECORDS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"expected the folder of a report by `bisenet evaluate-bag`, but {folder} has no {name}"
            )
    try:
        found: Dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        return FinishedReport(
            folder=folder,
            labels=ClassMap.from_list(found["classes"]),
            model={str(name): str(value) for name, value in found["model"].items()},
            engine=str(found["engine"]),
            sources=[Source(**{name: source[name] for name in SOURCE_FIELDS}) for source in found["sources"]],
            records=RecordFile(folder / RECORDS),
        )
    except (ClassMapError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(
            f"{folder / REPORT} is not a report as `bisenet evaluate-bag` writes it ({error!r}); make it again"
        ) from error
