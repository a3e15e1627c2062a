# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The int8 version of a model file, for `bisenet quantize`: made, compared with fp32, and described on its card."""
