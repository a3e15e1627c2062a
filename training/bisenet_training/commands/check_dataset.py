# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Read every frame of a data set and list the problems."""

import argparse
from pathlib import Path

from bisenet_training.errors import DataError

EXTRA = "training"
DATASET_HELP = "a data set's name, such as cityscapes or comma10k, or the YAML that describes your own"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("dataset", help=DATASET_HELP)
    parser.add_argument("--root", type=Path, required=True, help="the data set's folder")
    words = "merges its classes: the name of one in bisenet_training/class_maps, or a file"
    parser.add_argument("--class-map", metavar="MAP", help=words)
    parser.add_argument("--split", action="append", help="may be repeated; default: those to train and validate with")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_training.data.dataset_check import inspect, summarize
    from bisenet_training.data.find_dataset import find_dataset, ignored_classes
    from bisenet_training.data.segmentation_dataset import SegmentationDataset

    description = find_dataset(arguments.dataset, class_map=arguments.class_map)
    datasets, problems = [], []
    for split in arguments.split or description.splits:
        try:
            datasets.append(SegmentationDataset(description, arguments.root, split))
        except DataError as error:
            problems.append(str(error))
    if not datasets:
        raise DataError("\n".join(dict.fromkeys(problems)))
    if problems:
        print("\n".join(problems))
    for dataset in datasets:
        inspections, found = inspect(dataset)
        print("\n".join([*found, *summarize(dataset, inspections)]))
        problems += found
    ignored = ignored_classes(find_dataset(arguments.dataset), description)
    if ignored:
        print(f"the class map leaves out, and so training and scores ignore: {', '.join(ignored)}")
    for what in ("license", "origin"):
        if getattr(description, what):
            print(f"{what}: {getattr(description, what)}")
    return 1 if problems else 0
