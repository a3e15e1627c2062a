# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Label files: images whose pixels are class ids, or colors that stand for classes."""

import io
from pathlib import Path
from typing import Optional

import numpy as np
from PIL import Image

from bisenet_ros.errors import ImageError
from bisenet_ros.files.file_content import describe_bytes
from bisenet_ros.images.compressed_headers import PNG_MAGIC
from bisenet_ros.images.image_file import decode_image_file, read_image_bytes

_ID_MODES = ("1", "L", "P", "I", "I;16", "I;16B", "I;16L")
"""Pillow's names: 1 bit, 2 to 8 bits of gray, palette, 16 bits of gray (of which there are several names)."""
_EXACT_FORMATS = ("PNG", "TIFF", "BMP", "GIF")
"""Formats that keep ids, but for some TIFFs. Of others the compression changes them, or Pillow scales them (PGM)."""
_TIFF_DEPTH, _TIFF_COMPRESSION, _TIFF_PHOTOMETRIC = 258, 259, 262
"""Tags of a TIFF: the bits of a sample, how samples are compressed, and what they mean. Pillow inverts 0 (gray from
white), and scales ids of 2 and 4 bits where it is 1 (gray from black)."""
_EXACT_TIFF_COMPRESSIONS = (1, 2, 3, 4, 5, 8, 32773, 32946, 34925, 50000)
"""None, fax (2 to 4), LZW, deflate, PackBits, deflate by its old number, LZMA, Zstandard. JPEG changes ids."""
_LARGEST_ID = 2**16 - 1
_PNG_DEPTH = 24
"""The byte of a PNG that holds the bits of a sample."""
_PNG_GRAY = b"\0"
"""The color type, in the byte behind it."""


def read_label_file(path: Path, *, palette: Optional[bool] = None) -> np.ndarray:
    """The ids of a label file as they are stored: gray of 1, 2, 4, 8 or 16 bits, or the indices of a palette.

    Args:
        palette: True takes the indices of every palette. None refuses a palette of grays that are not its indices, as
            the grays may be meant; False also one of colors.

    Returns:
        H x W uint8, or uint16 where an id is above 255.

    Raises:
        ImageError: the file is no whole image, is of a format that changes ids, or has colors.
        OSError: the file cannot be read.
    """
    data = read_image_bytes(path)
    image = _open_exact(path, data)
    if image.mode not in _ID_MODES:
        raise ImageError(
            "data",
            f"expected {path} to have one channel of class ids, got {image.mode} pixels; colors are not ids: where all "
            "channels hold the ids, save one of them",
        )
    if image.mode == "P" and not palette:
        _check_palette(path, image, colors=palette is None)
    ids = np.asarray(image)
    if ids.dtype.itemsize > 1:  # 16 bits, which older versions of Pillow give as 32
        if ids.min() < 0 or ids.max() > _LARGEST_ID:
            raise ImageError("data", f"expected ids of 0 to {_LARGEST_ID} in {path}, got {ids.min()} to {ids.max()}")
        return ids.astype(np.uint8 if ids.max() < 256 else np.uint16)
    return ids.astype(np.uint8) // _scale(data)


def read_label_colors(path: Path) -> np.ndarray:
    """A label file whose colors stand for classes, as H x W x 3 uint8 BGR; raises as `read_label_file` does.

    An alpha channel is left out where it is opaque. Else it raises ImageError, as it is not known what is meant. So it
    does for 16 bits, of which an image in memory would keep the upper 8.
    """
    data = read_image_bytes(path)
    image = _open_exact(path, data)
    if _has_16_bits(data, image):
        raise ImageError("data", f"expected 8 bits for each channel of {path}, got 16; save it with 8 bits")
    if "A" in image.mode or "transparency" in image.info:
        alpha = np.asarray(image.convert("RGBA"))[..., 3]
        transparent = int(np.count_nonzero(alpha != 255))
        if transparent:
            raise ImageError(
                "data",
                f"{path} has {transparent} pixels that are not opaque, so that their colors are no class for certain; "
                "save label files as RGB",
            )
    return decode_image_file(path, data)


def _open_exact(path: Path, data: bytes) -> Image.Image:
    """The image, decoded; raises ImageError where its values may not be those that were saved."""
    try:
        image = Image.open(io.BytesIO(data))
        image.load()
    except Exception as error:  # each format has its own
        raise ImageError("data", f"{path} cannot be decoded as an image ({describe_bytes(data)})") from error
    tags = getattr(image, "tag_v2", {})
    meaning, (depth, *_) = tags.get(_TIFF_PHOTOMETRIC), tags.get(_TIFF_DEPTH, (8,))
    compression = tags.get(_TIFF_COMPRESSION, 1)
    if compression not in _EXACT_TIFF_COMPRESSIONS:
        kind = f"{image.format} with {image.info.get('compression', compression)} compression"
        raise ImageError("format", f"{path} is a {kind}, which changes ids; save label files as PNG")
    if image.format not in _EXACT_FORMATS or meaning == 0 or (meaning == 1 and depth in (2, 4)):
        kind = f"{image.format} of {depth} bits" if tags else str(image.format)
        raise ImageError("format", f"{path} is a {kind}, which does not keep ids as they are; save label files as PNG")
    return image


def _has_16_bits(data: bytes, image: Image.Image) -> bool:
    if data.startswith(PNG_MAGIC):
        return data[_PNG_DEPTH] == 16
    return 16 in getattr(image, "tag_v2", {}).get(_TIFF_DEPTH, ())


def _check_palette(path: Path, image: Image.Image, *, colors: bool) -> None:
    """Raises ImageError where indices do not stand for their own grays; `colors`: not for a palette of colors."""
    known, used = np.reshape(image.getpalette() or [], (-1, 3)), np.unique(np.asarray(image))
    if used[-1] < len(known) and (known[used] == used[:, None]).all():
        return
    if not colors:
        raise ImageError(
            "data",
            f"{path} has a palette that gives its indices other colors or grays, as programs that shrink PNGs make, "
            "too; write `encoding: palette` if its indices are the ids, or `encoding: colors` if its colors are the "
            "classes",
        )
    if (known == known[:, :1]).all():
        raise ImageError(
            "data",
            f"expected gray ids or a palette of colors in {path}, got a palette of grays that are not its indices, as "
            "programs that shrink PNGs make; save the ids as gray without a palette",
        )


def _scale(data: bytes) -> int:
    """What Pillow multiplied ids with: it spreads PNGs of 2 and 4 bits of gray over 0 to 255."""
    if not data.startswith(PNG_MAGIC) or data[_PNG_DEPTH + 1 : _PNG_DEPTH + 2] != _PNG_GRAY:
        return 1
    depth = data[_PNG_DEPTH]
    return 255 // (2**depth - 1) if 1 < depth < 8 else 1
