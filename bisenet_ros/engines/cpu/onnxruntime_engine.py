# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network in ONNX Runtime."""

import os
from pathlib import Path

import numpy as np
import onnxruntime

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.engines.cpu.uint8_activations import read_with_uint8_activations
from bisenet_ros.model.input_size import CARD
from bisenet_ros.model.model_card import ModelCard


class OnnxRuntimeEngine(CpuEngine):
    """fp32, or int8 of a quantized model file, on the CPU; the fallback where OpenVINO is not installed."""

    def __init__(self, model: Path, card: ModelCard, *, precision: str = "fp32", size_choice: str = CARD) -> None:
        options = onnxruntime.SessionOptions()
        # Spinning threads would gain 2 % here and take the cores from ROS.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3
        if usable_cores() != os.cpu_count():
            options.intra_op_num_threads = usable_cores()  # by default it takes all of the machine's, and pins threads
        source = read_with_uint8_activations(model) if precision == "int8" else str(model)
        self._session = onnxruntime.InferenceSession(source, options, providers=["CPUExecutionProvider"])
        description = f"ONNX Runtime {onnxruntime.__version__}, CPU, {precision}"
        super().__init__(card, description=description, size_choice=size_choice)

    def _logits(self, image: np.ndarray) -> np.ndarray:
        return self._session.run(None, {self._session.get_inputs()[0].name: image})[0]
