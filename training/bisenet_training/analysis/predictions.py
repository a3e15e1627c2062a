# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The masks of a data set's frames as files of its own kind, as test servers take them."""

from pathlib import Path

from tqdm import tqdm

from bisenet_ros.engines import Engine
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.model.class_map import check_same_classes
from bisenet_ros.model.input_size import Size
from bisenet_training.analysis.evaluation import segment
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError


def write_predictions(engine: Engine, dataset: SegmentationDataset, folder: Path, *, pad: Size) -> None:
    """Writes NAME.png for every frame, at the frame's size and with the values of the data set's label files.

    For Cityscapes these are labelIds in CITY_SEQUENCE_FRAME.png, which its test server and its scripts look for.

    Args:
        dataset: needs no label files.
        pad: (height, width) that smaller frames are padded to.

    Raises:
        ClassMapError: the model's classes are not the data set's.
        DataError: label files have no value for one of them.
        BisenetError: an image cannot be read, which is named.
        OSError: a file cannot be written.
    """
    check_same_classes(engine.classes, dataset.classes)
    without = [name for class_id, name in enumerate(dataset.classes.names) if class_id not in dataset.labeled]
    if without:
        raise DataError(
            f"the label files of the data set have no value for {', '.join(without)}, so that masks cannot be written "
            "as such; give each class `values` in its YAML"
        )
    for index in tqdm(range(len(dataset)), desc="segmenting", unit="frame", disable=None):
        mask = segment(engine, dataset.read_image(index), pad=pad)
        path = folder / f"{dataset.name(index)}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_png(path, dataset.encoding.encode(mask))
