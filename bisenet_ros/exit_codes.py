# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The exit codes of commands beside 0 (all is well), 1 (an error) and 2 (a wrong option)."""

IMPERFECT = 3
"""All is done, but some of the input is missing or could not be used, which warnings name."""
INTERRUPTED = 130
"""Ctrl-C stopped it: what shells have for a program that SIGINT ends."""
TERMINATED = 143
"""SIGTERM stopped it, likewise."""
BROKEN_PIPE = 141
"""Nobody reads its output any more: what shells have for a program that SIGPIPE ends."""
