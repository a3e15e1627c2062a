# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Raw and compressed camera images to frames, without ROS: colors, layouts, and what is refused with which words."""

from __future__ import annotations

import struct
import zlib
from typing import Any, Callable, Dict, Tuple

import cv2
import numpy as np
import pytest

from bisenet_ros.images.compressed_headers import MAX_SCANS, MAX_SEGMENTS
from bisenet_ros.images.encodings import ENCODINGS, MAX_COMPRESSED_PIXELS, ImageError, decode_compressed, decode_image

HEIGHT, WIDTH = 20, 28
PATCH_COLORS = ((230, 40, 60), (30, 200, 50), (20, 70, 220), (160, 150, 90))  # BGR: blue, green, red, none of them


def four_patches(height: int = HEIGHT, width: int = WIDTH) -> np.ndarray:
    """A patch of one color in each quarter of the picture: a plane, side or channel that is mistaken shows."""
    frame = np.empty((height, width, 3), np.uint8)
    for i, color in enumerate(PATCH_COLORS):
        rows = slice(0, height // 2) if i < 2 else slice(height // 2, None)
        columns = slice(0, width // 2) if i % 2 == 0 else slice(width // 2, None)
        frame[rows, columns] = color
    return frame


def to_yuv(bgr: np.ndarray) -> Tuple[np.ndarray, np.ndarray, np.ndarray]:
    """BT.601 of limited range, as the standard writes it: Y 16 to 235, U and V 16 to 240."""
    blue, green, red = np.moveaxis(bgr / 255.0, 2, 0)
    luma = 16 + 65.481 * red + 128.553 * green + 24.966 * blue
    u = 128 - 37.797 * red - 74.203 * green + 112 * blue
    v = 128 + 112 * red - 93.786 * green - 18.214 * blue
    return luma.round().astype(np.uint8), u.round().astype(np.uint8), v.round().astype(np.uint8)


def mosaic(bgr: np.ndarray, pattern: str) -> np.ndarray:
    """What a sensor sees whose filters begin with `pattern`: two in the first row, two in the second (ROS's names)."""
    samples = np.empty(bgr.shape[:2], np.uint8)
    for i, color in enumerate(pattern):
        samples[i // 2 :: 2, i % 2 :: 2] = bgr[i // 2 :: 2, i % 2 :: 2, "bgr".index(color)]
    return samples


def pack_samples(bgr: np.ndarray, encoding: str) -> np.ndarray:
    """H x W x C uint8 in the encoding's order of channels, for all encodings without planes."""
    if encoding.startswith("bayer_"):
        return mosaic(bgr, encoding[6:10])
    alpha = np.full((*bgr.shape[:2], 1), 17, np.uint8)
    y, u, v = to_yuv(bgr)
    chroma = np.where(np.arange(bgr.shape[1]) % 2 == 0, u, v)
    builders: Dict[str, Callable[[], np.ndarray]] = {
        "bgr": lambda: bgr,
        "rgb": lambda: bgr[:, :, ::-1],
        "bgra": lambda: np.dstack((bgr, alpha)),
        "rgba": lambda: np.dstack((bgr[:, :, ::-1], alpha)),
        "mono": lambda: bgr[:, :, 1],
        "yuv422": lambda: np.dstack((chroma, y)),
        "uyvy": lambda: np.dstack((chroma, y)),
        "yuv422_yuy2": lambda: np.dstack((y, chroma)),
        "yuyv": lambda: np.dstack((y, chroma)),
    }
    return builders[encoding if encoding in builders else encoding.rstrip("168")]()


def pack(bgr: np.ndarray, encoding: str, *, padding: int = 0, is_bigendian: bool = False) -> Dict[str, Any]:
    """The fields of a sensor_msgs/Image that shows `bgr`."""
    height, width = bgr.shape[:2]
    if encoding.startswith("nv"):
        y, u, v = to_yuv(bgr)
        chroma = np.dstack((v, u) if encoding == "nv21" else (u, v))
        if encoding != "nv24":
            chroma = chroma[::2, ::2]
        step = width + padding
        # NV24 has two samples of chroma per pixel, so its rows of chroma are twice as long, and so is their padding.
        chroma_padding = 2 * padding if encoding == "nv24" else padding
        data = _padded(y, padding) + _padded(chroma.reshape(len(chroma), -1), chroma_padding)
    else:
        samples = pack_samples(bgr, encoding)
        if encoding.endswith("16"):
            samples = (samples.astype(np.uint16) * 256 + 99).astype(">u2" if is_bigendian else "<u2")
        rows = np.ascontiguousarray(samples).reshape(height, -1).view(np.uint8)
        step, data = rows.shape[1] + padding, _padded(rows, padding)
    return {
        "encoding": encoding,
        "height": height,
        "width": width,
        "step": step,
        "is_bigendian": is_bigendian,
        "data": data,
    }


def _padded(rows: np.ndarray, padding: int) -> bytes:
    return np.pad(rows, ((0, 0), (0, padding)), constant_values=99).tobytes()


def patch_centers(frame: np.ndarray) -> np.ndarray:
    height, width = frame.shape[:2]
    return frame[[height // 4, height // 4, 3 * height // 4, 3 * height // 4], [width // 4, 3 * width // 4] * 2]


def assert_shows_the_patches(frame: np.ndarray, *, tolerance: int, size: Tuple[int, int] = (HEIGHT, WIDTH)) -> None:
    assert frame.shape == (*size, 3)
    assert frame.dtype == np.uint8
    np.testing.assert_allclose(patch_centers(frame).astype(int), PATCH_COLORS, atol=tolerance)


@pytest.mark.parametrize("padding", (0, 3, 4))
@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if not name.startswith("mono")])
def test_every_encoding_shows_its_colors(encoding: str, padding: int) -> None:
    is_yuv = encoding.startswith(("yuv", "uyvy", "yuyv", "nv"))
    frame = decode_image(**pack(four_patches(), encoding, padding=padding))
    assert_shows_the_patches(frame, tolerance=3 if is_yuv else 0)


@pytest.mark.parametrize("encoding", [name for name in ENCODINGS if name.endswith("16")])
def test_16_bits_are_read_in_both_byte_orders(encoding: str) -> None:
    little, big = (decode_image(**pack(four_patches(), encoding, is_bigendian=big)) for big in (False, True))
    np.testing.assert_array_equal(little, big)
    assert 99 not in big


def test_16_bits_keep_their_upper_8_as_the_last_bits_do_not_show() -> None:
    samples = np.array([[0, 255, 256, 0x7FFF, 0x8000, 0xFFFF]], "<u2")
    frame = decode_image(encoding="mono16", height=1, width=6, step=12, is_bigendian=False, data=samples.tobytes())
    assert frame[0, :, 0].tolist() == [0, 0, 1, 127, 128, 255]


def test_8_bits_have_no_byte_order() -> None:
    frame = decode_image(**{**pack(four_patches(), "rgb8"), "is_bigendian": True})
    np.testing.assert_array_equal(frame, four_patches())


@pytest.mark.parametrize("encoding", ("mono8", "mono16"))
def test_gray_is_the_same_in_all_channels(encoding: str) -> None:
    frame = decode_image(**pack(four_patches(), encoding))
    np.testing.assert_array_equal(frame, np.repeat(four_patches()[:, :, 1:2], 3, axis=2))


def test_the_planes_of_nv24_and_nv12_give_the_same_colors() -> None:
    frames = [decode_image(**pack(four_patches(), encoding)).astype(int) for encoding in ("nv24", "nv12")]
    assert np.abs(frames[0] - frames[1]).max() <= 2


@pytest.mark.parametrize("size", ((3, 3), (5, 4), (7, 13)))
def test_a_mosaic_may_have_odd_sides(size: Tuple[int, int]) -> None:
    flat = np.full((*size, 3), PATCH_COLORS[3], np.uint8)
    np.testing.assert_array_equal(decode_image(**pack(flat, "bayer_grbg8")), flat)


@pytest.mark.parametrize("wrap", (bytes, bytearray, memoryview, lambda data: np.frombuffer(data, np.uint8)))
@pytest.mark.parametrize("padding", (0, 3))
def test_bgr8_is_a_view_of_any_buffer(wrap: Callable[[bytes], Any], padding: int) -> None:
    fields = pack(four_patches(), "bgr8", padding=padding)
    fields["data"] = wrap(fields["data"])
    frame = decode_image(**fields)
    np.testing.assert_array_equal(frame, four_patches())
    assert np.shares_memory(frame, np.frombuffer(fields["data"], np.uint8))


def test_data_behind_the_last_row_is_ignored() -> None:
    fields = pack(four_patches(), "nv12")
    assert_shows_the_patches(decode_image(**{**fields, "data": fields["data"] + b"behind"}), tolerance=3)


@pytest.mark.parametrize(
    "encoding, change, reason, expected",
    (
        ("bgr8", {"step": 83}, "step", "expected a step of at least 84 bytes (28 pixels of bgr8), got 83"),
        ("rgb16", {"step": 167}, "step", "expected a step of at least 168 bytes (28 pixels of rgb16), got 167"),
        ("bgr8", {"step": 85}, "data", "expected 1700 bytes (20 rows of 85), got 1680"),
        ("bgr8", {"step": 2**32 - 1}, "data", "expected 85899345900 bytes (20 rows of 4294967295), got 1680"),
        ("bgr8", {"height": 2**32 - 1}, "data", "expected 360777252780 bytes (4294967295 rows of 84), got 1680"),
        ("bgr8", {"data": b""}, "data", "expected 1680 bytes (20 rows of 84), got 0"),
        ("nv21", {"height": 22}, "data", "expected 924 bytes (33 rows of 28), got 840"),
        ("nv24", {"height": 21}, "data", "expected 1764 bytes (63 rows of 28), got 1680"),
        ("bgr8", {"height": 0}, "size", "expected an image with pixels, got 28 x 0"),
        ("bgr8", {"width": 0}, "size", "expected an image with pixels, got 0 x 20"),
        ("yuv422", {"width": 27}, "size", "expected an even width for yuv422, got 27 x 20"),
        ("yuyv", {"width": 1}, "size", "expected an even width for yuyv, got 1 x 20"),
        ("nv21", {"height": 19}, "size", "expected an even width and height for nv21, got 28 x 19"),
        ("nv12", {"width": 27}, "size", "expected an even width and height for nv12, got 27 x 20"),
        ("bayer_rggb8", {"height": 2}, "size", "expected at least 3 x 3 pixels for bayer_rggb8, got 28 x 2"),
    ),
)
def test_an_image_that_contradicts_itself_says_what_was_expected_and_what_came(
    encoding: str, change: dict, reason: str, expected: str
) -> None:
    with pytest.raises(ImageError) as error:
        decode_image(**{**pack(four_patches(), encoding), **change})
    assert str(error.value) == expected
    assert error.value.reason == reason


@pytest.mark.parametrize("encoding", ("", "BGR8", "32FC1", "yuv420", "x" * 1_000_000))
def test_an_encoding_that_is_not_known_is_told_with_those_that_are(encoding: str) -> None:
    with pytest.raises(ImageError, match="expected an encoding of bgr8, rgb8, .*, nv24, got '") as error:
        decode_image(**{**pack(four_patches(), "bgr8"), "encoding": encoding})
    assert error.value.reason == "encoding"
    assert len(str(error.value)) < 400


def compress(picture: np.ndarray, kind: str = ".jpg", *options: int) -> bytes:
    return cv2.imencode(kind, picture, list(options))[1].tobytes()


JPEG = compress(four_patches())
PNG = compress(four_patches(), ".png")


@pytest.mark.parametrize(
    "format", ("jpeg", "jpg", "", "bgr8; jpeg compressed bgr8", "rgb8; jpeg compressed bgr8", "png")
)
@pytest.mark.parametrize("options", ((), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1), (cv2.IMWRITE_JPEG_RST_INTERVAL, 1)))
def test_a_jpeg_is_read_whatever_the_format_says(format: str, options: Tuple[int, ...]) -> None:
    data = compress(four_patches(48, 64), ".jpg", *options)
    assert_shows_the_patches(decode_compressed(format=format, data=data), tolerance=6, size=(48, 64))


@pytest.mark.parametrize("format", ("png", "rgb8; png compressed bgr8", "bgra8; png compressed bgra8", "jpeg"))
@pytest.mark.parametrize("alpha", (False, True))
@pytest.mark.parametrize("bits", (8, 16))
def test_a_png_is_read_whatever_the_format_says(format: str, alpha: bool, bits: int) -> None:
    picture = four_patches()
    if alpha:
        picture = np.dstack((picture, np.full((HEIGHT, WIDTH), 5, np.uint8)))
    if bits == 16:
        picture = picture.astype(np.uint16) * 257
    frame = decode_compressed(format=format, data=compress(picture, ".png"))
    np.testing.assert_array_equal(frame, four_patches())


@pytest.mark.parametrize(
    "format, kind, bits",
    (
        ("mono8; jpeg compressed ", ".jpg", 8),
        ("mono8; png compressed ", ".png", 8),
        ("16UC1; png compressed ", ".png", 16),
    ),
)
def test_a_gray_picture_is_the_same_in_all_channels(format: str, kind: str, bits: int) -> None:
    gray = four_patches(48, 64)[:, :, 1]
    frame = decode_compressed(format=format, data=compress(gray if bits == 8 else gray.astype(np.uint16) * 257, kind))
    assert frame.shape == (48, 64, 3)
    assert (frame == frame[:, :, :1]).all()
    np.testing.assert_allclose(patch_centers(frame)[:, 0].astype(int), [c[1] for c in PATCH_COLORS], atol=3)


@pytest.mark.parametrize("bits", (8, 16))
@pytest.mark.parametrize("pattern", ("rggb", "bggr", "gbrg", "grbg"))
def test_a_mosaic_that_was_compressed_as_it_is_gets_its_colors(pattern: str, bits: int) -> None:
    samples = mosaic(four_patches(), pattern)
    data = compress(samples if bits == 8 else samples.astype(np.uint16) * 257, ".png")
    assert_shows_the_patches(
        decode_compressed(format=f"bayer_{pattern}{bits}; png compressed ", data=data), tolerance=0
    )


def test_a_mosaic_that_got_its_colors_before_it_was_compressed_is_left_alone() -> None:
    frame = decode_compressed(format="bayer_rggb8; png compressed bgr8", data=PNG)
    np.testing.assert_array_equal(frame, four_patches())


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_does_not_turn_the_picture(orientation: int) -> None:
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*" + struct.pack(">IH", 8, 1) + entry + bytes(4)
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(exif) + 2) + exif + JPEG[2:]
    np.testing.assert_array_equal(decode_compressed(format="jpeg", data=data), decode_compressed(format="", data=JPEG))


@pytest.mark.parametrize("options", ((), (cv2.IMWRITE_JPEG_PROGRESSIVE, 1)))
def test_a_jpeg_cut_off_anywhere_is_refused(options: Tuple[int, ...]) -> None:
    data = compress(four_patches(48, 64), ".jpg", *options)
    for length in range(3, len(data)):
        with pytest.raises(ImageError) as error:
            decode_compressed(format="jpeg", data=data[:length])
        assert error.value.reason == "data"
    assert str(error.value) == f"expected a JPEG with an end marker, got {len(data) - 1} bytes without; it is truncated"


def test_a_preview_inside_a_jpeg_does_not_hide_that_it_is_cut_off() -> None:
    preview = compress(four_patches(8, 8))
    data = JPEG[:2] + b"\xff\xe1" + struct.pack(">H", len(preview) + 2) + preview + JPEG[2:]
    np.testing.assert_array_equal(decode_compressed(format="jpeg", data=data), decode_compressed(format="", data=JPEG))
    with pytest.raises(ImageError, match="truncated"):
        decode_compressed(format="jpeg", data=data[:-20])


@pytest.mark.parametrize("behind", (b"\0" * 100, b"\xff" * 7, b"camera", JPEG[:50]))
def test_bytes_behind_the_end_of_the_picture_are_ignored(behind: bytes) -> None:
    np.testing.assert_array_equal(decode_compressed(format="png", data=PNG + behind), four_patches())
    assert_shows_the_patches(decode_compressed(format="jpeg", data=JPEG + behind), tolerance=60)


def test_a_png_cut_off_anywhere_is_refused() -> None:
    for length in range(8, len(PNG)):
        with pytest.raises(ImageError, match="it is truncated") as error:
            decode_compressed(format="png", data=PNG[:length])
        assert error.value.reason == "data"


def test_a_png_with_any_bit_wrong_is_refused() -> None:
    for position in range(8, len(PNG)):
        data = bytearray(PNG)
        data[position] ^= 1 << position % 8
        with pytest.raises(ImageError):
            decode_compressed(format="png", data=data)


def chunk(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))


def png_of(width: int, height: int, pixels: bytes) -> bytes:
    """A gray PNG whose header says width x height, whatever its pixels are."""
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    return PNG[:8] + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(pixels)) + chunk(b"IEND", b"")


def jpeg_of(width: int, height: int) -> bytes:
    """JPEG with another size written into its frame header."""
    start = JPEG.index(b"\xff\xc0") + 5
    return JPEG[:start] + struct.pack(">HH", height, width) + JPEG[start + 4 :]


@pytest.mark.parametrize("make", (lambda w, h: png_of(w, h, b"few"), jpeg_of))
@pytest.mark.parametrize("width, height", ((65535, 65535), (0, 20), (20, 0), (4096, MAX_COMPRESSED_PIXELS // 4096 + 1)))
def test_a_picture_is_refused_by_the_size_it_claims(make: Callable[[int, int], bytes], width: int, height: int) -> None:
    with pytest.raises(ImageError) as error:
        decode_compressed(format="", data=make(width, height))
    assert str(error.value) == f"expected 1 to {MAX_COMPRESSED_PIXELS} pixels, got a header of {width} x {height}"
    assert error.value.reason == "size"


def test_a_png_with_fewer_pixels_than_it_claims_is_refused() -> None:
    with pytest.raises(ImageError, match="expected a picture of 64 x 64, got data that OpenCV cannot decode"):
        decode_compressed(format="", data=png_of(64, 64, bytes(65 * 10)))
    assert decode_compressed(format="", data=png_of(64, 64, bytes(65 * 64))).shape == (64, 64, 3)


def test_a_jpeg_of_endless_scans_or_segments_is_refused() -> None:
    progressive = compress(four_patches(), ".jpg", cv2.IMWRITE_JPEG_PROGRESSIVE, 1)
    scan = progressive[progressive.rindex(b"\xff\xda") : -2]
    with pytest.raises(ImageError, match=f"expected a JPEG of at most {MAX_SCANS} scans, got one of"):
        decode_compressed(format="", data=progressive[:-2] + scan * MAX_SCANS + progressive[-2:])
    with pytest.raises(ImageError, match=f"got more than {MAX_SEGMENTS} segments without a picture"):
        decode_compressed(format="", data=JPEG[:2] + b"\xff\xfe\0\2" * MAX_SEGMENTS + JPEG[2:])


@pytest.mark.parametrize(
    "data, expected",
    (
        (b"\xff\xd8\xff\xd9\xff\xd9", "it is truncated|expected a JPEG segment at byte"),
        (JPEG[:2] + JPEG[JPEG.index(b"\xff\xda") :], "expected a JPEG, got one without a frame header; it is corrupt"),
        (JPEG[:2] + b"\xff\xe1\0\0" + JPEG[2:], "expected a JPEG segment at byte 4, got 0000"),
        (
            PNG[:8] + chunk(b"IDAT", b"x" * 20) + chunk(b"IEND", b""),
            "whose first chunk is IHDR, got b'IDAT' of 20 bytes",
        ),
        (PNG[:8] + chunk(b"IHDR", b"x"), "whose first chunk is IHDR, got b'IHDR' of 1 bytes"),
    ),
)
def test_data_without_the_structure_of_a_picture_say_where(data: bytes, expected: str) -> None:
    with pytest.raises(ImageError, match=expected) as error:
        decode_compressed(format="", data=data)
    assert error.value.reason == "data"


@pytest.mark.parametrize(
    "format, data, expected",
    (
        ("jpeg", b"", "expected a JPEG or PNG, got no data as format 'jpeg'"),
        (
            "jpeg",
            b"GIF89a..",
            "expected a JPEG or PNG, got data that begin with 47 49 46 38 39 61 2e 2e as format 'jpeg'",
        ),
        ("16UC1; compressedDepth png", PNG, "expected a camera's picture as JPEG or PNG, got depth ('16UC1; c"),
        ("32FC1; compressedDepth", bytes(12) + PNG, "expected a camera's picture as JPEG or PNG, got depth"),
    ),
)
def test_what_is_neither_jpeg_nor_png_is_refused(format: str, data: bytes, expected: str) -> None:
    with pytest.raises(ImageError) as error:
        decode_compressed(format=format, data=data)
    assert str(error.value).startswith(expected)
    assert error.value.reason == "format"


def test_an_array_without_the_order_of_its_channels_is_refused_with_what_to_do() -> None:
    with pytest.raises(ImageError, match=r"got '8UC3', which does not say .*; name it, as in cv2_to_imgmsg\("):
        decode_image(encoding="8UC3", height=2, width=2, step=6, is_bigendian=False, data=bytes(12))
