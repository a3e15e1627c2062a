# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Score a model on a data set."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, Sequence

from bisenet_ros.engines.loader import DEVICES
from bisenet_ros.engines.precision import PRECISIONS
from bisenet_ros.model.input_size import parse_size, size_text
from bisenet_training.commands.check_dataset import DATASET_HELP
from bisenet_training.errors import OptionError

if TYPE_CHECKING:
    from bisenet_ros.engines import Engine
    from bisenet_training.analysis.evaluation import Evaluation
    from bisenet_training.data.segmentation_dataset import SegmentationDataset

EXTRA = "training"
FILES = ("report.html", "scores.json")
NO_PADDING = "none"
DESCRIPTION = """\
mIoU, pixel accuracy and the IoU of every class, by the paper's protocol: no tricks. A frame keeps its shape and is
resized to as many pixels as the model's card says; its logits are upsampled to the frame's size and every pixel is
scored there. So Cityscapes goes 2048x1024 -> 1024x512 -> 2048x1024. COCO-Stuff 10K is padded to 640x640, as in the
paper. ADE20K's frames enter the network at their own size, which the paper does not state."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("model", type=Path, help="a model file (.onnx) or a checkpoint of `bisenet train` (.ckpt)")
    parser.add_argument("--data", required=True, help=DATASET_HELP)
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    words = "merges classes to common ones: one for both sides, or the model's and the data set's; the name of one in "
    parser.add_argument("--class-map", nargs="+", metavar="MAP", help=f"{words}bisenet_training/class_maps, or a file")
    parser.add_argument("--split", help="default: the one that the data set validates with, such as val")
    parser.add_argument("--flip", action="store_true", help="trick: average with the logits of the mirror image")
    parser.add_argument("--scales", type=float, nargs="+", default=[1.0], metavar="X", help="trick: scales to average")
    default = "default: as the data set's YAML says"
    words = f"of frames for the network: card, half, full or WIDTHxHEIGHT; {default}"
    parser.add_argument("--network-size", "--size", metavar="SIZE", help=words)
    words = f"pad smaller frames; {NO_PADDING} for no padding; {default}"
    parser.add_argument("--pad", metavar="WIDTHxHEIGHT", help=words)
    parser.add_argument("--device", choices=DEVICES, default="auto", help="default auto: a GPU, if any")
    words = "of a model file; default fp32, as the paper's scores; auto is what the node takes"
    parser.add_argument("--precision", choices=PRECISIONS, default="fp32", help=words)
    parser.add_argument("-o", "--output", type=Path, metavar="FOLDER", help="for report.html and scores.json")
    words = "replace the files of an earlier evaluation, or its masks, in FOLDER, and that of --json"
    parser.add_argument("--force", action="store_true", help=words)
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the scores as JSON")
    words = "write the masks there as label files, and score nothing: for a test set without ground truth"
    parser.add_argument("--predictions", type=Path, metavar="FOLDER", help=words)


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.files.result_folder import prepare_outputs
    from bisenet_training.analysis.evaluation import evaluate, find_examples
    from bisenet_training.analysis.test_time_augmentation import describe_tricks

    engine, dataset, scored = _open(arguments)
    pad = _padding(arguments.pad, dataset.padding)
    if arguments.predictions:
        return _predict(arguments, engine, dataset, pad=pad)
    prepare_outputs(arguments.output, arguments.json, files=FILES, force=arguments.force)
    tricks = describe_tricks(flip=arguments.flip, scales=arguments.scales)
    evaluation = evaluate(engine, dataset, pad=pad, tricks=tricks, scored=scored)
    evaluation = replace(evaluation, protocol={**_source(arguments, engine, dataset), **evaluation.protocol})
    print_scores(evaluation)
    _write_results(arguments, evaluation, galleries=lambda: find_examples(evaluation.frames, engine, dataset, pad=pad))
    return 0


def _open(arguments: argparse.Namespace) -> tuple[Engine, SegmentationDataset, Sequence[int] | None]:
    """The engine, the data set, and the ids of the classes that are scored; None for all."""
    from bisenet_training.analysis.common_classes import merge_to_common
    from bisenet_training.analysis.test_time_augmentation import augmented
    from bisenet_training.analysis.torch_engine import open_engine, read_classes
    from bisenet_training.data.find_dataset import find_dataset
    from bisenet_training.data.segmentation_dataset import SegmentationDataset

    if arguments.class_map and arguments.predictions:
        raise OptionError("--predictions are in the classes of the data set's label files; leave --class-map out")
    description = find_dataset(arguments.data)
    size = arguments.network_size or description.size_choice
    model_map, dataset_map = _class_maps(arguments.class_map)
    scored = None
    if model_map and dataset_map:
        maps = {"model_map": model_map, "dataset_map": dataset_map}
        what = f"the data set {arguments.data}"
        description, scored = merge_to_common(description, read_classes(arguments.model), **maps, what=what)
    options = {"device": arguments.device, "precision": arguments.precision, "network_size": size}
    engine = open_engine(arguments.model, **options, class_map=model_map)
    split = arguments.split or description.splits[1]
    dataset = SegmentationDataset(description, arguments.root, split, labeled=not arguments.predictions)
    if scored is None and len(dataset.labeled) < len(dataset.classes):
        scored = dataset.labeled  # as while training: others cannot be right
    return augmented(engine, flip=arguments.flip, scales=arguments.scales), dataset, scored


def _source(arguments: argparse.Namespace, engine: Engine, dataset: SegmentationDataset) -> dict[str, str]:
    """The model, the data set and a size that was asked for, for the protocol."""
    source = {"model": arguments.model.name, "data set": f"{Path(arguments.data).name}, split {dataset.split}"}
    if arguments.network_size:
        of_card = size_text(engine.card.network_size)
        source["--network-size"] = f"{arguments.network_size}; the model's card says {of_card}"
    return source


def _write_results(arguments: argparse.Namespace, evaluation: Evaluation, *, galleries: Callable[[], Any]) -> None:
    """Writes the files that --json and --output ask for.

    Args:
        galleries: segments the report's examples once more.
    """
    from bisenet_ros.evaluation.report.data_set_report import write_data_set_report
    from bisenet_ros.files.atomic_write import write_json

    if arguments.json:
        write_json(arguments.json, evaluation.to_dict())
    if not arguments.output:
        return
    write_json(arguments.output / "scores.json", evaluation.to_dict())
    report = arguments.output / "report.html"
    write_data_set_report(
        report,
        headline=evaluation.headline,
        protocol=evaluation.protocol,
        classes=evaluation.classes,
        confusion=evaluation.confusion,
        galleries=galleries(),
        scored=evaluation.scored,
    )
    print(f"report: {report}")


def _predict(
    arguments: argparse.Namespace, engine: Engine, dataset: SegmentationDataset, *, pad: tuple[int, int]
) -> int:
    from bisenet_ros.files.result_folder import require_apart, require_free
    from bisenet_training.analysis.predictions import write_predictions

    if arguments.output or arguments.json:
        raise OptionError("--predictions scores nothing, so that --output and --json would stay empty; leave them out")
    folder, options = arguments.predictions, {"option": "--predictions"}
    if arguments.force:  # label files may be called as the masks
        require_apart(folder, [arguments.root], **options)
    masks = [f"{dataset.name(index)}.png" for index in range(len(dataset))]
    others = {path for path in folder.rglob("*") if not path.is_dir()} - {folder / name for name in masks}
    require_free(folder, () if others else masks, force=arguments.force, **options, kind="masks")
    write_predictions(engine, dataset, folder, pad=pad)
    print(f"{len(dataset)} masks: {folder}")
    return 0


def print_scores(evaluation: Evaluation) -> None:
    """Prints a table of the classes, the protocol, and the scores."""
    from rich.console import Console
    from rich.table import Column, Table

    from bisenet_ros.evaluation.report.numbers import json_number, percent

    table = Table("class", Column("IoU %", justify="right"), Column("pixels %", justify="right"))
    names = evaluation.classes.names
    for name in names if evaluation.scored is None else [names[class_id] for class_id in evaluation.scored]:
        table.add_row(name, percent(json_number(evaluation.iou[name])), percent(evaluation.share[name]))
    console = Console(highlight=False, markup=False, soft_wrap=True)
    console.print(table)
    for name, value in evaluation.protocol.items():
        console.print(f"{name}: {value}")
    console.print(evaluation.headline, style="bold")


def _class_maps(names: Sequence[str] | None) -> tuple[Path, Path] | tuple[None, None]:
    """The files of the class maps of the model and of the data set; none where none is asked for."""
    from bisenet_training.data.find_dataset import find_class_map

    if not names:
        return None, None
    if len(names) > 2:
        raise OptionError(f"--class-map takes one for both, or the model's and the data set's, got {len(names)}")
    return find_class_map(names[0]), find_class_map(names[-1])


def _padding(text: str | None, default: tuple[int, int]) -> tuple[int, int]:
    """(height, width) that frames are padded to; zeros for no padding."""
    if text is None:
        return default
    return (0, 0) if text == NO_PADDING else parse_size(text)
