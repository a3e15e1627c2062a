# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The data sets: small trees of each layout, each kind of mistake in them, a YAML of your own, and `check-dataset`."""

from __future__ import annotations

import math
import pickle
import re
import shlex
from pathlib import Path
from typing import Dict, List

import cv2
import numpy as np
import pytest
import scipy.io
from bisenet_training.data.dataset_check import inspect
from bisenet_training.data.find_dataset import DATASETS, find_dataset, open_dataset
from bisenet_training.data.segmentation_dataset import Inspection, SegmentationDataset
from bisenet_training.errors import DataError
from bisenet_training.trainer.recipe_file import load_recipe
from bisenet_training.yaml_file import YamlError
from camvid_classes import CAMVID
from PIL import Image

from bisenet_ros.cli import main
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.class_map import ClassMap

HEIGHT, WIDTH = 6, 8
RECIPES = Path(__file__).parents[2] / "training" / "recipes"
RECIPE = RECIPES / "camvid.yaml"
PHOTO = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def write(path: Path, pixels: np.ndarray) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), pixels)
    return path


def check(dataset: SegmentationDataset) -> List[str]:
    return inspect(dataset)[1]


def filled(*values: int, dtype=np.uint8) -> np.ndarray:
    """Pixels of a label file: the values in turn."""
    return np.resize(np.array(values, dtype), (HEIGHT, WIDTH))


def camvid(root: Path, splits: Dict[str, List[str]]) -> Path:
    for split, names in splits.items():
        root.mkdir(exist_ok=True)
        (root / f"{split}.txt").write_text("\n".join(names))
        for name in names:
            write(root / "images" / f"{name}.jpg", PHOTO)
            write(root / "labels" / f"{name}.png", filled(0, 10, 255))
    return root


@pytest.fixture
def small_camvid(tmp_path) -> Path:
    splits = {"train": ["0001TP_006690", "0016E5_00390", "0016E5_00420"], "val": ["0016E5_07959"]}
    return camvid(tmp_path / "camvid", splits)


def names(dataset: SegmentationDataset) -> List[str]:
    return [dataset.name(i) for i in range(len(dataset))]


def test_camvid_is_read_as_it_lies(small_camvid):
    dataset = open_dataset("camvid", root=small_camvid, split="train")
    image, target = dataset[1]
    assert names(dataset) == ["0001TP_006690", "0016E5_00390", "0016E5_00420"]
    assert np.array_equal(image, cv2.imread(str(small_camvid / "images" / "0016E5_00390.jpg")))
    assert np.array_equal(target, filled(0, 10, 255)) and target.dtype == np.uint8
    assert dataset.classes == CAMVID == find_dataset("camvid").classes
    counts = sum(found.pixels for found in dataset.inspections())
    assert counts[:11].tolist() == [48, *[0] * 9, 48] and counts.sum() == 3 * 48


def test_splits_are_joined_and_a_drive_is_a_split(small_camvid):
    assert len(open_dataset("camvid", root=small_camvid, split="train+val")) == 4
    drive = open_dataset("camvid", root=small_camvid, split="0016E5")
    assert names(drive) == ["0016E5_00390", "0016E5_00420", "0016E5_07959"]
    assert names(open_dataset("camvid", root=small_camvid, split="0001TP+val")) == ["0001TP_006690", "0016E5_07959"]


@pytest.mark.parametrize(
    "split, message",
    [
        ("train+0016E5", "has 0016E5_00390 twice, again in 0016E5"),
        ("train+train", "has 0001TP_006690 twice"),
        ("0006R0", r"split 0006R0 has no frame: none of the 4 in .*, such as 0001TP_006690, is named 0006R0\*$"),
        ("test", r"test.txt, found none.* one of the splits there .*: train, val$"),
    ],
)
def test_splits_that_cannot_be_had(small_camvid, split, message):
    with pytest.raises(DataError, match=message):
        open_dataset("camvid", root=small_camvid, split=split)


def test_a_list_without_frames(small_camvid):
    (small_camvid / "train.txt").write_text("\n\n")
    with pytest.raises(DataError, match="lists no frames"):
        open_dataset("camvid", root=small_camvid, split="train")


@pytest.mark.parametrize(
    "line", ["images/{name}.jpg,labels/{name}.png", "images/{name}.jpg labels/{name}.png", "{name}.jpg", "{name}\t1"]
)
def test_a_list_of_pairs_or_with_suffixes_is_blamed_itself(small_camvid, line):
    frames = names(open_dataset("camvid", root=small_camvid, split="train"))
    (small_camvid / "train.txt").write_text("\n".join(line.replace("{name}", name) for name in frames))
    with pytest.raises(
        DataError, match=rf"train\.txt lists '.*', which is not among .* such as '{frames[0]}', one a line"
    ):
        open_dataset("camvid", root=small_camvid, split="train")


def test_a_frame_that_is_listed_again_cannot_be_used(small_camvid):
    (small_camvid / "train.txt").write_text("0016E5_00390\n\n0016E5_00420\r\n0016E5_00390\n")
    dataset = open_dataset("camvid", root=small_camvid, split="train")
    message = "split train lists 0016E5_00390 again; list each frame once"
    first, second, third = dataset.inspections()
    assert isinstance(first, Inspection) and isinstance(second, Inspection) and third == message
    with pytest.raises(DataError, match=message):
        dataset[2]


def test_only_folders_are_suggested_as_splits(tmp_path):
    write(tmp_path / "photos" / "holdout" / "monday" / "1.png", PHOTO)
    write(tmp_path / "photos" / "0016E5_07959.png", PHOTO)
    with pytest.raises(DataError, match="one of the splits there .*: holdout$"):
        open_dataset(described(tmp_path, IDS), root=tmp_path, split="train")


def test_a_split_without_any_label_file_is_one_problem(small_camvid):
    (small_camvid / "labels" / "0016E5_07959.png").unlink()
    with pytest.raises(DataError, match=r"expected labels of split val at .*/labels/\*.png, found none;"):
        open_dataset("camvid", root=small_camvid, split="val")


def test_a_root_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match="at .*nowhere, found none; set --root, or data.root in a recipe, to it"):
        open_dataset("camvid", root=tmp_path / "nowhere", split="train")


LABEL_FILE = "labels/0016E5_00390.png"
IMAGE_FILE = "images/0016E5_00390.jpg"


@pytest.mark.parametrize(
    "spoil, message",
    [
        (lambda root: (root / LABEL_FILE).unlink(), f"{LABEL_FILE} is missing"),
        (lambda root: [(root / f).unlink() for f in (IMAGE_FILE, LABEL_FILE)], f"{IMAGE_FILE} and .*{LABEL_FILE} are"),
        (lambda root: (root / LABEL_FILE).write_bytes(b""), f"{LABEL_FILE} cannot be decoded as an image"),
        (lambda root: (root / IMAGE_FILE).write_text("hello"), f"{IMAGE_FILE} cannot be decoded as an image"),
        (lambda root: cut(root / IMAGE_FILE, 2), f"{IMAGE_FILE}: .* is truncated"),
        (lambda root: cut(root / LABEL_FILE, 20), f"{LABEL_FILE}: .* is truncated"),
        (lambda root: write(root / LABEL_FILE, filled(0)[:3]), f"{LABEL_FILE} is 8x3, expected 8x6 as .*jpg"),
        (lambda root: write(root / LABEL_FILE, PHOTO), f"{LABEL_FILE} to have one channel of class ids, got RGB"),
        (
            lambda root: write(root / LABEL_FILE, filled(11, 0, 12, 11)),
            rf"{LABEL_FILE} holds value 11 \(24 pixels\), 12 \(12 pixels\), expected 0 to 10, 255",
        ),
    ],
)
def test_each_problem_is_named_with_its_file(small_camvid, spoil, message):
    spoil(small_camvid)
    dataset = open_dataset("camvid", root=small_camvid, split="train")
    with pytest.raises(BisenetError, match=message):
        dataset[1]
    first, second, third = dataset.inspections()
    assert isinstance(first, Inspection) and isinstance(third, Inspection) and check(dataset) == [second]
    assert re.search(message, second)


def cut(path: Path, count: int) -> None:
    path.write_bytes(path.read_bytes()[:-count])


def add_orientation(path: Path, orientation: int) -> None:
    """Writes an EXIF tag into a JPEG."""
    tag = b"Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0" + bytes([orientation]) + bytes(7)
    data = path.read_bytes()
    path.write_bytes(data[:2] + b"\xff\xe1" + (len(tag) + 2).to_bytes(2, "big") + tag + data[2:])


def test_an_exif_orientation_does_not_turn_an_image_and_is_counted(small_camvid, capsys):
    path = small_camvid / IMAGE_FILE
    upright = cv2.imread(str(path))
    add_orientation(path, 6)
    assert cv2.imread(str(path)).shape == (WIDTH, HEIGHT, 3), "OpenCV turns it"
    image, _ = open_dataset("camvid", root=small_camvid, split="train")[1]
    assert np.array_equal(image, upright)
    assert main(["check-dataset", "camvid", "--root", str(small_camvid)]) == 0
    assert (
        "  1 images have an EXIF orientation tag, which is ignored: labels must fit the pixels"
        in capsys.readouterr().out
    )


def test_a_label_file_turned_as_viewers_show_its_image_is_told_of_the_tag(small_camvid):
    add_orientation(small_camvid / IMAGE_FILE, 8)
    write(small_camvid / "labels" / Path(IMAGE_FILE).with_suffix(".png").name, filled(0).T)
    (problem,) = check(open_dataset("camvid", root=small_camvid, split="train"))
    assert (
        "is stored; viewers turn it by its EXIF orientation tag (8), which is ignored here: save the image" in problem
    )


def test_a_frame_is_decoded_once_if_it_fits_into_the_cache(small_camvid):
    size = 3 * HEIGHT * WIDTH * 4
    kept = open_dataset("camvid", root=small_camvid, split="train", cache_bytes=size)
    two_of_three = open_dataset("camvid", root=small_camvid, split="train", cache_bytes=size - 1)
    before = kept[0][0]
    assert check(kept) == check(two_of_three) == []
    assert (kept.cached, two_of_three.cached) == (3, 2)
    for path in small_camvid.glob("*/*"):
        path.unlink()
    assert np.array_equal(kept[0][0], before) and check(kept) == []
    assert len(check(two_of_three)) == 1


def test_a_cached_frame_cannot_be_changed_by_accident(small_camvid):
    image, _ = open_dataset("camvid", root=small_camvid, split="train")[0]
    with pytest.raises(ValueError, match="read-only"):
        image += 1


COLORS = {
    "sky": [(128, 128, 128)],
    "building": [(128, 0, 0), (64, 192, 0)],
    "pole": [(192, 192, 128)],
    "road": [(128, 64, 128), (128, 0, 192), (192, 0, 64)],
    "sidewalk": [(0, 0, 192), (64, 192, 128), (128, 128, 192)],
    "tree": [(128, 128, 0), (192, 192, 0)],
    "signsymbol": [(192, 128, 128), (128, 128, 64), (0, 64, 64)],
    "fence": [(64, 64, 128)],
    "car": [(64, 0, 128), (64, 128, 192), (192, 128, 192)],
    "pedestrian": [(64, 64, 0)],
    "bicyclist": [(0, 128, 192), (192, 0, 192)],
    None: [(0, 0, 0), (64, 128, 64), (192, 0, 128), (0, 128, 64), (64, 0, 192)]
    + [(192, 128, 64), (128, 64, 64), (0, 0, 64), (192, 64, 128), (64, 0, 64)],
}
"""The 32 colors of the original CamVid, by class; None is unlabeled."""


def test_the_32_colors_of_the_original_camvid(tmp_path):
    """One frame whose pixels are all the colors in turn."""
    colors = [(name, color) for name, merged in COLORS.items() for color in merged]
    assert len(colors) == 32 and {name for name, _ in colors} == {*CAMVID.names, None}
    rgb = np.resize(np.array([color for _, color in colors], np.uint8), (HEIGHT, WIDTH, 3))
    write(tmp_path / "701_StillsRaw_full" / "0006R0_f00930.png", PHOTO)
    write(tmp_path / "LabeledApproved_full" / "0006R0_f00930_L.png", rgb[..., ::-1])
    dataset = open_dataset("camvid_original", root=tmp_path, split="train")
    image, target = dataset[0]
    expected = [255 if name is None else CAMVID.names.index(name) for name, _ in colors]
    assert np.array_equal(image, PHOTO) and np.array_equal(target, filled(*expected))

    label_file = write(tmp_path / "LabeledApproved_full" / "0006R0_f00930_L.png", PHOTO * 0 + [3, 32, 1])
    assert check(dataset) == [f"{label_file} holds RGB colors other than the 32 known ones: (1, 32, 3) (48 pixels)"]


def test_the_original_camvid_has_the_same_splits(tmp_path):
    """The first and the last frame of each drive in each split."""
    splits = {
        "train": ["0001TP_006690", "0001TP_008520", "0006R0_f00930", "0006R0_f03930", "0016E5_00390", "0016E5_08640"],
        "val": ["0016E5_07959", "0016E5_08159"],
        "test": ["0001TP_008550", "0001TP_010380", "Seq05VD_f00000", "Seq05VD_f05100"],
        "0001TP": ["0001TP_006690", "0001TP_008520"],
        "0016E5": ["0016E5_00390", "0016E5_07959", "0016E5_08159", "0016E5_08640"],
    }
    for name in (name for split in ("train", "val", "test") for name in splits[split]):
        write(tmp_path / "701_StillsRaw_full" / f"{name}.png", PHOTO)
        write(tmp_path / "LabeledApproved_full" / f"{name}_L.png", PHOTO)
    for split, expected in splits.items():
        assert names(open_dataset("camvid_original", root=tmp_path, split=split)) == expected
    with pytest.raises(DataError, match="has the splits train, val, test, 0001TP, 0006R0, 0016E5, got 'vla'"):
        open_dataset("camvid_original", root=tmp_path, split="vla")


def test_cityscapes_label_ids_become_train_ids(tmp_path):
    """The official table, id by id: 7 (road) is 0, 33 (bicycle) is 18, and license plates, -1, are ignored."""
    frame = "aachen/aachen_000000_000019"
    write(tmp_path / "leftImg8bit" / "train" / f"{frame}_leftImg8bit.png", PHOTO)
    label_path = tmp_path / "gtFine" / "train" / f"{frame}_gtFine_labelIds.png"
    write(label_path, filled(*range(34), 255))
    write(label_path.with_name(label_path.name.replace("labelIds", "labelTrainIds")), filled(3))
    dataset = open_dataset("cityscapes", root=tmp_path, split="train")
    _, target = dataset[0]
    v = 255
    table = [v, v, v, v, v, v, v, 0, 1, v, v, 2, 3, 4, v, v, v, 5, v, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, v, v, 16]
    assert names(dataset) == ["aachen_000000_000019"]
    assert np.array_equal(target, filled(*table, 17, 18, 255))
    write(label_path, filled(34))
    assert "holds value 34 (48 pixels), expected 0 to 33, 255" in check(dataset)[0]


def test_images_without_labels_and_labels_without_images_are_missing_files(tmp_path):
    write(tmp_path / "leftImg8bit" / "val" / "bonn" / "bonn_1_leftImg8bit.png", PHOTO)
    write(tmp_path / "gtFine" / "val" / "ulm" / "ulm_2_gtFine_labelIds.png", filled(7))
    one, other = check(open_dataset("cityscapes", root=tmp_path, split="val"))
    assert one == f"{tmp_path}/gtFine/val/*/bonn_1_gtFine_labelIds.png is missing"
    assert other == f"{tmp_path}/leftImg8bit/val/*/ulm_2_leftImg8bit.png is missing"
    with pytest.raises(DataError, match=r"to the folder .* gtFine, leftImg8bit, or name one .* there .*: val$"):
        open_dataset("cityscapes", root=tmp_path, split="train")


def test_coco_stuff_labels_lie_in_matlab_files(tmp_path):
    name = "COCO_train2014_000000000077"
    (tmp_path / "imageLists").mkdir()
    (tmp_path / "annotations").mkdir()
    (tmp_path / "imageLists" / "train.txt").write_text(f"{name}\r\n")
    write(tmp_path / "images" / f"{name}.jpg", PHOTO)
    write(tmp_path / "images" / "COCO_train2014_000000000078.jpg", PHOTO)
    annotation = tmp_path / "annotations" / f"{name}.mat"
    scipy.io.savemat(annotation, {"S": filled(0, 1, 92, 182, dtype=np.uint16), "captions": ["a frame"]})
    dataset = open_dataset("coco_stuff_10k", root=tmp_path, split="train")
    _, target = dataset[0]
    assert names(dataset) == [name] and np.array_equal(target, filled(255, 0, 91, 181))
    assert [dataset.classes.names[i] for i in (0, 91, 181)] == ["person", "banner", "wood"]

    scipy.io.savemat(annotation, {"S": filled(183, dtype=np.uint16)})
    assert "holds value 183 (48 pixels), expected 0 to 182" in check(dataset)[0]
    scipy.io.savemat(annotation, {"S": filled(1, dtype=np.float64)})
    assert "one number of 8 or 16 bits for each pixel, got float64" in check(dataset)[0]
    scipy.io.savemat(annotation, {"T": filled(1)})
    assert "has no variable S" in check(dataset)[0]
    annotation.write_text("no MATLAB file, whatever its name says, and long enough for a header of it" * 3)
    assert f"{annotation} is not a MATLAB file" in check(dataset)[0]


def test_ade20k_ignores_what_is_outside_its_classes(tmp_path):
    write(tmp_path / "images" / "validation" / "ADE_val_00000001.jpg", PHOTO)
    write(tmp_path / "annotations" / "validation" / "ADE_val_00000001.png", filled(0, 1, 150))
    dataset = open_dataset("ade20k", root=tmp_path, split="validation")
    assert np.array_equal(dataset[0][1], filled(255, 0, 149))
    assert (dataset.classes.names[0], dataset.classes.names[149]) == ("wall", "flag")


@pytest.mark.parametrize(
    "dataset, classes", [("camvid_original", 11), ("cityscapes", 19), ("coco_stuff_10k", 182), ("ade20k", 150)]
)
def test_every_class_has_a_name_and_a_color_of_its_own(dataset, classes):
    found = find_dataset(dataset).classes
    assert len(found) == classes == len({entry.color for entry in found})
    assert ClassMap.from_list(found.to_list()) == found
    assert len(find_dataset(dataset).splits) == 2


def test_unknown_data_sets_are_refused_with_the_known_ones(tmp_path):
    for call in (find_dataset, lambda name: open_dataset(name, root=tmp_path, split="train")):
        with pytest.raises(DataError, match=f"{', '.join(DATASETS)}, or the path of a YAML .*, got 'citiscapes'"):
            call("citiscapes")


IDS = """
images: "photos/{split}/*/{name}.png"
labels: "masks/{split}/{name}_mask.png"
encoding: ids
ignore: [0, 255]
splits: [train, holdout]
classes:
  - {name: lawn, color: [0, 128, 0], values: [3, 700]}
  - {name: path, color: [128, 64, 128]}
"""
COLOR = """
images: "{name}.png"
labels: "masks/{name}.png"
listing: "lists/{split}.list"
encoding: colors
ignore: [[0, 0, 0]]
classes:
  - {name: lawn, color: [0, 128, 0], values: [[0, 128, 0], [1, 2, 3]]}
  - {name: path, color: [128, 64, 128]}
"""


def described(folder: Path, text: str) -> str:
    path = folder / "yard.yaml"
    path.write_text(text)
    return str(path)


def test_a_data_set_of_your_own_with_ids(tmp_path):
    write(tmp_path / "photos" / "train" / "monday" / "1.png", PHOTO)
    write(tmp_path / "masks" / "train" / "1_mask.png", filled(0, 3, 700, 1, 255, dtype=np.uint16))
    yard = described(tmp_path, IDS)
    dataset = open_dataset(yard, root=tmp_path, split="train")
    assert np.array_equal(dataset[0][1], filled(255, 0, 0, 1, 255))
    assert dataset.classes.names == ["lawn", "path"] and dataset.description.splits == ("train", "holdout")
    assert np.array_equal(pickle.loads(pickle.dumps(dataset))[0][1], dataset[0][1]), "loader processes may need that"


def test_every_value_is_a_class_unless_some_are_ignored(tmp_path):
    write(tmp_path / "photos" / "train" / "monday" / "1.png", PHOTO)
    write(tmp_path / "masks" / "train" / "1_mask.png", filled(1, 255))
    yard = described(tmp_path, IDS.replace("ignore: [0, 255]\n", ""))
    (problem,) = check(open_dataset(yard, root=tmp_path, split="train"))
    assert problem.endswith("holds value 255 (24 pixels), expected 1, 3, 700")


def test_a_data_set_of_your_own_with_colors(tmp_path):
    rgb = np.resize(np.array([(0, 0, 0), (0, 128, 0), (1, 2, 3), (128, 64, 128)], np.uint8), (HEIGHT, WIDTH, 3))
    write(tmp_path / "a.png", PHOTO)
    write(tmp_path / "unlisted.png", PHOTO)
    write(tmp_path / "masks" / "a.png", cv2.cvtColor(rgb, cv2.COLOR_RGB2BGRA))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.list").write_text("a\n")
    dataset = open_dataset(described(tmp_path, COLOR), root=tmp_path, split="train")
    assert names(dataset) == ["a"] and np.array_equal(dataset[0][1], filled(255, 0, 0, 1))


def test_indices_and_colors_of_a_palette_are_told_apart(tmp_path):
    write(tmp_path / "photos" / "train" / "monday" / "1.png", PHOTO)
    (tmp_path / "masks" / "train").mkdir(parents=True)
    image = Image.fromarray(filled(3, 1, 0)).convert("P")
    image.save(tmp_path / "masks" / "train" / "1_mask.png")
    gray = open_dataset(described(tmp_path, IDS), root=tmp_path, split="train")
    assert np.array_equal(gray[0][1], filled(0, 1, 255)), "a palette of grays adds nothing to its indices"
    image.putpalette([0, 0, 0, 128, 64, 128, 9, 9, 9, 0, 128, 0])
    image.save(tmp_path / "masks" / "train" / "1_mask.png")
    (problem,) = check(open_dataset(described(tmp_path, IDS), root=tmp_path, split="train"))
    assert "has a palette that gives its indices other colors or grays" in problem
    assert "write `encoding: palette` if its indices" in problem
    indices = open_dataset(described(tmp_path, IDS.replace("ids", "palette")), root=tmp_path, split="train")
    assert np.array_equal(indices[0][1], filled(0, 1, 255))
    by_color = IDS.replace("ids", "colors").replace("[0, 255]", "[[0, 0, 0]]").replace(", values: [3, 700]", "")
    colors = open_dataset(described(tmp_path, by_color), root=tmp_path, split="train")
    assert np.array_equal(colors[0][1], filled(0, 1, 255))


def test_a_description_of_version_0_1_0_is_read(tmp_path):
    write(tmp_path / "a.png", PHOTO)
    write(tmp_path / "masks" / "a.png", np.full((HEIGHT, WIDTH, 3), (128, 64, 128), np.uint8))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.list").write_text("a\n")
    older = described(tmp_path, COLOR.replace("color", "colour"))
    dataset = open_dataset(older, root=tmp_path, split="train")
    assert dataset.classes == find_dataset(described(tmp_path, COLOR)).classes and (dataset[0][1] == 1).all()


def test_frames_of_joined_splits_keep_names_of_their_own(tmp_path):
    for split in ("train", "holdout"):
        write(tmp_path / "photos" / split / "monday" / "1.png", PHOTO)
        write(tmp_path / "masks" / split / "1_mask.png", filled(1))
    dataset = open_dataset(described(tmp_path, IDS), root=tmp_path, split="train+holdout")
    assert names(dataset) == ["train/1", "holdout/1"] and check(dataset) == []


def test_frames_of_a_split_of_several_parts_keep_names_of_their_own(tmp_path):
    for part in ("day", "night"):
        write(tmp_path / "photos" / part / "monday" / "1.png", PHOTO)
        write(tmp_path / "masks" / part / "1_mask.png", filled(1))
    yard = described(tmp_path, IDS.replace("[train, holdout]", "{train: {parts: [day]}, all: {parts: [day, night]}}"))
    assert names(open_dataset(yard, root=tmp_path, split="train")) == ["1"]
    assert names(open_dataset(yard, root=tmp_path, split="all")) == ["day/1", "night/1"]


def test_a_list_of_names_that_are_not_utf8(tmp_path):
    write(tmp_path / "1.png", PHOTO)
    write(tmp_path / "masks" / "1.png", filled(0, 128, 0))
    for path in (tmp_path / "1.png", tmp_path / "masks" / "1.png"):
        path.rename(path.with_name("caf\udce9.png"))
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "train.list").write_bytes(b"caf\xe9\n")
    assert names(open_dataset(described(tmp_path, COLOR), root=tmp_path, split="train")) == ["caf\udce9"]


def test_files_of_one_name_are_not_mixed_up(tmp_path):
    for day in ("monday", "tuesday"):
        write(tmp_path / "photos" / "train" / day / "1.png", PHOTO)
    with pytest.raises(DataError, match=r"monday/1.png and .*tuesday/1.png are both called '1'"):
        open_dataset(described(tmp_path, IDS), root=tmp_path, split="train")


@pytest.mark.parametrize(
    "old, new, message",
    [
        ("ignore:", "ignored:", "may have listing, splits, ignore, padding, .*, license, origin; ignored unkn"),
        ("encoding:", "coding:", "encoding missing and coding unknown"),
        ("encoding: ids", "encoding: rgb", "encoding must be ids, palette or colors, got 'rgb'"),
        ("{name}.png", "{nmae}.png", "images and labels hold {name} once"),
        ('"photos/', '"/photos/', "must be a path below the data set"),
        ("/*/", "/**/", r"must be a path below the data set.s folder, whose \* stay within a name"),
        ("masks/{split}", "masks/{fold}", "in braces but {split}; images has {name}, labels {fold}, {name}$"),
        ("masks/{split}", "masks/{name}", "each other {word} once, and no other braces, got 'masks/{name}/{name}_mask"),
        ("masks/{split}", "masks/{}", "each other {word} once, and no other braces"),
        ("[train, holdout]", "{train: {}, holdout: {at: x}}", "split holdout may have parts, names, frames; at unkn"),
        ("[train, holdout]", "{train: {}, holdout: {names: x}}", "names of split holdout must be a list of texts, got"),
        ("[train, holdout]", "{train: {}, holdout: {parts: []}}", "parts of split holdout must be a list of texts"),
        ("[train, holdout]", "{train: {}, holdout: {frames: no}}", "frames of split holdout must be a number of fr"),
        ("[train, holdout]", "{train: {}}", "splits must name the one to train on and the one to validate with"),
        (
            "encoding: ids",
            "padding: 640\nencoding: ids",
            "padding must be a height and a width of up to 8192 pixels, got 640",
        ),
        ("encoding: ids", "padding: [9000, 640]\nencoding: ids", r"of up to 8192 pixels, got \[9000, 640\]"),
        ("encoding: ids", "license: 3\nencoding: ids", "license must be a text, got 3"),
        ("photos/{split}", "photos", "must hold {split}, or else all splits would be the same frames"),
        ("[0, 255]", "255", "values of ignore must be a list of numbers of 0 to 65535, got 255"),
        ("[0, 255]", "[3, 255]", "value 3 belongs to both ignore and lawn"),
        ("[0, 255]", "[1]", "value 1 belongs to both ignore and path"),
        ("[3, 700]", "[70000]", "values of lawn must be a list of numbers of 0 to 65535"),
        ("[train, holdout]", "train", "splits must name the one to train on and the one to validate with"),
        ("name: path", "name: lawn", "class name 'lawn' is used twice"),
        ("[128, 64, 128]", "[128, 64]", "must be three whole numbers of 0 to 255"),
        ("name: path,", "", "a class has the entries name and may have color, values; name missing"),
        ("name: path", "title: path, name: path", "title unknown"),
        ("classes:", "classes: 3\nspare:", "spare unknown"),
        ("encoding: ids", "encoding: [", "yard.yaml"),
        ("encoding: ids", "encoding: !!python/object/apply:os.getcwd []", "yard.yaml"),
        ("encoding: ids", "encoding: ids\nencoding: colors", "duplicate key"),
    ],
)
def test_bad_descriptions_are_refused(tmp_path, old, new, message):
    assert old in IDS
    with pytest.raises(BisenetError, match=message) as error:
        find_dataset(described(tmp_path, IDS.replace(old, new, 1)))
    assert "yard.yaml" in str(error.value)


def test_a_data_set_has_what_it_does_not_state_from_its_base(tmp_path):
    (tmp_path / "day.yaml").write_text(IDS)
    night = find_dataset(described(tmp_path, "base: day.yaml\nsplits: [train, night]"))
    day = find_dataset(str(tmp_path / "day.yaml"))
    assert night.splits == ("train", "night") and night.encoding.train_ids == day.encoding.train_ids
    assert night.classes == day.classes and night.layout == day.layout
    merged = find_dataset(described(tmp_path, 'base: cityscapes\nlabels: "{split}/{name}_classes.png"'))
    assert merged.classes == find_dataset("cityscapes").classes and merged.layout.labels == "{split}/{name}_classes.png"


@pytest.mark.parametrize(
    "base, message",
    [
        ("yard.yaml", "yard.yaml builds on itself"),
        ("citiscapes", "expected `base` of .*yard.yaml to be a data set of a2d2, .*, got 'citiscapes'"),
        ("nowhere.yaml", "expected a YAML file at .*nowhere.yaml"),
        ("list.yaml", "yard.yaml: a data set is written as entries such as `images: ...`, got"),
    ],
)
def test_a_base_that_cannot_be_used(tmp_path, base, message):
    (tmp_path / "list.yaml").write_text("[images, labels]")
    with pytest.raises(BisenetError, match=message):
        find_dataset(described(tmp_path, f"base: {base}"))


def test_colors_that_are_none_and_files_that_are_not_there(tmp_path):
    with pytest.raises(DataError, match="values of ignore must be a list of RGB colors, got"):
        find_dataset(described(tmp_path, COLOR.replace("[[0, 0, 0]]", "[0]")))
    with pytest.raises(YamlError, match="expected a YAML file at .*nowhere.yaml: No such file"):
        find_dataset(str(tmp_path / "nowhere.yaml"))
    with pytest.raises(DataError, match="a data set is written as entries"):
        find_dataset(described(tmp_path, "- 1"))


def test_check_dataset_tells_what_it_saw(small_camvid, capsys):
    write(small_camvid / "labels" / "0016E5_00390.png", filled(255))
    assert main(["check-dataset", "camvid", "--root", str(small_camvid)]) == 0
    output = capsys.readouterr().out
    assert "train: 3 frames, 0 with problems\n  as published the split has 367 frames" in output
    assert "val: 1 frames, 0 with problems" in output
    assert "  sizes: 8x6 (3 frames)" in output
    assert "  1 frames have no labeled pixel: 0016E5_00390" in output
    assert "  sky         22.22%" in output and "  unlabeled   55.56%" in output
    assert "  classes that never occur: building, pole, road," in output


def test_check_dataset_names_every_problem_and_fails(small_camvid, capsys):
    missing = small_camvid / "images" / "0001TP_006690.jpg"
    missing.unlink()
    with (small_camvid / "train.txt").open("a") as listing:
        listing.write("\n0001TP_006690")
    strange = write(small_camvid / "labels" / "0016E5_00420.png", filled(77))
    assert main(["check-dataset", "camvid", "--root", str(small_camvid), "--split", "train"]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[:4] == [
        f"{missing} is missing",
        f"{strange} holds value 77 (48 pixels), expected 0 to 10, 255",
        "split train lists 0001TP_006690 again; list each frame once",
        "train: 4 frames, 3 with problems",
    ]
    assert not any(line.startswith("val:") for line in lines)
    assert main(["check-dataset", "camvid", "--root", str(small_camvid / "images")]) == 1
    assert "bisenet: error: expected the list of frames at" in capsys.readouterr().err


def test_check_dataset_goes_on_without_a_split_that_is_missing(small_camvid, capsys):
    splits = ["--split", "test", "--split", "val"]
    assert main(["check-dataset", "camvid", "--root", str(small_camvid), *splits]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert "test.txt, found none" in lines[0] and lines[1] == "val: 1 frames, 0 with problems"


def test_check_dataset_prints_what_a_recipe_has_to_state(tmp_path, capsys):
    """The frames are of two sizes, the larger one counts as its pixels do. A recipe takes no deviation of 0."""
    frames = {"1": np.full((40, 64, 3), (255, 0, 51), np.uint8), "2": np.zeros((40, 192, 3), np.uint8)}
    for name, pixels in frames.items():
        write(tmp_path / "photos" / "train" / "monday" / f"{name}.png", pixels)
        write(tmp_path / "masks" / "train" / f"{name}_mask.png", np.ones(pixels.shape[:2], np.uint8))
    write(tmp_path / "photos" / "holdout" / "monday" / "3.png", frames["2"][:, :99])
    write(tmp_path / "masks" / "holdout" / "3_mask.png", np.ones((40, 99), np.uint8))
    assert main(["check-dataset", described(tmp_path, IDS), "--root", str(tmp_path)]) == 0
    train, holdout = [line for line in capsys.readouterr().out.splitlines() if "for a recipe" in line]
    assert train == "  for a recipe: 'data.mean=[0.0500,0.0000,0.2500]' 'data.std=[0.0866,0.0010,0.4330]'"
    names, words = ("data.network_size", "augmentation.crop", "augmentation.frame_size"), "augmentation.resize=null"
    assert holdout.endswith(" ".join([*(f"'{name}=[32,64]'" for name in names), words]))


@pytest.mark.parametrize(
    "size, proposed",
    [
        ((32, 8200), "[32,8192]"),
        ((1080, 1920), "[544,960]"),
        ((960, 1280), "[608,800]"),
        ((1200, 1920), "[544,864]"),
        ((480, 640), "[480,640]"),
    ],
)
def test_check_dataset_proposes_sizes_that_a_recipe_takes(tmp_path, capsys, size, proposed):
    write(tmp_path / "photos" / "train" / "monday" / "1.png", np.full((*size, 3), 99, np.uint8))
    write(tmp_path / "masks" / "train" / "1_mask.png", np.ones(size, np.uint8))
    assert main(["check-dataset", described(tmp_path, IDS), "--root", str(tmp_path), "--split", "train"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "for a recipe" in line]
    recipe = load_recipe(RECIPES / "cityscapes.yaml", ["data.root=x", *shlex.split(line)[3:]])
    assert recipe.augmentation.crop == recipe.data.network_size and recipe.augmentation.resize is None
    assert math.prod(recipe.data.network_size) <= 1024 * 512
    assert f"'data.network_size={proposed}'" in line and f"'augmentation.crop={proposed}'" in line


def test_images_of_12_bits_in_16_are_told(tmp_path, capsys):
    write(tmp_path / "photos" / "train" / "monday" / "1.png", np.full((32, 32, 3), 4095, np.uint16))
    write(tmp_path / "masks" / "train" / "1_mask.png", np.ones((32, 32), np.uint8))
    assert main(["check-dataset", described(tmp_path, IDS), "--root", str(tmp_path), "--split", "train"]) == 0
    assert "  the images are nearly black, 0.059 of 1 in the mean; if they have 16 bits" in capsys.readouterr().out


def test_check_dataset_names_ten_classes_that_never_occur(tmp_path, capsys):
    write(tmp_path / "images" / "validation" / "ADE_val_00000001.jpg", PHOTO)
    write(tmp_path / "annotations" / "validation" / "ADE_val_00000001.png", filled(1))
    assert main(["check-dataset", "ade20k", "--root", str(tmp_path), "--split", "validation"]) == 0
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "never occur" in line]
    assert line.endswith("and 139 more") and line.count(",") == 9


def test_opencv_does_not_speak_of_broken_files(small_camvid, capfd):
    path = small_camvid / "images" / "0016E5_07959.jpg"
    path.write_bytes(cv2.imencode(".bmp", PHOTO)[1].tobytes()[:-20])
    assert main(["check-dataset", "camvid", "--root", str(small_camvid), "--split", "val"]) == 1
    assert "[" not in capfd.readouterr().err
