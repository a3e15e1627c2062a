# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The reports' pages: HTML that needs no other file, and what tables on them share."""

from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, Tuple

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined

from bisenet_ros.evaluation.report.numbers import percent
from bisenet_ros.files.atomic_write import write_text
from bisenet_ros.model.class_map import ClassMap

MOST_CONFUSION_CLASSES = 30
"""Classes up to which the whole confusion matrix is shown."""
MOST_PAIRS = 10
"""Pairs of classes in a list of the largest confusions."""


def write_page(path: Path, template: str, **values: Any) -> None:
    """Renders a template of this package; names that are not UTF-8 are escaped."""
    environment = Environment(
        loader=PackageLoader("bisenet_ros.evaluation.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = environment.get_template(template).render(values)
    write_text(path, page.encode("utf-8", "backslashreplace").decode())


def class_rows(classes: ClassMap, columns: Mapping[str, Mapping[str, Optional[float]]]) -> List[Dict[str, str]]:
    """The table of the classes; a column has fractions by the classes' names."""
    return [
        {
            "name": entry.name,
            "color": f"rgb{entry.color}",
            **{column: percent(values.get(entry.name)) for column, values in columns.items()},
        }
        for entry in classes
    ]


def largest_cells(matrix: np.ndarray) -> List[Tuple[int, int]]:
    """The (row, column) of the largest values above 0, the largest first."""
    places = np.argsort(-matrix, axis=None, kind="stable")[:MOST_PAIRS]
    return [divmod(int(place), len(matrix)) for place in places if matrix.flat[place]]


def confusion_tables(confusion: np.ndarray, names: Sequence[str]) -> Dict[str, Any]:
    """The confusion matrix, of few classes, and its largest confusions, for the page."""
    rows = 100 * confusion / np.maximum(confusion.sum(axis=1, keepdims=True), 1)
    few = len(names) <= MOST_CONFUSION_CLASSES
    return {
        "names": names,
        "rows": [{"name": name, "percent": row.tolist()} for name, row in zip(names, rows)] if few else [],
        "largest": [
            {
                "ground_truth": names[row],
                "mask": names[column],
                "of_class": f"{rows[row, column]:.1f}",
                "of_all": f"{100 * confusion[row, column] / confusion.sum():.2f}",
            }
            for row, column in largest_cells(confusion - np.diag(np.diag(confusion)))
        ],
    }
