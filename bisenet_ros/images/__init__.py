# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Images: encodings of messages, image files, label files, colors."""
