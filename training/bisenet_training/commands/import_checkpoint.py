# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make a model file, or a checkpoint to start from, from a CoinCheung/BiSeNet checkpoint."""

import argparse
from pathlib import Path

from bisenet_ros.model.input_size import parse_size
from bisenet_training.commands.export import add_output_arguments, require_new, write_model
from bisenet_training.errors import OptionError

EXTRA = "training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Make a model file of a BiSeNet V2 checkpoint of github.com/CoinCheung/BiSeNet. With an output that ends in "
        ".ckpt, make a checkpoint that a recipe with network.variant=coincheung can start from (run.start_from)."
    )
    parser.add_argument("checkpoint", type=Path, help="a flat state_dict, such as model_final_v2_city.pth")
    add_output_arguments(parser, metavar="MODEL.onnx|MODEL.ckpt")
    words = "name or YAML of the data set that it was trained on"
    parser.add_argument("--dataset", "--labels", required=True, metavar="DATASET", help=words)
    for name in ("--mean", "--std"):
        words = "of RGB in 0 to 1; default: Cityscapes'"
        parser.add_argument(name, type=float, nargs=3, metavar=("R", "G", "B"), help=words)
    words = "what frames are resized to; default 1024x512"
    parser.add_argument("--network-size", "--size", default="1024x512", metavar="WIDTHxHEIGHT", help=words)


def run(arguments: argparse.Namespace) -> int:
    from bisenet_training.import_checkpoint import CITYSCAPES_MEAN, CITYSCAPES_STD, import_checkpoint, save_checkpoint

    to_start_from = arguments.output.suffix == ".ckpt"
    if to_start_from and arguments.weights != "fp32":
        raise OptionError("--weights is the stored type of a model file (.onnx); a checkpoint is fp32: leave it out")
    if arguments.output.resolve() == arguments.checkpoint.resolve():
        raise OptionError(f"{arguments.output} is the file to import, which would be replaced; name another with -o")
    require_new(arguments.output, force=arguments.force)
    imported, card = import_checkpoint(
        arguments.checkpoint,
        dataset=arguments.dataset,
        mean=arguments.mean or CITYSCAPES_MEAN,
        std=arguments.std or CITYSCAPES_STD,
        network_size=parse_size(arguments.network_size),
    )
    if to_start_from:
        save_checkpoint(imported, card, arguments.output)
        print(
            f"{arguments.output}: start from it with network.variant=coincheung run.start_from={arguments.output} "
            f"'data.mean={list(card.mean)}' 'data.std={list(card.std)}'"
        )
    else:
        write_model(imported.network, card, arguments)
    print(
        f"{imported.tensors} tensors, {len(card.classes)} classes; left out {imported.boosters} of booster heads, "
        f"which serve training only, and {imported.counters} batch counters"
    )
    return 0
