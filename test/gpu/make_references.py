# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What the GPU tests compare with, made by the CPU engines: `PYTHONPATH=test python -m gpu.make_references FOLDER`.

A GPU machine needs neither numba nor OpenCV nor ONNX Runtime then: `pytest test/gpu --references FOLDER`.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from typing import Dict

import numpy as np

MODEL = Path(__file__).parents[2] / "models" / "bisenetv2_camvid.onnx"
SIZES = ((240, 320), (360, 480), (720, 1280), (1024, 2048))
LOGITS_SIZE = (37, 73)
PAPER = ((1024, 2048), (64, 128), 19)
"""The paper's frame size, the size of its logits, its classes."""
CALIBRATION_STEP = 8
"""Every eighth frame of the clip is enough to calibrate int8."""
MIOU_STEP = 10
"""Every tenth frame of the clip, with its ground truth, for mIoU."""


def make_references(folder: Path, *, model: Path = MODEL) -> None:
    """Writes the model, its int8 version, and references.npz: frames with their masks and confidence, and ground truth.

    Frames of the demo's clip are resized to each size; the network's size is larger than the smallest. fp32 masks are
    those of the engine in ONNX Runtime, which are plain torch's but for 1 pixel in 10 000; int8 masks are those of the
    quantized network in the same engine.
    """
    import cv2
    import onnx

    from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
    from bisenet_ros.engines.cpu.postprocess import upsample_logits
    from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
    from bisenet_ros.model.model_card import read_card
    from bisenet_ros.quantization.static_quantization import quantize
    from demo.clip import frame_ids, read_ground_truth, read_image

    folder.mkdir(parents=True, exist_ok=True)
    shutil.copy(model, folder / "model.onnx")
    card = read_card(model)
    clip = [read_image(frame_id) for frame_id in frame_ids()]
    onnx.save(quantize(onnx.load(model), card, clip[::CALIBRATION_STEP]), folder / "int8.onnx")
    arrays: Dict[str, np.ndarray] = {}
    for precision, path in (("fp32", model), ("int8", folder / "int8.onnx")):
        engine = OnnxRuntimeEngine(path, card)
        for size in SIZES:
            name = f"{size[1]}x{size[0]}"
            frame = cv2.resize(clip[len(clip) // 2], size[::-1], interpolation=cv2.INTER_CUBIC)
            arrays[f"{name}/frame"] = frame
            mask, confidence = engine.segment(frame, confidence=True)
            arrays[f"{name}/{precision}/mask"], arrays[f"{name}/{precision}/confidence"] = mask, confidence
    engine, chosen = OnnxRuntimeEngine(model, card), slice(None, None, MIOU_STEP)
    frames, targets = clip[chosen], [read_ground_truth(frame_id) for frame_id in frame_ids()[chosen]]
    confusion = sum(
        confusion_matrix(target, engine.segment(frame), classes=len(card.classes))
        for frame, target in zip(frames, targets)
    )
    arrays["miou/frames"], arrays["miou/targets"] = np.stack(frames), np.stack(targets)
    arrays["miou/fp32"] = np.float64(mean_iou(confusion))
    logits = np.random.default_rng(0).standard_normal((len(card.classes), *LOGITS_SIZE), dtype=np.float32)
    arrays["kernel/logits"] = logits
    arrays["kernel/mask"], arrays["kernel/confidence"] = upsample_logits(logits, SIZES[-1], confidence=True)
    np.savez_compressed(folder / "references.npz", **arrays)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--model", type=Path, default=MODEL)
    arguments = parser.parse_args()
    make_references(arguments.folder, model=arguments.model)
