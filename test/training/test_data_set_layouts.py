# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The driving data sets as they are downloaded: a small tree of each, checked, with the label files' values decoded."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any, Dict, List, Tuple

import cv2
import numpy as np
import pytest
from bisenet_training.data.find_dataset import DATASETS, find_dataset, open_dataset
from bisenet_training.data.layout import Layout
from bisenet_training.errors import DataError
from PIL import Image

from bisenet_ros.cli import main

SIZE = (6, 8)
PHOTO = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), dtype=np.uint8)
Frame = Tuple[str, str]
"""The paths of an image file and of its label file."""

LAYOUTS: Dict[str, Tuple[Frame, Frame, Dict[Any, str]]] = {
    "camvid_segnet": (
        ("train/0001TP_006690.png", "trainannot/0001TP_006690.png"),
        ("val/0016E5_07959.png", "valannot/0016E5_07959.png"),
        {0: "sky", 3: "road", 10: "bicyclist", 11: ""},
    ),
    "bdd100k": (
        ("images/10k/train/0004a4c0-d4dff0ad.jpg", "labels/sem_seg/masks/train/0004a4c0-d4dff0ad.png"),
        ("images/10k/val/7d128593-0ccfea4c.jpg", "labels/sem_seg/masks/val/7d128593-0ccfea4c.png"),
        {0: "road", 18: "bicycle", 255: ""},
    ),
    "mapillary_vistas_1_2": (
        ("training/images/_1Gn_xkw7sa_i9GU4mkxxQ.jpg", "training/labels/_1Gn_xkw7sa_i9GU4mkxxQ.png"),
        ("validation/images/0-0.jpg", "validation/labels/0-0.png"),
        {0: "Bird", 13: "Road", 55: "Car", 64: "Ego Vehicle", 65: ""},
    ),
    "mapillary_vistas_2_0": (
        ("training/images/_1Gn_xkw7sa_i9GU4mkxxQ.jpg", "training/v2.0/labels/_1Gn_xkw7sa_i9GU4mkxxQ.png"),
        ("validation/images/0-0.jpg", "validation/v2.0/labels/0-0.png"),
        {0: "Bird", 21: "Road", 61: "Sky", 108: "Car", 122: "Static", 123: ""},
    ),
    "kitti_semantics": (
        ("training/image_2/000000_10.png", "training/semantic/000000_10.png"),
        ("training/image_2/000004_10.png", "training/semantic/000004_10.png"),
        {0: "", 7: "road", 21: "vegetation", 33: "bicycle", 255: ""},
    ),
    "idd": (
        ("leftImg8bit/train/0/frame0000_leftImg8bit.png", "gtFine/train/0/frame0000_gtFine_labellevel3Ids.png"),
        ("leftImg8bit/val/3/000000_leftImg8bit.jpg", "gtFine/val/3/000000_gtFine_labellevel3Ids.png"),
        {0: "road", 8: "autorickshaw", 25: "sky / fallback background", 255: ""},
    ),
    "comma10k": (
        ("imgs/0000_0085e9e41513078a_2018-08-19--13-26-08_11_864.png",) * 2,
        ("imgs/0009_00a8d5b8a4ed7dfa_2018-08-19--13-26-08_11_869.png",) * 2,
        {(64, 32, 32): "road", (255, 0, 0): "lane markings", (0, 255, 102): "movable", (204, 0, 255): "my car"},
    ),
    "a2d2": (
        (
            "20180807_145028/camera/cam_front_center/20180807145028_camera_frontcenter_000001617.png",
            "20180807_145028/label/cam_front_center/20180807145028_label_frontcenter_000001617.png",
        ),
        (
            "20181204_154421/camera/cam_side_left/20181204154421_camera_sideleft_000001617.png",
            "20181204_154421/label/cam_side_left/20181204154421_label_sideleft_000001617.png",
        ),
        {(255, 0, 0): "Car", (128, 0, 0): "Car", (255, 0, 255): "RD normal street", (53, 46, 82): "Rain dirt"},
    ),
}
"""A frame to train on and one to validate with, and what some values mean; nothing where they are ignored."""


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def label_pixels(values: List[Any]) -> np.ndarray:
    """A label file's pixels: the values in turn, numbers or RGB colors."""
    shape = (*SIZE, 3) if isinstance(values[0], tuple) else SIZE
    return np.resize(np.array(values, np.uint8), shape)


def build(root: Path, dataset: str) -> None:
    *frames, meanings = LAYOUTS[dataset]
    for image, labels in frames:
        write(root / image, PHOTO)
        path = write(root / labels.replace("imgs/", "masks/"), label_pixels(list(meanings)))
        if dataset.startswith("mapillary"):
            indexed = Image.fromarray(label_pixels(list(meanings))).convert("P")
            indexed.putpalette([channel for entry in find_dataset(dataset).classes for channel in entry.color])
            indexed.save(path)


CLASSES = {
    "a2d2": 38,
    "ade20k": 150,
    "bdd100k": 19,
    "camvid": 11,
    "camvid_original": 11,
    "camvid_segnet": 11,
    "cityscapes": 19,
    "coco_stuff_10k": 182,
    "comma10k": 5,
    "idd": 26,
    "kitti_semantics": 19,
    "mapillary_vistas_1_2": 65,
    "mapillary_vistas_2_0": 123,
}


def test_every_data_set_is_described_and_documented():
    documented = (Path(__file__).parents[2] / "docs" / "training.md").read_text()
    assert list(DATASETS) == sorted(CLASSES)
    for name, count in CLASSES.items():
        found = find_dataset(name)
        assert len(found.classes) == count and found.origin.startswith("http"), name
        assert f"`{name}`" in documented
        colors = {entry.color for entry in found.classes}
        assert len(colors) == count or name == "mapillary_vistas_2_0", f"{name}: two classes of one color"


@pytest.mark.parametrize("dataset", LAYOUTS)
def test_check_dataset_accepts_a_tree_as_it_is_downloaded(dataset, tmp_path, capsys):
    build(tmp_path, dataset)
    assert main(["check-dataset", dataset, "--root", str(tmp_path)]) == 0
    train, val = find_dataset(dataset).splits
    output = capsys.readouterr().out
    assert f"{train}: 1 frames, 0 with problems" in output and f"{val}: 1 frames, 0 with problems" in output
    assert f"license: {find_dataset(dataset).license}" in output and "origin: http" in output

    meanings = LAYOUTS[dataset][2]
    for split in (train, val):
        frames = open_dataset(dataset, root=tmp_path, split=split)
        _, target = frames[0]
        found = [frames.classes.names[i] if i < 255 else "" for i in target.ravel()[: len(meanings)]]
        assert found == list(meanings.values())


def test_frames_are_told_apart_by_all_that_their_paths_have_in_common(tmp_path):
    """Of the same scene, camera and number; of another file in between, there is none."""
    build(tmp_path, "a2d2")
    camera = tmp_path / "20180807_145028" / "camera"
    (camera / "cam_front_center" / "20180807145028_camera_frontcenter_000001617.json").write_text("{}")
    write(camera / "cam_front_left" / "20180807145028_camera_frontleft_000001617.png", PHOTO)
    frames = open_dataset("a2d2", root=tmp_path, split="train")
    names = [frames.name(i) for i in range(len(frames))]
    assert names == ["20180807_145028/cam_front_center/000001617", "20180807_145028/cam_front_left/000001617"]
    _, problem = frames.inspections()
    assert problem == f"{tmp_path}/20180807_145028/label/cam_front_left/*_label_*_000001617.png is missing"


@pytest.mark.parametrize("images, labels", [("{name}.png", "{name}_mask.png"), ("{name}_photo.png", "{name}.png")])
def test_images_and_label_files_in_one_folder_are_told_apart(tmp_path, images, labels):
    for number in range(3):
        for pattern in (images, labels):
            write(tmp_path / "train" / pattern.replace("{name}", str(number)), np.zeros((8, 8), np.uint8))
    frames = Layout(images=f"{{split}}/{images}", labels=f"{{split}}/{labels}").frames(tmp_path, "train")
    assert [frame.name for frame in frames] == ["0", "1", "2"]
    assert all(frame.image.is_file() and frame.label_file.is_file() for frame in frames)


def test_frames_of_one_number_in_two_drives(tmp_path):
    build(tmp_path, "idd")
    for path in list(tmp_path.glob("*/train/0/*")):
        write(path.parents[1] / "1" / path.name, np.array(Image.open(path)))
    frames = open_dataset("idd", root=tmp_path, split="train")
    assert [frames.name(i) for i in range(len(frames))] == ["0/frame0000", "1/frame0000"]


@pytest.mark.parametrize("unreadable", [".", "leftImg8bit", "leftImg8bit/train/0", "gtFine/train/0"])
def test_a_folder_that_may_not_be_listed_is_not_taken_as_empty(tmp_path, monkeypatch, unreadable):
    build(tmp_path, "idd")
    (tmp_path / ".cache").mkdir()  # it fits no pattern
    forbidden = {tmp_path / unreadable, tmp_path / ".cache"}
    monkeypatch.setattr(os, "access", lambda path, _: path not in forbidden)  # root may read everything
    with pytest.raises(PermissionError, match=re.escape(f"{tmp_path / unreadable} may not be read: permission denied")):
        open_dataset("idd", root=tmp_path, split="train")
    forbidden.remove(tmp_path / unreadable)
    open_dataset("idd", root=tmp_path, split="train")


def test_a_split_that_its_names_leave_empty(tmp_path):
    build(tmp_path, "comma10k")
    (tmp_path / LAYOUTS["comma10k"][1][0]).unlink()
    (tmp_path / LAYOUTS["comma10k"][1][0].replace("imgs", "masks")).unlink()
    with pytest.raises(DataError, match=r"split val has no frame: none of the 1 in .*, is named \*9$"):
        open_dataset("comma10k", root=tmp_path)
    assert main(["check-dataset", "comma10k", "--root", str(tmp_path)]) == 1


def comma10k_with(tmp_path: Path, image: Image.Image) -> str:
    """The problem of comma10k's first frame, whose label file is `image`."""
    build(tmp_path, "comma10k")
    image.save(tmp_path / LAYOUTS["comma10k"][0][0].replace("imgs", "masks"))
    (found,) = open_dataset("comma10k", root=tmp_path, split="train").inspections()
    return found if isinstance(found, str) else ""


def road_and_lanes() -> np.ndarray:
    return label_pixels([(64, 32, 32), (255, 0, 0)])


def test_colors_within_noise_of_a_class_are_counted_and_refused(tmp_path):
    pixels = road_and_lanes()
    pixels[0, :5] += np.uint8(3)  # road, and red that overflows
    pixels[1, 0] = (0, 0, 200)
    problem = comma10k_with(tmp_path, Image.fromarray(pixels))
    assert "holds RGB colors other than the 5 known ones: " in problem and "(67, 35, 35) (3 pixels)" in problem
    assert "; 3 of these 6 pixels are within 16 of a known color, as after JPEG or a resize that" in problem


def test_a_jpeg_is_refused_whatever_its_name(tmp_path):
    build(tmp_path, "comma10k")
    path = tmp_path / LAYOUTS["comma10k"][0][0].replace("imgs", "masks")
    path.write_bytes(cv2.imencode(".jpg", road_and_lanes()[..., ::-1])[1].tobytes())
    (problem,) = open_dataset("comma10k", root=tmp_path, split="train").inspections()
    assert "is a JPEG, which does not keep ids as they are; save label files as PNG" in problem


def test_rgba_and_palette_label_files_by_color(tmp_path):
    """Their colors count; pixels that are not opaque have none for certain."""
    image = Image.fromarray(road_and_lanes())
    assert comma10k_with(tmp_path, image.convert("RGBA")) == ""
    indexed = Image.fromarray(label_pixels([0, 1])).convert("P")
    indexed.putpalette([64, 32, 32, 255, 0, 0])
    assert comma10k_with(tmp_path, indexed) == ""
    indexed.info["transparency"] = 0
    assert "has 24 pixels that are not opaque, so that their colors are no class" in comma10k_with(tmp_path, indexed)
    alpha = np.full(SIZE, 255, np.uint8)
    alpha[2, :3] = 0
    image.putalpha(Image.fromarray(alpha))
    assert "has 3 pixels that are not opaque" in comma10k_with(tmp_path, image)
    assert "holds RGB colors other than the 5 known ones: (0, 0, 0)" in comma10k_with(
        tmp_path, Image.fromarray(label_pixels([0, 1]))
    )
