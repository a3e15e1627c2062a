# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The folder of results: a file per frame and kind of output, and a record of the run that made them."""

import json
from pathlib import Path
from typing import Any, Dict, List, Mapping, Optional, Sequence, TextIO

import numpy as np

from bisenet_ros.errors import BisenetError, ImageError
from bisenet_ros.files.atomic_write import PARTIAL, remove_partial, write_bytes, write_json, write_png
from bisenet_ros.files.changed_inputs import describe_changes
from bisenet_ros.files.folder_lock import LOCK, lock_folder
from bisenet_ros.files.result_folder import require_free
from bisenet_ros.images.compression import encode_color_mask, encode_jpeg
from bisenet_ros.images.image_file import IMAGE_SUFFIXES, read_image
from bisenet_ros.segmentation.inputs import Input, video_of

RECORD = "segment.json"
"""What the files were made with and of, so that no other run mixes its own with them."""
SUFFIXES = {"mask": ".png", "color_mask": ".png", "overlay": ".jpg", "confidence": ".png"}


class OutputFolder:
    """OUT/mask/NAME.png (ids), color_mask/NAME.png (with a palette), overlay/NAME.jpg, confidence/NAME.png.

    Each file is there whole or not at all. Every method raises OSError where a file cannot be written.
    """

    def __init__(self, folder: Path, *, outputs: Sequence[str], color_table: np.ndarray) -> None:
        """`outputs` are some of OUTPUTS; `color_table` is 256 x 3 uint8 RGB."""
        self.folder, self._outputs, self._color_table = folder, outputs, color_table

    def lock(self) -> TextIO:
        """Keeps other processes out of the folder until what is returned is closed; what killed ones left is removed.

        Raises BisenetError where another process is at work in it, or it holds something else.
        """
        self._read_record()
        lock = lock_folder(self.folder)
        for folder in (self.folder, *(self.folder / kind for kind in SUFFIXES)):
            remove_partial(folder)
        return lock

    def begin(self, settings: Mapping[str, str], inputs: Sequence[Input]) -> None:
        """Makes the folder, or goes on in it. It should be locked.

        Args:
            settings: what masks depend on beside the inputs, by name, human-readable.

        Raises:
            BisenetError: the folder holds something else, results with other settings, or results of another input
                under the name of one of these. Settings and images of which nothing was written do not count.
        """
        identities = {found.name: found.identity for found in inputs}
        before = self._read_record()
        if before is None or not self._has_files():
            before = {"settings": dict(settings), "inputs": {}}
        before["inputs"] = {name: known for name, known in before["inputs"].items() if self._has_files_of(name, known)}
        self._require_same(before, settings, identities)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_json(self.folder / RECORD, {**before, "inputs": {**before["inputs"], **identities}})
        for output in self._outputs:
            (self.folder / output).mkdir(exist_ok=True)

    def _has_files(self) -> bool:
        return any(path.suffix != PARTIAL for kind in SUFFIXES for path in (self.folder / kind).glob("*"))

    def _has_files_of(self, name: str, identity: List[Any]) -> bool:
        """Whether something was written of an input; of a video or a camera, which have many frames, always."""
        is_image = len(identity) > 1 and not _is_video(identity)
        return not is_image or any(self.path(kind, name).exists() for kind in SUFFIXES)

    def has(self, name: str) -> bool:
        """Whether all files of a frame are there; an empty one is what a power cut may leave."""
        return all(_size(self.path(output, name)) for output in self._outputs)

    def path(self, output: str, name: str) -> Path:
        return self.folder / output / f"{name}{SUFFIXES[output]}"

    def write(self, name: str, pixels: Mapping[str, np.ndarray]) -> None:
        """Writes a frame's files.

        Args:
            pixels: by output: H x W uint8 ids as "mask" and as "color_mask", H x W uint8 "confidence", and H x W x 3
                uint8 BGR "overlay"; those that are not written are left out.
        """
        for output in self._outputs:
            path = self.path(output, name)
            if output == "color_mask":
                write_bytes(path, encode_color_mask(pixels[output], self._color_table))
            elif output == "overlay":
                write_bytes(path, _encode_overlay(path, pixels[output]))
            else:
                write_png(path, pixels[output])

    def read_overlay(self, name: str) -> np.ndarray:
        """The overlay of a frame that an earlier run wrote, as H x W x 3 uint8 BGR; raises ImageError."""
        return read_image(self.path("overlay", name))

    def _read_record(self) -> Optional[Dict[str, Any]]:
        """The record of an earlier run; None where there is none yet."""
        path = self.folder / RECORD
        if not path.exists():
            unfinished = [begun.name for begun in self.folder.glob(f"{RECORD}.*{PARTIAL}")]
            require_free(self.folder, own=[LOCK, *unfinished])
            return None
        try:
            found = json.loads(path.read_text(encoding="utf-8"))
            inputs = {name: [str(file), *others] for name, (file, *others) in found["inputs"].items()}
            return {"settings": dict(found["settings"]), "inputs": inputs}
        except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
            raise BisenetError(f"{path} is not as `bisenet segment` writes it; name a new folder with -o") from error

    def _require_same(
        self, before: Mapping[str, Any], settings: Mapping[str, str], identities: Mapping[str, List[Any]]
    ) -> None:
        changed = describe_changes(before["settings"], settings)
        known = before["inputs"]
        for name, identity in identities.items():
            if known.get(name, identity) != identity:
                other = identity[0] if known[name][0] != identity[0] else "another file of this name and place"
                changed.append(f"{name}: {known[name][0]}, now {other}")
        together = {**known, **identities}
        videos = [name for name, identity in together.items() if _is_video(identity)]
        for name in together:
            video = video_of(name, videos)
            if video:
                changed.append(f"{together[name][0]} is called as a frame of {together[video][0]}")
        if changed:
            raise BisenetError(
                f"{self.folder} holds the results of another run ({'; '.join(changed)}); name another folder with -o"
            )


def _encode_overlay(path: Path, overlay: np.ndarray) -> bytes:
    try:
        return encode_jpeg(overlay)
    except ImageError as error:
        raise ImageError(error.reason, f"{path} cannot be written: {error}, or leave out overlay in --write") from None


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _is_video(identity: List[Any]) -> bool:
    """Whether an input's identity is a video's: it is a file, and is not called as an image."""
    return len(identity) > 1 and Path(identity[0]).suffix.lower() not in IMAGE_SUFFIXES
