# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Files: written atomically, hashed, found where they are installed, read as YAML without duplicate keys."""
