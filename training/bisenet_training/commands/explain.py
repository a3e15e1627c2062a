# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Draw Grad-CAM and the masks of single branches."""

import argparse
from pathlib import Path

from bisenet_training.errors import OptionError

EXTRA = "training"
DOTS_PER_INCH = 150
DESCRIPTION = """\
Draws the paper's Fig. 8 into grad_cam.png: for each image the Grad-CAM of the detail branch's stages S1 to S3, for one
class. With --detail-only and --semantics-only also Fig. 9 into branches.png: the masks of networks that were trained
with one branch alone, beside those of CHECKPOINT with both. The paper does not say whether its Fig. 9 shows three
networks or one; to switch a branch off in a network trained with both shows nothing, so that three is our reading, and
recipes for them are among the ablations. With --large also Fig. 11 into large.png: the masks of CHECKPOINT beside those
of BiSeNetV2-Large."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train` (.ckpt)")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="pictures go here")
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="default: each image's most frequent class")
    for branch in ("detail", "semantics"):
        words = f"for Fig. 9: a checkpoint trained with the {branch} branch alone"
        parser.add_argument(f"--{branch}-only", type=Path, metavar="CHECKPOINT", help=words)
    parser.add_argument("--large", type=Path, metavar="CHECKPOINT", help="for Fig. 11: a checkpoint of BiSeNetV2-Large")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.images.image_file import read_image
    from bisenet_training.analysis.explanation import choose_classes, draw_grad_cam, draw_masks, load_network

    if (arguments.detail_only is None) != (arguments.semantics_only is None):
        raise OptionError("Fig. 9 compares three networks; give both --detail-only and --semantics-only, or neither")
    compare = arguments.detail_only is not None
    explained = load_network(arguments.checkpoint, branches=("both",) if compare else ("both", "detail"))
    images = [read_image(path) for path in arguments.images]
    figures = {}
    if compare:
        engines = {
            "detail only": load_network(arguments.detail_only, branches=("detail",)),
            "semantics only": load_network(arguments.semantics_only, branches=("semantics",)),
            "both": explained,
        }
        figures["branches.png"] = draw_masks(engines, images)
    if arguments.large:
        large = load_network(arguments.large, branches=("both",))
        names = explained.card.name, large.card.name
        if names != ("BiSeNetV2", "BiSeNetV2-Large"):
            raise OptionError(f"Fig. 11 has BiSeNetV2 beside BiSeNetV2-Large (--large), got {' beside '.join(names)}")
        figures["large.png"] = draw_masks(dict(zip(names, (explained, large))), images)
    class_ids = choose_classes(explained, images, class_name=arguments.class_name)
    figures["grad_cam.png"] = draw_grad_cam(explained, images, class_ids)
    for path, class_id in zip(arguments.images, class_ids):
        print(f"{path}: Grad-CAM of {explained.card.classes.names[class_id]}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        figure.savefig(arguments.output / name, dpi=DOTS_PER_INCH, bbox_inches="tight")
        print(arguments.output / name)
    return 0
