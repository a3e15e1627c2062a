# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Hundreds of random, mostly invalid images sent to a running node: each is counted, and the node keeps working."""

from __future__ import annotations

import time
from typing import Iterator, List, Tuple

import numpy as np
import pytest
from builtin_interfaces.msg import Time
from fake_node import fake_node
from hypothesis import given
from hypothesis import strategies as st
from node_harness import Vehicle, camera_image, find_answer, to_array
from random_images import PICTURES, Picture, RawImage, fuzz, pictures, raw_images
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CompressedImage, Image
from std_msgs.msg import Header

from bisenet_ros.node.segmentation_node import SegmentationNode

pytestmark = pytest.mark.timeout(120)

MESSAGES = 300
"""Raw messages, and as many compressed ones."""
SEND_PERIOD = 0.004
"""Seconds between two messages; faster than any camera."""
GOOD_FRAME = np.random.default_rng(1).integers(0, 11, (30, 40, 3), np.uint8)


def headers() -> st.SearchStrategy:
    stamps = st.builds(Time, sec=st.integers(-(2**31), 2**31 - 1), nanosec=st.integers(0, 2**32 - 1))
    return st.builds(Header, stamp=stamps, frame_id=st.text(st.characters(codec="ascii"), max_size=20))


def as_image(raw: RawImage, header: Header) -> Image:
    message = Image(header=header, **{name: value for name, value in raw.fields.items() if name != "data"})
    message.data.frombytes(raw.fields["data"])
    return message


def as_compressed_image(picture: Picture, header: Header) -> CompressedImage:
    message = CompressedImage(header=header, format=picture.format)
    message.data.frombytes(picture.data)
    return message


def fuzzed_messages() -> List[Tuple[Image, CompressedImage]]:
    messages: List[Tuple[Image, CompressedImage]] = []

    @fuzz(MESSAGES)
    @given(raw_images(), pictures(), headers())
    def collect(raw: RawImage, picture: Picture, header: Header) -> None:
        messages.append((as_image(raw, header), as_compressed_image(picture, header)))

    collect()
    return messages


@pytest.fixture
def node_and_vehicle() -> Iterator[Tuple[SegmentationNode, Vehicle]]:
    with fake_node("-p", "cameras:=[raw, packed]") as (node, vehicle, _):
        yield node, vehicle


def test_random_images_are_counted_and_the_node_keeps_working(
    node_and_vehicle: Tuple[SegmentationNode, Vehicle],
) -> None:
    _, vehicle = node_and_vehicle
    reliable = QoSProfile(depth=10, reliability=ReliabilityPolicy.RELIABLE)
    raw = vehicle.node.create_publisher(Image, "/raw/image_raw", reliable)
    packed = vehicle.node.create_publisher(CompressedImage, "/packed/image_raw/compressed", reliable)
    publishers = (raw, packed)
    vehicle.wait_for(lambda: all(p.get_subscription_count() for p in publishers), "the node's subscriptions")
    for image, compressed in fuzzed_messages():
        raw.publish(image)
        packed.publish(compressed)
        time.sleep(SEND_PERIOD)

    # Subscribe only now: the masks of the random images would fill the test's own queues.
    raw_masks = vehicle.listen("/segmentation/raw/mask", Image)
    packed_masks = vehicle.listen("/segmentation/packed/mask", Image)
    good = camera_image(GOOD_FRAME, "bgr8")
    good_compressed = as_compressed_image(Picture("png", PICTURES[5][0], (30, 40), True), Header())

    def both_are_answered() -> bool:
        good.header = good_compressed.header = vehicle.next_header()
        raw.publish(good)
        packed.publish(good_compressed)
        return bool(
            vehicle.spin_until(lambda: all(find_answer(m, good.header) for m in (raw_masks, packed_masks)), 1.0)
        )

    vehicle.wait_for(both_are_answered, "the masks of good frames")
    np.testing.assert_array_equal(to_array(raw_masks[-1])[:, :, 0], GOOD_FRAME[:, :, 0])
    assert (packed_masks[-1].height, packed_masks[-1].width) == (30, 40)
    vehicle.spin_until(lambda: None, 1.0)  # reads the diagnostics so far
    for camera in ("raw", "packed"):
        counts = vehicle.counts(camera=camera)  # waits until every image received has its outcome
        assert counts["received"] > MESSAGES / 4  # on a busy machine some are lost in transport
        assert counts["skipped"] > MESSAGES / 20
        assert counts["published"] > MESSAGES / 20
        assert counts["failed"] == 0
