# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""MCAP files that other writers than rosbag2 make: legal ones are read whole, and what they promise is checked."""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path

import pytest
from bag_workshop import CAMERA, image, picture, stamp
from mcap.writer import CompressionType, IndexType, Writer

from bisenet_ros.bags.bag_choice import choose_topics
from bisenet_ros.bags.bag_images import IMAGE, TYPES, decode_frame
from bisenet_ros.bags.bag_reader import Bag, BagError

FRAMES = 12


def write_mcap(path: Path, *, profile: str = "ros2", foreign: str = "", order=range(FRAMES), **options) -> Path:
    """Frames of one camera; with `foreign`, a channel of that encoding and with a schema that is no text beside it."""
    with path.open("wb") as file:
        writer = Writer(file, chunk_size=8000, **options)
        writer.start(profile=profile)
        schema = writer.register_schema(IMAGE, "ros2msg", TYPES.generate_msgdef(IMAGE)[0].encode())
        camera = writer.register_channel(CAMERA, "cdr", schema)
        if foreign:
            other = writer.register_schema("events.Log", foreign, bytes(range(120, 250)))
            events = writer.register_channel("/events", foreign, other)
        for number in order:
            data = bytes(TYPES.serialize_cdr(image(picture(number), stamp_ns=stamp(number)), IMAGE))
            writer.add_message(camera, stamp(number), data, stamp(number))
            if foreign:
                writer.add_message(events, stamp(number), b"\x08\x01", stamp(number))
        writer.finish()
    return path


WAYS = (
    {},
    {"index_types": IndexType.NONE},
    {"index_types": IndexType.CHUNK},
    {"index_types": IndexType.MESSAGE},
    {"use_chunking": False},
    {"use_statistics": False},
    {"repeat_channels": False, "repeat_schemas": False},
    {"use_statistics": False, "repeat_channels": False, "repeat_schemas": False, "use_summary_offsets": False},
    {"profile": ""},
    {"foreign": "json"},
    {"foreign": "protobuf", "index_types": IndexType.CHUNK},
    {"compression": CompressionType.LZ4},
    {"compression": CompressionType.NONE},
)


@pytest.mark.parametrize("way", WAYS, ids=str)
def test_every_legal_file_is_read_whole(tmp_path, way):
    bag = Bag(write_mcap(tmp_path / "camera.mcap", **way))
    (topic,) = choose_topics(bag)
    assert topic[:2] == (CAMERA, IMAGE) and topic.messages in (FRAMES, None)
    frames = [decode_frame(message) for message in bag.messages([CAMERA])]
    assert [frame.stamp_ns for frame in frames] == [stamp(i) for i in range(FRAMES)]
    assert not bag.problems


def test_an_index_gives_the_order_of_recording(tmp_path):
    order = (0, 1, 3, 2, 4, 5, 7, 6)
    bag = Bag(write_mcap(tmp_path / "indexed.mcap", order=order))
    assert [message.log_ns for message in bag.messages([CAMERA])] == [stamp(i) for i in range(8)]
    scanned = Bag(write_mcap(tmp_path / "scanned.mcap", order=order, index_types=IndexType.NONE))
    assert [message.log_ns for message in scanned.messages([CAMERA])] == [stamp(i) for i in order]


@pytest.mark.parametrize("way", ({}, {"use_chunking": False}, {"foreign": "json"}), ids=str)
@pytest.mark.parametrize("part", (0.1, 0.5, 0.9, 0.999))
def test_a_cut_file_gives_what_it_holds(tmp_path, way, part):
    path = write_mcap(tmp_path / "cut.mcap", **way)
    data = path.read_bytes()
    path.write_bytes(data[: int(part * len(data))])
    try:
        bag = Bag(path)
    except BagError as error:
        assert part == 0.1 and "nothing of the bag" in str(error)
        return
    frames = list(bag.messages([CAMERA]))
    assert FRAMES * part - 5 < len(frames) <= FRAMES
    assert f"{path} is damaged" in bag.problems[0]


@pytest.mark.parametrize("index", (IndexType.ALL, IndexType.NONE))
def test_a_wrong_byte_is_damage_of_the_file(tmp_path, index):
    """A byte of the first chunk's head, or of the index and the statistics at the end."""
    path = write_mcap(tmp_path / "camera.mcap", index_types=index, compression=CompressionType.NONE)
    data = path.read_bytes()
    for place in (*range(100), *range(len(data) - 700, len(data))):
        path.write_bytes(data[:place] + b"\xac" + data[place + 1 :])
        with suppress(BagError):
            bag = Bag(path)
            assert len(list(bag.messages([CAMERA]))) <= FRAMES


def test_a_count_that_is_wrong_is_told(tmp_path):
    path = write_mcap(tmp_path / "camera.mcap", use_chunking=False)
    data = path.read_bytes()
    statistics = data.rindex(b"\x0b" + (56).to_bytes(8, "little"))
    counts = data[statistics:].replace((FRAMES).to_bytes(8, "little"), (FRAMES + 8).to_bytes(8, "little"))
    path.write_bytes(data[:statistics] + counts)
    bag = Bag(path)
    assert len(list(bag.messages([CAMERA]))) == FRAMES
    assert any(f"{FRAMES + 8} messages promised on {CAMERA} by {path}, {FRAMES} read" in line for line in bag.problems)


def record_of(kind: int, body: bytes) -> bytes:
    return bytes([kind]) + len(body).to_bytes(8, "little") + body


def write_beside(path: Path, *records: bytes) -> Path:
    """A file that is not chunked and has no summary, with more records before its messages."""
    nothing = {"repeat_channels": False, "repeat_schemas": False, "use_statistics": False, "use_summary_offsets": False}
    data = write_mcap(path, use_chunking=False, index_types=IndexType.NONE, **nothing).read_bytes()
    place = 8 + 9 + int.from_bytes(data[9:17], "little")  # behind the header
    path.write_bytes(data[:place] + b"".join(records) + data[place:])
    return path


def channel(number: int, schema: int, topic: bytes) -> bytes:
    text = len(topic).to_bytes(4, "little") + topic + (4).to_bytes(4, "little") + b"json" + bytes(4)
    return record_of(4, number.to_bytes(2, "little") + schema.to_bytes(2, "little") + text)


def test_a_channel_whose_schema_is_missing_does_not_condemn_the_others(tmp_path):
    message = record_of(5, (7).to_bytes(2, "little") + bytes(20) + b"{}")
    bag = Bag(write_beside(tmp_path / "other.mcap", channel(7, 77, b"/events"), message))
    assert len(list(bag.messages([CAMERA]))) == FRAMES and not bag.problems


def test_a_name_that_is_not_utf8_is_the_cause_that_is_told(tmp_path):
    with pytest.raises(BagError, match="other.mcap: it has a name that is not UTF-8"):
        Bag(write_beside(tmp_path / "other.mcap", channel(7, 0, b"/stra\xdfe")))


def test_of_two_encodings_on_a_topic_the_images_are_read(tmp_path):
    path = tmp_path / "camera.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema(IMAGE, "ros2msg", b"")
        camera = writer.register_channel(CAMERA, "cdr", schema)
        other = writer.register_channel(CAMERA, "json", writer.register_schema("Image", "jsonschema", b"{}"))
        data = bytes(TYPES.serialize_cdr(image(picture(0)), IMAGE))
        writer.add_message(camera, 1, data, 1)
        writer.add_message(other, 2, b"{}", 2)
        writer.finish()
    assert [topic.encoding for topic in choose_topics(Bag(path))] == ["cdr"]


def test_a_camera_in_another_encoding_is_refused_in_words(tmp_path):
    path = tmp_path / "json.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        schema = writer.register_schema(IMAGE, "jsonschema", b"{}")
        writer.add_message(writer.register_channel(CAMERA, "json", schema), 1, b"{}", 1)
        writer.finish()
    with pytest.raises(BagError, match="has no image topic"):
        choose_topics(Bag(path))
    with pytest.raises(BagError, match=f"expected messages in CDR on {CAMERA}, got 'json'"):
        choose_topics(Bag(path), [CAMERA])
