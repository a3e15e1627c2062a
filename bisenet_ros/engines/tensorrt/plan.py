# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT's plans: networks that it has compiled for one GPU, one frame size and one precision.

A plan is a file; an engine (`TensorRtEngine`) is what segments frames, with the plans that it needs. TensorRT itself
calls a loaded plan an engine too. Nothing here touches CUDA memory: addresses and streams come from the caller, on
whose thread everything happens.
"""

from abc import ABC, abstractmethod
from typing import Any, Dict, List, NamedTuple, Tuple

import numpy as np

from bisenet_ros.engines.engine import EngineError

PRECISIONS = ("fp32", "fp16", "int8")
MASK, LOGITS, NETWORK = "mask", "logits", "network"
"""Where a plan ends: with the mask, with the logits, or, for timing, the network alone; see `wrap_network`."""

# TensorRT's own table, `nptype`, breaks on NumPy from 1.24 on until TensorRT 8.6.
DTYPES: Dict[str, np.dtype] = {
    "FLOAT": np.dtype(np.float32),
    "HALF": np.dtype(np.float16),
    "INT32": np.dtype(np.int32),
    "UINT8": np.dtype(np.uint8),
}


class TensorRtError(EngineError):
    """TensorRT is not installed, or refuses a model or a plan; the message has its reason."""


class PlanTensor(NamedTuple):
    """An input or output of a plan; a dimension that changes with the batch is -1."""

    name: str
    shape: Tuple[int, ...]
    dtype: np.dtype


class Plan(ABC):
    """A plan loaded on the GPU. Created, used and closed on one thread; raises RuntimeError where TensorRT refuses.

    Attributes:
        inputs, outputs: what it takes and gives.
    """

    def __init__(self, engine: Any) -> None:
        self._engine = engine
        self._context = engine.create_execution_context()
        if self._context is None:
            raise RuntimeError("the GPU has no room for the plan; see `nvidia-smi` for who uses its memory")
        self.inputs: List[PlanTensor] = []
        self.outputs: List[PlanTensor] = []

    def prepare(self, batch: int) -> None:
        """Sets how many frames the next `enqueue` takes; without a dynamic batch there is nothing to set."""
        for tensor in self.inputs:
            if tensor.shape[0] == -1 and not self._set_shape(tensor.name, (batch, *tensor.shape[1:])):
                raise TensorRtError(f"the plan takes no batch of {batch}; build it with a larger max_batch")

    @abstractmethod
    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        """Puts one run on a CUDA stream and returns.

        Args:
            addresses: of every input and output, by name, in device memory.
            stream: the stream's handle.
        """

    def close(self) -> None:
        """Frees it, on the thread that created it; nothing may run any more."""
        self._context = None  # before the engine that it belongs to
        self._engine = None

    @abstractmethod
    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool: ...


class TensorPlan(Plan):
    """TensorRT from 8.5 on: tensors by name."""

    def __init__(self, engine: Any, input_mode: Any) -> None:
        super().__init__(engine)
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            tensor = PlanTensor(name, tuple(engine.get_tensor_shape(name)), _dtype(engine.get_tensor_dtype(name)))
            (self.inputs if engine.get_tensor_mode(name) == input_mode else self.outputs).append(tensor)

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise RuntimeError(f"TensorRT refuses the address of {name}")
        if not self._context.execute_async_v3(stream):
            raise RuntimeError("TensorRT cannot run the plan")

    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool:
        return self._context.set_input_shape(name, shape)


class BindingPlan(Plan):
    """TensorRT up to 8.6: tensors by their place in a list of addresses."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        self._names = [engine.get_binding_name(i) for i in range(engine.num_bindings)]
        for i, name in enumerate(self._names):
            tensor = PlanTensor(name, tuple(engine.get_binding_shape(i)), _dtype(engine.get_binding_dtype(i)))
            (self.inputs if engine.binding_is_input(i) else self.outputs).append(tensor)

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        if not self._context.execute_async_v2([addresses[name] for name in self._names], stream):
            raise RuntimeError("TensorRT cannot run the plan")

    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool:
        return self._context.set_binding_shape(self._names.index(name), shape)


def _dtype(data_type: Any) -> np.dtype:
    if data_type.name not in DTYPES:
        raise TensorRtError(f"expected a plan of {', '.join(DTYPES)}, got one with {data_type.name}; build it again")
    return DTYPES[data_type.name]
