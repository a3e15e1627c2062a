"""The scores of a model on a data set: `bisenet evaluate MODEL --data camvid --root /data/camvid`.

Exported models and checkpoints go the same way, an engine's, so that what is scored is what a vehicle would run.
"""

from __future__ import annotations

import argparse
import json
import time
from collections import Counter
from dataclasses import replace
from itertools import zip_longest
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from tqdm import tqdm

from bisenet_ros.engines import Engine, load_engine
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.input_size import LONGEST_SIDE, SMALLEST_SIDE, size_text
from bisenet_ros.model.model_card import ModelError
from bisenet_training.analysis.evaluation import Evaluation, FrameScore
from bisenet_training.analysis.evaluation_report import Example, write_report
from bisenet_training.analysis.test_time_augmentation import AugmentedEngine
from bisenet_training.analysis.torch_engine import DEVICES, TorchEngine
from bisenet_training.data.datasets import DataError, SegmentationDataset, default_splits, open_dataset
from bisenet_training.export import load_checkpoint

Size = Tuple[int, int]

PAPER_PADDING: Dict[str, Size] = {"coco_stuff_10k": (640, 640)}
"""(height, width) that the paper pads frames to (section 4.5, "COCO-Stuff")."""
EXAMPLES = 4
"""Best and worst frames that the report shows."""
DESCRIPTION = """\
mIoU, pixel accuracy and the IoU of every class, by the paper's protocol: no tricks. A frame keeps its shape and is
shrunk to as many pixels as the model was trained with, never enlarged; its logits are brought back to the frame's size
and every pixel is scored there. So Cityscapes goes 2048x1024 -> 1024x512 -> 2048x1024, and CamVid at 480x360 stays as
it is. COCO-Stuff 10K is padded to 640x640, as in the paper."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("model", type=Path, help="a model file (.onnx) or a checkpoint of `bisenet train` (.ckpt)")
    parser.add_argument(
        "--data",
        required=True,
        help="camvid, camvid_original, cityscapes, coco_stuff_10k, ade20k, or the YAML of your own data set",
    )
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    parser.add_argument("--split", help="default: the one that the data set validates with, such as val")
    parser.add_argument("--flip", action="store_true", help="trick: average with the logits of the mirror image")
    parser.add_argument(
        "--scales", type=float, nargs="+", default=[1.0], metavar="X", help="trick: average logits of several scales"
    )
    parser.add_argument(
        "--size",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="shrink frames to as many pixels as this has, in place of the size on the model's card",
    )
    parser.add_argument(
        "--pad",
        type=int,
        nargs=2,
        metavar=("H", "W"),
        help="pad smaller frames at the right and the bottom; 0 0 for no padding; default: the paper's",
    )
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default auto: a checkpoint's GPU, if any")
    parser.add_argument(
        "--precision", choices=("fp32", "bf16", "auto"), default="fp32", help="of a model file; default fp32"
    )
    parser.add_argument(
        "-o", "--output", type=Path, metavar="FOLDER", help="write report.html and scores.json into this folder"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores as JSON")


def run(arguments: argparse.Namespace) -> int:
    engine = open_engine(arguments.model, device=arguments.device, precision=arguments.precision)
    split = arguments.split or default_splits(arguments.data)[1]
    source = {"model": arguments.model.name, "data set": f"{Path(arguments.data).name}, split {split}"}
    if arguments.size:
        size = _checked("--size", *arguments.size, smallest=SMALLEST_SIDE)
        source["size"] = f"{size_text(size)} as asked for; the model's card says {size_text(engine.card.network_size)}"
        engine.card = replace(engine.card, network_size=size)
    tricks = describe_tricks(flip=arguments.flip, scales=arguments.scales)
    if tricks:
        engine = _with_tricks(engine, flip=arguments.flip, scales=arguments.scales)
    pad = _checked("--pad", *(arguments.pad or PAPER_PADDING.get(arguments.data, (0, 0))), smallest=0)
    dataset = open_dataset(arguments.data, root=arguments.root, split=split)
    _make_folders(output=arguments.output, scores=arguments.json)

    found = evaluate(engine, dataset, pad=pad, tricks=tricks)
    found = replace(found, protocol={**source, **found.protocol})
    print_scores(found)
    scores = json.dumps(found.to_dict(), indent=1, allow_nan=False)
    if arguments.json:
        arguments.json.write_text(scores + "\n")
    if arguments.output:
        (arguments.output / "scores.json").write_text(scores + "\n")
        report = arguments.output / "report.html"
        worst, best = (_examples(engine, dataset, frames, pad=pad) for frames in extremes(found.frames))
        write_report(report, found, best=best, worst=worst)
        print(f"report: {report}")
    return 0


def open_engine(path: Path, *, device: str = "auto", precision: str = "fp32") -> Engine:
    """The engine for a model file or a checkpoint.

    Raises:
        ModelError: the file is neither, or cannot be used.
        ValueError: a device or precision that is not to be had.
    """
    if path.suffix not in (".onnx", ".ckpt"):
        raise ModelError(f"expected a model file (.onnx) or a checkpoint of `bisenet train` (.ckpt), got {path}")
    if path.suffix == ".onnx":
        return load_engine(path, device=device, precision=precision)
    if precision == "bf16":
        raise ValueError(f"{path} is a checkpoint, which is scored in fp32; precision bf16 is for model files")
    return TorchEngine(*load_checkpoint(path), device=device)


def evaluate(
    engine: Engine, dataset: SegmentationDataset, *, pad: Size = (0, 0), tricks: Optional[str] = None
) -> Evaluation:
    """Scores every frame of a data set.

    Args:
        pad: (height, width) that smaller frames are padded to.
        tricks: the engine's, for the report.

    Raises:
        ModelError: the model's classes are not the data set's.
        DataError: a frame cannot be read, which is named; or nothing is labeled.
    """
    check_classes(engine.card.classes, dataset.labels)
    classes = len(dataset.labels)
    confusion = np.zeros((classes, classes), np.int64)
    frames: List[FrameScore] = []
    sizes: Counter = Counter()
    seconds: List[float] = []
    for index in tqdm(range(len(dataset)), desc="evaluating", unit="frame", disable=None):
        image, truth = dataset[index]
        start = time.perf_counter()
        labels = segment(engine, image, pad=pad)
        seconds.append(time.perf_counter() - start)
        frame = confusion_matrix(truth, labels, classes=classes)
        confusion += frame
        sizes[image.shape[:2]] += 1
        if frame.any():
            frames.append(FrameScore(index, dataset.name(index), mean_iou(frame)))
    if not frames:
        raise DataError(f"none of the {len(dataset)} frames has a labeled pixel, so that there is nothing to score")
    return Evaluation(
        labels=dataset.labels,
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
    """`engine.segment` of a frame that is first padded to at least `pad` with the mean color; the frame's labels."""
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


def describe_tricks(*, flip: bool, scales: Sequence[float]) -> Optional[str]:
    """In words; None when there are none."""
    tricks = ["flip"] if flip else []
    if list(scales) != [1]:
        tricks.append(f"scales {', '.join(f'{scale:g}' for scale in scales)}")
    return " and ".join(tricks) or None


def extremes(frames: Sequence[FrameScore]) -> Tuple[Sequence[FrameScore], Sequence[FrameScore]]:
    """Of frames in rising order, the worst, worst first, and the best, best first; none is in both."""
    worst = frames[: min(EXAMPLES, (len(frames) + 1) // 2)]
    return worst, frames[len(worst) :][::-1][:EXAMPLES]


def print_scores(found: Evaluation) -> None:
    table = Table("class", "IoU %", "pixels %")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, iou in found.iou.items():
        table.add_row(escape(name), "-" if np.isnan(iou) else f"{100 * iou:.2f}", f"{100 * found.share[name]:.2f}")
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    for name, value in found.protocol.items():
        console.print(f"{name}: {value}")
    console.print(found.headline, style="bold")


def _examples(
    engine: Engine, dataset: SegmentationDataset, frames: Sequence[FrameScore], *, pad: Size
) -> List[Example]:
    examples = []
    for frame in frames:
        image, truth = dataset[frame.index]
        examples.append(Example(frame, image, truth, segment(engine, image, pad=pad)))
    return examples


def _with_tricks(engine: Engine, *, flip: bool, scales: Sequence[float]) -> Engine:
    if not isinstance(engine, CpuEngine):
        raise ValueError(f"--flip and --scales cannot be had with {engine.description}; choose --device cpu")
    return AugmentedEngine(engine, flip=flip, scales=scales)


def _checked(option: str, height: int, width: int, *, smallest: int) -> Size:
    if not smallest <= min(height, width) <= max(height, width) <= LONGEST_SIDE:
        raise ValueError(
            f"{option} must be a height and a width of {smallest} to {LONGEST_SIDE} pixels, got {height} {width}"
        )
    return height, width


def _make_folders(*, output: Optional[Path], scores: Optional[Path]) -> None:
    """Before an hour of evaluation is spent on results that cannot be written."""
    if output:
        output.mkdir(parents=True, exist_ok=True)
    if scores and scores.is_dir():
        raise ValueError(f"--json must be a file, and {scores} is a folder")
    if scores:
        scores.parent.mkdir(parents=True, exist_ok=True)


def _network_sizes(engine: Engine, sizes: Counter, pad: Size) -> Counter:
    found: Counter = Counter()
    for (height, width), frames in sizes.items():
        found[engine.network_size(max(height, pad[0]), max(width, pad[1]))] += frames
    return found


def _describe_sizes(sizes: Counter) -> str:
    """The most common, and how many others there are."""
    (size, _), *others = sizes.most_common()
    return f"{size_text(size)} and {len(others)} others" if others else size_text(size)
