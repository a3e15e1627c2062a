"""Image messages to frames and back, without a node."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("rclpy")
from sensor_msgs.msg import Image  # noqa: E402
from std_msgs.msg import Header  # noqa: E402

from bisenet_ros.labels import CAMVID  # noqa: E402
from bisenet_ros.node.image_messages import ENCODINGS, ImageError, make_image, paint, read_frame  # noqa: E402

HEIGHT, WIDTH = 5, 7
BGR = np.random.default_rng(1).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def message_of(pixels: np.ndarray, encoding: str, *, padding: int = 0) -> Image:
    rows = pixels.reshape(pixels.shape[0], -1)
    rows = np.pad(rows, ((0, 0), (0, padding)), constant_values=99)
    message = Image(encoding=encoding, height=pixels.shape[0], width=pixels.shape[1], step=rows.shape[1])
    message.data.frombytes(rows.tobytes())
    return message


@pytest.mark.parametrize("padding", (0, 3))
def test_a_bgr8_frame_is_a_view_of_the_message(padding: int) -> None:
    message = message_of(BGR, "bgr8", padding=padding)
    frame = read_frame(message)
    np.testing.assert_array_equal(frame, BGR)
    assert np.shares_memory(frame, np.frombuffer(message.data, np.uint8))


@pytest.mark.parametrize("padding", (0, 3))
@pytest.mark.parametrize("encoding", ENCODINGS)
def test_every_encoding_is_read_as_bgr(encoding: str, padding: int) -> None:
    alpha = np.full((HEIGHT, WIDTH, 1), 17, np.uint8)
    grey = BGR[:, :, 0]
    pixels, expected = {
        "bgr8": (BGR, BGR),
        "rgb8": (BGR[:, :, ::-1], BGR),
        "bgra8": (np.dstack((BGR, alpha)), BGR),
        "rgba8": (np.dstack((BGR[:, :, ::-1], alpha)), BGR),
        "mono8": (grey, np.dstack((grey, grey, grey))),
    }[encoding]
    frame = read_frame(message_of(pixels, encoding, padding=padding))
    assert frame.dtype == np.uint8
    np.testing.assert_array_equal(frame, expected)


def test_data_behind_the_last_row_is_ignored() -> None:
    message = message_of(BGR, "bgr8")
    message.data.frombytes(b"behind")
    np.testing.assert_array_equal(read_frame(message), BGR)


@pytest.mark.parametrize(
    "change, expected",
    (
        ({"step": 20}, "expected a step of at least 21 bytes (7 pixels of bgr8), got 20"),
        ({"step": 22}, "expected 110 bytes (5 rows of 22), got 105"),
        ({"height": 0}, "expected an image with pixels, got 7 x 0"),
        ({"width": 0}, "expected an image with pixels, got 0 x 5"),
        ({"height": 2**32 - 1}, "expected 90194313195 bytes (4294967295 rows of 21), got 105"),
        ({"encoding": "yuv422"}, "expected an encoding of bgr8, rgb8, bgra8, rgba8, mono8, got 'yuv422'"),
        ({"encoding": ""}, "expected an encoding of bgr8, rgb8, bgra8, rgba8, mono8, got ''"),
        (
            {"encoding": "mono16", "is_bigendian": 1},
            "expected an encoding of bgr8, rgb8, bgra8, rgba8, mono8, got big-endian 'mono16'",
        ),
    ),
)
def test_a_message_that_contradicts_itself_says_what_was_expected_and_what_came(change: dict, expected: str) -> None:
    message = message_of(BGR, "bgr8")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(ImageError) as error:
        read_frame(message)
    assert str(error.value) == expected


@pytest.mark.parametrize("encoding, channels", (("mono8", 1), ("rgb8", 3)))
def test_an_image_is_made_with_unpadded_rows_and_the_header_given(encoding: str, channels: int) -> None:
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


def test_labels_are_painted_in_their_colours_and_black_where_there_is_no_class() -> None:
    labels = np.array([[0, 3, 10], [11, 254, 255]], np.uint8)
    painted = paint(labels, CAMVID.colour_table())
    colours = [label.colour for label in CAMVID.labels]
    assert painted.tolist() == [[list(colours[i]) for i in (0, 3, 10)], [[0, 0, 0]] * 3]
