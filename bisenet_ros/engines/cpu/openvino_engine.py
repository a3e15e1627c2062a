# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network in OpenVINO."""

import os
from functools import lru_cache
from pathlib import Path
from typing import Any, Dict

import numpy as np
import openvino
from openvino import properties

from bisenet_ros.engines.cpu.cores import usable_cores
from bisenet_ros.engines.cpu.cpu_engine import CpuEngine
from bisenet_ros.engines.cpu.uint8_activations import read_with_uint8_activations
from bisenet_ros.engines.engine import EngineError
from bisenet_ros.model.input_size import CARD
from bisenet_ros.model.model_card import ModelCard

PRECISIONS = {"fp32": openvino.Type.f32, "bf16": openvino.Type.bf16, "int8": openvino.Type.f32}
"""What is computed in where nothing is quantized; int8 with bf16 beside it was no faster."""


class OpenVinoEngine(CpuEngine):
    """fp32, bf16 or int8 on the CPU. The precision is always set: OpenVINO would pick bf16 by itself on some CPUs.

    int8 needs a quantized model file. Raises EngineError for bf16 on a CPU for which OpenVINO would take fp32 instead.
    """

    def __init__(self, model: Path, card: ModelCard, *, precision: str, size_choice: str = CARD) -> None:
        core = _core()
        self._network = core.compile_model(
            core.read_model(read_with_uint8_activations(model) if precision == "int8" else model),
            "CPU",
            {
                properties.hint.inference_precision: PRECISIONS[precision],
                properties.hint.performance_mode: properties.hint.PerformanceMode.LATENCY,
                **_thread_options(),
            },
        )
        taken = self._network.get_property(properties.hint.inference_precision)
        if precision == "bf16" and taken != PRECISIONS["bf16"]:
            raise EngineError("OpenVINO has no bf16 for this CPU, and would compute in fp32; choose fp32 or auto")
        self._request = self._network.create_infer_request()
        version = openvino.__version__.split("-")[0]
        super().__init__(card, description=f"OpenVINO {version}, CPU, {precision}", size_choice=size_choice)

    def _logits(self, image: np.ndarray) -> np.ndarray:
        return self._request.infer([image], share_inputs=True, share_outputs=True)[0]


def _thread_options() -> Dict[str, Any]:
    """As many threads as the container's CPU quota allows; none of them pinned, or containers would share a core."""
    cores = usable_cores()
    if cores == len(os.sched_getaffinity(0)):
        return {}
    return {properties.inference_num_threads: cores, properties.hint.enable_cpu_pinning: False}


@lru_cache(maxsize=1)
def _core() -> openvino.Core:
    """The only Core of the process, which is kept until the process ends.

    A Core's CPU plugin gives its thread a stack for signals, and gives back the one before when it is freed. Cores that
    are freed in the order in which they were made leave a stack that is freed: the next signal ends the process.
    """
    return openvino.Core()
