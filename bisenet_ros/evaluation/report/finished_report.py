# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Reads back a report of `bisenet evaluate-bag`."""

import json
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Dict, Iterator, List, Tuple

import numpy as np

from bisenet_ros.bags.bag_images import read_masks
from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.frame_record import RECORDS, FrameRecord, RecordFile
from bisenet_ros.evaluation.report.bag_report import REPORT
from bisenet_ros.evaluation.run_folder import CONTENT, read_inputs
from bisenet_ros.evaluation.run_summary import Source, TopicKey
from bisenet_ros.model.class_groups import show_unlisted
from bisenet_ros.model.class_map import ClassMap

HARDWARE = ("board", "CPU", "cores", "GPU")
"""What the engine's times depend on, of the facts of the machine."""


@dataclass(frozen=True)
class FinishedReport:
    """A report: the folder of it and of the bags of its masks, what it says of the run, and all frames' records.

    Attributes:
        hardware: facts of the machine by the names in HARDWARE; none of a cluster.
        contents: of each bag, the size in bytes and the time of change in ns of its files; none where it is not known.
    """

    folder: Path
    classes: ClassMap
    model: Dict[str, str]
    engine: str
    jobs: str
    hardware: Dict[str, str]
    sources: List[Source]
    records: RecordFile
    contents: Dict[str, List[Tuple[int, int]]]

    @property
    def title(self) -> str:
        return f"{self.model.get('file', 'a model')}, {self.engine} ({self.folder})"

    def read_masks(self, topic: TopicKey) -> Iterator[Tuple[FrameRecord, np.ndarray]]:
        """The records of a topic, each with its H x W uint8 mask.

        Raises BisenetError where a mask is not there or not of its record; BagError where the bag cannot be read.
        """
        source = next(entry for entry in self.sources if entry.key == topic)
        bag = self.folder / source.masks
        masks = read_masks(bag, source.mask_topic)
        for record in (record for record in self.records if record.key[:2] == topic):
            stamp_ns, mask = next(masks, (None, None))
            size = record.height, record.width
            ids = None if mask is None else show_unlisted(mask, self.classes)
            if ids is None or stamp_ns != record.stamp_ns or ids.shape != size or ids.max() >= len(self.classes):
                raise BisenetError(f"{bag} does not have the mask of {record.title}; make the report again")
            yield record, ids


def read_report(folder: Path) -> FinishedReport:
    """Reads a report; raises BisenetError where it has been changed or is of another version; FileNotFoundError."""
    for name in (REPORT, RECORDS):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"expected the folder of a report by `bisenet evaluate-bag`, but {folder} has no {name}"
            )
    names = {field.name for field in fields(Source)}
    try:
        found: Dict[str, Any] = json.loads((folder / REPORT).read_text(encoding="utf-8"))
        sources = [Source(**{name: source[name] for name in names & source.keys()}) for source in found["sources"]]
        inputs = read_inputs(folder)
        files = {source.bag: inputs.get(CONTENT.format(source.bag), []) for source in sources}
        return FinishedReport(
            folder=folder,
            classes=ClassMap.from_list(found["classes"]),
            model={str(name): str(value) for name, value in found["model"].items()},
            engine=str(found["engine"]),
            jobs=str(found["protocol"].get("jobs", "1")),
            hardware={name: str(value) for name, value in found["machine"].items() if name in HARDWARE},
            sources=sources,
            records=RecordFile(folder / RECORDS),
            contents={bag: [(int(size), int(changed)) for _, size, changed in listed] for bag, listed in files.items()},
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise BisenetError(
            f"{folder / REPORT} is not a report as `bisenet evaluate-bag` writes it ({error!r}); make it again"
        ) from error
