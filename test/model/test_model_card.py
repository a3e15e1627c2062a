# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Model cards: read back as written, and refused with a reason."""

from __future__ import annotations

import json

import onnx
import pytest
from onnx import TensorProto, helper

from bisenet_ros.model.model_card import METADATA_KEY, ModelCard, read_card, write_card
from bisenet_ros.model.model_file import ModelError


def tiny_onnx() -> onnx.ModelProto:
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, [1, 3, "h", "w"])
    logits = helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, 3, "h", "w"])
    graph = helper.make_graph([helper.make_node("Relu", ["image"], ["logits"])], "tiny", [image], [logits])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)])


def test_card_is_read_back_as_written(tmp_path, card):
    model = tiny_onnx()
    write_card(model, card)
    write_card(model, card)  # in place of the first
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    assert read_card(path) == card
    assert len(onnx.load(path).metadata_props) == 1


def test_a_card_of_version_0_1_0_is_read(tmp_path, card):
    entries = [{"id": i, "name": c.name, "colour": list(c.color)} for i, c in enumerate(card.classes)]
    values = {**card.to_dict(), "labels": entries}
    del values["classes"]
    model = tiny_onnx()
    helper.set_model_props(model, {METADATA_KEY: json.dumps(values)})
    onnx.save(model, tmp_path / "model.onnx")
    assert read_card(tmp_path / "model.onnx") == card


def test_no_card(tmp_path):
    path = tmp_path / "model.onnx"
    onnx.save(tiny_onnx(), path)
    with pytest.raises(ModelError, match="no card inside.*bisenet export"):
        read_card(path)


def card_with(card: ModelCard, **changes) -> str:
    return json.dumps({**card.to_dict(), **changes})


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"classes": []}, "1 to 255 classes, this one has 0"),
        (
            {"classes": [{"id": 0, "name": "a", "color": [0, 0, 0]}, {"id": 0, "name": "b", "color": [1, 1, 1]}]},
            "id 0 is used twice",
        ),
        ({"classes": [{"id": 0, "name": "a", "color": [0, 0, 300]}]}, "color of 'a'"),
        ({"classes": [{"id": 1, "name": "a", "color": [0, 0, 0]}]}, "0 to 0 without a gap"),
        ({"classes": [{"name": "a"}]}, "id, name and color"),
        ({"mean": [1, 2]}, "mean must be three numbers"),
        ({"std": [1, 0, 1]}, "std must be from 0.001 to 1"),
        ({"std": [1, 1e-300, 1]}, "std must be from 0.001 to 1"),
        ({"std": [58.4, 57.1, 57.4]}, "std must be from 0.001 to 1, of colors of 0 to 1, got .*; divide it by 255"),
        ({"mean": [123.7, 116.3, 103.5]}, "mean must be from 0 to 1, of colors of 0 to 1, got .*; divide it by 255"),
        ({"network_size": [0, 480]}, "8 to 8192 pixels"),
        ({"network_size": "large"}, "network_size must be"),
        ({"network_size": [360.5, 480]}, "in whole pixels"),
        ({"network_size": [10**9, 480]}, "8 to 8192 pixels"),
        ({"mean": "123"}, "mean must be three numbers"),
        ({"std": [1, float("nan"), 1]}, "std must be three numbers"),
        ({"mean": [10**400, 0, 0]}, "mean must be three numbers"),
        ({"training": 5}, "training must be an object"),
        ({"scores": [1]}, "scores must be an object"),
        ({"classes": [{"id": False, "name": "a", "color": [0, 0, 0]}]}, "whole number as id"),
        ({"classes": [{"id": 0, "name": " ", "color": [0, 0, 0]}]}, "a text as name, got 0 and ' '"),
    ],
)
def test_bad_cards(tmp_path, card, changes, message):
    model = tiny_onnx()
    helper.set_model_props(model, {METADATA_KEY: card_with(card, **changes)})
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    with pytest.raises(ModelError, match=message) as error:
        read_card(path)
    assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "text, message",
    [
        ("{", "not JSON"),
        ("[" * 10**5, "not JSON"),
        ('{"name": "@"}', "not JSON"),
        ("[]", "JSON object"),
        ("{}", "lacks 'name'"),
    ],
)
def test_broken_cards(tmp_path, text, message):
    model = tiny_onnx()
    helper.set_model_props(model, {METADATA_KEY: text})
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    path.write_bytes(path.read_bytes().replace(b"@", b"\xf0"))  # which is no UTF-8
    with pytest.raises(ModelError, match=message):
        read_card(path)
