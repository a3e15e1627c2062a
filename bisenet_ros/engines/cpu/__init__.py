# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network on a CPU."""

import sys

# OpenVINO sends telemetry at every import, from a process that it forks of this one. Without this module it takes a
# stub of its own.
sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
