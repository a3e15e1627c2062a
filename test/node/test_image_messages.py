# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Image messages to frames and masks to messages, without a node; the decoding itself is in test_encodings.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Callable, Iterator

import cv2
import numpy as np
import pytest
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.errors import ImageError
from bisenet_ros.node import ros_cv_bridge
from bisenet_ros.node.image_messages import make_image, read_frame, uses_low_bits

HEIGHT, WIDTH = 5, 7
BGR = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def message_of(pixels: np.ndarray, encoding: str, *, padding: int = 0) -> Image:
    rows = np.ascontiguousarray(pixels).reshape(pixels.shape[0], -1).view(np.uint8)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1], step=rows.shape[1])
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize("padding", (0, 3))
def test_bgr8_frame_is_a_view_of_the_message(padding: int) -> None:
    message = message_of(BGR, "bgr8", padding=padding)
    frame = read_frame(message)
    np.testing.assert_array_equal(frame, BGR)
    assert np.shares_memory(frame, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("is_bigendian", (0, 1, 255))
def test_is_bigendian_is_respected(is_bigendian: int) -> None:
    samples = (BGR[:, :, ::-1].astype(np.uint16) * 256 + 7).astype(">u2" if is_bigendian else "<u2")
    message = message_of(samples, "rgb16", padding=3)
    message.is_bigendian = is_bigendian
    np.testing.assert_array_equal(read_frame(message), BGR)


@pytest.mark.parametrize(
    "change, reason, expected",
    (
        ({"step": 20}, "step", "expected a step of at least 21 bytes (7 pixels of bgr8), got 20"),
        (
            {"width": 2**32 - 1},
            "step",
            "expected a step of at least 12884901885 bytes (4294967295 pixels of bgr8), got 21",
        ),
        ({"height": 2**32 - 1}, "data", "expected 90194313195 bytes (4294967295 rows of 21), got 105"),
        ({"height": 0}, "size", "expected an image with pixels, got 7 x 0"),
    ),
)
def test_contradictory_fields_are_an_error(change: dict, reason: str, expected: str) -> None:
    message = message_of(BGR, "bgr8")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ImageError) as error:
        read_frame(message)
    assert (error.value.reason, str(error.value)) == (reason, expected)


@pytest.mark.parametrize("kind", (".jpg", ".png"))
def test_compressed_message(kind: str) -> None:
    message = CompressedImage(format="jpeg")
    message.data.frombytes(cv2.imencode(kind, np.full((HEIGHT, WIDTH, 3), (40, 90, 200), np.uint8))[1].tobytes())
    frame = read_frame(message)
    assert frame.shape == (HEIGHT, WIDTH, 3)
    np.testing.assert_allclose(frame.astype(int), np.broadcast_to((40, 90, 200), frame.shape), atol=4)
    message.data.pop()
    with pytest.raises(ImageError, match="truncated"):
        read_frame(message)


@pytest.fixture
def install_cv_bridge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Installs a cv_bridge whose `imgmsg_to_cv2` has the body given, for this process and those it starts."""

    def install(body: str) -> None:
        (tmp_path / "cv_bridge.py").write_text(
            "import os, time\nimport numpy as np\n"
            f"class CvBridge:\n    def imgmsg_to_cv2(self, message, encoding):\n        {body}\n"
        )

    def forget() -> None:
        sys.modules.pop("cv_bridge", None)
        ros_cv_bridge._find_fault.cache_clear()

    forget()
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("PYTHONPATH", str(tmp_path), prepend=":")
    yield install
    forget()


def test_an_image_whose_bits_lie_at_the_low_end_is_recognized() -> None:
    for bits, is_low in ((10, True), (12, True), (13, False), (16, False)):
        message = message_of(np.full((4, 4, 1), 2**bits - 1, "<u2"), "mono16")
        assert uses_low_bits(message, read_frame(message)) == is_low
    dark = message_of(np.zeros((4, 4, 3), np.uint8), "bgr8")
    assert not uses_low_bits(dark, read_frame(dark))


CONVERT = "return np.array(message.data, np.uint8).reshape(message.height, message.width, 3)[:, :, ::-1]"


def test_cv_bridge_converts_other_encodings(install_cv_bridge: Callable[[str], None]) -> None:
    install_cv_bridge(CONVERT)
    np.testing.assert_array_equal(read_frame(message_of(BGR[:, :, ::-1], "rgb_8")), BGR)


def test_cv_bridge_is_not_used_for_supported_encodings(install_cv_bridge: Callable[[str], None]) -> None:
    install_cv_bridge("os.abort()")
    np.testing.assert_array_equal(read_frame(message_of(BGR[:, :, ::-1], "rgb8")), BGR)
    with pytest.raises(ImageError, match="got 7 x 0"):
        read_frame(Image(encoding="rgb8", width=7))


@pytest.mark.parametrize(
    "body, expected",
    (
        (
            "raise TypeError('_ARRAY_API not found')",
            "the installed cv_bridge does not work: TypeError: _ARRAY_API not fo",
        ),
        ("os.abort()", "the installed cv_bridge does not work: "),
        ("os._exit(3)", "the installed cv_bridge does not work: it ended the process with 3"),
        ("return np.zeros((1, 1, 3), np.uint8)", "the installed cv_bridge does not work: it converts incorrectly"),
        ("time.sleep(60)", "the installed cv_bridge could not be tried: .*timed out after 3"),
        (
            f"if message.encoding == 'rgb8': {CONVERT}\n        raise TypeError('odd')",
            "cv_bridge cannot convert it: odd",
        ),
        (
            f"if message.encoding == 'rgb8': {CONVERT}\n        return np.zeros((2, 2))",
            r"cv_bridge returns \(2, 2\) float64",
        ),
    ),
)
def test_error_says_why_cv_bridge_cannot_convert_and_what_is_supported(
    body: str, expected: str, install_cv_bridge: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    if "sleep" in body:
        monkeypatch.setattr(ros_cv_bridge, "TRIAL_TIMEOUT", 3.0)
    install_cv_bridge(body)
    with pytest.raises(ImageError, match=f"expected an encoding of bgr8, .*, nv24, got 'rgb_8'; {expected}") as error:
        read_frame(message_of(BGR, "rgb_8"))
    assert error.value.reason == "encoding"


def test_cv_bridge_is_tried_only_once(install_cv_bridge: Callable[[str], None], tmp_path: Path) -> None:
    install_cv_bridge(f"open({str(tmp_path / 'trials')!r}, 'a').write('x'); raise ValueError")
    for _ in range(3):
        with pytest.raises(ImageError, match="does not work"):
            read_frame(message_of(BGR, "rgb_8"))
    assert (tmp_path / "trials").read_text() == "x"


def test_without_cv_bridge_an_unknown_encoding_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    ros_cv_bridge._find_fault.cache_clear()
    monkeypatch.setattr(ros_cv_bridge.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ImageError, match="nv24, got '32FC1'; cv_bridge, which may support it, is not installed"):
        read_frame(message_of(BGR, "32FC1"))
    ros_cv_bridge._find_fault.cache_clear()


@pytest.mark.parametrize("encoding, channels", (("mono8", 1), ("rgb8", 3)))
def test_make_image_has_unpadded_rows_and_the_header(encoding: str, channels: int) -> None:
    wide = np.random.default_rng(2).integers(0, 256, (HEIGHT, WIDTH + 4, channels), np.uint8)
    pixels = wide[:, :WIDTH].squeeze(2) if channels == 1 else wide[:, :WIDTH]  # rows that are not contiguous
    header = Header(frame_id="camera")
    header.stamp.sec, header.stamp.nanosec = 12, 34
    message = make_image(pixels, encoding, header)
    assert (message.width, message.height, message.encoding) == (WIDTH, HEIGHT, encoding)
    assert message.step == WIDTH * channels
    assert message.is_bigendian == 0
    assert message.header == header
    assert message.data.tobytes() == pixels.tobytes()
