# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Modules in TensorRT's place that have exactly the names of one generation of its Python API.

tensorrt_names.json holds the names: for TensorRT read from the sources of NVIDIA's bindings (releases 8.0.1, 8.2.1,
8.4.3, 8.5.3, 8.6.1, 10.3.0, 10.13.0, 11.1), for TensorRT for RTX from the module 1.7.1 itself. Any other name is an
AttributeError, in reading and in writing. What is called or written is kept in `calls`.
"""

from __future__ import annotations

import json
import weakref
from enum import IntEnum
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, Callable, Dict, List, Tuple

NAMES: Dict[str, Dict[str, str]] = json.loads(Path(__file__).with_name("tensorrt_names.json").read_text())
GENERATIONS = tuple(NAMES)
ENUMS = (
    "BuilderFlag",
    "NetworkDefinitionCreationFlag",
    "MemoryPoolType",
    "TacticSource",
    "DataType",
    "TensorIOMode",
    "ComputeCapability",
    "ExecutionContextAllocationStrategy",
    "DynamicShapesKernelSpecializationStrategy",
)
VERSIONS = {
    "8.0": "8.0.1.6",
    "8.2": "8.2.1.8",
    "8.4": "8.4.3.1",
    "8.5": "8.5.3.1",
    "8.6": "8.6.1",
    "10.3": "10.3.0",
    "10": "10.13.0.35",
    "11": "11.1.0.1",
}

INPUTS = {"frames": ((-1, 4, 6, 3), "FLOAT")}
WORKSPACE_SIZE = 1 << 20
OUTPUTS = {"mask": ((-1, 4, 6), "INT32"), "confidence": ((-1, 4, 6), "HALF")}


class _Object:
    """Something of a TensorRT class; `behavior` is what its attributes hold, a function being a method."""

    def __init__(self, module: FakeTensorRtModule, kind: str, behavior: Dict[str, Any]) -> None:
        offered = {name: behavior[name] for name in set(behavior) & set(module.names(kind))}
        vars(self).update(_module=module, _kind=kind, _behavior=offered)

    def __getattr__(self, name: str) -> Any:
        if name not in self._behavior:
            raise AttributeError(f"{self._kind} of {self._module.__name__} {self._module.__version__} has no {name}")
        value = self._behavior[name]
        return self._module.recorded(name, value) if callable(value) else value

    def __setattr__(self, name: str, value: Any) -> None:
        if name not in self._module.names(self._kind):
            raise AttributeError(f"{self._kind} has no {name}")
        self._module.calls.append((name, value))


class FakeTensorRtModule(ModuleType):
    """One generation's module.

    Attributes:
        calls: (name, *arguments) of every method called and (name, value) of every attribute set, in order.
        answers: what methods return in place of their usual answer, by name.
        profiles: of the plans that are loaded.
        active_profile: of the context that is created next.
        contexts: how many were created.
        kernel_cache: a weak reference to the cache that the last IRuntimeConfig was given.
    """

    def __init__(self, generation: str) -> None:
        super().__init__("tensorrt_rtx" if generation == "tensorrt_rtx" else "tensorrt")
        self.__version__ = VERSIONS.get(generation, "1.7.1.116")
        self.calls: List[Tuple] = []
        self.answers: Dict[str, Any] = {}
        self.profiles = 1
        self.active_profile = 0
        self.contexts = 0
        self.kernel_cache: Any = None
        self._names = {kind: names.split() for kind, names in NAMES[generation].items()}
        for kind in set(ENUMS) & set(self._names):
            setattr(self, kind, IntEnum(kind, self._names[kind], start=0))
        self.ILogger = _logger_class()

    def names(self, kind: str) -> List[str]:
        return self._names[kind]

    def recorded(self, name: str, function: Callable) -> Callable:
        def call(*arguments: Any) -> Any:
            self.calls.append((name, *(weakref.proxy(it) if isinstance(it, _Object) else it for it in arguments)))
            return self.answers[name] if name in self.answers else function(*arguments)

        return call

    def called(self) -> List[str]:
        """The names of `calls`."""
        return [name for name, *_ in self.calls]

    def Builder(self, log: Any) -> _Object:
        assert isinstance(log, self.ILogger)
        network = SimpleNamespace(
            num_inputs=len(INPUTS),
            get_input=lambda i: SimpleNamespace(name=list(INPUTS)[i], shape=list(INPUTS.values())[i][0]),
        )
        behavior = {
            "platform_has_fast_fp16": self.answers.get("platform_has_fast_fp16", True),
            "platform_has_fast_int8": self.answers.get("platform_has_fast_int8", True),
            "create_network": lambda flags: network,
            "create_builder_config": self._config,
            "create_optimization_profile": lambda: _Object(
                self, "IOptimizationProfile", {"set_shape": lambda *shapes: None}
            ),
            "build_serialized_network": lambda network, config: b"plan",
        }
        return _Object(self, "Builder", behavior)

    def OnnxParser(self, network: Any, log: Any) -> _Object:
        assert isinstance(log, self.ILogger)
        behavior = {
            "parse": lambda model: True,
            "num_errors": 1,
            "get_error": lambda i: SimpleNamespace(desc=lambda: "no such operator", node=lambda: 7),
        }
        return _Object(self, "OnnxParser", behavior)

    def _config(self) -> _Object:
        timing = _Object(self, "ITimingCache", {"serialize": lambda: b"timings"})
        behavior = {
            "set_memory_pool_limit": lambda pool, size: None,
            "set_flag": lambda flag: None,
            "clear_flag": lambda flag: None,
            "set_tactic_sources": lambda sources: True,
            "add_optimization_profile": lambda profile: 0,
            "create_timing_cache": lambda content: timing,
            "set_timing_cache": lambda cache, ignore_mismatch: True,
            "get_timing_cache": lambda: timing,
            "set_compute_capability": lambda capability, index: True,
        }
        return _Object(self, "IBuilderConfig", behavior)

    def Runtime(self, log: Any) -> _Object:
        assert isinstance(log, self.ILogger)
        return _Object(self, "Runtime", {"deserialize_cuda_engine": lambda plan: self._engine()})

    def _engine(self) -> _Object:
        tensors = {**OUTPUTS, **INPUTS}  # a tensor's place is not its rank among the inputs
        names = list(tensors)
        modes = getattr(self, "TensorIOMode", None)
        behavior = {
            "num_optimization_profiles": self.profiles,
            "num_bindings": len(names) * self.profiles,
            "get_binding_name": lambda i: names[i],
            "get_binding_shape": lambda i: tensors[names[i]][0],
            "get_binding_dtype": lambda i: self.DataType[tensors[names[i]][1]],
            "binding_is_input": lambda i: names[i] in INPUTS,
            "device_memory_size_v2": WORKSPACE_SIZE,
            "create_runtime_config": self._runtime_config,
            "num_io_tensors": len(names),
            "get_tensor_name": lambda i: names[i],
            "get_tensor_shape": lambda name: tensors[name][0],
            "get_tensor_dtype": lambda name: self.DataType[tensors[name][1]],
            "get_tensor_mode": lambda name: modes.INPUT if name in INPUTS else modes.OUTPUT,
            "create_execution_context": self._context,
        }
        return _Object(self, "ICudaEngine", behavior)

    def _runtime_config(self) -> _Object:
        def create_cache() -> _Object:
            behavior = {"deserialize": lambda content: True, "serialize": lambda: b"kernels"}
            return _Object(self, "IRuntimeCache", behavior)

        def refer_to(cache: _Object) -> bool:  # the caller alone keeps it alive, as in TensorRT for RTX
            self.kernel_cache = weakref.ref(cache)
            return True

        behavior = {
            "set_execution_context_allocation_strategy": lambda strategy: None,
            "create_runtime_cache": create_cache,
            "set_runtime_cache": refer_to,
        }
        return _Object(self, "IRuntimeConfig", behavior)

    def _context(self, *config: Any) -> _Object:
        if config:
            assert hasattr(self, "ExecutionContextAllocationStrategy")
            assert self.kernel_cache is None or self.kernel_cache(), "the config refers to a cache that is gone"
        self.contexts += 1
        behavior = {
            "set_optimization_profile_async": lambda profile, stream: True,
            "active_optimization_profile": self.active_profile,
            "set_device_memory": lambda address, size: None,
            "is_stream_capturable": lambda stream: True,
            "set_binding_shape": lambda index, shape: True,
            "execute_async_v2": lambda bindings, stream: True,
            "set_input_shape": lambda name, shape: True,
            "set_tensor_address": lambda name, address: True,
            "execute_async_v3": lambda stream: True,
        }
        return _Object(self, "IExecutionContext", behavior)


def _logger_class() -> type:
    class ILogger:
        Severity = IntEnum("Severity", "INTERNAL_ERROR ERROR WARNING INFO VERBOSE", start=0)

    return ILogger
