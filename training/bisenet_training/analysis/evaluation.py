"""The scores of a model on a data set, by the paper's protocol.

Model files and checkpoints are both scored through an engine, so that what is scored is what a vehicle runs.
"""

import math
import time
from collections import Counter
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any, Mapping, Sequence

import cv2
import numpy as np
from tqdm import tqdm

from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix, mean_iou, pixel_accuracy
from bisenet_ros.evaluation.report.data_set_report import Example
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.input_size import size_text
from bisenet_ros.model.model_card import ModelError
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

Size = tuple[int, int]

PAPER_PADDING: dict[str, Size] = {"coco_stuff_10k": (640, 640)}
"""(height, width) that the paper pads frames to (section 4.5, "COCO-Stuff")."""
MOST_EXAMPLES = 4
"""Best and worst frames that the report shows."""


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
        classes: the data set's.
        confusion: classes x classes int64 pixels; a row for each true class, a column for each predicted one.
        frames: every frame with a labeled pixel, the worst first.
        protocol: how it was measured, for people: names and values.
        tricks: the test-time tricks, such as "flip"; None is the paper's protocol.
    """

    classes: ClassMap
    confusion: np.ndarray
    frames: list[FrameScore]
    protocol: Mapping[str, str]
    tricks: str | None

    @property
    def miou(self) -> float:
        return mean_iou(self.confusion)

    @property
    def pixel_accuracy(self) -> float:
        return pixel_accuracy(self.confusion)

    @property
    def iou(self) -> dict[str, float]:
        """Of each class; NaN for a class that is in no target and no mask."""
        return dict(zip(self.classes.names, class_iou(self.confusion).tolist()))

    @property
    def share(self) -> dict[str, float]:
        """Of each class in the labeled pixels."""
        pixels = self.confusion.sum(axis=1)
        return dict(zip(self.classes.names, (pixels / max(1, pixels.sum())).tolist()))

    @property
    def headline(self) -> str:
        """The scores in one line, with the tricks where there are any."""
        scores = f"mIoU {100 * self.miou:.2f} %, pixel accuracy {100 * self.pixel_accuracy:.2f} %"
        return f"{scores}, with {self.tricks} (the paper has no test-time tricks)" if self.tricks else scores

    def to_dict(self) -> dict[str, Any]:
        """For JSON: shares of 1, None where there is nothing to score."""
        return {
            "miou": _number(self.miou),
            "pixel_accuracy": _number(self.pixel_accuracy),
            "iou": {name: _number(iou) for name, iou in self.iou.items()},
            "tricks": self.tricks,
            "protocol": dict(self.protocol),
            "confusion": self.confusion.tolist(),
            "frames": {frame.name: _number(frame.miou) for frame in self.frames},
        }


def evaluate(
    engine: Engine, dataset: SegmentationDataset, *, pad: Size = (0, 0), tricks: str | None = None
) -> Evaluation:
    """Scores every frame of a data set.

    Args:
        pad: (height, width) that smaller frames are padded to.
        tricks: the engine's test-time tricks, for the report.

    Raises:
        ModelError: the model's classes are not the data set's.
        DataError: a frame cannot be read, which is named; or nothing is labeled.
    """
    check_classes(engine.card.classes, dataset.classes)
    classes = len(dataset.classes)
    confusion = np.zeros((classes, classes), np.int64)
    frames: list[FrameScore] = []
    sizes: Counter = Counter()
    seconds: list[float] = []
    for index in tqdm(range(len(dataset)), desc="evaluating", unit="frame", disable=None):
        image, target = dataset[index]
        start = time.perf_counter()
        mask = segment(engine, image, pad=pad)
        seconds.append(time.perf_counter() - start)
        frame = confusion_matrix(target, mask, classes=classes)
        confusion += frame
        sizes[image.shape[:2]] += 1
        if frame.any():
            frames.append(FrameScore(index, dataset.name(index), mean_iou(frame)))
    if not frames:
        raise DataError(f"none of the {len(dataset)} frames has a labeled pixel, so that there is nothing to score")
    return Evaluation(
        classes=dataset.classes,
        confusion=confusion,
        frames=sorted(frames, key=lambda frame: frame.miou),
        protocol={
            "frames": str(len(dataset)),
            "frame size": _describe_sizes(sizes),
            "network size": _describe_sizes(_network_sizes(engine, sizes, pad)),
            **({"padding": f"to {size_text(pad)}, with the mean color"} if any(pad) else {}),
            "test-time tricks": f"{tricks}, averaging logits (the paper has none)"
            if tricks
            else "none, as in the paper",
            "engine": engine.description,
            "time per frame": f"{1000 * float(np.median(seconds)):.0f} ms (median, with resizing)",
        },
        tricks=tricks,
    )


def segment(engine: Engine, frame: np.ndarray, *, pad: Size) -> np.ndarray:
    """`engine.segment` of a frame that is first padded to at least `pad` with the mean color: the frame's mask."""
    height, width = frame.shape[:2]
    bottom, right = max(0, pad[0] - height), max(0, pad[1] - width)
    if bottom or right:
        mean_bgr = [255 * channel for channel in reversed(engine.card.mean)]
        frame = cv2.copyMakeBorder(frame, 0, bottom, 0, right, cv2.BORDER_CONSTANT, value=mean_bgr)
    return engine.segment(frame)[:height, :width]


def check_classes(model: ClassMap, dataset: ClassMap) -> None:
    """Raises ModelError, with every difference, unless both have the same names in the same order."""
    pairs = enumerate(zip_longest(model.names, dataset.names))
    differences = [f"{i}: {ours or 'none'} / {theirs or 'none'}" for i, (ours, theirs) in pairs if ours != theirs]
    if differences:
        raise ModelError(
            f"expected a model of the data set's {len(dataset)} classes, got one of {len(model)}; they differ in "
            f"(id: model / data set) {', '.join(differences)}; choose the data set that the model was trained for"
        )


def find_examples(
    frames: Sequence[FrameScore], engine: Engine, dataset: SegmentationDataset, *, pad: Size
) -> dict[str, list[Example]]:
    """Of frames in rising order, the worst, worst first, and the best, best first; none is in both."""
    worst = frames[: min(MOST_EXAMPLES, (len(frames) + 1) // 2)]
    best = frames[len(worst) :][::-1][:MOST_EXAMPLES]

    def examples(scores: Sequence[FrameScore]) -> list[Example]:
        shown = []
        for score in scores:
            image, target = dataset[score.index]
            mask = segment(engine, image, pad=pad)
            shown.append(Example(f"{score.name}: mIoU {100 * score.miou:.2f} %", image, target, mask))
        return shown

    return {"Worst frames": examples(worst), "Best frames": examples(best)}


def _network_sizes(engine: Engine, sizes: Counter, pad: Size) -> Counter:
    found: Counter = Counter()
    for (height, width), frames in sizes.items():
        found[engine.network_size(max(height, pad[0]), max(width, pad[1]))] += frames
    return found


def _describe_sizes(sizes: Counter) -> str:
    """The most common, and how many others there are."""
    (size, _), *others = sizes.most_common()
    return f"{size_text(size)} and {len(others)} others" if others else size_text(size)


def _number(score: float) -> float | None:
    return round(score, 6) if math.isfinite(score) else None
