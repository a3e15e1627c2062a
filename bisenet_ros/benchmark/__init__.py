# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Times engines, describes the machine, writes tables and plots."""
