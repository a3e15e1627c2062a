# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Camera images, raw or compressed, as the frames that an engine takes."""

import reprlib
from typing import Any, Dict, NamedTuple, Optional

import cv2
import numpy as np

from bisenet_ros.errors import ImageError
from bisenet_ros.images.compressed_headers import read_header

MAX_COMPRESSED_PIXELS = 2**25
"""An 8K picture fits (7680 x 4320). A few bytes of JPEG or PNG can declare any size, which is memory once decoded: here
100 MB at most."""


class Encoding(NamedTuple):
    """How the pixels of an encoding lie in the buffer.

    Attributes:
        channels: samples per pixel in a row.
        to_bgr: OpenCV's conversion to BGR; None where the samples are BGR.
        sample_bytes: 2 for samples of 16 bits.
        buffer_rows: rows of the buffer for every two rows of the image; those behind the image's are chroma.
        even: which of the sides must be even.
        least: the smallest side.
    """

    channels: int
    to_bgr: Optional[int]
    sample_bytes: int = 1
    buffer_rows: int = 2
    even: str = ""
    least: int = 1


# ROS names a Bayer pattern by its first two rows from the top left. OpenCV names it by the second and third pixel of
# the second row, which in RGGB are B and G.
_BAYER = {
    "bayer_rggb": cv2.COLOR_BayerBG2BGR,
    "bayer_bggr": cv2.COLOR_BayerRG2BGR,
    "bayer_gbrg": cv2.COLOR_BayerGR2BGR,
    "bayer_grbg": cv2.COLOR_BayerGB2BGR,
}

ENCODINGS: Dict[str, Encoding] = {
    "bgr8": Encoding(3, None),
    "rgb8": Encoding(3, cv2.COLOR_RGB2BGR),
    "bgra8": Encoding(4, cv2.COLOR_BGRA2BGR),
    "rgba8": Encoding(4, cv2.COLOR_RGBA2BGR),
    "mono8": Encoding(1, cv2.COLOR_GRAY2BGR),
    "bgr16": Encoding(3, None, sample_bytes=2),
    "rgb16": Encoding(3, cv2.COLOR_RGB2BGR, sample_bytes=2),
    "bgra16": Encoding(4, cv2.COLOR_BGRA2BGR, sample_bytes=2),
    "rgba16": Encoding(4, cv2.COLOR_RGBA2BGR, sample_bytes=2),
    "mono16": Encoding(1, cv2.COLOR_GRAY2BGR, sample_bytes=2),
    **{f"{name}8": Encoding(1, code, least=3) for name, code in _BAYER.items()},
    **{f"{name}16": Encoding(1, code, sample_bytes=2, least=3) for name, code in _BAYER.items()},
    "yuv422": Encoding(2, cv2.COLOR_YUV2BGR_UYVY, even="width"),
    "uyvy": Encoding(2, cv2.COLOR_YUV2BGR_UYVY, even="width"),
    "yuv422_yuy2": Encoding(2, cv2.COLOR_YUV2BGR_YUY2, even="width"),
    "yuyv": Encoding(2, cv2.COLOR_YUV2BGR_YUY2, even="width"),
    "nv12": Encoding(1, cv2.COLOR_YUV2BGR_NV12, buffer_rows=3, even="width and height"),
    "nv21": Encoding(1, cv2.COLOR_YUV2BGR_NV21, buffer_rows=3, even="width and height"),
    "nv24": Encoding(1, None, buffer_rows=6),
}
"""The encodings of sensor_msgs/Image that are decoded, by ROS's names.

YUV is BT.601 of limited range, as in cv_bridge. Of 16 bits the upper 8 are taken, which is cv_bridge's scaling to
within one step. NV12 and NV21 have a plane of chroma of half the height behind the image's rows, of the same step; NV24
has one of the full height, of twice the step. Their `height` is the image's.
"""

# BT.601 of limited range: Y, U and V to B, G and R.
_YUV_TO_BGR = np.array([[1.164, 2.018, 0], [1.164, -0.391, -0.813], [1.164, 0, 1.596]])
_YUV_TO_BGR = np.column_stack((_YUV_TO_BGR, _YUV_TO_BGR @ (-16, -128, -128)))


def decode_message(message: Any) -> np.ndarray:
    """A sensor_msgs/Image or CompressedImage, of rclpy or of rosbags, as H x W x 3 uint8 BGR.

    Raises ImageError as `decode_image` and `decode_compressed` do.
    """
    if hasattr(message, "format"):
        return decode_compressed(format=message.format, data=message.data)
    return decode_image(
        encoding=message.encoding,
        height=message.height,
        width=message.width,
        step=message.step,
        is_bigendian=bool(message.is_bigendian),
        data=message.data,
    )


def decode_image(*, encoding: str, height: int, width: int, step: int, is_bigendian: bool, data: Any) -> np.ndarray:
    """The fields of a sensor_msgs/Image as H x W x 3 uint8 BGR: for bgr8 a view of `data`, else converted.

    Args:
        data: bytes, array or anything else with a buffer of bytes; more of it than needed is ignored.

    Raises:
        ImageError: "encoding" for one not in ENCODINGS, "size" for a size of zero or one that the encoding cannot
            have, "step" for rows longer than `step` (bytes), "data" for too little data.
    """
    layout = ENCODINGS.get(encoding)
    if layout is None:
        raise ImageError(
            "encoding",
            f"expected an encoding of {', '.join(ENCODINGS)}, got {reprlib.repr(encoding)}{_advice(encoding)}",
        )
    _check_size(layout, encoding=encoding, height=height, width=width)
    row = width * layout.channels * layout.sample_bytes
    if step < row:
        raise ImageError("step", f"expected a step of at least {row} bytes ({width} pixels of {encoding}), got {step}")
    row_count = height * layout.buffer_rows // 2
    if len(data) < row_count * step:
        raise ImageError("data", f"expected {row_count * step} bytes ({row_count} rows of {step}), got {len(data)}")
    rows = np.frombuffer(data, np.uint8, count=row_count * step).reshape(row_count, step)
    if encoding == "nv24":
        return _decode_nv24(rows, height=height, width=width)
    samples: np.ndarray = rows[:, :row]
    if layout.sample_bytes == 2:
        samples = cv2.extractChannel(samples.reshape(row_count, -1, 2), 0 if is_bigendian else 1)
    pixels = samples.reshape(row_count, width, layout.channels)
    return pixels if layout.to_bgr is None else cv2.cvtColor(pixels, layout.to_bgr)


def _advice(encoding: str) -> str:
    """What to do about the encodings of arrays that cv_bridge writes where nobody names one."""
    if not encoding.startswith("8UC"):
        return ""
    return ", which does not say which channel is which; name it, as in cv2_to_imgmsg(frame, 'bgr8')"


def _check_size(layout: Encoding, *, encoding: str, height: int, width: int) -> None:
    if not height or not width:
        raise ImageError("size", f"expected an image with pixels, got {width} x {height}")
    if min(height, width) < layout.least:
        smallest = f"{layout.least} x {layout.least}"
        raise ImageError("size", f"expected at least {smallest} pixels for {encoding}, got {width} x {height}")
    if ("width" in layout.even and width % 2) or ("height" in layout.even and height % 2):
        raise ImageError("size", f"expected an even {layout.even} for {encoding}, got {width} x {height}")


def _decode_nv24(rows: np.ndarray, *, height: int, width: int) -> np.ndarray:
    """A plane of Y and one of U and V in turn; OpenCV has no conversion of its own."""
    luma = rows[:height, :width]
    chroma = rows[height:].reshape(height, -1)[:, : 2 * width].reshape(height, width, 2)
    return cv2.transform(cv2.merge((luma, chroma)), _YUV_TO_BGR)


def decode_compressed(*, format: str, data: Any) -> np.ndarray:
    """The fields of a sensor_msgs/CompressedImage as H x W x 3 uint8 BGR.

    The first bytes decide what the data are, not `format`. The picture is not turned by its EXIF
    orientation, so that a mask has the geometry of the camera. A Bayer mosaic that was compressed as it is, which
    `format` says ("bayer_rggb8; png compressed "), gets its colors.

    Args:
        format: as ROS or a driver writes it: "jpeg", "bgr8; jpeg compressed bgr8", "16UC1; png compressed ".
        data: a JPEG or a PNG of 8 or 16 bits, gray or color, with or without alpha.

    Raises:
        ImageError: "format" for anything but a JPEG or PNG, "size" for a picture without pixels or of more than
            MAX_COMPRESSED_PIXELS, "data" for one that is truncated or corrupt.
    """
    if "compresseddepth" in format.lower():
        raise ImageError("format", f"expected a camera's picture as JPEG or PNG, got depth ({reprlib.repr(format)})")
    data = bytes(data)
    header = read_header(data)
    if header is None:
        start = f"data that begin with {data[:8].hex(' ')}" if data else "no data"
        raise ImageError("format", f"expected a JPEG or PNG, got {start} as format {reprlib.repr(format)}")
    height, width, _ = header
    if not 0 < height * width <= MAX_COMPRESSED_PIXELS:
        raise ImageError("size", f"expected 1 to {MAX_COMPRESSED_PIXELS} pixels, got a header of {width} x {height}")
    mosaic = _mosaic_encoding(format) if header.gray else None
    colors = cv2.IMREAD_GRAYSCALE if mosaic else cv2.IMREAD_COLOR
    picture = decode_picture(data, colors)
    if picture is None or picture.shape[:2] != (height, width):
        raise ImageError("data", f"expected a picture of {width} x {height}, got data that OpenCV cannot decode")
    if mosaic is None:
        return picture
    return decode_image(
        encoding=mosaic, height=height, width=width, step=width, is_bigendian=False, data=picture.ravel()
    )


def _mosaic_encoding(format: str) -> Optional[str]:
    """The Bayer encoding that the picture was compressed from, with the 8 bits it is decoded to; None for others."""
    encoding = format.partition(";")[0].strip()
    return next((f"{pattern}8" for pattern in _BAYER if encoding in (f"{pattern}8", f"{pattern}16")), None)


def decode_picture(data: bytes, colors: int) -> Optional[np.ndarray]:
    """Compressed data of any format, not turned by an EXIF orientation; None where OpenCV cannot decode them.

    Args:
        colors: cv2.IMREAD_COLOR or cv2.IMREAD_GRAYSCALE.
    """
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), colors | cv2.IMREAD_IGNORE_ORIENTATION)
    except cv2.error:
        return None
