"""Make a model file of a checkpoint."""

import argparse
from pathlib import Path

EXTRA = "training"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train`")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="MODEL.onnx", help="the model file to write"
    )
    parser.add_argument(
        "--weights", choices=("fp32", "fp16"), default="fp32", help="how weights are stored; fp16 halves the file"
    )


def run(arguments: argparse.Namespace) -> int:
    from bisenet_training.export import export, load_checkpoint

    network, card = load_checkpoint(arguments.checkpoint)
    difference = export(network, card, arguments.output, weights=arguments.weights)
    megabytes = arguments.output.stat().st_size / 1e6
    print(f"{arguments.output}: {megabytes:.1f} MB, {card.name}, {len(card.classes)} classes")
    print(f"ONNX Runtime and torch differ by {difference:.1e} of the largest logit")
    return 0
