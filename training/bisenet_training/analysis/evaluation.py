# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The scores of a model on a data set, by the paper's protocol.

Model files and checkpoints are both scored through an engine, so that what is scored is what a vehicle runs.
"""

import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, Mapping, Sequence

import numpy as np
from tqdm import tqdm

from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.data_set_report import Example
from bisenet_ros.evaluation.report.numbers import json_number
from bisenet_ros.model.class_groups import show_unlisted
from bisenet_ros.model.class_map import ClassMap, check_same_classes
from bisenet_ros.model.input_size import size_text
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.data.transforms import pad_frame
from bisenet_training.errors import DataError

Size = tuple[int, int]

NO_TRICKS = "none, as in the paper"
MOST_EXAMPLES = 4
"""How many of the best frames, and of the worst, the report shows."""


@dataclass(frozen=True)
class FrameScore:
    """One frame's place in the data set, its name and its own mIoU, 0 to 1."""

    index: int
    name: str
    miou: float


@dataclass(frozen=True)
class Evaluation:
    """The scores of a whole split, all from one confusion matrix.

    Attributes:
        classes: the data set's; behind them, with a class map, perhaps UNLISTED, which the mask may have.
        confusion: classes x classes int64 pixels; a row for each true class, a column for each predicted one.
        frames: every frame with a labeled pixel, the worst first.
        protocol: how it was measured, human-readable: names and values.
        tricks: the test-time tricks, such as "flip"; None is the paper's protocol.
        scored: ids of the classes that have an IoU; None: all. Pixels that are taken for others are wrong.
    """

    classes: ClassMap
    confusion: np.ndarray
    frames: list[FrameScore]
    protocol: Mapping[str, str]
    tricks: str | None
    scored: Sequence[int] | None = None

    @property
    def miou(self) -> float:
        return mean_iou(self.confusion, scored=self.scored)

    @property
    def pixel_accuracy(self) -> float:
        return pixel_accuracy(self.confusion)

    @property
    def iou(self) -> dict[str, float]:
        """IoU of each class, 0 to 1; NaN for one that is in no target and no mask, or that is not scored."""
        return dict(zip(self.classes.names, class_iou(self.confusion, scored=self.scored).tolist()))

    @property
    def share(self) -> dict[str, float]:
        """Share of each class in the labeled pixels, 0 to 1."""
        pixels = self.confusion.sum(axis=1)
        return dict(zip(self.classes.names, (pixels / max(1, pixels.sum())).tolist()))

    @property
    def headline(self) -> str:
        """The scores in one line, with the tricks where there are any."""
        scores = f"mIoU {100 * self.miou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"
        return f"{scores}, with {self.tricks} (the paper has no test-time tricks)" if self.tricks else scores

    def to_dict(self) -> dict[str, Any]:
        """The scores for JSON: 0 to 1, None where there is nothing to score."""
        return {
            "miou": json_number(self.miou),
            "pixel_accuracy": json_number(self.pixel_accuracy),
            "iou": {name: json_number(iou) for name, iou in self.iou.items()},
            "tricks": self.tricks,
            "protocol": dict(self.protocol),
            "confusion": self.confusion.tolist(),
            "frames": {frame.name: json_number(frame.miou) for frame in self.frames},
        }


def evaluate(
    engine: Engine,
    dataset: SegmentationDataset,
    *,
    pad: Size = (0, 0),
    tricks: str | None = None,
    scored: Sequence[int] | None = None,
) -> Evaluation:
    """Scores every frame of a data set.

    Args:
        pad: (height, width) that smaller frames are padded to.
        tricks: the engine's test-time tricks, for the report.
        scored: ids of the classes to score, the only ones in the targets; None: all.

    Raises:
        ClassMapError: the model's classes are not the data set's.
        DataError: a frame cannot be read, which is named; or nothing is labeled.
    """
    check_same_classes(engine.classes, dataset.classes)
    classes = len(engine.card.classes)
    confusion = np.zeros((classes, classes), np.int64)
    frames: list[FrameScore] = []
    sizes: list[Size] = []
    network_sizes: list[Size] = []
    seconds: list[float] = []
    for index in tqdm(range(len(dataset)), desc="evaluating", unit="frame", disable=None):
        image, target = dataset[index]
        start = time.perf_counter()
        mask = segment(engine, image, pad=pad)
        seconds.append(time.perf_counter() - start)
        frame = confusion_matrix(target, mask, classes=classes)
        confusion += frame
        sizes.append(image.shape[:2])
        network_sizes.append(engine.network_size(*map(max, image.shape[:2], pad)))
        if frame.any():
            frames.append(FrameScore(index, dataset.name(index), mean_iou(frame, scored=scored)))
    if not frames:
        raise DataError(f"none of the {len(dataset)} frames has a labeled pixel, so that there is nothing to score")
    return Evaluation(
        classes=engine.card.classes,
        confusion=confusion,
        frames=sorted(frames, key=lambda frame: frame.miou),
        protocol={
            "frames": str(len(dataset)),
            **_describe_input(sizes, network_sizes, pad),
            **_describe_scored(engine.classes, confusion, sizes, scored),
            "test-time tricks": f"{tricks}, averaging logits (the paper has none)" if tricks else NO_TRICKS,
            "engine": engine.description,
            "time per frame": f"{1000 * float(np.median(seconds)):.0f} ms (median, with resizing)",
        },
        tricks=tricks,
        scored=scored,
    )


def segment(engine: Engine, frame: np.ndarray, *, pad: Size) -> np.ndarray:
    """The mask of a frame that is first padded to at least `pad` (height, width) with the mean color.

    What a class map leaves out has the id of the card's class UNLISTED.
    """
    height, width = frame.shape[:2]
    mask = engine.segment(pad_frame(frame, pad, mean=engine.card.mean))[:height, :width]
    return show_unlisted(mask, engine.card.classes)


def find_examples(
    frames: Sequence[FrameScore], engine: Engine, dataset: SegmentationDataset, *, pad: Size
) -> dict[str, list[Example]]:
    """The worst frames, worst first, and the best frames, best first; no frame is in both lists.

    Args:
        frames: the worst first.
        pad: (height, width) that smaller frames are padded to.
    """
    worst = frames[: min(MOST_EXAMPLES, (len(frames) + 1) // 2)]
    best = frames[len(worst) :][::-1][:MOST_EXAMPLES]

    def example(score: FrameScore) -> Example:
        image, target = dataset[score.index]
        title = f"{score.name}: mIoU {100 * score.miou:.2f} %"
        return Example(title, image, target, segment(engine, image, pad=pad))

    return {"Worst frames": [*map(example, worst)], "Best frames": [*map(example, best)]}


def _describe_input(sizes: Sequence[Size], network_sizes: Sequence[Size], pad: Size) -> dict[str, str]:
    """The sizes of the frames and of the network's input, and how small frames were padded."""
    described = {"frame size": _describe_sizes(sizes), "network size": _describe_sizes(network_sizes)}
    if any(pad):
        described["padding"] = f"to {size_text(pad)}, with the mean color"
    return described


def _describe_scored(
    classes: ClassMap, confusion: np.ndarray, sizes: Sequence[Size], scored: Sequence[int] | None
) -> dict[str, str]:
    """Which classes have a score and how many of the pixels, where it is not all that are labeled."""
    if scored is None:
        return {}
    names = ", ".join(classes.names[class_id] for class_id in scored)
    share = confusion.sum() / sum(height * width for height, width in sizes)
    return {
        "scored classes": f"the {len(scored)} of {len(classes)} that model and data set have: {names}",
        "scored pixels": f"{share:.1%} of all, those of the scored classes",
    }


def _describe_sizes(sizes: Sequence[Size]) -> str:
    """The most common size, and how many other sizes there are."""
    (size, _), *others = Counter(sizes).most_common()
    return f"{size_text(size)} and {len(others)} others" if others else size_text(size)
