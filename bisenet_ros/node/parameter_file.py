# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The parameters that a YAML file with ROS parameters sets for a node, as a launch file needs them before it starts."""

import os
import re
from pathlib import Path
from typing import Any, Dict, Iterator, Tuple

import yaml

from bisenet_ros.errors import BisenetError


def read_parameter_file(path: str, node: str) -> Dict[str, Any]:
    """The parameters by name, for a node's full name, such as /segmentation/segmentation_node; `~` is the home folder.

    Those of nested sections have their names joined by dots, as in ROS.

    Raises FileNotFoundError, or BisenetError where the file is no YAML.
    """
    expected = "params_file must be a YAML file with the node's parameters"
    file = Path(os.path.expanduser(path))
    if not file.is_file():  # launch would only warn, and start the node without it
        raise FileNotFoundError(f"{expected}, got {path!r}")
    try:
        tree = yaml.safe_load(file.read_text())
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BisenetError(f"{expected}, got {path!r}: {' '.join(str(error).split())}") from None
    return {name: value for section in _sections(tree, node) for name, value in _flat(section)}


def _flat(section: Dict[str, Any], *, prefix: str = "") -> Iterator[Tuple[str, Any]]:
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _flat(value, prefix=f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value


def _sections(tree: Any, node: str, *, place: str = "") -> Iterator[Dict[str, Any]]:
    """The `ros__parameters` below keys that join to the node's name; in keys * is one name, ** any number of them."""
    for key, value in tree.items() if isinstance(tree, dict) else ():
        name = f"{place}/{str(key).strip('/')}"
        own = value.get("ros__parameters") if isinstance(value, dict) else None
        pattern = re.escape(name).replace(r"/\*\*", r"(/\w+)*").replace(r"/\*", r"/\w+")
        if isinstance(own, dict) and re.fullmatch(pattern, node):
            yield own
        yield from _sections(value, node, place=name)
