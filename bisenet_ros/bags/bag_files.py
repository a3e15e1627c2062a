# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the files of a ROS 2 bag are called."""

from pathlib import Path
from typing import List

from bisenet_ros.files.file_names import natural_order
from bisenet_ros.images.image_file import image_files

METADATA = "metadata.yaml"
STORAGE_SUFFIXES = (".db3", ".mcap")
COMPRESSED_SUFFIX = ".zstd"


def is_bag(path: Path) -> bool:
    """Whether there is a bag at a path: its file, or a folder with its metadata.yaml or its files."""
    if not path.is_dir():
        return is_storage(path)
    return (path / METADATA).exists() or any(map(is_storage, path.iterdir()))


def is_bag_alone(path: Path) -> bool:
    """Whether there is a bag at a path, and no image in its folder."""
    return is_bag(path) and not (path.is_dir() and image_files(path))


def is_storage(file: Path) -> bool:
    """Whether it is a file, and called as one of a bag's."""
    return unpacked(file).suffix in STORAGE_SUFFIXES and file.is_file()


def storage_files(folder: Path) -> List[Path]:
    """The files of a bag in a folder, in natural order; of one that is there packed and unpacked, the unpacked one.

    Hidden files are none, such as the ._NAME that macOS writes on other disks.
    """
    files = {file for file in folder.iterdir() if is_storage(file) and not file.name.startswith(".")}
    return natural_order(file for file in files if file == unpacked(file) or unpacked(file) not in files)


def unpacked(file: Path) -> Path:
    """What it is called where it is not compressed as a whole."""
    return file.with_suffix("") if file.suffix == COMPRESSED_SUFFIX else file


def stored_file(file: Path) -> Path:
    """The file, or where it is not there, the same one packed or unpacked by hand."""
    packed = file.suffix == COMPRESSED_SUFFIX
    other = file.with_suffix("") if packed else file.with_name(file.name + COMPRESSED_SUFFIX)
    return other if other.exists() and not file.exists() else file
