# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make a data set from what a labeling tool exports."""

import argparse
from pathlib import Path

EXTRA = "training"
DESCRIPTION = """\
Makes a data set of the folder with labelme's JSON files, of a COCO file with polygons or masks (as CVAT exports it), or
of the folder of CVAT's "Segmentation mask" export: copies of the images, label files, lists of the frames to train on
and to validate with, and dataset.yaml for data.dataset. Pixels that nobody has drawn in have no class and are ignored;
with --background they have that one. Where regions overlap, the later one in the file counts."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("export", type=Path, help="a folder of labelme's or CVAT's, or a COCO file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="the data set to make")
    parser.add_argument(
        "--images", type=Path, metavar="FOLDER", help="where the images lie; default: as the export says"
    )
    parser.add_argument("--classes", nargs="+", default=(), metavar="NAME", help="by id; default: all, alphabetically")
    parser.add_argument("--background", metavar="NAME", help="the class of pixels that nobody has drawn in")
    parser.add_argument(
        "--val", type=float, default=0.2, metavar="SHARE", help="share of the frames to validate with; default 0.2"
    )


def run(arguments: argparse.Namespace) -> int:
    from bisenet_training.errors import OptionError
    from bisenet_training.label_imports.make_dataset import DATASET_YAML, make_data_set, read_export

    if not 0 < arguments.val < 1:
        raise OptionError(f"--val must be above 0 and below 1, got {arguments.val}")
    made = make_data_set(
        list(read_export(arguments.export, arguments.images)),
        arguments.output,
        classes=arguments.classes,
        background=arguments.background,
        val_share=arguments.val,
    )
    print(f"{len(made.train)} frames to train on, {len(made.val)} to validate with; classes: {', '.join(made.classes)}")
    if made.left_out:
        print(f"{len(made.left_out)} images that nobody has drawn in were left out, first {made.left_out[0]}")
    print(f"check it: bisenet check-dataset {arguments.output / DATASET_YAML} --root {arguments.output}")
    return 0
