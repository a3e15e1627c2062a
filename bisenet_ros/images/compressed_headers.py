# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The headers of JPEG and PNG data, and whether all of the data are there.

Read before decoding: OpenCV decodes half a JPEG to a half-gray picture, and decodes any size that a header gives.
"""

import re
import struct
import zlib
from typing import NamedTuple, Optional

from bisenet_ros.errors import ImageError

JPEG_MAGIC = b"\xff\xd8\xff"
PNG_MAGIC = b"\x89PNG\r\n\x1a\n"

MAX_SEGMENTS = 1000
"""JPEG segments before the pixels; pictures with color profiles and previews have some hundred."""
MAX_SCANS = 100
"""Passes of a progressive JPEG over the picture; encoders write about 10, and thousands would block for hours."""

_SEGMENT = re.compile(rb"\xff+([^\x00\xff])(..)", re.DOTALL)
_FRAME_MARKERS = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_SCAN_MARKER = 0xDA
_END_OF_IMAGE = b"\xff\xd9"
_FRAME_HEADER = struct.Struct(">BHHB")
_CHUNK_HEADER = struct.Struct(">I4s")
_IMAGE_HEADER = struct.Struct(">IIBB")
_GRAY_COLOR_TYPES = (0, 4)


class ImageHeader(NamedTuple):
    """The size of a picture in pixels, and whether it is without color."""

    height: int
    width: int
    gray: bool


def read_header(data: bytes) -> Optional[ImageHeader]:
    """The header of a whole JPEG or PNG; None for other data.

    Raises:
        ImageError: "data" when the picture is truncated or damaged.
    """
    if data.startswith(JPEG_MAGIC):
        return _read_jpeg_header(data)
    return _read_png_header(data) if data.startswith(PNG_MAGIC) else None


def _read_jpeg_header(data: bytes) -> ImageHeader:
    """The header of a JPEG that goes on to its end marker; some cameras add bytes behind it, which are ignored."""
    header: Optional[ImageHeader] = None
    position = 2
    for _ in range(MAX_SEGMENTS):
        segment = _SEGMENT.match(data, position)
        if segment is None:
            raise _broken_jpeg(data, position)
        marker, length = segment[1][0], int.from_bytes(segment[2], "big")
        if marker in _FRAME_MARKERS:
            header = _read_frame_header(data, segment.end())
        position = segment.start(2) + length
        if marker == _SCAN_MARKER:
            return _check_scans(header, data, position)
    raise ImageError("data", f"expected a JPEG, got more than {MAX_SEGMENTS} segments without a picture")


def _read_frame_header(data: bytes, position: int) -> ImageHeader:
    if position + _FRAME_HEADER.size > len(data):
        raise _broken_jpeg(data, len(data))
    _, height, width, channels = _FRAME_HEADER.unpack_from(data, position)
    return ImageHeader(height, width, gray=channels == 1)


def _check_scans(header: Optional[ImageHeader], data: bytes, position: int) -> ImageHeader:
    if header is None:
        raise ImageError("data", "expected a JPEG, got one without a frame header; it is corrupt")
    # A byte 255 of the pixels is followed by 0, so the markers cannot be mistaken.
    if data.rfind(_END_OF_IMAGE, position) < 0:
        raise _broken_jpeg(data, len(data))
    scans = data.count(b"\xff\xda", position) + 1
    if scans > MAX_SCANS:
        raise ImageError("data", f"expected a JPEG of at most {MAX_SCANS} scans, got one of {scans}")
    return header


def _broken_jpeg(data: bytes, position: int) -> ImageError:
    if position + 4 > len(data):
        return ImageError("data", f"expected a JPEG with an end marker, got {len(data)} bytes without; it is truncated")
    return ImageError("data", f"expected a JPEG segment at byte {position}, got {data[position : position + 2].hex()}")


def _read_png_header(data: bytes) -> ImageHeader:
    """The header of a PNG that goes on to its end chunk and whose checksums are right."""
    header: Optional[ImageHeader] = None
    position = len(PNG_MAGIC)
    while position + _CHUNK_HEADER.size <= len(data):
        length, kind = _CHUNK_HEADER.unpack_from(data, position)
        content = position + _CHUNK_HEADER.size
        end = content + length
        if end + 4 > len(data):
            break
        if zlib.crc32(memoryview(data)[content - 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise ImageError("data", f"expected a PNG, got a chunk at byte {position} whose checksum is wrong")
        if header is None:
            if kind != b"IHDR" or length < _IMAGE_HEADER.size:
                raise ImageError("data", f"expected a PNG whose first chunk is IHDR, got {kind!r} of {length} bytes")
            width, height, _, color_type = _IMAGE_HEADER.unpack_from(data, content)
            header = ImageHeader(height, width, gray=color_type in _GRAY_COLOR_TYPES)
        if kind == b"IEND":
            return header
        position = end + 4
    raise ImageError("data", f"expected a PNG with an end chunk, got {len(data)} bytes without; it is truncated")
