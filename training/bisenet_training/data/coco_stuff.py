# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""COCO-Stuff 10K, version 1.1, with 91 thing and 91 stuff classes."""

from pathlib import Path

import numpy as np
from scipy.io import loadmat

from bisenet_ros.model.class_map import IGNORE
from bisenet_training.data.label_encoding import IdEncoding
from bisenet_training.data.layout import Layout
from bisenet_training.data.named_classes import named_classes
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

UNLABELED = 0


class CocoStuff10K(SegmentationDataset):
    """`images/ID.jpg`, `annotations/ID.mat` whose S is 0 (unlabeled) to 182, and `imageLists/{split}.txt`.

    Eleven of the things have no pixel in any frame, as the authors say; `bisenet check-dataset` names them.
    """

    classes = named_classes("coco_stuff.txt")
    layout = Layout(images="images/{name}.jpg", labels="annotations/{name}.mat", listing="imageLists/{split}.txt")
    encoding = IdEncoding({UNLABELED: IGNORE, **{i + 1: i for i in range(182)}})
    splits = ("train", "test")
    official_frames = {"train": 9000, "test": 1000}
    padding = (640, 640)  # as the paper pads them (section 4.3, "COCO-Stuff")

    def read_label_file(self, path: Path) -> np.ndarray:
        try:
            return loadmat(path, variable_names=["S"])["S"]
        except KeyError:
            raise DataError(f"{path} has no variable S, which should hold the labels") from None
        # scipy raises many kinds of errors for a broken file.
        except Exception as error:
            raise DataError(f"{path} is not a MATLAB file that can be read ({error}); download it again") from None
