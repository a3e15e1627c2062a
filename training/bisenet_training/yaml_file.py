# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""YAML files, read strictly: a key that is given twice is an error."""

import re
from pathlib import Path
from typing import Any

import yaml

from bisenet_ros.errors import BisenetError
from bisenet_ros.files.unique_keys import UniqueKeys


class YamlError(BisenetError):
    """A file that is missing or is not YAML; the message names it, and the line."""


class TypedLoader(UniqueKeys, yaml.SafeLoader):
    """Keeps every value as text but whole numbers such as 12: YAML itself guesses that 010 is 8, and yes is True."""

    yaml_implicit_resolvers: dict[str, Any] = {}


TypedLoader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"-?(0|[1-9][0-9]*)$"), list("-0123456789"))


class TextLoader(UniqueKeys, yaml.BaseLoader):
    """Keeps every value as the text that it is written as."""


def read_yaml(path: Path, loader: type[TypedLoader | TextLoader] = TypedLoader) -> Any:
    """What a YAML file holds, as plain Python types.

    Raises:
        YamlError: the file cannot be read, or is not YAML.
    """
    try:
        return yaml.load(path.read_text(encoding="utf-8"), Loader=loader)  # both loaders make plain types only
    except OSError as error:
        raise YamlError(f"expected a YAML file at {path}: {error.strerror}") from None
    except yaml.MarkedYAMLError as error:
        line = f", line {error.problem_mark.line + 1}" if error.problem_mark else ""
        raise YamlError(f"{path}{line}: {error.problem}") from None
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise YamlError(f"{path} is not a YAML file: {str(error).splitlines()[0]}") from None
