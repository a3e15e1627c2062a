# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Segment images, videos or a camera: masks and overlays as files."""

from __future__ import annotations

import argparse
import sys
from dataclasses import fields
from pathlib import Path

from bisenet_ros.commands._arguments import add_engine_arguments, list_of, number
from bisenet_ros.commands._messages import print_warning
from bisenet_ros.errors import IMPERFECT, INTERRUPTED
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.segmentation import OUTPUTS

EXTRA = "segment"
DEFAULT_OUTPUTS = ("mask", "overlay")
DESCRIPTION = f"""\
Segments images, folders of images, videos, or a camera of this machine (camera:0); no ROS is needed. OUT gets
mask/NAME.png (class ids, one channel), overlay/NAME.jpg, and for a video also overlay/NAME.mp4. NAME is the image's; a
video's frames have their number behind it, a camera's the time (UTC). Every file is there whole or not at all, and the
same command goes on with the frames that are left. OUT is never mixed with the results of another model, of other
settings or of another input of the same name. Exit codes: 0 all is well; 1 an error; {IMPERFECT} done, but a video
lacks more than one of the frames that it promises, or an image was left out, which could not be read, has another size
than the ignore mask, or is too wide for a JPEG; {INTERRUPTED} stopped by Ctrl-C, or by closing the window of --show."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="an image, a folder of images, a video, or camera:NUMBER"
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="OUT", help="the folder of the results")
    parser.add_argument("--model", type=Path, help="a model file (.onnx); default: the shipped CamVid model")
    parser.add_argument(
        "--write",
        dest="outputs",
        type=list_of(OUTPUTS),
        default=DEFAULT_OUTPUTS,
        metavar="LIST",
        help=f"what is written, of {','.join(OUTPUTS)}; default {','.join(DEFAULT_OUTPUTS)}",
    )
    parser.add_argument(
        "--show", action="store_true", help="show each overlay in a window; q or Esc closes it and stops"
    )
    add_engine_arguments(parser)
    groups = "merges the model's classes into groups, such as config/class_maps/drivable.yaml"
    parser.add_argument("--class-map", type=Path, metavar="YAML", help=groups)
    parser.add_argument(
        "--min-confidence",
        type=number(lambda confidence: 0 <= confidence <= 1, expected="a confidence of 0 to 1"),
        default=0.0,
        metavar="P",
        help="pixels below this confidence, 0 to 1, are 255 in the mask; default 0: none",
    )
    hood = "of the images' size; what is not black, such as the hood, is 255 in the mask and 0 in the confidence"
    parser.add_argument("--ignore-mask", type=Path, metavar="PNG", help=hood)


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.segmentation.run import Request, segment_inputs
    from bisenet_ros.segmentation.window import Window

    arguments.model = arguments.model or package_file(SHIPPED_MODEL)
    request = Request(**{field.name: getattr(arguments, field.name) for field in fields(Request)})
    window = Window("bisenet segment") if arguments.show else None
    try:
        outcome = segment_inputs(request, show=window.show if window else None)
    except KeyboardInterrupt:
        print("\nstopped; the same command goes on with the frames that are left", file=sys.stderr)
        return INTERRUPTED
    finally:
        if window:
            window.close()
    for warning in outcome.warnings:
        print_warning(warning)
    earlier = f", {outcome.earlier} were there already" if outcome.earlier else ""
    frames = "1 frame" if outcome.segmented == 1 else f"{outcome.segmented} frames"
    print(f"{request.output}: {frames} segmented{earlier}; {', '.join(request.outputs)}")
    return IMPERFECT if outcome.is_imperfect else 0
