# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet make-bag`: folders, videos and data sets become bags."""

from __future__ import annotations

import os
import re
import resource
import sys
import tempfile
from pathlib import Path

import cv2
import numpy as np
import pytest
import yaml
from bag_workshop import read_frames
from camvid_classes import CAMVID
from PIL import Image
from rosbags.highlevel import AnyReader
from rosbags.rosbag2 import Reader
from yaml_aliases import ALIASES

from bisenet_ros.bags import bag_maker
from bisenet_ros.bags.bag_images import read_masks
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.bags.camera_info import guess_camera_info, read_camera_info
from bisenet_ros.bags.recording import STAMP_LIMIT
from bisenet_ros.cli import main
from bisenet_ros.errors import BisenetError
from bisenet_ros.files import result_folder
from bisenet_ros.files.atomic_write import write_png
from demo.clip import FOLDER, frame_ids, read_ground_truth, read_image

SIZE = (24, 32)
TOPIC = "/camera/image_raw"
CALIBRATION = """\
image_width: 32
image_height: 24
camera_name: front
camera_matrix: {rows: 3, cols: 3, data: [30.5, 0, 16, 0, 31.5, 12, 0, 0, 1]}
distortion_model: plumb_bob
distortion_coefficients: {rows: 1, cols: 5, data: [0.1, -0.2, 0, 0, 0]}
rectification_matrix: {rows: 3, cols: 3, data: [1, 0, 0, 0, 1, 0, 0, 0, 1]}
projection_matrix: {rows: 3, cols: 4, data: [30, 0, 16, 0, 0, 31, 12, 0, 0, 0, 1, 0]}
"""


@pytest.fixture
def images(tmp_path):
    """img_1.png, img_2.png, img_10.png and img_20.jpg, each of one brightness; labels for two of them."""
    (tmp_path / "images").mkdir()
    for name, value in (("1.png", 10), ("2.png", 20), ("10.png", 100), ("20.jpg", 200)):
        cv2.imwrite(str(tmp_path / "images" / f"img_{name}"), np.full((*SIZE, 3), value, np.uint8))
    (tmp_path / "labels").mkdir()
    for name, value in (("2", 3), ("20", 255)):
        cv2.imwrite(str(tmp_path / "labels" / f"img_{name}.png"), np.full(SIZE, value, np.uint8))
    return tmp_path / "images"


def interrupt(*_, **__):
    raise KeyboardInterrupt


def messages_of(path, topic):
    with AnyReader([path]) as reader:
        chosen = [connection for connection in reader.connections if connection.topic == topic]
        return [(log_ns, reader.deserialize(data, c.msgtype)) for c, log_ns, data in reader.messages(chosen)]


@pytest.mark.parametrize("storage", ("sqlite3", "mcap"))
def test_a_folder_becomes_a_bag_in_natural_order(tmp_path, images, storage, capsys):
    bag = tmp_path / "bag"
    assert main(["make-bag", str(images), "-o", str(bag), "--rate", "4", "--start", "5.5", "--storage", storage]) == 0
    frames = list(read_frames(bag, TOPIC))
    assert [int(frame.pixels.mean().round()) for frame in frames] == [10, 20, 100, 200]
    assert [frame.stamp_ns for frame in frames] == [frame.log_ns for frame in frames]
    assert [frame.stamp_ns / 1e9 for frame in frames] == [5.5, 5.75, 6.0, 6.25] and frames[0].frame_id == "camera"
    metadata = yaml.safe_load((bag / "metadata.yaml").read_text())["rosbag2_bagfile_information"]
    assert metadata["version"] == 8, "the newest that Humble reads"
    with Reader(bag) as reader:
        assert {c.topic for c in reader.connections} == {TOPIC, "/camera/camera_info"}
        assert all(c.ext.serialization_format == "cdr" and c.ext.offered_qos_profiles for c in reader.connections)
        assert all("string frame_id" in c.msgdef.data for c in reader.connections)
    printed = capsys.readouterr()
    assert "4 images" in printed.out and "camera_info is a guess: pinhole, 60 degrees" in printed.err
    assert [*tmp_path.glob("bag*")] == [bag]


def test_the_guessed_camera_has_the_field_of_view_that_is_asked_for(tmp_path, images):
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag"), "--fov", "90"]) == 0
    infos = messages_of(tmp_path / "bag", "/camera/camera_info")
    assert len(infos) == 4
    log_ns, info = infos[0]
    assert (info.width, info.height, info.header.frame_id) == (32, 24, "camera") and log_ns == 10**9
    assert info.k.reshape(3, 3) == pytest.approx(np.array([[16, 0, 16], [0, 16, 12], [0, 0, 1]]))
    assert info.p.reshape(3, 4)[:, :3] == pytest.approx(info.k.reshape(3, 3)) and not info.d.any()
    assert guess_camera_info((24, 32), field_of_view=60).k[0] == pytest.approx(16 * 3**0.5)


@pytest.mark.parametrize(
    "old, new, words",
    [
        ("image_width: 32", "image_width: 32.5", "must be whole numbers above 0, got \\(24, 32.5\\)"),
        ("image_width: 32", "image_width: -32", "must be whole numbers above 0, got \\(24, -32\\)"),
        ("image_width: 32", "image_width: yes", "must be whole numbers above 0, got \\(24, 'yes'\\)"),
        ("image_width: 32", "image_width: true", "must be whole numbers above 0, got \\(24, True\\)"),
        ("data: [", f"data: [1{'0' * 400}, ", "int too large to convert to float"),
        ("data: [", f"data: {'[' * 1000}", "recursion"),
        ("distortion_model: plumb_bob", "distortion_model: ~", "distortion_model must be a text .*, got None"),
        ("distortion_model: plumb_bob", "distortion_model: 0512", "distortion_model must be a text .*, got 512"),
        ("data: [", "data: [.nan, ", "must have a list of finite numbers, got .nan"),
        ("data: [", "data: [~, ", "must have a list of finite numbers, got .None"),
        ("data: [", "data: [.inf, ", "must have a list of finite numbers, got .inf"),
        ("data: [", "data: [[1], ", r"must have a list of finite numbers, got .\[1\]"),
        ("plumb_bob", ALIASES, r"distortion_model must be a text .*, got \[\['x'\], \[\['x'\],"),
        ("data: [", f"data: [{ALIASES}, ", r"must have a list of finite numbers, got \[\[\['x'\], "),
    ],
)
def test_a_calibration_that_yaml_reads_otherwise_is_refused(tmp_path, old, new, words):
    assert old in CALIBRATION
    path = tmp_path / "front.yaml"
    path.write_text(CALIBRATION.replace(old, new))
    with pytest.raises(BisenetError, match=words):
        read_camera_info(path)


@pytest.mark.parametrize("name", ["bag #1", "bag?", "bag%20"])
def test_a_link_to_a_folder_that_sqlite_takes_for_an_address_is_refused(tmp_path, images, name, capsys):
    (tmp_path / name).mkdir()
    (tmp_path / "link").symlink_to(name)
    assert main(["make-bag", str(images), "-o", str(tmp_path / "link" / "bag")]) == 1
    assert "expected a path without any of ? # %" in capsys.readouterr().err
    assert not any((tmp_path / name).iterdir())


def test_frames_of_joined_videos_follow_each_other(tmp_path):
    """The container's clock begins again where the second begins."""
    joined = tmp_path / "joined.mpg"
    for frames in (20, 30):
        part = tmp_path / f"{frames}.mpg"
        video = cv2.VideoWriter(str(part), cv2.VideoWriter.fourcc(*"mpg1"), 25, SIZE[::-1])
        for number in range(frames):
            video.write(np.full((*SIZE, 3), 5 * number, np.uint8))
        video.release()
        with joined.open("ab") as file:
            file.write(part.read_bytes())
    main(["make-bag", str(joined), "-o", str(tmp_path / "bag")])
    stamps = [frame.stamp_ns for frame in read_frames(tmp_path / "bag", TOPIC)]
    steps = np.diff(stamps) / 1e6
    assert len(stamps) > 45 and steps.min() > 30 and steps.max() < 90, steps


def test_images_that_no_reader_of_compressed_images_takes_are_refused(tmp_path, images, monkeypatch, capsys):
    monkeypatch.setattr(bag_maker, "MAX_COMPRESSED_PIXELS", 24 * 32 - 1)
    command = ["make-bag", str(images), "-o", str(tmp_path / "bag")]
    assert main([*command, "--compressed", "jpeg"]) == 1
    assert "img_1.png has 32x24 pixels, of which readers of compressed images take 767" in capsys.readouterr().err
    assert main(command) == 0


def test_a_bag_is_no_folder_of_images(tmp_path, images, capsys):
    bag = tmp_path / "bag"
    assert main(["make-bag", str(images), "-o", str(bag)]) == 0
    for given in (bag, bag / "bag.db3"):
        assert main(["make-bag", str(given), "-o", str(tmp_path / "again")]) == 1
        assert f"expected images, a video or a data set, got the bag {given}" in capsys.readouterr().err


def test_a_calibration_file_goes_into_camera_info(tmp_path, images, capsys):
    calibration = tmp_path / "front.yaml"
    calibration.write_text(CALIBRATION)
    arguments = ["make-bag", str(images), "-o", str(tmp_path / "bag"), "--camera-info", str(calibration)]
    assert main(arguments) == 0
    _, info = messages_of(tmp_path / "bag", "/camera/camera_info")[0]
    assert info.k[0] == 30.5 and list(info.d) == [0.1, -0.2, 0, 0, 0] and info.p[5] == 31
    calibration.write_text(CALIBRATION.replace("image_width: 32", "image_width: 64"))
    assert main([*arguments, "--force"]) == 1
    assert "img_1.png has 32x24 pixels, the calibration is for 64x24" in capsys.readouterr().err
    for broken in (CALIBRATION.replace("camera_matrix", "matrix"), CALIBRATION.replace("31.5, ", ""), "[", "3"):
        calibration.write_text(broken)
        assert main([*arguments, "--force"]) == 1
        assert f"expected a calibration of camera_calibration in {calibration}" in capsys.readouterr().err
    assert len(messages_of(tmp_path / "bag", TOPIC)) == 4, "the bag before is still there"


def test_labels_become_a_truth_topic_and_files(tmp_path, images):
    arguments = ["make-bag", str(images), "-o", str(tmp_path / "bag"), "--labels", str(tmp_path / "labels")]
    assert main([*arguments, "--export-labels", str(tmp_path / "truth")]) == 0
    truths = list(read_masks(tmp_path / "bag", "/camera/labels"))
    assert [(stamp_ns, set(labels.ravel())) for stamp_ns, labels in truths] == [
        (1_100_000_000, {3}),
        (1_300_000_000, {255}),
    ]
    exported = {path.name: set(cv2.imread(str(path), -1).ravel()) for path in (tmp_path / "truth").iterdir()}
    assert exported == {"1100000000.png": {3}, "1300000000.png": {255}}


def test_labels_may_lie_on_another_disk(tmp_path, images):
    memory = Path("/dev/shm")
    if not memory.is_dir() or memory.stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("needs a second file system")
    with tempfile.TemporaryDirectory(dir=memory) as disk:
        truth = Path(disk) / "truth"
        arguments = ["make-bag", str(images), "-o", str(tmp_path / "bag"), "--labels", str(tmp_path / "labels")]
        for options in ([], ["--force"]):
            assert main([*arguments, "--export-labels", str(truth), *options]) == 0
            assert sorted(path.name for path in truth.iterdir()) == ["1100000000.png", "1300000000.png"]
        assert [path.name for path in Path(disk).iterdir()] == ["truth"]


@pytest.mark.parametrize("kind", ("jpeg", "png"))
def test_a_file_of_the_wanted_kind_goes_into_the_bag_byte_by_byte(tmp_path, images, kind):
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag"), "--compressed", kind]) == 0
    stored = [bytes(message.data) for _, message in messages_of(tmp_path / "bag", f"{TOPIC}/compressed")]
    files = [images / f"img_{name}" for name in ("1.png", "2.png", "10.png", "20.jpg")]
    same = [data == file.read_bytes() for data, file in zip(stored, files)]
    assert same == ([False] * 3 + [True] if kind == "jpeg" else [True] * 3 + [False])
    means = [int(frame.pixels.mean().round()) for frame in read_frames(tmp_path / "bag", f"{TOPIC}/compressed")]
    assert means == [10, 20, 100, 200]


def test_a_file_that_is_called_as_another_kind_does_not_go_into_the_bag_byte_by_byte(tmp_path, images):
    """Such as a picture of the web that is WebP, whatever its name says: no reader of compressed images takes it."""
    for path in images.iterdir():
        Image.fromarray(cv2.imread(str(path))[..., ::-1]).save(path, "WEBP", lossless=True)
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag"), "--compressed", "jpeg"]) == 0
    means = [int(frame.pixels.mean().round()) for frame in read_frames(tmp_path / "bag", f"{TOPIC}/compressed")]
    assert means == [10, 20, 100, 200]


def test_a_limit_for_the_size_of_a_file_is_told_with_its_place(tmp_path, images, capsys):
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, hard))  # as FAT has one of 4 GB
    try:
        assert main(["make-bag", str(images), "-o", str(tmp_path / "bag")]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    words = rf"bisenet: error: disk I/O error writing {tmp_path}/.*: is the drive still there, and has it a quota, .*"
    assert re.fullmatch(words, capsys.readouterr().err.splitlines()[-1])


def test_labels_may_have_any_suffix_and_their_number_is_said(tmp_path, images, capsys):
    folder = tmp_path / "some"
    folder.mkdir()
    for name in ("img_1.PNG", "img_2.tif", "._img_1.png"):
        Image.fromarray(np.full(SIZE, 3, np.uint8)).save(folder / name, "TIFF" if name.endswith("tif") else "PNG")
    arguments = ["make-bag", str(images), "--labels", str(folder), "-o"]
    assert main([*arguments, str(tmp_path / "bag")]) == 0
    assert "4 images, 2 of them with labels; topics" in capsys.readouterr().out
    assert [ids.max() for _, ids in read_masks(tmp_path / "bag", "/camera/labels")] == [3, 3]
    (folder / "img_2.png").write_bytes((folder / "img_1.PNG").read_bytes())
    assert main([*arguments, str(tmp_path / "two")]) == 1
    assert "called as the images, one for each; 1 of the files, such as img_2.png, fit none" in capsys.readouterr().err


def promise(path, frames):
    """Writes a number of frames into the headers of an AVI file."""
    data = bytearray(path.read_bytes())
    for header, place in ((b"avih", 16), (b"strh", 32)):
        start = data.index(header) + 8 + place
        data[start : start + 4] = frames.to_bytes(4, "little")
    path.write_bytes(data)


@pytest.mark.parametrize("promised, code", [(6, 0), (7, 0), (8, 3), (600, 3)])
def test_frames_that_a_video_promises_and_does_not_have_are_told(tmp_path, capfd, promised, code):
    path = tmp_path / "drive.avi"
    video = cv2.VideoWriter(str(path), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
    for value in range(6):
        video.write(np.full((*SIZE, 3), value, np.uint8))
    video.release()
    promise(path, promised)
    assert main(["make-bag", str(path), "-o", str(tmp_path / "bag")]) == code
    warning = f"bisenet: warning: {promised} images promised by {path}, 6 read\n"
    assert (warning in capfd.readouterr().err) == (promised > 6)


def test_a_gray_file_is_coded_again_as_color(tmp_path, images):
    cv2.imwrite(str(images / "img_1.png"), np.full(SIZE, 10, np.uint8))
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag"), "--compressed", "png"]) == 0
    first = bytes(messages_of(tmp_path / "bag", f"{TOPIC}/compressed")[0][1].data)
    assert cv2.imdecode(np.frombuffer(first, np.uint8), cv2.IMREAD_UNCHANGED).shape == (*SIZE, 3)


def test_a_video_keeps_its_frame_times_unless_a_rate_is_given(tmp_path):
    video = cv2.VideoWriter(str(tmp_path / "drive.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 20, SIZE[::-1])
    for value in (20, 120, 220):
        video.write(np.full((*SIZE, 3), value, np.uint8))
    video.release()
    assert main(["make-bag", str(tmp_path / "drive.avi"), "-o", str(tmp_path / "own")]) == 0
    frames = list(read_frames(tmp_path / "own", TOPIC))
    assert [round(frame.stamp_ns / 1e6) for frame in frames] == [1000, 1050, 1100]
    assert [abs(frame.pixels.mean() - value) < 5 for frame, value in zip(frames, (20, 120, 220))] == [True] * 3
    assert main(["make-bag", str(tmp_path / "drive.avi"), "-o", str(tmp_path / "slow"), "--rate", "2"]) == 0
    assert [round(frame.stamp_ns / 1e6) for frame in read_frames(tmp_path / "slow", TOPIC)] == [1000, 1500, 2000]


@pytest.mark.parametrize(
    "times, expected",
    [
        ([0, 100, 200, 0, 100, 200], [1000, 1100, 1200, 1300, 1400, 1500]),  # of parts that were joined
        ([0, 2000, 4000, 0, 6000, 8000], [1000, 3000, 5000, 5100, 7000, 9000]),  # of a rate that changes
    ],
)
def test_a_frame_without_a_time_of_its_own_follows_the_last_one_at_the_rate(tmp_path, monkeypatch, times, expected):
    video = cv2.VideoWriter(str(tmp_path / "joined.avi"), cv2.VideoWriter_fourcc(*"MJPG"), 10, SIZE[::-1])
    for value in range(6):
        video.write(np.full((*SIZE, 3), 40 * value, np.uint8))
    video.release()

    class JoinedVideo:
        def __init__(self, path: str) -> None:
            self._video = video_capture(path)

        def __getattr__(self, name):
            return getattr(self._video, name)

        def get(self, what):
            value = self._video.get(what)
            return times[round(value / 100)] if what == cv2.CAP_PROP_POS_MSEC else value

    video_capture = cv2.VideoCapture
    monkeypatch.setattr(cv2, "VideoCapture", JoinedVideo)
    assert main(["make-bag", str(tmp_path / "joined.avi"), "-o", str(tmp_path / "bag")]) == 0
    frames = list(read_frames(tmp_path / "bag", TOPIC))
    assert [round(frame.stamp_ns / 1e6) for frame in frames] == expected


def test_a_data_set_becomes_a_bag_with_its_truth(tmp_path):
    pytest.importorskip("torch")
    names = frame_ids()[:3]
    for kind, ending in (("images", "jpg"), ("labels", "png")):
        (tmp_path / "camvid" / kind).mkdir(parents=True)
        for name in names:
            (tmp_path / "camvid" / kind / f"{name}.{ending}").symlink_to(FOLDER / kind / f"{name}.{ending}")
    (tmp_path / "camvid" / "val.txt").write_text("\n".join(names))
    assert main(["make-bag", f"camvid:{tmp_path / 'camvid'}:val", "-o", str(tmp_path / "bag")]) == 0
    for frame, name in zip(read_frames(tmp_path / "bag", TOPIC), names):
        assert np.array_equal(frame.pixels, read_image(name))
    truths = [labels for _, labels in read_masks(tmp_path / "bag", "/camera/labels")]
    assert len(truths) == 3 and np.array_equal(truths[2], read_ground_truth(names[2]))
    assert Bag(tmp_path / "bag").label_classes == CAMVID.names

    packed = ["-o", str(tmp_path / "packed"), "--compressed", "jpeg"]
    assert main(["make-bag", f"camvid:{tmp_path / 'camvid'}:val", *packed]) == 0
    for message, name in zip(Bag(tmp_path / "packed").messages([f"{TOPIC}/compressed"]), names):
        assert (FOLDER / "images" / f"{name}.jpg").read_bytes() in message.data, "byte by byte, as of a folder"


def test_a_data_set_without_the_training_tools_says_what_to_install(tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("ROS_DISTRO", raising=False)
    monkeypatch.setitem(sys.modules, "bisenet_training.data.find_dataset", None)
    assert main(["make-bag", f"camvid:{tmp_path}", "-o", str(tmp_path / "bag")]) == 1
    assert "pip install '.[training]'" in capsys.readouterr().err
    for place in (f"camvid:{tmp_path / 'none'}:val", "camvid:", "C:nowhere.mp4"):
        assert main(["make-bag", place, "-o", str(tmp_path / "bag")]) == 1
        error = capsys.readouterr().err
        assert f"NAME:ROOT[:SPLIT], got {place}" in error and "pip" not in error, "the extra would not help"


def test_a_bag_that_exists_is_kept_unless_forced(tmp_path, images, capsys):
    arguments = ["make-bag", str(images), "-o", str(tmp_path / "bag")]
    assert main(arguments) == 0
    assert main([*arguments, "--rate", "1"]) == 1
    assert "exists; add --force" in capsys.readouterr().err
    assert Bag(tmp_path / "bag").topics[TOPIC].messages == 4
    assert main([*arguments, "--rate", "1", "--force"]) == 0
    assert [frame.stamp_ns for frame in read_frames(tmp_path / "bag", TOPIC)][1] == 2 * 10**9


def files_of(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("option", ("-o", "--export-labels"))
@pytest.mark.parametrize("target", ("images", ".", "images/bag", "labels"))
def test_the_source_is_never_replaced(tmp_path, images, option, target, capsys):
    before = files_of(tmp_path)
    outputs = {"-o": tmp_path / "new", option: tmp_path / target}
    arguments = [str(word) for pair in outputs.items() for word in pair]
    assert main(["make-bag", str(images), "--labels", str(tmp_path / "labels"), *arguments, "--force"]) == 1
    assert "must lie apart" in capsys.readouterr().err
    assert files_of(tmp_path) == before


def test_only_a_bag_or_exported_labels_are_replaced(tmp_path, images, capsys):
    arguments = ["make-bag", str(images), "--labels", str(tmp_path / "labels"), "--force"]
    outputs = ["-o", str(tmp_path / "bag"), "--export-labels", str(tmp_path / "truth")]
    assert main([*arguments, *outputs]) == main([*arguments, *outputs]) == 0
    for folder, words in (("bag", "is not a bag"), ("truth", "is not a folder of <stamp in ns>.png")):
        thesis = tmp_path / folder / "thesis.txt"
        thesis.write_text("years")
        before = files_of(tmp_path)
        assert main([*arguments, *outputs]) == 1
        assert words in capsys.readouterr().err and files_of(tmp_path) == before
        thesis.unlink()


def test_a_bag_with_other_files_in_it_is_not_replaced(tmp_path, images, capsys):
    command = ["make-bag", str(images), "-o", str(tmp_path / "bag"), "--force"]
    assert main(command) == 0
    for name in ("bag.db3-wal", "bag.db3-shm", "bag.db3-journal", "bag_1.mcap", "bag_1.db3.zstd"):
        (tmp_path / "bag" / name).touch()
    assert main(command) == 0, "all of it is a bag's"
    assert {path.name for path in (tmp_path / "bag").iterdir()} == {"metadata.yaml", "bag.db3"}
    frames, other = tmp_path / "bag" / "bag.db3", tmp_path / "bag" / "bag_0.mcap"
    for path in (frames.with_name("bag.db3.sha256"), frames.with_name("other.db3-wal"), frames.with_name("x.mcap.txt")):
        path.touch()
        assert main(command) == 1 and path.exists()
        assert "is not a bag" in capsys.readouterr().err
        path.unlink()
    for folder in (other, frames.with_name("bag_0.mcap_frames")):
        folder.mkdir()
        assert main(command) == 1 and folder.exists()
        folder.rmdir()


def test_a_label_that_cannot_be_written_is_an_error(tmp_path):
    with pytest.raises(OSError):
        write_png(tmp_path / "none" / "1.png", np.zeros(SIZE, np.uint8))
    assert not any(tmp_path.iterdir())


def test_a_bag_at_two_points_has_its_folders_name(tmp_path, images, monkeypatch):
    (tmp_path / "drive").mkdir()
    monkeypatch.chdir(tmp_path)
    assert main(["make-bag", str(images), "-o", "drive/inner/.."]) == 0
    assert (tmp_path / "drive" / "drive.db3").is_file()


def test_the_current_folder_does_not_become_a_bag(tmp_path, images, monkeypatch, capsys):
    """Another folder would be there in its place, and the shell in one that is gone."""
    (tmp_path / "drive").mkdir()
    monkeypatch.chdir(tmp_path / "drive")
    assert main(["make-bag", str(images), "-o", "."]) == 1
    assert (
        "drive is the current folder, and cannot be replaced as a whole; name a folder in it" in capsys.readouterr().err
    )


def test_a_folder_called_partial_is_left_alone(tmp_path, images):
    """Such as that of an evaluate-bag that was stopped and can be gone on with."""
    (tmp_path / "bag.partial").mkdir()
    (tmp_path / "bag.partial" / "run.json").write_text("{}")
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag")]) == 0
    assert (tmp_path / "bag.partial" / "run.json").read_text() == "{}"


def test_a_bag_that_is_replaced_is_whole_though_the_earlier_one_is_not_removed(tmp_path, images, monkeypatch):
    command = ["make-bag", str(images), "-o", str(tmp_path / "bag"), "--force", "--rate"]
    assert main([*command, "2"]) == 0
    monkeypatch.setattr(result_folder.shutil, "rmtree", interrupt)
    assert main([*command, "4"]) == 130
    stamps = [frame.stamp_ns for frame in read_frames(tmp_path / "bag", TOPIC)]
    assert len(stamps) == 4 and stamps[1] - stamps[0] == 250_000_000, "the new one is whole"


@pytest.mark.parametrize("name", ("a#1", "50%", "what?", b"stra\xdfe"))
def test_a_path_that_the_bag_would_not_lie_at_is_refused(tmp_path, images, name, capsys):
    target = os.path.join(os.fsencode(tmp_path), os.fsencode(name))
    assert main(["make-bag", str(images), "-o", os.fsdecode(target)]) == 1
    assert "choose another name" in capsys.readouterr().err and not os.path.exists(target)


def test_a_file_name_that_is_not_utf8_is_read(tmp_path, images):
    (images / "img_1.png").rename(images / os.fsdecode(b"img_1\xdf.png"))
    assert main(["make-bag", str(images), "-o", str(tmp_path / "bag")]) == 0
    assert Bag(tmp_path / "bag").topics[TOPIC].messages == 4


def test_bad_input_is_named_and_leaves_nothing(tmp_path, images, capsys):
    def error(*arguments):
        assert main(["make-bag", *map(str, arguments), "-o", str(tmp_path / "bag")]) == 1
        assert not [*tmp_path.glob("bag*")]
        return capsys.readouterr().err

    (tmp_path / "empty").mkdir()
    assert "expected images" in error(tmp_path / "empty")
    assert "expected a folder of images, a video or a data set" in error(tmp_path / "none")
    (tmp_path / "noise.mp4").write_bytes(b"noise")
    assert "expected a video that OpenCV can read" in error(tmp_path / "noise.mp4")
    assert "expected images" in error(images, "--labels", tmp_path / "empty")
    assert "expected a folder of labels" in error(images, "--labels", tmp_path / "none")
    assert "--export-labels needs labels" in error(images, "--export-labels", tmp_path / "truth")
    assert "without /compressed" in error(images, "--topic", "/camera/image_raw/compressed")
    for topic in ("/a//b", "//a", "/1a", "/a b", "/a-b", "/a/", "/", "", "~/a", "/über", "/a\n"):
        assert f"expected --topic as ROS names topics, such as {TOPIC} (" in error(images, "--topic", topic)
    assert "expected --frame-id in UTF-8, got 'stra" in error(images, "--frame-id", os.fsdecode(b"stra\xdfe"))
    for topic in ("/camera/camera_info", "/labels"):
        assert "--topic names the images, and /camera_info and /labels go beside" in error(images, "--topic", topic)
    cv2.imwrite(str(tmp_path / "labels" / "img_3.png"), np.zeros(SIZE, np.uint8))
    assert "1 of the files, such as img_3.png, fit none" in error(images, "--labels", tmp_path / "labels")
    (tmp_path / "labels" / "img_3.png").unlink()
    cv2.imwrite(str(tmp_path / "labels" / "img_2.png"), np.zeros((10, 10), np.uint8))
    assert "img_2.png has 32x24 pixels and its labels 10x10" in error(images, "--labels", tmp_path / "labels")
    cv2.imwrite(str(tmp_path / "labels" / "img_2.png"), np.zeros((*SIZE, 3), np.uint8))
    assert "one channel of class ids, got RGB pixels" in error(images, "--labels", tmp_path / "labels")
    (images / "img_3.png").write_bytes(b"noise")
    assert "img_3.png cannot be decoded as an image" in error(images)


def test_an_image_that_is_too_wide_for_a_jpeg_is_named(tmp_path, capsys):
    (tmp_path / "wide").mkdir()
    write_png(tmp_path / "wide" / "a.png", np.zeros((2, 65501), np.uint8))
    assert main(["make-bag", str(tmp_path / "wide"), "-o", str(tmp_path / "bag"), "--compressed", "jpeg"]) == 1
    assert "a.png: expected sides of at most 65500 pixels" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()


def test_numbers_beyond_those_of_a_float_are_refused(tmp_path, images, capsys):
    command = ["make-bag", str(images), "-o", str(tmp_path / "bag")]
    for seconds in ("soon", "nan", "inf", "1e999999"):
        with pytest.raises(SystemExit):
            main([*command, "--start", seconds])
        told = f"expected seconds from 0 to {STAMP_LIMIT}, such as 1700000000.5, got {seconds}"
        assert told in capsys.readouterr().err
    assert main([*command, "--rate", "1e-300"]) == 1
    assert "is beyond 2038; choose an earlier --start or higher --rate\n" in capsys.readouterr().err
    assert not (tmp_path / "bag").exists()
