# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Class groups: the file, its errors, and the network that sums up the groups' probabilities."""

from __future__ import annotations

import dataclasses
import gc
import tempfile
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnxruntime
import pytest
from camvid_classes import CAMVID
from tiny_model import save_tiny_model
from yaml_aliases import ALIASES

from bisenet_ros.engines import load_engine, loader
from bisenet_ros.model.class_groups import UNLISTED, read_class_groups
from bisenet_ros.model.class_map import IGNORE, ClassMap, ClassMapError, SegmentationClass
from bisenet_ros.model.grouped_model import NEVER, write_grouped_model
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError
from demo.clip import frame_ids, read_image

CLASS_MAPS = Path(__file__).parents[2] / "config" / "class_maps"
CITYSCAPES = (
    "road,sidewalk,building,wall,fence,pole,traffic light,traffic sign,vegetation,terrain,sky,person,rider,car,truck,"
    "bus,train,motorcycle,bicycle"
).split(",")
GROUPS = """\
classes:
  - {name: ground, color: [0, 160, 80], of: [sidewalk, road]}
  - {name: gravel, color: [1, 2, 3], optional: [gravel]}
  - {name: things, color: [9, 9, 9], of: [car], optional: [fence, wall]}
"""


@pytest.fixture
def groups_in(tmp_path):
    def read(text: str):
        (tmp_path / "groups.yaml").write_text(text)
        return read_class_groups(tmp_path / "groups.yaml")

    return read


def test_classes_get_the_id_of_their_group_and_the_others_are_unlisted(groups_in):
    grouping = groups_in(GROUPS).fit(CAMVID)
    assert grouping.classes.names == ["ground", "gravel", "things", UNLISTED] and grouping.unlisted == 3
    by_name = dict(zip(CAMVID.names, grouping.ids))
    assert (by_name["road"], by_name["sidewalk"], by_name["car"], by_name["fence"]) == (0, 0, 2, 2)
    assert {name for name, group in by_name.items() if group == 3} == set(CAMVID.names) - {
        "road",
        "sidewalk",
        "car",
        "fence",
    }
    assert (grouping.ids[len(CAMVID) :] == IGNORE).all()


def test_what_is_unlisted_may_be_a_group(groups_in):
    other = "  - {name: other, color: [5, 5, 5]}\nunlisted: other\n"
    grouping = groups_in(GROUPS + other).fit(CAMVID)
    assert grouping.unlisted is None and grouping.classes.names[-1] == "other"
    assert grouping.ids[CAMVID.names.index("sky")] == 3
    only = ClassMap(tuple(SegmentationClass(name, (0, 0, 0)) for name in ("road", "sidewalk", "car")))
    assert groups_in(GROUPS).fit(only).unlisted is None, "nothing is left out"


def test_a_model_that_has_the_groups_already_keeps_them(groups_in):
    """As one that was trained with the class map. In another order they are other classes."""
    names = ["ground", "gravel", "things"]
    groups = ClassMap(tuple(SegmentationClass(name, (0, 0, 0)) for name in names))
    grouping = groups_in(GROUPS).fit(groups)
    assert grouping.ids[:3].tolist() == [0, 1, 2] and grouping.unlisted is None
    with pytest.raises(ClassMapError, match="the model has no class 'sidewalk'"):
        groups_in(GROUPS).fit(ClassMap(groups.classes[::-1]))
    only_optional = groups_in(GROUPS.replace("of:", "optional:").replace(", optional: [fence, wall]", "")).fit(groups)
    assert only_optional.ids[:3].tolist() == [0, 1, 2], "also where a group is called as one of its classes, gravel"


@pytest.mark.parametrize("name", ("drivable", "nav2_costs"))
@pytest.mark.parametrize("classes", (CAMVID.names, CITYSCAPES), ids=("camvid", "cityscapes"))
def test_the_shipped_class_maps_fit_both_data_sets(name, classes):
    classes = ClassMap(tuple(SegmentationClass(entry, (0, 0, 0)) for entry in classes))
    grouping = read_class_groups(CLASS_MAPS / f"{name}.yaml").fit(classes)
    found = dict(zip(classes.names, np.array(grouping.classes.names)[grouping.ids[: len(classes)]]))
    assert (found["road"], found["car"], found["sky"]) == {
        "drivable": ("drivable", "vehicle", "other"),
        "nav2_costs": ("free", "moving_obstacle", UNLISTED),
    }[name]
    assert len(set(found.values())) >= 4


@pytest.mark.parametrize(
    "text, problem",
    [
        ("", "expected a list `classes` and perhaps `unlisted`, got NoneType"),
        ("[3]", "got list"),
        ("groups: []", "got groups"),
        ("classes: 3", "got classes"),
        ("classes: []", "1 to 255 classes, this one has 0"),
        (GROUPS + "extra: 3\n", "got classes, extra"),
        (GROUPS + "  - 3\n", "a group has a name, a color, and `of` or `optional`, got 3"),
        (GROUPS + "  - {name: a}\n", "`optional`, got no color in {'name': 'a'}; write it as {name: road, color: ["),
        (GROUPS + "  - {name: a, color: [1, 2, 3], ofs: [sky]}\n", "`optional`, got 'ofs' in {'color': [1, 2, 3], "),
        (
            GROUPS + f"  - {{name: a, color: [1, 2, 3], of: {ALIASES}}}\n",
            "must be a list of names, such as [road], got [[",
        ),
        (GROUPS + f"unlisted: {ALIASES}\n", "got [['x'], [['x'],"),
        (GROUPS + f"  - {ALIASES}\n", "or `optional`, got [['x'], [['x'],"),
        (GROUPS + "  - {name: a, color: [1, 2]}\n", "the color of 'a' must be three whole numbers of 0 to 255"),
        (GROUPS + "  - {name: a, color: [1, 2, 256]}\n", "the color of 'a' must be three"),
        (GROUPS + "  - {name: a, color: red}\n", "the color of 'a' must be three"),
        (GROUPS + "  - {name: a, color: 3}\n", "a class is written as id, name and color"),
        (GROUPS + "  - {name: 3, color: [1, 2, 3]}\n", "a text as name"),
        (GROUPS + "  - {name: things, color: [1, 2, 3], of: [sky]}\n", "class name 'things' is used twice"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], of: [sky, car]}\n", "'car' is named twice, for 'things' and 'a'"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], of: [sky, sky]}\n", "'sky' is named twice, for 'a' and 'a'"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], optional: [road]}\n", "'road' is named twice, for 'ground' and 'a'"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], of: sky}\n", "`of` of the group 'a' must be a list of names"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], of: [1]}\n", "must be a list of names, such as [road], got [1]"),
        (GROUPS + "  - {name: a, color: [1, 2, 3]}\n", "the group 'a' names no class"),
        (GROUPS + "unlisted: 254\n", "`unlisted` must be 255 or the name of a group (ground, gravel, things), got 254"),
        (GROUPS + "unlisted: nothing\n", "got 'nothing'"),
        (GROUPS + "unlisted: [a]\n", "got ['a']"),
        (GROUPS + "  - {name: unlisted, color: [1, 2, 3], of: [sky]}\n", "no group can be called 'unlisted'"),
        (GROUPS + "  - {name: a, color: [1, 2, 3], of: [sky], of: [pole]}\n", "is not YAML: duplicate key of in"),
        (GROUPS + "unlisted: 255\nunlisted: things\n", "is not YAML: duplicate key unlisted in"),
        (GROUPS + GROUPS, "is not YAML: duplicate key classes in"),
        ("classes: [", "is not YAML: "),
        ("classes: \x00", "is not YAML: "),
        ("classes: [{name: 2020-13-45}]", "is not YAML: month must be in 1..12"),
        ("classes: " + 1000 * "[", "is not YAML: maximum recursion depth exceeded"),
    ],
)
def test_a_file_that_cannot_be_used_is_named(groups_in, tmp_path, text, problem):
    with pytest.raises(ClassMapError) as raised:
        groups_in(text)
    assert problem in str(raised.value) and str(tmp_path / "groups.yaml") in str(raised.value)


def test_a_file_that_is_not_there_or_not_text(tmp_path):
    with pytest.raises(FileNotFoundError, match="expected a class map"):
        read_class_groups(tmp_path / "none.yaml")
    (tmp_path / "groups.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ClassMapError, match="groups.yaml is not YAML"):
        read_class_groups(tmp_path / "groups.yaml")


def test_a_class_that_the_model_lacks_is_named(groups_in):
    told = "groups.yaml: the model has no class 'lawn', which group 'grass' is of; its .*road"
    with pytest.raises(ClassMapError, match=told):
        groups_in(GROUPS + "  - {name: grass, color: [1, 2, 3], of: [lawn]}\n").fit(CAMVID)
    with pytest.raises(ClassMapError, match="groups.yaml: data set X has none of the classes that are named"):
        groups_in("classes: [{name: a, color: [1, 2, 3], optional: [lawn]}]").ids_of(CAMVID, what="data set X")


def logits_of(path: Path, image: np.ndarray) -> np.ndarray:
    return onnxruntime.InferenceSession(str(path)).run(None, {"image": image})[0]


@pytest.mark.parametrize("opset", (11, 13, 18))
def test_the_groups_softmax_is_the_sum_of_their_classes(groups_in, tmp_path, card, opset):
    path = save_tiny_model(tmp_path / "model.onnx", card)
    model = onnx.load(path)
    model.opset_import[0].version = opset
    onnx.save(model, path)
    grouping = groups_in(GROUPS).fit(card.classes)
    grouped = write_grouped_model(path, card, grouping, tmp_path / "grouped.onnx")
    assert grouped.classes == grouping.classes and read_card(tmp_path / "grouped.onnx") == grouped
    onnx.checker.check_model(str(tmp_path / "grouped.onnx"))

    image = 20 * np.random.default_rng(1).standard_normal((2, 3, 32, 48), np.float32)
    logits, merged = logits_of(path, image).astype(float), logits_of(tmp_path / "grouped.onnx", image).astype(float)
    assert logits.max() > 100, "its exponential is too large for fp32"
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=1, keepdims=True))
    expected = [shares[:, grouping.ids[: len(card.classes)] == number].sum(axis=1) for number in range(4)]
    found = np.exp(merged - np.logaddexp.reduce(merged, axis=1, keepdims=True))
    assert np.abs(found - np.stack(expected, axis=1)).max() < 1e-4
    assert (merged[:, 1] == NEVER).all(), "the group without a class"


def test_a_file_that_lacks_what_the_groups_need_is_told_or_run(groups_in, tmp_path, card):
    path = save_tiny_model(tmp_path / "model.onnx", card)
    grouping, model = groups_in(GROUPS).fit(card.classes), onnx.load(path)
    model.graph.output[0].type.tensor_type.ClearField("shape")
    onnx.save(model, path)
    write_grouped_model(path, card, grouping, tmp_path / "grouped.onnx")
    image = np.zeros((1, 3, 32, 48), np.float32)
    assert logits_of(tmp_path / "grouped.onnx", image).shape == (1, 4, 4, 6)
    model.ClearField("opset_import")
    onnx.save(model, path)
    with pytest.raises(ModelError, match="the network has no version of ONNX's operators"):
        write_grouped_model(path, card, grouping, tmp_path / "grouped.onnx")


def test_a_group_of_one_class_has_its_logit(groups_in, tmp_path, card):
    path = save_tiny_model(tmp_path / "model.onnx", card)
    names = list(reversed(card.classes.names))
    text = "classes:\n" + "".join(f"  - {{name: {name}, color: [1, 2, 3], of: [{name}]}}\n" for name in names)
    write_grouped_model(path, card, groups_in(text).fit(card.classes), tmp_path / "reversed.onnx")
    image = np.random.default_rng(1).standard_normal((1, 3, 32, 48), np.float32)
    assert np.array_equal(logits_of(path, image)[:, ::-1], logits_of(tmp_path / "reversed.onnx", image))


def test_an_engine_gives_the_groups_and_255_for_what_is_left_out(groups_in, tmp_path, shipped_model):
    groups_in(GROUPS)
    plain, engine = (
        load_engine(shipped_model, device="cpu", precision="fp32", class_map=it)
        for it in (None, tmp_path / "groups.yaml")
    )
    assert engine.classes.names == ["ground", "gravel", "things"] and plain.classes == CAMVID
    assert engine.description == f"{plain.description}, class map groups.yaml"
    frame = read_image(frame_ids()[0])
    mask, confidence = engine.segment(frame, confidence=True)
    assert np.array_equal(mask, engine.segment(frame)) and set(np.unique(mask)) == {0, 2, IGNORE}
    [(batched, _)] = engine.segment_batch([frame], confidence=True)
    assert np.array_equal(batched, mask)
    own = engine.frame_logits(frame, engine.network_size(*frame.shape[:2]))
    assert np.array_equal(engine.upsample(own, frame.shape[:2], confidence=False).mask, mask), "as smoothing calls it"

    logits = np.empty((len(CAMVID), *frame.shape[:2]))
    for class_logits, small in zip(logits, plain.frame_logits(frame, plain.network_size(*frame.shape[:2]))):
        class_logits[:] = cv2.resize(small, frame.shape[1::-1], interpolation=cv2.INTER_LINEAR)
    shares = np.exp(logits - np.logaddexp.reduce(logits, axis=0))
    ids = read_class_groups(tmp_path / "groups.yaml").fit(CAMVID).ids[: len(CAMVID)]
    sums = np.stack([shares[ids == number].sum(axis=0) for number in range(4)])
    expected = np.array([0, 1, 2, IGNORE])[sums.argmax(axis=0)]
    assert np.mean(mask == expected) > 0.996, "0.3 % differ, as the sums are made at an eighth and not here"
    assert np.abs(confidence - 255 * sums.max(axis=0)).mean() < 1


def test_the_file_that_is_made_for_tensorrt_goes_with_the_engine(groups_in, tmp_path, card, monkeypatch):
    groups_in(GROUPS)
    model, scratch = save_tiny_model(tmp_path / "model.onnx", card), tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(scratch))
    load_engine(model, device="cpu", precision="fp32", class_map=tmp_path / "groups.yaml")
    assert not list(scratch.iterdir()), "on the CPU it has been read"

    def open_fake_tensorrt(model, card, **_):
        return loader.installed_runtimes("cpu")[0].create(model, card, precision="fp32")

    monkeypatch.setattr(loader, "_open_tensorrt", open_fake_tensorrt)
    engine = load_engine(model, device="cuda", precision="fp32", class_map=tmp_path / "groups.yaml")
    assert [path.name for path in scratch.rglob("*.onnx")] == ["model.onnx"], "it is read at each new frame size"
    engine.close()
    del engine
    gc.collect()
    assert not list(scratch.iterdir())


def test_a_model_of_other_classes_is_refused_before_it_is_run(groups_in, tmp_path, card):
    groups_in(GROUPS)
    fewer = dataclasses.replace(card, classes=ClassMap(card.classes.classes[:3]))
    path = save_tiny_model(tmp_path / "model.onnx", fewer)
    with pytest.raises(ClassMapError, match="the model has no class 'sidewalk'"):
        load_engine(path, device="cpu", class_map=tmp_path / "groups.yaml")
