# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The data that the training runs of several files share."""

from __future__ import annotations

from pathlib import Path

import pytest

from demo.clip import FOLDER, frame_ids


@pytest.fixture(scope="module")
def camvid(tmp_path_factory) -> Path:
    """A small CamVid tree: seven frames of the clip to train on, three to validate."""
    root = tmp_path_factory.mktemp("camvid")
    (root / "images").symlink_to(FOLDER / "images")
    (root / "labels").symlink_to(FOLDER / "labels")
    (root / "train.txt").write_text("\n".join(frame_ids()[:7]))
    (root / "val.txt").write_text("\n".join(frame_ids()[50:53]))
    return root
