# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where the image and label files of a data set lie."""

import glob
import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bisenet_ros.files.permissions import require_readable
from bisenet_training.errors import DataError

SET_ROOT = "set --root, or data.root in a recipe,"
SET_SPLIT = "by --split, or by data.train_split and data.val_split in a recipe"
"""How a user names a folder and a split."""


@dataclass(frozen=True)
class Frame:
    """An image file and its label file; either may turn out to be missing.

    Attributes:
        label_file: None in a layout without labels.
        problem: why the frame cannot be used, whatever its files hold.
    """

    name: str
    image: Path
    label_file: Path | None
    problem: str | None = None


@dataclass(frozen=True)
class Layout:
    """Patterns of paths below the data set's folder.

    `{split}` stands for the split, `{name}` for the text that an image and its label file have in common, and `*` for
    any text within a folder's or a file's name. Where {name} alone does not tell the frames apart, other words in
    braces, as in `{scene}/{name}.png`, stand for further texts in common. A frame's name is then "scene/name".

    Attributes:
        images, labels: patterns of the image and of the label files, with the same words in braces. Without labels
            every image is a frame, as for a test set whose ground truth is kept aside.
        listing: pattern of a text file with a split's names, one a line; without it every file that fits is a frame.
    """

    images: str
    labels: str | None
    listing: str | None = None

    @property
    def by_split(self) -> bool:
        """Whether image files or lists are named after their split."""
        return "{split}" in self.images + (self.listing or "")

    def frames(self, root: Path, split: str) -> list[Frame]:
        """The frames of a split: those that are listed, else found as an image or a label file.

        A frame that is listed again has this as its problem.

        Raises:
            DataError: the list of frames is missing or empty, not one image or not one label file is there, or two
                files share a name.
            PermissionError: a folder of the images or label files may not be listed.
        """
        images = self._find_names(root, self.images, split)
        label_files = self._find_names(root, self.labels, split) if self.labels else {}
        images, label_files = _told_apart(images, label_files)
        names = self.listed(root, split) if self.listing else sorted({*images, *label_files})
        for what, found, pattern in (("images", images, self.images), ("labels", label_files, self.labels)):
            if pattern and found.keys().isdisjoint(names):
                if what == "images" and found and self.listing:
                    raise DataError(
                        f"{root / _fill(self.listing, split)} lists {names[0]!r}, which is not among the {what} of "
                        f"{root / _fill(pattern, split)}; expected names such as {min(found)!r}, one a line, without "
                        "folder, suffix or a second column"
                    )
                raise self._missing(f"{what} of split {split}", root, pattern, split)
        first = {name: i for i, name in reversed(list(enumerate(names)))}
        return [
            Frame(
                name,
                images.get(name, root / self._path(self.images, split, name)),
                label_files.get(name, root / self._path(self.labels, split, name)) if self.labels else None,
                problem=None if first[name] == i else f"split {split} lists {name} again; list each frame once",
            )
            for i, name in enumerate(names)
        ]

    def listed(self, root: Path, split: str) -> list[str]:
        """The names in the list of frames; raises DataError if it is missing or empty."""
        assert self.listing is not None
        path = root / _fill(self.listing, split)
        if not path.is_file():
            raise self._missing("the list of frames", root, self.listing, split)
        lines = path.read_text(encoding="utf-8-sig", errors="surrogateescape").splitlines()
        names = [line.strip() for line in lines if line.strip()]
        if not names:
            raise DataError(f"{path} lists no frames")
        return names

    def _missing(self, what: str, root: Path, pattern: str, split: str) -> DataError:
        patterns = [other for other in (self.images, self.labels, self.listing) if other]
        tops = sorted({_fill(other, split).split("/")[0] for other in patterns})
        splits = sorted({texts["{split}"] for texts, _ in _find(root, pattern) if "{split}" in texts})
        others = f", or name one of the splits there ({SET_SPLIT}): {', '.join(splits)}" if splits else ""
        return DataError(
            f"expected {what} at {root / _fill(pattern, split)}, found none; {SET_ROOT} to the folder that holds "
            f"{', '.join(tops)}{others}"
        )

    def _find_names(self, root: Path, pattern: str, split: str) -> dict[str, Path]:
        """The files that fit, by the frames' names."""
        found: dict[str, Path] = {}
        for texts, path in _find(root, pattern.replace("{split}", split)):
            name = "/".join(texts[piece] for piece in pieces_of(self.images))
            if name in found:
                raise DataError(f"{found[name]} and {path} are both called {name!r}; a pattern must tell them apart")
            found[name] = path
        return found

    def _path(self, pattern: str, split: str, name: str) -> str:
        """Where a frame's file should be."""
        pieces = pieces_of(self.images)
        for piece, text in zip(pieces, name.split("/", len(pieces) - 1)):
            pattern = pattern.replace(piece, text)
        return _fill(pattern, split)


def _told_apart(images: dict[str, Path], label_files: dict[str, Path]) -> tuple[dict[str, Path], dict[str, Path]]:
    """Both without files of the other kind, where the pattern of one also fits the other's: 0.png and 0_mask.png."""
    pairs = images.keys() & label_files.keys()
    own_images, own_labels = ({found[name] for name in pairs} for found in (images, label_files))
    if own_images == own_labels:  # without labels, or one pattern for both
        return images, label_files
    return (
        {name: path for name, path in images.items() if path not in own_labels},
        {name: path for name, path in label_files.items() if path not in own_images},
    )


def pieces_of(pattern: str) -> list[str]:
    """The words in braces but {split}, in their order."""
    return [piece for piece in re.findall(r"\{\w+\}", pattern) if piece != "{split}"]


def _fill(pattern: str, split: str) -> str:
    return re.sub(r"\{\w+\}", "*", pattern.replace("{split}", split))


def _find(root: Path, pattern: str) -> list[tuple[dict[str, str], Path]]:
    """Finds the paths that fit a pattern, each with the text of every word in braces. Hidden files do not fit."""
    parts = re.split(r"(\*|\{\w+\})", pattern)
    shell = "".join("*" if i % 2 else glob.escape(part) for i, part in enumerate(parts))
    groups = {part: "[^/]*" if part == "*" else "([^/.][^/]*)" for part in parts[1::2]}
    expression = re.compile("".join(groups[part] if i % 2 else re.escape(part) for i, part in enumerate(parts)))
    words = [part for part in parts[1::2] if part != "*"]
    paths = ((path, expression.fullmatch(path.relative_to(root).as_posix())) for path in _glob(root, shell))
    return [(dict(zip(words, match.groups())), path) for path, match in paths if match]


def _glob(root: Path, pattern: str) -> list[Path]:
    """The paths that fit, sorted, as `Path.glob`, which takes folders that may not be listed as empty ones.

    Raises PermissionError for such a folder. Hidden folders are passed over, where the pattern does not name them.
    """
    paths = [root]
    for part in PurePosixPath(pattern).parts:
        folders = [path for path in paths if path.is_dir()]
        require_readable(*folders)
        found = [path for folder in folders for path in folder.glob(part)]
        paths = [path for path in found if part.startswith(".") or not path.name.startswith(".")]
    return sorted(paths)
