# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML in which a key that is given twice is an error; PyYAML itself takes the last of the two values."""

from typing import Any

import yaml


class UniqueKeys:
    """A mixin for PyYAML's loaders; raises yaml.constructor.ConstructorError with the key and its line."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Any:
        seen = []
        for key, _ in node.value:
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"duplicate key {key.value}", key.start_mark)
            seen.append(key.value)
        return super().construct_mapping(node, deep=deep)  # type: ignore[misc]


class StrictLoader(UniqueKeys, yaml.SafeLoader):
    """yaml.SafeLoader, but for keys that are given twice."""
