"""The evaluation as one HTML page that needs no other file."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Dict, List, NamedTuple, Sequence

import numpy as np
from jinja2 import Environment, PackageLoader, StrictUndefined
from matplotlib.figure import Figure

from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.report.page_pictures import draw_errors, embed, embed_picture, shrink
from bisenet_ros.model.class_map import ClassMap
from bisenet_training.analysis.evaluation import Evaluation, FrameScore, Size, extremes, segment
from bisenet_training.data.segmentation_dataset import SegmentationDataset

LONGEST_SIDE = 640
"""Pixels of a picture on the page."""
MOST_NUMBERED = 30
"""Classes up to which every cell of the confusion matrix has its number."""


class Example(NamedTuple):
    """A frame for the page: H x W x 3 uint8 BGR, and H x W uint8 truth and predicted labels."""

    score: FrameScore
    image: np.ndarray
    truth: np.ndarray
    labels: np.ndarray


def write_evaluation(path: Path, found: Evaluation, engine: Engine, dataset: SegmentationDataset, *, pad: Size) -> None:
    """Writes the page with the best and the worst frames, which are segmented again for it."""

    def examples(scores: Sequence[FrameScore]) -> List[Example]:
        frames = ((score, *dataset[score.index]) for score in scores)
        return [Example(score, image, target, segment(engine, image, pad=pad)) for score, image, target in frames]

    worst, best = map(examples, extremes(found.frames))
    write_report(path, found, best=best, worst=worst)


def write_report(path: Path, found: Evaluation, *, best: Sequence[Example], worst: Sequence[Example]) -> None:
    """Writes the page: scores, protocol, IoU per class, confusion matrix, and the best and the worst frames."""
    environment = Environment(
        loader=PackageLoader("bisenet_training.analysis"), autoescape=True, undefined=StrictUndefined
    )
    page = environment.get_template("evaluation_report.html.jinja").render(
        found=found,
        classes=[
            {"name": label.name, "color": label.color, "iou": iou, "share": share}
            for label, iou, share in zip(found.classes, found.iou.values(), found.share.values())
        ],
        matrix=embed(draw_confusion(found.confusion, found.classes.names), kind=".png"),
        groups={
            "Worst frames": [_row(example, found.classes) for example in worst],
            "Best frames": [_row(example, found.classes) for example in best],
        },
    )
    path.write_text(page, encoding="utf-8")


def draw_confusion(confusion: np.ndarray, names: Sequence[str]) -> bytes:
    """A PNG of the confusion matrix, every row as percentages of the class's true pixels."""
    rows = confusion.sum(axis=1, keepdims=True)
    percent = 100 * confusion / np.maximum(rows, 1)
    few = len(names) <= MOST_NUMBERED
    side = 3 + (0.5 if few else 0.12) * len(names)
    figure = Figure(figsize=(side, side), layout="constrained")
    axes = figure.add_subplot()
    axes.imshow(percent, cmap="Blues", vmin=0, vmax=100)
    font = 9 if few else 6
    axes.set_xticks(range(len(names)), names, rotation=90, fontsize=font)
    axes.set_yticks(range(len(names)), names, fontsize=font)
    axes.set_xlabel("prediction")
    axes.set_ylabel("truth")
    for (row, column), value in np.ndenumerate(percent if few else np.empty((0, 0))):
        color = "white" if value > 50 else "black"
        axes.text(column, row, f"{value:.0f}", ha="center", va="center", fontsize=font, color=color)
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi=100)
    return file.getvalue()


def _row(example: Example, labels: ClassMap) -> Dict[str, object]:
    bgr = labels.color_table()[:, ::-1]
    pictures: List[Dict[str, str]] = []
    for title, pixels, kind in (
        ("image", example.image, ".jpg"),
        ("truth", bgr[example.truth], ".png"),
        ("prediction", bgr[example.labels], ".png"),
        ("error", draw_errors(example.image, example.truth, example.labels), ".jpg"),
    ):
        shrunk = shrink(pixels, side=LONGEST_SIDE, mix=kind == ".jpg")
        pictures.append({"title": title, "data": embed_picture(shrunk, kind=kind)})
    return {"score": example.score, "pictures": pictures}
