# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Draw Grad-CAM and the masks of single branches."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from bisenet_training.errors import OptionError

if TYPE_CHECKING:
    from bisenet_training.analysis.torch_engine import TorchEngine

EXTRA = "training"
DOTS_PER_INCH = 150
DESCRIPTION = """\
Draws the paper's Fig. 8 into grad_cam.png: for each image the Grad-CAM of the detail branch's stages S1 to S3, for one
class. Fig. 9 has "outputs of the detail branch, the semantics branch and the aggregation"; the paper does not say
whether of one network or of three, nor how features become a picture. So there are two readings of ours. features.png
is of CHECKPOINT alone: the mean magnitude of the channels that each of the three parts gives. With --detail-only and
--semantics-only, branches.png has the masks of networks trained with one branch alone (recipes are among the
ablations), beside those of CHECKPOINT. With --large also Fig. 11 into large.png: the masks of CHECKPOINT beside those
of BiSeNetV2-Large."""
FIGURES = ("grad_cam.png", "features.png", "branches.png", "large.png")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = DESCRIPTION
    parser.add_argument("checkpoint", type=Path, help="a checkpoint of `bisenet train` (.ckpt)")
    parser.add_argument("images", type=Path, nargs="+", metavar="IMAGE", help="an image file")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="FOLDER", help="pictures go here")
    parser.add_argument("--force", action="store_true", help="replace the pictures of an earlier run in FOLDER")
    parser.add_argument("--class", dest="class_name", metavar="NAME", help="default: each image's most frequent class")
    for branch in ("detail", "semantics"):
        words = f"for Fig. 9: a checkpoint trained with the {branch} branch alone"
        parser.add_argument(f"--{branch}-only", type=Path, metavar="CHECKPOINT", help=words)
    parser.add_argument("--large", type=Path, metavar="CHECKPOINT", help="for Fig. 11: a checkpoint of BiSeNetV2-Large")


def run(arguments: argparse.Namespace) -> int:
    from bisenet_ros.files.atomic_write import write_figure
    from bisenet_ros.files.result_folder import require_free
    from bisenet_ros.images.image_file import read_image
    from bisenet_training.analysis import explanation

    if (arguments.detail_only is None) != (arguments.semantics_only is None):
        raise OptionError("branches.png compares three networks; give both --detail-only and --semantics-only, or none")
    require_free(arguments.output, FIGURES, force=arguments.force)
    compare = arguments.detail_only is not None
    explained = explanation.load_network(arguments.checkpoint, branches=("both",) if compare else ("both", "detail"))
    images = [read_image(path) for path in arguments.images]
    class_ids = explanation.choose_classes(explained, images, class_name=arguments.class_name)
    figures = {"grad_cam.png": explanation.draw_grad_cam(explained, images, class_ids)}
    if explained.network.branches == "both":
        figures["features.png"] = explanation.draw_features(explained, images)
    if compare:
        figures["branches.png"] = explanation.draw_masks(_single_branches(arguments, explained), images)
    if arguments.large:
        figures["large.png"] = explanation.draw_masks(_with_large(arguments.large, explained), images)
    for path, class_id in zip(arguments.images, class_ids):
        print(f"{path}: Grad-CAM of {explained.card.classes.names[class_id]}")
    arguments.output.mkdir(parents=True, exist_ok=True)
    for name, figure in figures.items():
        write_figure(arguments.output / name, figure, dpi=DOTS_PER_INCH, bbox_inches="tight")
        print(arguments.output / name)
    for name in set(FIGURES) - set(figures):
        (arguments.output / name).unlink(missing_ok=True)  # of an earlier run, perhaps of another network
    return 0


def _single_branches(arguments: argparse.Namespace, both: TorchEngine) -> dict[str, TorchEngine]:
    """The networks of the second reading of Fig. 9, by their titles."""
    from bisenet_training.analysis.explanation import load_network

    return {
        "detail only": load_network(arguments.detail_only, branches=("detail",)),
        "semantics only": load_network(arguments.semantics_only, branches=("semantics",)),
        "both": both,
    }


def _with_large(path: Path, engine: TorchEngine) -> dict[str, TorchEngine]:
    """The two networks of Fig. 11, by their names."""
    from bisenet_training.analysis.explanation import load_network

    large = load_network(path, branches=("both",))
    names = engine.card.name, large.card.name
    if names != ("BiSeNetV2", "BiSeNetV2-Large"):
        raise OptionError(f"Fig. 11 has BiSeNetV2 beside BiSeNetV2-Large (--large), got {' beside '.join(names)}")
    return dict(zip(names, (engine, large)))
