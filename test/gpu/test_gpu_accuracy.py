# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""On the GPU: mIoU by precision, frames as floats, and the node over DDS."""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np
import pytest

from bisenet_ros.engines.tensorrt.builder import tails
from bisenet_ros.engines.tensorrt.plan import TensorRtError
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from gpu.test_gpu_parity import LEAST_EQUAL

LARGEST_LOSS = {"fp32": 0.002, "fp16": 0.005, "int8": 0.03}
"""Of mIoU against fp32 on the CPU, on the clip's frames; a bound for mistakes, not a promise."""


@pytest.mark.parametrize("precision", LARGEST_LOSS)
def test_miou_by_precision(create, arrays, results, precision):
    frames, targets, expected = arrays["miou/frames"], arrays["miou/targets"], float(arrays["miou/fp32"])
    engine = create(precision)
    classes = len(engine.card.classes)
    confusion = np.zeros((classes, classes), np.int64)
    try:
        for frame, target in zip(frames, targets):
            confusion += confusion_matrix(target, engine.segment(frame), classes=classes)
    except TensorRtError as error:
        if "no int8 arithmetic" in str(error):
            pytest.skip(str(error))
        raise
    found = mean_iou(confusion)
    results[f"mIoU {precision}"] = {"GPU": round(100 * found, 2), "fp32 on the CPU": round(100 * expected, 2)}
    assert found > expected - LARGEST_LOSS[precision]


def test_frames_as_floats_have_the_same_masks(create, arrays, results):
    """As with TensorRT before 8.5, which has no bytes; every later one takes floats too."""
    engine = create("fp32")
    engine._gpu.tensorrt.has_uint8 = False
    engine._gpu.tails = tails(engine._gpu.tensorrt)
    frame, expected = arrays["1280x720/frame"], arrays["1280x720/fp32/mask"]
    equal = float(np.mean(engine.segment(frame) == expected))
    results["frames as floats, 1280x720 fp32, equal"] = equal
    assert equal >= LEAST_EQUAL["fp32"]
    assert all(pipeline._takes_floats for pipeline in engine._gpu.pipelines.by_size[frame.shape[:2]].values())


def test_the_node_segments_over_dds_on_the_gpu(references, plans, arrays, results):
    """The whole way: a camera's topic, the node's process, the mask's topic; where ROS 2 is there."""
    pytest.importorskip("rclpy")
    from node_harness import NodeProcess, Vehicle, camera_image
    from ros_domains import new_domain
    from sensor_msgs.msg import Image

    frame, domain = arrays["1280x720/frame"], new_domain()
    vehicle = Vehicle(domain)
    parameters = {"model": references / "model.onnx", "device": "cuda", "precision": "fp32", "plan_cache": plans}
    arguments = [word for name, value in parameters.items() for word in ("-p", f"{name}:={value}")]
    masks, camera = vehicle.listen("/segmentation/mask", Image), vehicle.camera("/camera/image_raw")
    with NodeProcess(domain, "--ros-args", *arguments):
        image = camera_image(frame, "bgr8")
        vehicle.wait_for(lambda: camera.send(image) and vehicle.spin_until(lambda: masks, 1.0), "a mask", 900.0)
        start = time.perf_counter()
        for _ in range(30):
            mask = vehicle.answer(masks, camera.send(image))
        results["camera to listener over DDS, 1280x720 fp32, ms"] = round(1000 * (time.perf_counter() - start) / 30, 2)
    found = np.frombuffer(mask.data, np.uint8).reshape(frame.shape[:2])
    assert np.mean(found == arrays["1280x720/fp32/mask"]) >= LEAST_EQUAL["fp32"]
    vehicle.close()
    assert Path(plans).is_dir()
