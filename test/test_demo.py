# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The demo's clip and pictures; the demo as a whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from camvid_classes import CAMVID

from demo.clip import RATE, frame_ids, read_ground_truth, read_image


def test_all_frames_of_the_clip_are_there():
    ids = frame_ids()
    assert len(ids) == 101 and RATE == 15
    numbers = [int(frame_id.split("_")[1]) for frame_id in ids]
    assert numbers == list(range(7959, 8160, 2))
    for frame_id in ids:
        assert read_image(frame_id).shape == (360, 480, 3)
        assert set(np.unique(read_ground_truth(frame_id))) <= {*range(11), 255}


def test_pictures_show_image_mask_and_overlay():
    pytest.importorskip("sensor_msgs")
    from demo.pictures import contact_sheet, side_by_side

    image, ground_truth = read_image(frame_ids()[0]), read_ground_truth(frame_ids()[0])
    picture = side_by_side(image, ground_truth, CAMVID)
    mask = picture[:, 480 + 6 : 2 * 480 + 6]
    assert np.array_equal(picture[:, :480], image)
    assert (mask[ground_truth == 3] == (128, 64, 128)).all(), "road, BGR"
    sheet = contact_sheet([("a frame", picture)], classes=CAMVID, title="title", line="line")
    assert sheet.shape[1] == picture.shape[1] + 24 and sheet.dtype == np.uint8


def test_the_demo_runs_to_its_end(tmp_path):
    pytest.importorskip("rclpy")
    root = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [sys.executable, "-m", "demo.run_demo"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=150,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"frames sent +101 at 15 Hz", done.stdout)
    received = int(re.search(r"masks received +(\d+)", done.stdout)[1])
    lost = int(re.search(r"frames lost +(\d+)", done.stdout)[1])
    assert received > 0 and received + lost == 101
    assert float(re.search(r"mIoU of the masks received +([\d.]+) %", done.stdout)[1]) > 70
    pictures = sorted(path.name for path in (tmp_path / "demo_output").iterdir())
    assert "contact_sheet.png" in pictures and len(pictures) >= 2
    assert cv2.imread(str(tmp_path / "demo_output" / "contact_sheet.png")).shape[1] > 1440
