# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""How the paper measured speed, and what it reached (section 4: "Inference", "Setup"; section 4.3)."""

from typing import Any, List, Mapping

from bisenet_ros.benchmark.markdown import markdown_table

FRAME_SIZE = "2048x1024"
NETWORK_SIZE = "half"
"""The size for the network: half of the frame's sides, 1024x512."""
ITERATIONS = 5000
PRECISIONS = ("fp32", "fp16")
"""The paper gives FP32 and FP16 on the Jetson TX2 (Fig. 10); for Table 7 it does not say."""

PROTOCOL = {
    "input": "2048x1024, resized to 1024x512, and the prediction back to 2048x1024; the time of resizing is included",
    "GPUs": "one",
    "iterations": "5000",
    "the paper's hardware": "NVIDIA GeForce GTX 1080 Ti",
    "the paper's software": "PyTorch 1.0, ONNX, TensorRT 5.1.5, CUDA 9.0, cuDNN 7.0",
}
"""All that the paper's text says of how speed was measured."""

FPS = {"BiSeNetV2": 156.0, "BiSeNetV2-Large": 47.3}
"""Frames per second on Cityscapes, by the model's name on its card."""


def compare(measurements: List[Mapping[str, Any]]) -> str:
    """A Markdown table of these measurements beside the paper's figures, in frames per second."""
    rows = [["model", "engine", "paper, GTX 1080 Ti", "here, mean", "here, median"]]
    for found in measurements:
        paper = FPS.get(found["architecture"])
        ours = found["without_copies"] or found["whole"]
        figures = [f"{value:.1f}" if value else "-" for value in (paper, ours["fps_mean"], ours["fps"])]
        rows.append([found["model"], found["engine"], *figures])
    return markdown_table(rows)
