# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT's plans: networks that it has compiled for one GPU, one frame size and one precision.

A plan is a file; an engine (`TensorRtEngine`) is what segments frames, with the plans that it needs. TensorRT itself
calls a loaded plan an engine too. Nothing here touches CUDA memory: addresses and streams come from the caller, on
whose thread everything happens.
"""

from abc import ABC, abstractmethod
from typing import Any, Callable, Dict, List, NamedTuple, Tuple

import numpy as np

from bisenet_ros.engines.engine import EngineError

PRECISIONS = ("fp32", "fp16", "int8")
MASK, LOGITS, NETWORK = "mask", "logits", "network"
"""A plan's tail: what is computed last in it. With "mask" the plan upsamples the logits and takes their argmax; with
"logits" it ends before, and our own kernel does that; "network" is for timing, without resizing and normalization. See
`wrap_network`."""

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

    A context runs it. There is one for each batch size, so that a CUDA graph of each stays valid. Before TensorRT 10
    two contexts cannot share a profile: there one serves batches of 1, and another all larger ones.

    Attributes:
        inputs, outputs: what it takes and gives.
        workspace_size: the bytes that the caller must allocate for its layers; 0 where TensorRT does so itself.
        workspace: the address of that memory, to be set before the first `prepare`.
        keep_kernels: called with the kernels that TensorRT for RTX compiled at the first run of a batch size.
    """

    def __init__(self, engine: Any, option: Any = None, kernel_cache: Any = None) -> None:
        """
        Args:
            engine: TensorRT's ICudaEngine.
            option: of its contexts, by which the caller allocates the workspace: an IRuntimeConfig, or before TensorRT
                10.11 an ExecutionContextAllocationStrategy; None where there is neither.
            kernel_cache: the IRuntimeCache that the option refers to, of TensorRT for RTX.
        """
        self._engine = engine
        self._option = option
        self._kernel_cache = kernel_cache  # the option does not own it: it must outlive it and the contexts
        self._context: Any = None
        self._contexts: Dict[int, Any] = {}
        self._batches: Dict[int, int] = {}  # what each context is set to
        self.workspace_size = 0 if option is None else engine.device_memory_size_v2
        self.workspace = 0
        self.keep_kernels: Callable[[bytes], None] = lambda kernels: None
        self.inputs: List[PlanTensor] = []
        self.outputs: List[PlanTensor] = []

    def prepare(self, batch: int, stream: int) -> bool:
        """Sets how many frames the next `enqueue` takes; whether graphs captured with as many are still valid."""
        place = 1 if batch == 1 else self._place(batch)
        if place not in self._contexts:
            self._contexts[place] = self._create_context(profile=self._profile(batch), stream=stream)
        self._context = self._contexts[place]
        if self._batches.get(place) == batch:
            return True
        self._batches.pop(place, None)
        for tensor in self.inputs:
            if tensor.shape[0] == -1 and not self._set_shape(tensor.name, (batch, *tensor.shape[1:])):
                raise TensorRtError(f"the plan takes no batch of {batch}; build it with a larger max_batch")
        self._batches[place] = batch
        return False

    @abstractmethod
    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        """Puts one run on a CUDA stream and returns.

        Args:
            addresses: of every input and output, by name, in device memory.
            stream: the stream's handle.
        """

    def is_capturable(self, stream: int) -> bool:
        """Whether a CUDA graph can record a run; TensorRT for RTX says so, the others try."""
        return not hasattr(self._context, "is_stream_capturable") or self._context.is_stream_capturable(stream)

    def keep_compiled_kernels(self) -> None:
        """Hands what TensorRT for RTX has compiled so far to `keep_kernels`."""
        if self._kernel_cache is not None:
            self.keep_kernels(bytes(self._kernel_cache.serialize()))

    def close(self) -> None:
        """Frees it, on the thread that created it; nothing may run any more."""
        self._context = None  # contexts before the engine that they belong to
        self._contexts.clear()
        self._option = self._engine = None
        self._kernel_cache = None

    def _create_context(self, *, profile: int, stream: int) -> Any:
        context = self._engine.create_execution_context(*([] if self._option is None else [self._option]))
        if context is None:
            raise RuntimeError("the GPU has no room for the plan; see `nvidia-smi` for who uses its memory")
        if self.workspace_size:
            context.set_device_memory(self.workspace, self.workspace_size)
        several = self._engine.num_optimization_profiles > 1
        if several and not context.set_optimization_profile_async(profile, stream):
            raise RuntimeError(f"TensorRT refuses the plan's profile {profile}")
        return context

    def _place(self, batch: int) -> int:
        """Under which number the context for a batch of several frames is kept."""
        return batch

    def _profile(self, batch: int) -> int:
        """A plan for several frames at once has a second profile, for 1; see `TensorRt.build`."""
        return 1 if batch == 1 and self._engine.num_optimization_profiles > 1 else 0

    @abstractmethod
    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool: ...


class TensorPlan(Plan):
    """TensorRT from 8.5 on: tensors by name."""

    def __init__(self, engine: Any, input_mode: Any, option: Any = None, kernel_cache: Any = None) -> None:
        super().__init__(engine, option, kernel_cache)
        for name in map(engine.get_tensor_name, range(engine.num_io_tensors)):
            tensor = PlanTensor(name, tuple(engine.get_tensor_shape(name)), _dtype(engine.get_tensor_dtype(name)))
            (self.inputs if engine.get_tensor_mode(name) == input_mode else self.outputs).append(tensor)

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        for name, address in addresses.items():
            if not self._context.set_tensor_address(name, address):
                raise RuntimeError(f"TensorRT refuses the address of {name}")
        if not self._context.execute_async_v3(stream):
            raise RuntimeError("TensorRT cannot run the plan")

    def _place(self, batch: int) -> int:
        return 0 if hasattr(self._engine, "num_bindings") else batch  # which TensorRT 10 no longer has

    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool:
        return self._context.set_input_shape(name, shape)


class BindingPlan(Plan):
    """TensorRT up to 8.6: tensors by their place in a list of addresses, which has a part for each profile."""

    def __init__(self, engine: Any) -> None:
        super().__init__(engine)
        count = engine.num_bindings // engine.num_optimization_profiles
        self._names = [engine.get_binding_name(i) for i in range(count)]
        for i, name in enumerate(self._names):
            tensor = PlanTensor(name, tuple(engine.get_binding_shape(i)), _dtype(engine.get_binding_dtype(i)))
            (self.inputs if engine.binding_is_input(i) else self.outputs).append(tensor)

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        bindings = [0] * self._engine.num_bindings
        first = self._first_binding()
        bindings[first : first + len(self._names)] = [addresses[name] for name in self._names]
        if not self._context.execute_async_v2(bindings, stream):
            raise RuntimeError("TensorRT cannot run the plan")

    def _place(self, batch: int) -> int:
        return 0

    def _first_binding(self) -> int:
        return len(self._names) * self._context.active_optimization_profile

    def _set_shape(self, name: str, shape: Tuple[int, ...]) -> bool:
        return self._context.set_binding_shape(self._first_binding() + self._names.index(name), shape)


def _dtype(data_type: Any) -> np.dtype:
    if data_type.name not in DTYPES:
        raise TensorRtError(f"expected a plan of {', '.join(DTYPES)}, got one with {data_type.name}; build it again")
    return DTYPES[data_type.name]
