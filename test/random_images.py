# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Hypothesis strategies for random images: raw ones and compressed ones, valid and damaged."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import cv2
import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from bisenet_ros.images.encodings import ENCODINGS

SIDES = st.one_of(st.integers(1, 40), st.sampled_from((0, 1, 2, 3, 2**15, 2**16, 2**31 - 1, 2**31, 2**32 - 1)))
NOISE = np.random.default_rng(1).integers(0, 256, 1_000_000, np.uint8).tobytes()


def fuzz(examples: int) -> Any:
    """Hypothesis settings that give the same cases in every run."""
    return settings(max_examples=examples, deadline=None, derandomize=True, database=None)


class RawImage(NamedTuple):
    fields: Dict[str, Any]
    is_valid: bool


class Picture(NamedTuple):
    format: str
    data: bytes
    size: Tuple[int, int]
    is_valid: bool


@st.composite
def raw_images(draw: st.DrawFn) -> RawImage:
    """A valid image in any encoding, with up to three of its fields replaced."""
    encoding = draw(st.sampled_from(sorted(ENCODINGS)))
    layout = ENCODINGS[encoding]
    height, width = 2 * draw(st.integers(2, 20)), 2 * draw(st.integers(2, 20))
    step = width * layout.channels * layout.sample_bytes + draw(st.sampled_from((0, 0, 1, 3, 64)))
    size = height * layout.buffer_rows // 2 * step
    fields = {"encoding": encoding, "height": height, "width": width, "step": step, "is_bigendian": 0, "size": size}
    replacements = {
        "encoding": st.one_of(
            st.sampled_from(("", "BGR8", "8SC3", "bgr8 ", "bayer_", "\0", "x" * 100_000)), st.text(max_size=50)
        ),
        "height": SIDES,
        "width": SIDES,
        "step": st.one_of(SIDES, st.integers(0, 2 * step)),
        "is_bigendian": st.integers(0, 255),
        "size": st.integers(0, 2 * size),
    }
    replaced = draw(st.lists(st.sampled_from(sorted(replacements)), unique=True, max_size=3))
    for name in replaced:
        fields[name] = draw(replacements[name])
    start = draw(st.integers(0, 1000))
    fields["data"] = NOISE[start : start + fields.pop("size")]
    return RawImage(fields, is_valid=set(replaced) <= {"is_bigendian"})


def _make_pictures() -> List[Tuple[bytes, Tuple[int, int]]]:
    """JPEGs and PNGs of every kind that cameras and ROS write, and their (height, width)."""
    color = cv2.resize(np.frombuffer(NOISE[:75], np.uint8).reshape(5, 5, 3), (40, 30), interpolation=cv2.INTER_CUBIC)
    deep = color.astype(np.uint16) * 257
    variants = (
        (".jpg", color, ()),
        (".jpg", color[:, :, 0], ()),
        (".jpg", color, (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)),
        (".jpg", color, (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)),
        (".jpg", color, (cv2.IMWRITE_JPEG_QUALITY, 20)),
        (".png", color, ()),
        (".png", color[:, :, 0], ()),
        (".png", np.dstack((color, color[:, :, 0])), ()),
        (".png", deep, ()),
        (".png", deep[:, :, 0], ()),
    )
    return [(cv2.imencode(kind, picture, options)[1].tobytes(), (30, 40)) for kind, picture, options in variants]


PICTURES = _make_pictures()
FORMATS = (
    "jpeg",
    "png",
    "bgr8; jpeg compressed bgr8",
    "bayer_rggb8; png compressed ",
    "16UC1; png compressed ",
    "16UC1; compressedDepth png",
)


def sign_chunks(data: bytes) -> bytes:
    """A PNG with correct checksums, so that the decoder does not stop at them."""
    signed, position = bytearray(data), 8
    while position + 12 <= len(signed):
        end = position + 8 + int.from_bytes(signed[position : position + 4], "big")
        if end + 4 > len(signed):
            break
        signed[end : end + 4] = struct.pack(">I", zlib.crc32(signed[position + 4 : end]))
        position = end + 4
    return bytes(signed)


@st.composite
def pictures(draw: st.DrawFn) -> Picture:
    """A picture as cameras send them, or damaged in up to three ways, under any format."""
    data, size = draw(st.sampled_from(PICTURES))
    format = draw(st.one_of(st.sampled_from(FORMATS), st.text(max_size=30)))
    damages = draw(st.lists(st.sampled_from(sorted(DAMAGES)), max_size=3))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    for damage in damages:
        data = DAMAGES[damage](data, random)
    if damages and draw(st.booleans()):
        data = sign_chunks(data)
    return Picture(format, data, size, is_valid=not damages and "compresseddepth" not in format.lower())


def flip(data: bytes, random: np.random.Generator) -> bytes:
    flipped = np.frombuffer(data, np.uint8).copy()
    flipped[random.integers(len(data), size=5)] ^= 1 << random.integers(8, size=5, dtype=np.uint8)
    return flipped.tobytes()


def splice(data: bytes, random: np.random.Generator) -> bytes:
    """Leaves a part out, or repeats it."""
    start, stop = random.integers(len(data), size=2)
    return data[:start] + data[stop:]


def resize(data: bytes, random: np.random.Generator) -> bytes:
    """Writes another size into the header."""
    sides = random.choice((0, 1, 29, 31, 40, 4096, 65535, 2**31 - 1), size=2)
    if data.startswith(b"\x89PNG"):
        start, size = data.find(b"IHDR") + 4, struct.pack(">II", *sides)
    else:
        start, size = max(data.find(b"\xff\xc0"), data.find(b"\xff\xc2"), 0) + 5, struct.pack(">HH", *sides % 2**16)
    return data[:start] + size + data[start + len(size) :]


def insert(data: bytes, random: np.random.Generator) -> bytes:
    start, length = random.integers(len(data)), random.integers(100)
    return data[:start] + NOISE[:length] + data[start:]


DAMAGES: Dict[str, Callable[[bytes, np.random.Generator], bytes]] = {
    "flip": flip,
    "splice": splice,
    "resize": resize,
    "cut": lambda data, random: data[: random.integers(1, len(data) + 1)],
    "insert": insert,
    "append": lambda data, random: data + NOISE[:100],
}
