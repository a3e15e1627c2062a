# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Model files: read with their weights, wherever these are, and refused by what they are."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnx
import pytest
from onnx import helper, numpy_helper
from tiny_model import save_tiny_model

from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import ModelError, is_quantized, model_sha256, read_model


@pytest.fixture
def model(tmp_path, card):
    """Its weights are in tiny.data."""
    return save_tiny_model(tmp_path / "tiny.onnx", card, external_data="tiny.data")


def test_weights_in_a_file_beside_it_are_read(model, tmp_path, card):
    whole = save_tiny_model(tmp_path / "whole.onnx", card)
    found, expected = (numpy_helper.to_array(read_model(path).graph.initializer[0]) for path in (model, whole))
    assert np.array_equal(found, expected) and found.size == 11 * 3 * 8 * 8
    assert read_card(model) == card


@pytest.mark.parametrize("read", [read_model, read_card, model_sha256, is_quantized])
def test_a_missing_file_of_weights_is_named(model, tmp_path, read):
    (tmp_path / "tiny.data").unlink()
    with pytest.raises(ModelError, match=f"tiny.onnx has its weights in {tmp_path}/tiny.data, which is missing"):
        read(model)


def test_the_sha256_is_of_all_files(model, tmp_path, card):
    whole = save_tiny_model(tmp_path / "whole.onnx", card)
    assert model_sha256(whole) == hashlib.sha256(whole.read_bytes()).hexdigest()
    before, weights = model_sha256(model), (tmp_path / "tiny.data").read_bytes()
    (tmp_path / "tiny.data").write_bytes(bytes(len(weights)))
    assert model_sha256(model) != before


def test_weights_that_are_cut_off_or_not_beside_the_model_are_told(model, tmp_path):
    weights = tmp_path / "tiny.data"
    size = weights.stat().st_size
    os.truncate(weights, size - 1)
    with pytest.raises(ModelError, match=f"expected {size} bytes of weights in {weights}, got {size - 1}; copy it"):
        read_card(model)
    for place in ("../tiny.data", "/tiny.data", "sub/../../tiny.data"):
        moved = onnx.load(model, load_external_data=False)
        for tensor in moved.graph.initializer:
            next(entry for entry in tensor.external_data if entry.key == "location").value = place
        onnx.save(moved, tmp_path / "moved.onnx")
        with pytest.raises(ModelError, match=f"has its weights in {place}, which is not beside it"):
            read_card(tmp_path / "moved.onnx")


def test_weights_that_are_a_link_or_of_no_place_are_told(model, tmp_path):
    (tmp_path / "blobs").mkdir()
    (tmp_path / "tiny.data").rename(tmp_path / "blobs" / "tiny.data")
    (tmp_path / "tiny.data").symlink_to("blobs/tiny.data")
    told = f"the weights of {model} cannot be read: .*; copy the files themselves"
    with pytest.raises(ModelError, match=told):
        read_model(model)
    damaged = onnx.load(model, load_external_data=False)
    next(entry for entry in damaged.graph.initializer[0].external_data if entry.key == "offset").value = "x"
    onnx.save(damaged, model)
    with pytest.raises(ModelError, match=told):
        read_card(model)


def test_a_quantized_model_is_recognized(model, tmp_path):
    assert not is_quantized(model)
    changed = read_model(model)
    changed.graph.node.append(helper.make_node("QuantizeLinear", ["image", "scale"], ["unused"]))
    onnx.save(changed, tmp_path / "int8.onnx")
    assert is_quantized(tmp_path / "int8.onnx")


@pytest.mark.parametrize("read", [read_model, read_card, model_sha256, is_quantized])
def test_a_file_that_is_not_there(tmp_path, read):
    with pytest.raises(ModelError, match="expected a model file at .*none.onnx, found none"):
        read(tmp_path / "none.onnx")
    with pytest.raises(ModelError, match="found a folder"):
        read(tmp_path)


@pytest.mark.parametrize(
    "content, kind",
    [
        (b"", "an empty file"),
        (b"not an onnx file at all", "a file that begins with 6e6f7420616e206f"),
        (b"PK\x03\x04 and more", "a ZIP archive, as checkpoints of PyTorch are"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:12", "a Git LFS pointer; fetch the file itself"),
        (b"<!DOCTYPE html><html>", "an HTML or XML page"),
        (b"\x89PNG\r\n\x1a\n", "a PNG image"),
    ],
)
def test_what_is_no_onnx_is_told_by_what_it_is(tmp_path, content, kind):
    path = tmp_path / "model.onnx"
    path.write_bytes(content)
    with pytest.raises(ModelError, match=f"is not an ONNX model, but {kind}"):
        read_card(path)


@pytest.mark.parametrize("size", (2, 1000, 100_000))
def test_a_model_that_is_cut_off_is_told_as_such(tmp_path, shipped_model, size):
    path = tmp_path / "model.onnx"
    path.write_bytes(shipped_model.read_bytes()[:size])
    with pytest.raises(ModelError, match=rf"begins as an ONNX model, but is cut off, .* \({size:,} bytes\); copy it"):
        read_card(path)
