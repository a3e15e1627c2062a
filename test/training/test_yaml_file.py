# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML files: what YAML would guess to be something else stays text."""

from __future__ import annotations

import pytest
from bisenet_training.yaml_file import TextLoader, YamlError, read_yaml

TEXTS = "yes No on OFF true 0512 010 1e3 1.5 .nan 12:30:00 2024-01-01 ~ null 0x1F 1_000 = +5".split()


@pytest.mark.parametrize("text", TEXTS)
def test_only_whole_numbers_are_no_text(tmp_path, text):
    path = tmp_path / "a.yaml"
    path.write_text(f"name: {text}\nids: [0, 7, -1, 255]\n")
    assert read_yaml(path) == {"name": text, "ids": [0, 7, -1, 255]}
    assert read_yaml(path, TextLoader) == {"name": text, "ids": ["0", "7", "-1", "255"]}


def test_lists_in_lists_without_end_are_refused(tmp_path):
    path = tmp_path / "a.yaml"
    path.write_text("names: " + 1000 * "[")
    with pytest.raises(YamlError, match="a.yaml is not a YAML file: maximum recursion depth"):
        read_yaml(path)
