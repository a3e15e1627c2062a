# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What changed between two runs' inputs, as text."""

from bisenet_ros.files.changed_inputs import describe_changes


def test_inputs_that_are_the_same_are_not_told():
    inputs = {"engine": "ONNX Runtime", "the model file": ["a" * 64]}
    assert describe_changes(inputs, dict(inputs)) == []
    assert describe_changes({"class map": "none"}, {}) == describe_changes({}, {"class map": "none"}) == []


def test_texts_are_told_with_hashes_cut_short_and_lists_are_not():
    before = {"engine": "ONNX Runtime", "class map": "a" * 64, "the content of bag a": [["a.db3", 1, 2]]}
    now = {"engine": "OpenVINO", "class map": "b" * 64, "the content of bag a": [["a.db3", 1, 3]], "topic": "/t"}
    assert describe_changes(before, now) == [
        "engine: ONNX Runtime, now OpenVINO",
        "class map: aaaaaaaaaaaa..., now bbbbbbbbbbbb...",
        "the content of bag a is not the same as before",
        "topic: none, now /t",
    ]
