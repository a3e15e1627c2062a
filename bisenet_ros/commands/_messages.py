# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Messages of commands on the terminal; no command itself, as its name begins with an underscore."""

import sys

from bisenet_ros.files.file_names import printable


def print_error(text: str) -> None:
    print(f"bisenet: error: {printable(text)}", file=sys.stderr)


def print_warning(text: str) -> None:
    print(f"bisenet: warning: {printable(text)}", file=sys.stderr)
