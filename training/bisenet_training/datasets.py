"""Data sets on disk, as images and label maps."""

from __future__ import annotations

from pathlib import Path
from typing import Callable, Dict, List, Tuple, Type

import cv2
import numpy as np
import torch
from torch.utils.data import Dataset
from tqdm import tqdm

from bisenet_ros.labels import CAMVID, IGNORE, LabelSet

Transform = Callable[[np.ndarray, np.ndarray], Tuple[torch.Tensor, torch.Tensor]]


class DataError(ValueError):
    """A data set that cannot be trained on; the message names the file and what is wrong with it."""


class CamVid(Dataset):
    """CamVid at 480x360: `images/ID.jpg`, `labels/ID.png` with ids 0 to 10 and 255, `{split}.txt` with the ids.

    Every frame is decoded and checked at once and kept in memory, which loader processes share: the training split
    takes 250 MB.

    Args:
        root: the data set's folder.
        split: "train" or "val".
        transform: makes tensors of an H x W x 3 uint8 BGR image and its H x W uint8 labels.

    Raises:
        DataError: a file is missing, of another size, or holds a label that is no class.
    """

    labels: LabelSet = CAMVID
    frame_size = (360, 480)

    def __init__(self, root: Path, split: str, transform: Transform) -> None:
        self.root = Path(root)
        self.transform = transform
        listing = self.root / f"{split}.txt"
        if not listing.is_file():
            raise DataError(
                f"expected CamVid's list of frames at {listing}, found none; "
                f"set data.root to the folder that holds images/, labels/ and {split}.txt"
            )
        ids = listing.read_text().split()
        if not ids:
            raise DataError(f"{listing} lists no frames")
        self._frames = [self._read(frame_id) for frame_id in tqdm(ids, desc=f"reading {split}", unit="frame")]

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Tuple[torch.Tensor, torch.Tensor]:
        return self.transform(*self._frames[index])

    def pixels_per_class(self) -> List[int]:
        """How many pixels of each class the split has."""
        counts = sum(np.bincount(labels.ravel(), minlength=256) for _, labels in self._frames)
        return counts[: len(self.labels)].tolist()

    def _read(self, frame_id: str) -> Tuple[np.ndarray, np.ndarray]:
        image_path = self.root / "images" / f"{frame_id}.jpg"
        label_path = self.root / "labels" / f"{frame_id}.png"
        image = _decode(image_path, cv2.IMREAD_COLOR)
        labels = _decode(label_path, cv2.IMREAD_UNCHANGED)
        for path, pixels, shape in ((image_path, image, (*self.frame_size, 3)), (label_path, labels, self.frame_size)):
            if pixels.shape != shape:
                raise DataError(
                    f"{path} must be an image of shape {shape} (height, width, channels), got {pixels.shape}"
                )
        strange = np.setdiff1d(labels, [*range(len(self.labels)), IGNORE])
        if strange.size:
            raise DataError(
                f"{label_path} holds label {strange[0]}, expected 0 to {len(self.labels) - 1}, "
                f"or {IGNORE} for unlabelled"
            )
        return image, labels


def _decode(path: Path, flags: int) -> np.ndarray:
    image = cv2.imread(str(path), flags)
    if image is None:
        raise DataError(f"{path} is missing or not an image")
    return image


DATASETS: Dict[str, Type[CamVid]] = {"camvid": CamVid}
