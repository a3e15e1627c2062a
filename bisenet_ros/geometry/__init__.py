# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Where in the world a pixel is: camera models, and the projection of masks to flat ground."""
