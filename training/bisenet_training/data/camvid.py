# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""CamVid at 480x360, as the authors of SegNet published it."""

from bisenet_ros.model.class_map import CAMVID, IGNORE
from bisenet_training.data.label_encoding import IdEncoding
from bisenet_training.data.layout import Frame, Layout
from bisenet_training.data.segmentation_dataset import SegmentationDataset
from bisenet_training.errors import DataError

DRIVES = ("0001TP", "0006R0", "0016E5")
"""The drives of train and val. Test has the other half of 0001TP, and Seq05VD."""

OFFICIAL_FRAMES = {"train": 367, "val": 101, "test": 233, "0001TP": 62, "0006R0": 101, "0016E5": 305}


class CamVid(SegmentationDataset):
    """`images/ID.jpg`, `labels/ID.png` with ids 0 to 10 and 255, and `{split}.txt` with the ids.

    A split may also be a drive, such as "0006R0": its frames of train and val. To hold out a whole drive is the harder
    test, since the frames of val are one second away from frames of train.
    """

    classes = CAMVID
    layout = Layout(images="images/{name}.jpg", labels="labels/{name}.png", listing="{split}.txt")
    encoding = IdEncoding({**{i: i for i in range(len(CAMVID))}, IGNORE: IGNORE})
    official_frames = OFFICIAL_FRAMES

    def find_frames(self, split: str) -> list[Frame]:
        if split not in DRIVES:
            return super().find_frames(split)
        listed = [name for part in self.splits for name in self.layout.listed(self.root, part)]
        names = sorted(name for name in listed if name.startswith(split))
        if not names:
            raise DataError(f"train.txt and val.txt in {self.root} list no frame of drive {split}")
        return self.layout.frames(self.root, split, names)
