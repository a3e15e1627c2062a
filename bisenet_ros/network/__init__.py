# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The paper's network in torch, one file per figure or table; frames around it; and its checkpoints."""

from bisenet_ros.network.bisenetv2 import BiSeNetV2

__all__ = ["BiSeNetV2"]
