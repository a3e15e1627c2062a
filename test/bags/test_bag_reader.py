# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Bags are read whole and in order, and damaged ones as far as they go."""

from __future__ import annotations

import errno
import os
import re
import shutil
import sqlite3
import tempfile
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from bag_workshop import CAMERA, camera_messages, compressed, image, picture, read_frames, stamp, write_bag
from rosbags.rosbag2 import CompressionMode, Reader
from yaml_aliases import ALIASES

from bisenet_ros.bags import STORAGES
from bisenet_ros.bags import storage_file as storage_module
from bisenet_ros.bags.bag_choice import choose_bags, choose_topics, find_bags
from bisenet_ros.bags.bag_images import COMPRESSED_IMAGE, IMAGE, TYPES, decode_frame, decode_mask, read_stamp
from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.bags.sqlite_file import SqliteFile
from bisenet_ros.bags.storage import BagMessage
from bisenet_ros.bags.storage_file import ZSTD_MAGIC, zstd
from bisenet_ros.errors import ImageError

WAYS = [
    (storage, compression)
    for storage in STORAGES
    for compression in (None, CompressionMode.FILE, CompressionMode.MESSAGE, CompressionMode.STORAGE)
    if (storage, compression) != ("sqlite3", CompressionMode.STORAGE)
]
SMOOTH = np.full((24, 32, 3), 90, np.uint8)


def storage_file(folder: Path) -> Path:
    return next(path for path in folder.iterdir() if path.name != "metadata.yaml")


def frames_of(path: Path, topic: str = CAMERA):
    bag = Bag(path)
    return [decode_frame(message) for message in bag.messages([topic])], bag.problems


@pytest.mark.parametrize("version", (8, 9))
@pytest.mark.parametrize(("storage", "compression"), WAYS)
def test_every_frame_is_read_in_order(tmp_path, storage, compression, version):
    folder = write_bag(tmp_path / "bag", storage=storage, compression=compression, version=version)
    frames, problems = frames_of(folder)
    assert [frame.index for frame in frames] == list(range(12)) and not problems
    assert [frame.stamp_ns for frame in frames] == [frame.log_ns for frame in frames] == [stamp(i) for i in range(12)]
    assert all(np.array_equal(frame.pixels, picture(i)) for i, frame in enumerate(frames))
    assert frames[0].frame_id == "front"


@pytest.mark.parametrize(("storage", "compression"), WAYS)
def test_a_file_without_metadata_is_read_alone_and_in_its_folder(tmp_path, storage, compression):
    folder = write_bag(tmp_path / "bag", storage=storage, compression=compression)
    (folder / "metadata.yaml").unlink()
    for path in (folder, storage_file(folder)):
        frames, problems = frames_of(path)
        assert len(frames) == 12 and not problems
        (topic,) = Bag(path).topics.values()
        assert topic[:2] == (CAMERA, IMAGE) and topic.messages in (12, None)
        assert find_bags(path) == [path]


def test_compressed_images_are_decoded(tmp_path):
    def messages(number):
        kind = (".jpg", ".png")[number % 2]
        data = cv2.imencode(kind, SMOOTH)[1].tobytes()
        return {"/camera/image_raw/compressed": compressed(data, kind=kind[1:].replace("jpg", "jpeg"))}

    folder = write_bag(tmp_path / "bag", count=4, messages=messages)
    (topic,) = choose_topics(Bag(folder))
    assert topic.type == COMPRESSED_IMAGE
    assert [abs(frame.pixels.astype(int) - 90).max() < 4 for frame in read_frames(folder, topic.name)] == [True] * 4


def large_picture(number: int) -> np.ndarray:
    """120 x 160 pixels, so that a chunk of an MCAP file, of 1 MiB, holds 19 of them."""
    return np.tile(picture(number), (5, 5, 1))


def large_messages(number: int):
    return {CAMERA: image(large_picture(number), stamp_ns=stamp(number))}


@pytest.mark.parametrize("storage", STORAGES)
@pytest.mark.parametrize("part", (0.3, 0.6, 0.99))
def test_a_truncated_bag_is_read_as_far_as_it_goes(tmp_path, storage, part):
    folder = write_bag(tmp_path / "bag", count=150, storage=storage, messages=large_messages)
    file = storage_file(folder)
    os.truncate(file, int(part * file.stat().st_size))
    with pytest.raises(Exception, match="magic|malformed|disk image"), Reader(file):
        pass
    frames, problems = frames_of(folder)
    assert 150 * part - 22 < len(frames) <= 150
    assert all(np.array_equal(frame.pixels, large_picture(i)) for i, frame in enumerate(frames))
    last = len(frames) - 1
    assert f"{file} is damaged" in problems[0]
    assert f"number {last + 1} of {CAMERA}, recorded at {stamp(last)} ns" in problems[0]
    promise = f"150 messages promised on {CAMERA} by metadata.yaml, {len(frames)} read"
    assert problems[1:] == ([promise] if len(frames) < 150 else [])


@pytest.mark.parametrize("pages", range(2, 19))
def test_a_database_that_is_cut_anywhere_is_not_taken_for_an_empty_one(tmp_path, pages):
    file = storage_file(write_bag(tmp_path / "bag", storage="sqlite3"))
    os.truncate(file, pages * 4096)
    try:
        assert choose_topics(Bag(file), [CAMERA])
    except BagError as error:
        assert re.search("damaged|malformed|no such table", str(error)), error


@pytest.mark.parametrize("compression", (CompressionMode.STORAGE, CompressionMode.FILE))
def test_a_truncated_compressed_mcap_gives_its_whole_chunks(tmp_path, compression):
    folder = write_bag(tmp_path / "bag", count=1500, storage="mcap", compression=compression)
    file = storage_file(folder)
    os.truncate(file, file.stat().st_size // 2)
    frames, problems = frames_of(folder)
    assert 400 < len(frames) < 800 and len(problems) == 2
    assert all(np.array_equal(frame.pixels, picture(i)) for i, frame in enumerate(frames))


def test_a_message_that_cannot_be_decompressed_is_passed_over(tmp_path):
    folder = write_bag(tmp_path / "bag", compression=CompressionMode.MESSAGE)
    with sqlite3.connect(folder / "bag.db3") as database:
        (data,) = database.execute("SELECT data FROM messages WHERE id = 3").fetchone()
        database.execute("UPDATE messages SET data = ? WHERE id = 3", (data[:20] + bytes(len(data) - 20),))
    frames, problems = frames_of(folder)
    assert [frame.index for frame in frames] == [0, 1, *range(3, 12)]
    (problem,) = problems
    assert re.fullmatch(rf"1 messages of .*bag.db3 cannot be decompressed, first message 3 of {CAMERA}: .+", problem)


def test_wrong_bytes_in_the_middle_end_the_reading(tmp_path):
    folder = write_bag(tmp_path / "bag", count=600, storage="mcap", compression=CompressionMode.STORAGE)
    file = storage_file(folder)
    first, second, *others = file.read_bytes().split(ZSTD_MAGIC)
    file.write_bytes(ZSTD_MAGIC.join([first, second, b"\0" * 20 + others[0][20:], *others[1:]]))
    frames, problems = frames_of(folder)
    assert 0 < len(frames) < 600 and f"number {len(frames)} of {CAMERA}" in problems[0]
    assert f"600 messages promised on {CAMERA} by {file}, {len(frames)} read" in problems[1]


def test_a_wrong_byte_in_the_schema_is_damage_of_the_file(tmp_path):
    """SQLite's message quotes it then, and is no UTF-8."""
    file = storage_file(write_bag(tmp_path / "bag"))
    file.write_bytes(file.read_bytes().replace(b"tablemessage_definitions", b"tablemessage_def\x80nitions"))
    frames, problems = frames_of(file)
    assert len(frames) == 12 and f"{file} is damaged ('utf-8' codec can't decode byte 0x80" in problems[0]


@pytest.mark.parametrize("number", (errno.ENOSPC, errno.EIO, errno.EACCES, errno.ESTALE))
def test_a_failure_of_the_system_is_no_problem_of_the_bag(tmp_path, monkeypatch, number):
    folder = write_bag(tmp_path / "bag", storage="mcap", compression=CompressionMode.FILE)
    bag = Bag(folder)

    def fail(*_):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(storage_module.shutil, "copyfileobj", fail)
    with pytest.raises(OSError, match=os.strerror(number)) as raised:
        list(bag.messages([CAMERA]))
    assert ("set TMPDIR" in str(raised.value)) == (number == errno.ENOSPC)
    (folder / "metadata.yaml").unlink()
    with pytest.raises(OSError, match=os.strerror(number)):
        Bag(folder)


def test_a_drive_that_fails_is_no_damage_of_an_sqlite_file(tmp_path, monkeypatch):
    """SQLite says of both that the file is malformed; only reading the file tells them apart."""
    file = storage_file(write_bag(tmp_path / "bag", count=100))
    data = bytearray(file.read_bytes())
    data[len(data) // 2 :] = bytes(len(data) - len(data) // 2)
    file.write_bytes(data)
    bag = Bag(file.parent)
    assert len(list(bag.messages([CAMERA]))) < 100 and "is damaged" in bag.problems[0]

    def fail(_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(SqliteFile, "_read_through", fail)
    with pytest.raises(OSError, match=os.strerror(errno.EIO)):
        list(bag.messages([CAMERA]))


@pytest.mark.parametrize("storage", STORAGES)
def test_an_unpacked_file_is_gone_while_it_is_read(tmp_path, monkeypatch, storage):
    """So that a process that is killed leaves nothing."""
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    bag = Bag(write_bag(tmp_path / "bag", storage=storage, compression=CompressionMode.FILE))
    messages = bag.messages([CAMERA])
    next(messages)
    assert not [path for path in scratch.rglob("*") if path.is_file()]
    assert len(list(messages)) == 11 and not list(scratch.iterdir())


def test_a_message_of_another_type_on_the_topic_of_images_is_no_image(tmp_path):
    """As in a bag that was merged of two."""
    [message] = [message for message in Bag(write_bag(tmp_path / "bag", count=1)).messages([CAMERA])]
    with pytest.raises(
        ImageError, match="expected one of sensor_msgs/msg/Image, .*, got std_msgs/msg/String"
    ) as raised:
        decode_frame(replace(message, type="std_msgs/msg/String"))
    assert raised.value.reason == "message"


def test_messages_that_are_not_in_the_file_yet_are_told_with_what_moves_them(tmp_path):
    file = storage_file(write_bag(tmp_path / "bag"))
    file.with_name(f"{file.name}-wal").write_bytes(b"frames")
    [problem] = Bag(file.parent).problems or frames_of(file.parent)[1]
    assert f"{file.name}-wal holds messages that are not in the file yet" in problem
    assert f"`sqlite3 {file} 'PRAGMA wal_checkpoint(TRUNCATE)'` moves them" in problem
    file.write_bytes(b"")
    with pytest.raises(BagError, match=f"{file.name}-wal holds messages: copy both before you open them") as raised:
        Bag(file)
    assert "PRAGMA" not in str(raised.value), "SQLite would remove the messages of an empty file"


def test_a_file_that_the_disk_has_no_room_for_is_not_unpacked(tmp_path, monkeypatch):
    folder = write_bag(tmp_path / "bag")
    file = storage_file(folder)
    packed = file.with_name(f"{file.name}.zstd")
    packed.write_bytes(zstd.compress(file.read_bytes()))
    size = file.stat().st_size
    file.unlink()
    (folder / "metadata.yaml").unlink()
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    bag = Bag(packed)
    assert len(list(bag.messages([CAMERA]))) == 12
    monkeypatch.setattr(storage_module.shutil, "disk_usage", lambda _: SimpleNamespace(free=size - 1))
    with pytest.raises(OSError, match=rf"for 0 MiB: {packed} is unpacked in {scratch}, .*set TMPDIR") as raised:
        list(bag.messages([CAMERA]))
    assert raised.value.errno == errno.ENOSPC and not list(scratch.iterdir())


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_that_is_gone_is_no_problem_of_the_bag(tmp_path, storage):
    folder = write_bag(tmp_path / "bag", storage=storage)
    bag = Bag(folder)
    storage_file(folder).unlink()
    with pytest.raises(FileNotFoundError):
        list(bag.messages([CAMERA]))


def test_a_message_that_would_fill_the_memory_is_not_decompressed(tmp_path, monkeypatch):
    folder = write_bag(tmp_path / "bag", compression=CompressionMode.MESSAGE)
    monkeypatch.setattr(storage_module, "MOST_BYTES", 1000)
    frames, problems = frames_of(folder)
    assert not frames and "a compressed message has more than 1000 bytes" in problems[0]


def test_folders_are_passed_over(tmp_path):
    first, second = write_bag(tmp_path / "a"), write_bag(tmp_path / "b")
    (tmp_path / "link").symlink_to(second)

    def is_result(folder: Path) -> bool:
        return folder.resolve() == second

    assert find_bags(tmp_path, is_result=is_result) == [first]
    assert find_bags(second, is_result=is_result) == [second]


def split_bag(folder: Path, parts: int) -> Path:
    """A bag of several files of 4 frames each, as a recorder splits it."""
    bags = [
        write_bag(
            folder.with_name(f"part_{part}"), count=4, messages=lambda i, part=part: camera_messages(4 * part + i)
        )
        for part in range(parts)
    ]
    folder.mkdir()
    for bag in bags:
        shutil.move(storage_file(bag), folder / f"{bag.name}.db3")
    text = (bags[0] / "metadata.yaml").read_text().replace("message_count: 4", f"message_count: {4 * parts}")
    names = "\n".join(f"  - part_{part}.db3" for part in range(parts))
    (folder / "metadata.yaml").write_text(re.sub(r"  - part_0.db3", names, text, count=1))
    return folder


def test_a_missing_file_of_a_split_bag_is_told_and_the_rest_read(tmp_path):
    folder = split_bag(tmp_path / "bag", 3)
    frames, problems = frames_of(folder)
    assert [frame.stamp_ns for frame in frames] == [stamp(i) for i in range(12)] and not problems
    (folder / "part_1.db3").unlink()
    frames, problems = frames_of(folder)
    assert [frame.stamp_ns for frame in frames] == [stamp(i) for i in (*range(4), *range(8, 12))]
    assert "part_1.db3 is missing" in problems[0]
    assert problems[1:] == [f"12 messages promised on {CAMERA} by metadata.yaml, 8 read"]


def test_log_times_out_of_order_are_sorted_and_header_stamps_are_kept(tmp_path):
    folder = write_bag(tmp_path / "bag", count=4, log_ns=lambda i: stamp((1, 0, 3, 2)[i]))
    frames, _ = frames_of(folder)
    assert [frame.log_ns for frame in frames] == [stamp(i) for i in range(4)]
    assert [frame.stamp_ns for frame in frames] == [stamp(i) for i in (1, 0, 3, 2)]


def test_several_topics_come_interleaved_and_each_with_its_own_numbers(tmp_path):
    folder = write_bag(tmp_path / "bag", messages=lambda i: {"/a/image": image(SMOOTH), "/b/image": image(SMOOTH)})
    found = [(message.topic, message.index) for message in Bag(folder).messages(["/b/image", "/a/image"])]
    assert found[:4] == [("/a/image", 0), ("/b/image", 0), ("/a/image", 1), ("/b/image", 1)] and len(found) == 24


def test_image_topics_are_chosen_or_listed(tmp_path):
    only = Bag(write_bag(tmp_path / "only"))
    assert choose_topics(only) == choose_topics(only, [CAMERA]) == [(CAMERA, IMAGE, 12, "cdr")]
    two = Bag(write_bag(tmp_path / "two", messages=lambda i: {**camera_messages(i), "/rear": image(SMOOTH)}))
    with pytest.raises(BagError, match=rf"2 image topics; .*{CAMERA} \({IMAGE}, 12 messages\), /rear \({IMAGE}, 12"):
        choose_topics(two)
    assert [topic.name for topic in choose_topics(two, exclude=["/rear"])] == [CAMERA]
    assert [topic.name for topic in choose_topics(two, ["/rear", CAMERA])] == ["/rear", CAMERA]
    with pytest.raises(BagError, match=f"no topic /left; it holds {CAMERA}"):
        choose_topics(two, ["/left"])
    header = image(SMOOTH).header
    none = Bag(write_bag(tmp_path / "none", messages=lambda i: {"/header": header}))
    with pytest.raises(BagError, match=r"no image topic .*it holds /header \(std_msgs/msg/Header, 12"):
        choose_topics(none)
    with pytest.raises(BagError, match=f"expected {IMAGE} or .* on /header, got std_msgs/msg/Header"):
        choose_topics(none, ["/header"])


def test_unknown_compression_is_refused_with_words(tmp_path):
    folder = write_bag(tmp_path / "bag", compression=CompressionMode.FILE)
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("compression_format: zstd", "compression_format: lz5"))
    with pytest.raises(BagError, match=r"or with zstd by file or message, got .*'lz5' by 'file'"):
        Bag(folder)


@pytest.mark.parametrize("content", ("{", "rosbag2_bagfile_information: 3", "", "[" * 1000, None))
def test_broken_metadata_is_told_and_the_files_read(tmp_path, content):
    folder = write_bag(tmp_path / "bag")
    metadata = folder / "metadata.yaml"
    if content is None:
        content = metadata.read_text().replace("message_count: 12", "message_count: .inf")
    metadata.write_text(content)
    frames, problems = frames_of(folder)
    assert len(frames) == 12 and "metadata.yaml cannot be read" in problems[0]


@pytest.mark.parametrize(
    "old, new",
    [
        ("serialization_format: cdr", f"serialization_format: {ALIASES}"),
        ("compression_mode: ''", f"compression_mode: {ALIASES}"),
        ("custom_data: null", "custom_data: {label_classes: '5'}"),
        ("custom_data: null", "custom_data: {label_classes: '[1, {}]'}"),
    ],
)
def test_entries_of_metadata_that_are_no_texts_are_told_and_the_files_read(tmp_path, old, new):
    folder = write_bag(tmp_path / "bag")
    metadata = folder / "metadata.yaml"
    assert old in metadata.read_text()
    metadata.write_text(metadata.read_text().replace(old, new))
    frames, problems = frames_of(folder)
    assert len(frames) == 12 and "metadata.yaml cannot be read" in problems[0]
    assert Bag(folder).label_classes == []


def test_a_file_has_the_class_names_of_the_metadata_beside_it_that_lists_it(tmp_path):
    folder = write_bag(tmp_path / "bag")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("custom_data: null", "custom_data: {label_classes: '[\"lawn\"]'}"))
    assert Bag(folder).label_classes == Bag(storage_file(folder)).label_classes == ["lawn"]
    other = folder / "other.db3"
    other.write_bytes(storage_file(folder).read_bytes())
    assert Bag(other).label_classes == []
    metadata.write_text("[")
    assert Bag(other).label_classes == []


def test_a_topic_whose_name_is_no_text_is_damage_of_the_file(tmp_path):
    folder = write_bag(tmp_path / "bag")
    with sqlite3.connect(folder / "bag.db3") as connection:
        connection.execute("CREATE TABLE other AS SELECT id, 5 AS name, type, serialization_format FROM topics")
        connection.execute("DROP TABLE topics")
        connection.execute("ALTER TABLE other RENAME TO topics")
    with pytest.raises(BagError, match="its table of topics is damaged"):
        Bag(folder / "bag.db3")


def test_what_is_no_bag_among_several_is_left_out(tmp_path):
    """As `drives/*` names it."""
    bag, notes, empty = write_bag(tmp_path / "bag"), tmp_path / "notes.txt", tmp_path / "empty"
    notes.write_text("mine")
    empty.mkdir()
    chosen, left_out = choose_bags([bag, empty, notes])
    assert [found.name for found in chosen] == ["bag"]
    assert len(left_out) == 2 and all("left out: expected a ROS 2 bag" in words for words in left_out)
    with pytest.raises(FileNotFoundError):
        choose_bags([bag, tmp_path / "misspelled"])


def test_what_is_no_bag_is_refused_with_words(tmp_path):
    with pytest.raises(FileNotFoundError, match="there is nothing"):
        Bag(tmp_path / "none")
    (tmp_path / "empty").mkdir()
    for function in (Bag, find_bags):
        with pytest.raises(BagError, match="expected a ROS 2 bag"):
            function(tmp_path / "empty")
    (tmp_path / "old.bag").write_bytes(b"#ROSBAG V2.0")
    with pytest.raises(BagError, match="found a bag of ROS 1; convert it"):
        find_bags(tmp_path / "old.bag")
    for name in ("noise.db3", "noise.mcap", "noise.db3.zstd"):
        (tmp_path / name).write_bytes(os.urandom(500))
        with pytest.raises(BagError, match="nothing of the bag"):
            Bag(tmp_path / name)


def test_bags_are_found_in_folders_in_natural_order(tmp_path):
    write_bag(tmp_path / "drives" / "run_2")
    write_bag(tmp_path / "drives" / "run_10")
    shutil.copy(storage_file(tmp_path / "drives" / "run_2"), tmp_path / "drives" / "alone.db3")
    found = find_bags(tmp_path / "drives")
    assert [path.name for path in found] == ["alone.db3", "run_2", "run_10"]


@pytest.mark.parametrize(
    "names, bags",
    [
        (("drive_0.db3", "drive_1.db3", "drive_10.db3.zstd"), 1),
        (("drive_20260101.db3", "drive_20260102.db3"), 2),
        (("2026.01.01.db3", "2026.01.02.db3"), 2),
        (("drive_0.db3", "drive_1.db3", "yard.db3"), 3),
    ],
)
def test_files_without_metadata_are_one_bag_where_they_are_called_as_its_parts(tmp_path, names, bags):
    """Those that are called by a day or a version are recordings of their own."""
    file = storage_file(write_bag(tmp_path / "bag", count=1))
    (tmp_path / "drives").mkdir()
    for name in names:
        shutil.copy(file, tmp_path / "drives" / name)
    found = choose_bags([tmp_path / "drives"])[0]
    assert len({chosen.name for chosen in found}) == len(found) == bags
    assert sum(len(chosen.bag.files) for chosen in found) == len(names)


def test_a_message_of_other_bytes_is_an_image_error(tmp_path):
    message = next(Bag(write_bag(tmp_path / "bag", count=1)).messages([CAMERA]))
    for data in (message.data[:30], b"", b"\x00\x01\x00\x00" + b"\xff" * 60):
        with pytest.raises(ImageError) as raised:
            decode_frame(type(message)(CAMERA, IMAGE, 0, 0, data))
        assert raised.value.reason == "message"


def test_masks_are_read_as_they_are(tmp_path):
    labels = np.arange(24 * 32, dtype=np.uint8).reshape(24, 32)
    folder = write_bag(tmp_path / "bag", count=2, messages=lambda i: {"/mask": image(labels, encoding="mono8")})
    message = next(Bag(folder).messages(["/mask"]))
    assert np.array_equal(decode_mask(message)[1], labels)
    with pytest.raises(ImageError, match="expected a mask as mono8 or 8UC1, got 'bgr8'"):
        decode_mask(next(Bag(write_bag(tmp_path / "other")).messages([CAMERA])))


def test_a_bag_packed_or_unpacked_by_hand_is_found(tmp_path):
    folder = write_bag(tmp_path / "bag")
    file = storage_file(folder)
    packed = file.with_name(f"{file.name}.zstd")
    packed.write_bytes(zstd.compress(file.read_bytes()))
    file.unlink()
    assert len(frames_of(folder)[0]) == 12
    folder = write_bag(tmp_path / "packed", compression=CompressionMode.FILE)
    packed = storage_file(folder)
    packed.with_suffix("").write_bytes(zstd.decompress(packed.read_bytes()))
    packed.unlink()
    assert len(frames_of(folder)[0]) == 12


@pytest.mark.parametrize("content", ("sqlite3", "mcap"))
@pytest.mark.parametrize("packed", (False, True))
@pytest.mark.parametrize("suffix", (".db3", ".mcap", ".db3.zstd"))
def test_a_file_is_read_by_what_it_holds(tmp_path, content, packed, suffix):
    data = storage_file(write_bag(tmp_path / "bag", count=3, storage=content)).read_bytes()
    (tmp_path / f"drive{suffix}").write_bytes(zstd.compress(data) if packed else data)
    frames, problems = frames_of(tmp_path / f"drive{suffix}")
    assert len(frames) == 3 and not problems


@pytest.mark.parametrize("suffix", (".db3", ".mcap", ".db3.zstd"))
@pytest.mark.parametrize(
    "content, kind",
    [
        (b"", "an empty file"),
        (b"version https://git-lfs.github.com/spec/v1\n", "a Git LFS pointer"),
        (b"<!DOCTYPE html>", "an HTML or XML page"),
        (b"#ROSBAG V2.0\n", "a bag of ROS 1"),
        (b"PK\x03\x04" + bytes(30), "a ZIP archive"),
    ],
)
def test_a_file_that_is_no_bag_is_told_by_what_it_is(tmp_path, suffix, content, kind):
    file = tmp_path / f"drive{suffix}"
    file.write_bytes(content)
    with pytest.raises(BagError, match=f"nothing of the bag .*it is {kind}.*, no SQLite and no MCAP file"):
        Bag(file)


def test_a_folder_or_a_pipe_of_a_bag_s_name_is_no_file_of_it(tmp_path):
    (tmp_path / "drive.db3").mkdir()
    os.mkfifo(tmp_path / "drive.mcap")
    for name in ("drive.db3", "drive.mcap"):
        with pytest.raises(BagError, match="expected a ROS 2 bag .*found none"):
            find_bags(tmp_path / name)
    folder = write_bag(tmp_path / "bag")
    storage_file(folder).rename(folder / "other.db3")
    (folder / "bag.db3").mkdir()
    with pytest.raises(BagError, match=r"metadata.yaml lists .*bag.db3, none of which is there"):
        Bag(folder)


def test_a_file_that_is_there_packed_too_is_read_once(tmp_path):
    folder = write_bag(tmp_path / "bag")
    file = storage_file(folder)
    file.with_name("bag.db3.zstd").write_bytes(zstd.compress(file.read_bytes()))
    for _ in range(2):
        frames, problems = frames_of(folder)
        assert len(frames) == 12 and not problems and find_bags(folder) == [folder]
        (folder / "metadata.yaml").unlink(missing_ok=True)


def test_a_file_that_metadata_does_not_list_is_told(tmp_path):
    folder = write_bag(tmp_path / "bag")
    shutil.copy(storage_file(folder), folder / "bag_1.db3")
    frames, problems = frames_of(folder)
    assert len(frames) == 12 and problems == [f"{folder / 'bag_1.db3'} is not read, as metadata.yaml does not list it"]


def test_metadata_without_topics_is_not_believed(tmp_path):
    folder = write_bag(tmp_path / "bag")
    text = (folder / "metadata.yaml").read_text()
    (folder / "metadata.yaml").write_text(text.partition("  topics_with")[0] + "  topics_with_message_count: []\n")
    frames, problems = frames_of(folder)
    assert len(frames) == 12 and "metadata.yaml cannot be read (it lists no topic)" in problems[0]


def test_an_encoding_that_is_not_said_is_tried(tmp_path):
    folder = write_bag(tmp_path / "bag")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("serialization_format: cdr", "serialization_format: ''"))
    assert [topic.name for topic in choose_topics(Bag(folder))] == [CAMERA] and len(frames_of(folder)[0]) == 12
    metadata.write_text(metadata.read_text().replace("serialization_format: ''", "serialization_format: xcdr2"))
    with pytest.raises(BagError, match=rf"it holds {CAMERA} \({IMAGE} in xcdr2, not CDR, 12 messages\)"):
        choose_topics(Bag(folder))


def test_a_topic_whose_name_is_not_utf8_does_not_condemn_the_others(tmp_path):
    folder = write_bag(tmp_path / "bag", messages=lambda i: {**camera_messages(i), "/other": image(SMOOTH).header})
    with sqlite3.connect(storage_file(folder)) as connection:
        connection.execute("UPDATE topics SET name = CAST(x'2f73747261df65' AS TEXT) WHERE name = '/other'")
    assert len(frames_of(folder)[0]) == 12
    (folder / "metadata.yaml").unlink()
    assert list(Bag(folder).topics) == [CAMERA, r"/stra\xdfe"] and len(frames_of(folder)[0]) == 12


def test_counts_of_zero_are_looked_into(tmp_path):
    folder = write_bag(tmp_path / "bag")
    metadata = folder / "metadata.yaml"
    metadata.write_text(metadata.read_text().replace("message_count: 12", "message_count: 0"))
    bag = Bag(folder)
    assert [topic.name for topic in choose_topics(bag)] == [CAMERA]
    frames, problems = frames_of(folder)
    assert len(frames) == 12 and problems == [f"0 messages promised on {CAMERA} by metadata.yaml, 12 read"]


def test_a_link_to_a_bag_that_is_found_too_does_not_count(tmp_path):
    drives = tmp_path / "drives"
    first, second = write_bag(drives / "drive_1"), write_bag(drives / "drive_2")
    (drives / "a_latest").symlink_to("drive_2")
    (drives / "loop").symlink_to(".")
    assert find_bags(drives) == [first, second]


@pytest.mark.timeout(60)
def test_links_to_folders_above_do_not_lead_in_circles(tmp_path):
    drives = tmp_path / "drives"
    first = write_bag(drives / "day" / "drive_1")
    (drives / "a_week").symlink_to("week")
    (drives / "week").mkdir()
    shutil.copy(storage_file(first), drives / "week" / "drive_2.db3")
    for number in range(3):
        (drives / f"all_{number}").symlink_to(tmp_path)
        (drives / "day" / f"up_{number}").symlink_to("..")
    assert find_bags(drives) == [first, drives / "week"]


def test_hidden_files_do_not_count(tmp_path):
    folder = write_bag(tmp_path / "drives" / "bag")
    for name in ("._bag.db3", "bag/._bag.db3"):
        (tmp_path / "drives" / name).write_bytes(b"of macOS")
    bags, left_out = choose_bags([tmp_path / "drives"])
    assert [chosen.bag.path for chosen in bags] == [folder] and not left_out
    assert not frames_of(folder)[1]


def test_bags_in_hidden_folders_do_not_count(tmp_path):
    bag, trash = write_bag(tmp_path / "bag"), tmp_path / ".Trash-0"
    deleted = write_bag(trash / "files" / "deleted")
    assert find_bags(tmp_path) == [bag]
    assert find_bags(trash) == [deleted], "it is given"


@pytest.mark.parametrize("unreadable", ["drives/lost+found", "drives/other/other.db3", "drives/other/metadata.yaml"])
def test_what_may_not_be_read_is_left_out(tmp_path, monkeypatch, unreadable):
    bag, _ = write_bag(tmp_path / "drives" / "bag"), write_bag(tmp_path / "drives" / "other")
    (tmp_path / "drives" / "lost+found").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / unreadable)  # root may read everything
    bags, left_out = choose_bags([tmp_path / "drives"])
    assert bags[0].bag.path == bag and left_out == [
        f"left out: {tmp_path / unreadable} may not be read: permission denied; change its permissions or owner"
    ]


@pytest.mark.parametrize("little_endian", [True, False])
def test_the_stamp_of_a_message_is_read_without_its_image(little_endian):
    for stamp_ns in (0, 5, 3 * 10**9 + 999_999_999, -(10**9) + 1):
        data = TYPES.serialize_cdr(image(picture(1), stamp_ns=stamp_ns), IMAGE, little_endian=little_endian)
        assert read_stamp(BagMessage(CAMERA, IMAGE, 0, bytes(data))) == stamp_ns
    for size in (0, 1, 11):
        with pytest.raises(ImageError, match=f"expected a message {IMAGE}, got other bytes"):
            read_stamp(BagMessage(CAMERA, IMAGE, 0, bytes(size)))
