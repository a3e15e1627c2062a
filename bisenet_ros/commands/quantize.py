# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Make the int8 version of a model, for CPUs and for TensorRT."""

from __future__ import annotations

import argparse
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Tuple

from bisenet_ros.commands._arguments import number
from bisenet_ros.commands._messages import print_warning
from bisenet_ros.engines.precision import int8_path
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.full_disk import explain_full_disk
from bisenet_ros.files.result_folder import require_writable

if TYPE_CHECKING:
    from bisenet_ros.quantization.frame_source import FrameSource
    from bisenet_ros.quantization.quantized_model import QuantizedModel

EXTRA = "evaluation"
FRAMES = 100
SAME_CLASS = 99.0
DESCRIPTION = f"""\
Makes MODEL.int8.onnx of MODEL.onnx, which the node then finds beside it: precision int8 takes it, and on a CPU with
VNNI so does auto, if its card says that it loses at most 0.5 points of mIoU. The ranges of int8 are taken from frames
as the camera sees them: a folder of images, a video, a bag, or a data set as NAME:ROOT[:SPLIT], such as
camvid:/data/camvid:train. If fewer than {SAME_CLASS:g} % of their pixels keep their class, every layer is left out
once, and those that gain most for their cost stay in fp32. Then int8 is compared with fp32, on the same frames or on
those of --evaluation; with ground truth, which data sets have, the card gets the loss of mIoU."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a model file of `bisenet export`")
    frames = "images, a bag, a video or a data set to take the ranges from"
    parser.add_argument("--calibration", required=True, metavar="FRAMES", help=frames)
    evaluation = "others to compare int8 with fp32 on; default: those of --calibration"
    parser.add_argument("--evaluation", metavar="FRAMES", help=evaluation)
    labels = "ground truth of what is compared on: PNGs of ids, called as the images, or <stamp in ns>.png for a bag"
    parser.add_argument("--ground-truth", type=Path, metavar="DIR", help=labels)
    merges = "merges the classes of the data set that is compared on to the model's; see `bisenet evaluate --class-map`"
    parser.add_argument("--class-map", metavar="MAP", help=merges)
    parser.add_argument("--topic", default="", metavar="T", help="of the bag; default: the only one with images")
    most = f"the most frames to calibrate with, evenly spread; default {FRAMES}"
    parser.add_argument("--frames", type=int, default=FRAMES, metavar="N", help=most)
    same = f"of the pixels that must keep their class; default {SAME_CLASS:g}"
    share = number(lambda percent: 0 <= percent <= 100, expected="0 to 100 per cent")
    parser.add_argument("--same-class", type=share, default=SAME_CLASS, metavar="PERCENT", help=same)
    output = "default: MODEL.int8.onnx beside the model"
    parser.add_argument("-o", "--output", type=Path, metavar="MODEL.int8.onnx", help=output)
    parser.add_argument("--force", action="store_true", help="replace that file if it exists")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.quantization.quantized_model import make_quantized_model

    output = arguments.output or int8_path(arguments.model)
    _check_output(output, arguments)
    calibration, evaluation = _open_frames(arguments)
    for problem in dict.fromkeys(calibration.problems + evaluation.problems):
        print_warning(problem)
    with explain_full_disk(Path(tempfile.gettempdir()), advice="try again, or set TMPDIR to a folder on a larger disk"):
        quantized = make_quantized_model(
            arguments.model,
            calibration=calibration,
            evaluation=evaluation,
            same_class=arguments.same_class / 100,
            on_progress=lambda text: print(text, file=sys.stderr, flush=True),
        )
    quantized.save(output)
    _show(quantized, output, compared_on=evaluation.name)
    return 0


def _check_output(output: Path, arguments: argparse.Namespace) -> None:
    """Raises BisenetError where the output would replace the model, or an earlier one without --force."""
    if output.resolve() == arguments.model.resolve():
        raise BisenetError(f"{output} is the model itself, which would be replaced; name another file with --output")
    if output.exists() and not arguments.force:
        raise BisenetError(f"{output} exists; add --force to replace it, or name another file with --output")
    require_writable(output)


def _open_frames(arguments: argparse.Namespace) -> Tuple[FrameSource, FrameSource]:
    """The frames to calibrate with, and those to compare on, with their ground truth.

    Raises BisenetError, before minutes are spent, where a frame or its ground truth cannot be used.
    """
    from bisenet_ros.bags.bag_files import is_bag
    from bisenet_ros.model.model_card import read_card
    from bisenet_ros.quantization.frame_source import FrameSource

    if arguments.frames < 1:
        raise BisenetError(f"--frames must be 1 or more, got {arguments.frames}")
    sources = [text for text in (arguments.calibration, arguments.evaluation) if text]
    if arguments.topic and not any(is_bag(Path(text)) for text in sources):
        raise BisenetError(f"--topic goes with a bag, got {' and '.join(sources)}")
    frames = partial(FrameSource, classes=read_card(arguments.model).classes, topic=arguments.topic)
    truth = {"ground_truth": arguments.ground_truth, "class_map": arguments.class_map}
    if arguments.evaluation:
        calibration = frames(arguments.calibration, most=arguments.frames, labeled=False)
        evaluation = frames(arguments.evaluation, most=sys.maxsize, **truth)
    else:
        calibration = evaluation = frames(arguments.calibration, most=arguments.frames, **truth)
    labeled = sum(ground_truth is not None for _, ground_truth in evaluation)
    if arguments.ground_truth and not labeled:
        raise BisenetError(
            f"none of the {len(evaluation)} frames of {evaluation.name} has ground truth in {arguments.ground_truth}, "
            "whose files are called as the images, or <stamp in ns>.png for a bag; use more --frames or other files"
        )
    return calibration, evaluation


def _show(quantized: QuantizedModel, output: Path, *, compared_on: str) -> None:
    share = f"{quantized.share:.1%} of the multiplications"
    print(f"{output}: {quantized.layers[0]} of {quantized.layers[1]} convolutions are int8, {share}")
    for layer in quantized.left_out:
        print(f"left in fp32: {layer}")
    print(f"on {quantized.cost.frames} frames of {compared_on}, {quantized.engine}: {quantized.cost}")
    if quantized.cost.miou is None:
        print("the loss of mIoU, which precision auto asks for, needs ground truth: --ground-truth DIR")
