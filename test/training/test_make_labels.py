# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`bisenet make-labels`: data sets of what labelme, CVAT and other tools export, and each kind of mistake in it."""

from __future__ import annotations

import base64
import errno
import io
import json
import math
import os
import re
import resource
import shutil
from pathlib import Path
from typing import Any, Callable, Dict, List

import numpy as np
import pytest
from bisenet_training.data.find_dataset import find_dataset, open_dataset
from bisenet_training.label_imports import make_dataset
from PIL import Image
from pycocotools import mask as coco_mask

from bisenet_ros.cli import main
from bisenet_ros.images.image_file import ORIENTATION_TAG

HEIGHT, WIDTH = 12, 16
PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
LEFT = [[0, 0], [7, 0], [7, 11], [0, 11]]
"""A polygon's corners, which are pixels of it: columns 0 to 7."""


def write_image(path: Path, pixels: np.ndarray = PHOTO) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def shape(label: str, points: Any, kind: str = "polygon", **entries: Any) -> Dict[str, Any]:
    return {"label": label, "points": points, "shape_type": kind, "group_id": None, "flags": {}, **entries}


def labelme(folder: Path, name: str, shapes: List[Dict[str, Any]], **entries: Any) -> Path:
    """A JSON file of labelme and its image."""
    write_image(folder / f"{name}.png")
    content = {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": f"{name}.png", "imageData": None}
    path = folder / f"{name}.json"
    path.write_text(json.dumps({**content, "imageHeight": HEIGHT, "imageWidth": WIDTH, **entries}))
    return path


def target(root: Path, name: str) -> np.ndarray:
    return np.array(Image.open(root / "labels" / f"{name}.png"))


def left_half(inside: int, outside: int) -> np.ndarray:
    return np.where(np.arange(WIDTH) < 8, inside, outside) * np.ones((HEIGHT, 1), int)


def png_base64(pixels: np.ndarray) -> str:
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


def test_labelme_files_become_a_data_set(tmp_path, capsys):
    export, root = tmp_path / "export", tmp_path / "yard"
    for i in range(4):
        labelme(export, f"frame{i}", [shape("path", LEFT)])
    labelme(export, "frame4", [shape("lawn", [[8, 0], [15, 11]], "rectangle")])
    labelme(export, "empty", [])
    assert main(["make-labels", str(export), "-o", str(root)]) == 0
    printed = capsys.readouterr().out
    assert "4 frames to train on, 1 to validate with; classes: lawn, path" in printed
    assert f"1 images that nobody has drawn in were left out, first {export}/empty.png" in printed
    assert (root / "train.txt").read_text().split() == ["frame0", "frame1", "frame2", "frame3"]
    assert (root / "images" / "frame4.png").read_bytes() == (export / "frame4.png").read_bytes()
    assert np.array_equal(target(root, "frame0"), left_half(1, 255))
    assert np.array_equal(target(root, "frame4"), left_half(255, 0))

    assert f"check it: bisenet check-dataset {root}/dataset.yaml --root {root}" in printed
    assert main(["check-dataset", str(root / "dataset.yaml"), "--root", str(root)]) == 0
    output = capsys.readouterr().out
    assert "train: 4 frames, 0 with problems" in output and "val: 1 frames, 0 with problems" in output
    assert open_dataset(str(root / "dataset.yaml"), root=root).classes.names == ["lawn", "path"]


def test_a_full_disk_is_told(tmp_path, monkeypatch, capsys):
    export, root = tmp_path / "export", tmp_path / "yard"
    for name in ("a", "b"):
        labelme(export, name, [shape("path", LEFT)])
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # of which the system says that the file is too large
    try:
        assert main(["make-labels", str(export), "-o", str(root)]) == 1
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    assert re.search("/yard/images/a.png: File too large", capsys.readouterr().err)

    def fail(path: Path, pixels: np.ndarray) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(make_dataset, "write_png", fail)
    assert main(["make-labels", str(export), "-o", str(root)]) == 1
    assert f"No space left on device writing {root}; free some space" in capsys.readouterr().err
    assert [*tmp_path.iterdir()] == [export]


def test_the_shapes_of_labelme(tmp_path):
    """Later ones lie over earlier ones; a mask has its box's two corners in it."""
    export, root = tmp_path / "export", tmp_path / "yard"
    mask = np.zeros((3, 4), bool)
    mask[1, 1:3] = True
    shapes = [
        shape("road", [[0, 0], [15, 11]], "rectangle"),
        shape("car", [[10.0, 5.0], [12.0, 5.0]], "circle"),
        shape("mark", [[1, 2], [4, 4]], "mask", mask=png_base64(mask)),
        shape("__ignore__", [[0, 10], [15, 11]], "rectangle"),
    ]
    labelme(export, "a", shapes, imagePath="..\\export\\a.png")
    labelme(export, "b", [shape("road", LEFT, kind=None)])
    assert main(["make-labels", str(export), "-o", str(root), "--classes", "road", "car", "mark"]) == 0
    found = target(root, "a")
    assert (found[10:] == 255).all() and found[0, 0] == 0
    rows, columns = np.nonzero(found == 2)
    assert list(zip(rows, columns)) == [(3, 2), (3, 3)]
    disk = found == 1
    assert disk[5, 8:13].all() and disk[3:8, 10].all() and not disk[3, 8] and 9 <= disk.sum() <= 21
    assert np.array_equal(target(root, "b"), left_half(0, 255))
    assert find_dataset(str(root / "dataset.yaml")).classes.names == ["road", "car", "mark"]


@pytest.mark.parametrize("corners", [LEFT, LEFT[::2], LEFT[2::-2], LEFT[1::2]])
def test_a_rectangle_may_have_all_four_corners(tmp_path, corners):
    """labelme writes two of them, X-AnyLabeling all."""
    for name in "ab":
        labelme(tmp_path / "export", name, [shape("path", corners, "rectangle")])
    assert main(["make-labels", str(tmp_path / "export"), "-o", str(tmp_path / "yard")]) == 0
    assert np.array_equal(target(tmp_path / "yard", "a"), left_half(0, 255))


def test_a_background_is_a_class(tmp_path):
    export, root = tmp_path / "export", tmp_path / "yard"
    labelme(export, "a", [shape("path", LEFT), shape("_background_", [[0, 0], [15, 0]], "rectangle")])
    labelme(export, "b", [])
    assert main(["make-labels", str(export), "-o", str(root), "--background", "lawn"]) == 0
    assert (target(root, "b") == 0).all()
    assert np.array_equal(target(root, "a")[1:], left_half(1, 0)[1:]) and (target(root, "a")[0] == 0).all()


def test_regions_that_are_called_background_are_a_class(tmp_path, capsys):
    export, root = tmp_path / "export", tmp_path / "yard"
    for name in "ab":
        labelme(export, name, [shape("background", [[0, 0], [15, 11]], "rectangle"), shape("path", LEFT)])
    assert main(["make-labels", str(export), "-o", str(root)]) == 0
    assert "classes: background, path" in capsys.readouterr().out
    assert np.array_equal(target(root, "a"), left_half(1, 0))
    assert main(["make-labels", str(export), "-o", str(tmp_path / "other"), "--classes", "path"]) == 1
    assert "has the label 'background', which is none of path" in capsys.readouterr().err


def coco(path: Path, annotations: List[Dict[str, Any]]) -> Path:
    """Of CVAT: `annotations/instances_default.json`, with two images."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = {
        "images": [{"id": i, "file_name": f"{i}.png", "height": HEIGHT, "width": WIDTH} for i in (1, 2)],
        "categories": [{"id": 5, "name": "road"}, {"id": 9, "name": "car"}],
        "annotations": [{"id": i, "iscrowd": 0, **annotation} for i, annotation in enumerate(annotations)],
    }
    path.write_text(json.dumps(content))
    return path


def test_polygons_and_run_lengths_of_coco(tmp_path):
    mask = np.zeros((HEIGHT, WIDTH), np.uint8, order="F")
    mask[2:5, 3:9] = 1
    packed = coco_mask.encode(mask)
    ends = np.flatnonzero(np.diff(mask.ravel(order="F"), prepend=0, append=0))
    counts = np.diff([0, *ends, mask.size]).tolist()
    path = coco(
        tmp_path / "export" / "annotations" / "instances_default.json",
        [
            {"image_id": 1, "category_id": 5, "segmentation": [[0, 0, 8, 0, 8, 12, 0, 12]]},
            {"image_id": 1, "category_id": 9, "segmentation": {"size": [HEIGHT, WIDTH], "counts": counts}},
            {
                "image_id": 2,
                "category_id": 9,
                "segmentation": {"size": [HEIGHT, WIDTH], "counts": packed["counts"].decode()},
            },
        ],
    )
    for i in (1, 2):
        write_image(tmp_path / "export" / "images" / f"{i}.png")
    root = tmp_path / "yard"
    assert main(["make-labels", str(path), "-o", str(root), "--classes", "road", "car"]) == 0
    assert np.array_equal(target(root, "1"), np.where(mask, 1, left_half(0, 255)))
    assert np.array_equal(target(root, "2"), np.where(mask, 1, 255))
    assert main(["check-dataset", str(root / "dataset.yaml"), "--root", str(root)]) == 0


@pytest.mark.parametrize("images", ["images", "images/default", "annotations"])
def test_the_images_of_coco_are_found(tmp_path, images):
    """CVAT has them in a folder of the subset that the file is named after."""
    polygons = [{"image_id": i, "category_id": 5, "segmentation": [[0, 0, 8, 0, 8, 12, 0, 12]]} for i in (1, 2)]
    path = coco(tmp_path / "annotations" / "instances_default.json", polygons)
    for i in (1, 2):
        write_image(tmp_path / images / f"{i}.png")
    assert main(["make-labels", str(path), "-o", str(tmp_path / "yard")]) == 0
    assert np.array_equal(target(tmp_path / "yard", "1"), left_half(0, 255))


def segmentation_masks(folder: Path) -> Path:
    """CVAT's export: red is road, black nothing."""
    pixels = np.zeros((HEIGHT, WIDTH, 3), np.uint8)
    pixels[:, :8] = (250, 50, 83)
    for i in (1, 2):
        write_image(folder / "SegmentationClass" / f"{i}.png", pixels)
        write_image(folder / "JPEGImages" / f"{i}.jpg")
    (folder / "labelmap.txt").write_text("# label:color_rgb:parts:actions\nbackground:0,0,0::\nroad:250,50,83::\n")
    return folder


def test_segmentation_masks_of_cvat(tmp_path):
    export, root = segmentation_masks(tmp_path / "export"), tmp_path / "yard"
    assert main(["make-labels", str(export), "-o", str(root)]) == 0
    assert np.array_equal(target(root, "1"), left_half(0, 255))
    assert find_dataset(str(root / "dataset.yaml")).classes.names == ["road"]
    assert main(["make-labels", str(export), "-o", str(tmp_path / "other"), "--background", "verge"]) == 0
    assert np.array_equal(target(tmp_path / "other", "1"), left_half(0, 1))


@pytest.mark.parametrize("unreadable", ["export", "export/SegmentationClass", "export/SegmentationClass/drive"])
def test_a_folder_that_may_not_be_listed_is_not_taken_as_empty(tmp_path, monkeypatch, capsys, unreadable):
    export, tool = tmp_path / "export", labelme if unreadable == "export" else segmentation_masks
    if tool is labelme:
        labelme(export, "b", [shape("lane", LEFT)])
    else:
        segmentation_masks(export)
        (export / "SegmentationClass" / "drive").mkdir()
    monkeypatch.setattr(os, "access", lambda path, _: path != tmp_path / unreadable)  # root may read everything
    assert main(["make-labels", str(export), "-o", str(tmp_path / "yard")]) == 1
    assert f"{tmp_path / unreadable} may not be read: permission denied" in capsys.readouterr().err


Spoil = Callable[[Path], Any]


def relabel(*shapes: Dict[str, Any], **entries: Any) -> Spoil:
    return lambda export: labelme(export, "b", list(shapes), **entries)


@pytest.mark.parametrize(
    "spoil, options, message",
    [
        (relabel(shape("lnae", LEFT)), ["--classes", "lane"], "b.json has the label 'lnae', which is none of lane"),
        (relabel(shape("lane", LEFT[:2])), [], "b.json: 'lane', a polygon, needs 3 points, got 2"),
        (relabel(shape("lane", LEFT, ["polygon"])), [], r"b.json: 'lane' is a \['polygon'\], which has no area"),
        (relabel(shape("lane", [[1, 2], [3, "x"], [5, 6]])), [], "'lane', a polygon, must have pairs of numbers"),
        (relabel(shape("lane", [*LEFT, [10**400, 0]])), [], "'lane', a polygon, must have pairs of numbers"),
        (relabel(shape("lane", [*LEFT, [3e8, 0]])), [], "b.json: 'lane', a polygon, has a point more than 65536"),
        (relabel(shape("lane", [*LEFT, [math.nan, 0]])), [], "b.json: 'lane', a polygon, has a point more than 65536"),
        (relabel(shape("lane", [[0, 0], [1e9, 0]], "circle")), [], "b.json: 'lane', a circle, has a point more than"),
        (relabel(shape("lane", LEFT, "mask", mask=[1])), [], "b.json: the mask of 'lane' cannot be read or does not"),
        (
            relabel(shape("lane", [[-2, -2], [-1, -1]], "mask", mask=png_base64(np.ones((2, 2), bool)))),
            [],
            "outside of",
        ),
        (relabel(shape("lane", LEFT, "mask")), [], "b.json: the mask of 'lane' cannot be read or does not fit"),
        (
            relabel(shape("lane", LEFT, "linestrip")),
            [],
            "'lane' is a linestrip, which has no area; draw it as a polygon",
        ),
        (
            relabel(shape("lane", LEFT, "mask", mask="AAAA")),
            [],
            "b.json: the mask of 'lane' cannot be read or does not fit its box",
        ),
        (
            relabel(shape("lane", LEFT), imageHeight=16, imageWidth=12),
            [],
            "is for an image of 12x16, and .*b.png is 16x12",
        ),
        (
            relabel(shape("lane", LEFT), imagePath="c.png"),
            [],
            "b.json is of .*c.png, which is missing; name the images",
        ),
        (
            relabel(shape("lane", LEFT), imageHeight=-12),
            [],
            "b.json: imageHeight and imageWidth must be from 1 to 65536",
        ),
        (relabel(shape("lane", LEFT), imageWidth=math.inf), [], "must be from 1 to 65536, got 12 and inf"),
        (relabel(shape("lane", LEFT), imageHeight=10**400), [], "b.json is not of labelme, whose files have imagePath"),
        (lambda export: (export / "b.json").write_text("{"), [], "b.json is not a JSON file"),
        (lambda export: (export / "b.json").write_text("[" * 10**5), [], "b.json is not a JSON file"),
        (
            lambda export: (export / "b.json").write_text("[]"),
            [],
            "b.json is not of labelme, whose files have imagePath",
        ),
        (lambda export: (export / "b.json").unlink(), [], "besides the 1 to validate with, got 1 in all; label more"),
        (lambda export: [path.unlink() for path in export.glob("*.json")], [], "expected labelme's JSON files, or"),
        (
            lambda export: labelme(export, "c", [shape("lane", LEFT)], imagePath="a.png"),
            [],
            "have one name; rename one",
        ),
        (
            lambda export: None,
            ["--background", "x", "--classes", "lane"],
            "background 'x' must be one of the classes, lane",
        ),
        (lambda export: None, ["--val", "0.9"], "got 2 in all; label more, or give less than --val 0.9"),
        (lambda export: None, ["--val", "0"], "--val must be above 0 and below 1"),
        (lambda export: shutil.rmtree(export), [], "COCO file of an export at .*export, there is nothing"),
        (lambda export: write_image(export.parent / "yard" / "old.png"), [], "yard exists and holds something else"),
    ],
)
def test_mistakes_are_named(spoil, options, message, tmp_path, capsys):
    export = tmp_path / "export"
    for name in ("a", "b"):
        labelme(export, name, [shape("lane", LEFT)])
    spoil(export)
    before = sorted(tmp_path.glob("*"))
    assert main(["make-labels", str(export), "-o", str(tmp_path / "yard"), *options]) == 1
    assert sorted(tmp_path.glob("*")) == before, "nothing is left half made"
    assert re.search(message, capsys.readouterr().err)


def test_the_last_frames_of_a_drive_are_to_validate_with(tmp_path):
    for number in range(8, 13):
        labelme(tmp_path / "export", f"frame_{number}", [shape("lane", LEFT)])
    root = tmp_path / "yard"
    assert main(["make-labels", str(tmp_path / "export"), "-o", str(root), "--background", "road", "--val", "0.4"]) == 0
    assert (root / "train.txt").read_text().split() == ["frame_8", "frame_9", "frame_10"]
    assert (root / "val.txt").read_text().split() == ["frame_11", "frame_12"]


@pytest.mark.parametrize("name", [".hidden", "photo ", " photo", "caf\udce9"])
def test_names_that_a_list_of_frames_cannot_have_are_refused(name, tmp_path, capsys):
    for other in ("a", name):
        labelme(tmp_path / "export", other, [shape("lane", LEFT)])
    assert main(["make-labels", str(tmp_path / "export"), "-o", str(tmp_path / "yard")]) == 1
    assert "cannot be listed by its name, which must be UTF-8, and not begin with a dot" in capsys.readouterr().err
    assert not (tmp_path / "yard").exists()


@pytest.mark.parametrize("orientation, refused", [(1, False), (3, True), (6, False)])
def test_labels_of_an_image_that_the_tool_has_shown_turned_are_refused(tmp_path, capsys, orientation, refused):
    """Upside down it has the size that is stored; where it was to be turned by 90 degrees, that size is told apart."""
    export, exif = tmp_path / "export", Image.Exif()
    exif[ORIENTATION_TAG] = orientation
    for name in ("a", "b"):
        labelme(export, name, [shape("lane", LEFT)])
    Image.fromarray(PHOTO).save(export / "b.png", exif=exif)
    assert main(["make-labels", str(export), "-o", str(tmp_path / "yard")]) == refused
    assert (
        f"b.png is 16x12 as it is stored, with the EXIF orientation {orientation}" in capsys.readouterr().err
    ) == refused


@pytest.mark.parametrize(
    "annotation, message",
    [
        (
            {"category_id": 5, "segmentation": [[0, 0, 8, 0]]},
            "of 'road' in 1.png cannot be read: it must be polygons of",
        ),
        (
            {"category_id": 5, "segmentation": {"size": [9, 9], "counts": [81]}},
            r"its mask is \[9, 9\], the image \[12, 16\]",
        ),
        (
            {"image_id": 7, "category_id": 5, "segmentation": [[0, 0, 8, 0, 8, 12]]},
            "coco.json: 2 annotations are of 1 images that the file does not list, such as image_id 7; export",
        ),
        ({"category_id": 5, "segmentation": [[0, 0, 1e9, 0, 1e9, 1e9]]}, "it has a point more than 65536 pixels away"),
        ({"category_id": 5, "segmentation": [[0, 0, math.nan, 0, 8, 8]]}, "it has a point more than 65536 pixels away"),
        ({"category_id": 5, "segmentation": [[0, 0, 8, 0, 8, 8, 3]]}, "must have an x and a y of every point, got 7"),
        (
            {"category_id": 5, "segmentation": {"size": [12, 16], "counts": [7, 8]}},
            "its run lengths must add up to 192 pixels, got 15",
        ),
        ({"category_id": 5, "segmentation": {"size": [12, 16], "counts": [-1, 193]}}, "must add up to 192 pixels"),
        (
            {"category_id": 5, "segmentation": {"size": [12, 16], "counts": "78"}},
            "its run lengths must add up to 192 pixels, got 15",
        ),
        ({"category_id": 5, "segmentation": {"size": [12, 16], "counts": "78U"}}, "its run lengths ends within a num"),
        ({"category_id": 5, "segmentation": {"size": [12, 16], "counts": None}}, "of 'road' in 1.png cannot be read"),
        ({"category_id": 7, "segmentation": []}, "is not a COCO file of segmentations, .*; 7 is missing or unknown"),
        ({"category_id": 5, "bbox": [0, 0, 3, 3]}, "is not a COCO file of segmentations, .*'segmentation' is missing"),
    ],
)
def test_mistakes_in_coco_files_are_named(annotation, message, tmp_path, capsys):
    path = coco(tmp_path / "coco.json", [{"image_id": i, **annotation} for i in (1, 2)])
    for i in (1, 2):
        write_image(tmp_path / f"{i}.png")
    assert main(["make-labels", str(path), "-o", str(tmp_path / "yard")]) == 1
    assert re.search(message, capsys.readouterr().err)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"images": [(1, "1.png", 12), (1, "2.png", 12)]}, "2 images have the id 1, as in files that were joined"),
        ({"categories": [(1, "road"), (1, "lane")]}, "2 categories have the id 1, as in files that were joined"),
        ({"images": [(1, None, 12), (2, "2.png", 12)]}, "which is missing; name the images' folder with --images"),
        (
            {"images": [(1, "1.png", -12), (2, "2.png", 12)]},
            "coco.json: height and width must be from 1 to 65536, got -12 and 16\n",
        ),
        ({"images": [(1, "1.png", "tall"), (2, "2.png", 12)]}, "is not a COCO file of segmentations"),
        ({"images": [(1, "1.png", 10**400), (2, "2.png", 12)]}, "is not a COCO file of segmentations"),
        ({"images": [([1], "1.png", 12), (2, "2.png", 12)]}, "is not a COCO file of segmentations"),
        ({"images": [(1, "1.png", 12.0), (2, "2.png", "12")]}, ""),
    ],
)
def test_entries_of_coco_files_that_cannot_be_meant_are_named(changes, message, tmp_path, capsys):
    path = coco(tmp_path / "coco.json", [])
    content = json.loads(path.read_text())
    if "categories" in changes:
        content["categories"] = [{"id": number, "name": name} for number, name in changes["categories"]]
    if "images" in changes:
        content["images"] = [
            {"id": number, "file_name": name, "height": height, "width": WIDTH}
            for number, name, height in changes["images"]
        ]
    number = content["categories"][0]["id"]
    content["annotations"] = [
        {"image_id": image["id"], "category_id": number, "segmentation": [[0, 0, 8, 0, 8, 8]]}
        for image in content["images"]
        if isinstance(image["id"], int)
    ]
    path.write_text(json.dumps(content))
    for i in (1, 2):
        write_image(tmp_path / f"{i}.png")
    assert main(["make-labels", str(path), "-o", str(tmp_path / "yard")]) == bool(message)
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda export: (export / "labelmap.txt").write_text("road 1,2,3"), "expected lines such as road:128,64,128::"),
        (lambda export: (export / "labelmap.txt").write_text("road:1,2,3::\nlane:1,2,3::"), "of 'lane:1,2,3::' twice"),
        (
            lambda export: (export / "labelmap.txt").write_text("road:1,2,300::"),
            "with colors of 0 to 255, in .*:1,2,300",
        ),
        (
            lambda export: (export / "labelmap.txt").write_bytes(b"stra\xdfe:1,2,3::"),
            "expected text in UTF-8 in .*map.txt",
        ),
        (
            lambda export: (export / "labelmap.txt").write_text("road:1,2,3::"),
            "1.png holds RGB colors other than the 2",
        ),
        (
            lambda export: (export / "JPEGImages" / "2.jpg").unlink(),
            r"JPEGImages/2.\*, found none; name the folder with",
        ),
    ],
)
def test_mistakes_in_segmentation_masks_are_named(spoil, message, tmp_path, capsys):
    export = segmentation_masks(tmp_path / "export")
    spoil(export)
    assert main(["make-labels", str(export), "-o", str(tmp_path / "yard")]) == 1
    assert re.search(message, capsys.readouterr().err)
