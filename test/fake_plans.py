# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""In TensorRT's place on the stub GPU: a plan is the wrapped ONNX itself, and ONNX Runtime runs it in its turn."""

from __future__ import annotations

import ctypes
from typing import Any, Callable, Dict, List, Sequence, Set, Tuple, Union

import numpy as np
import onnxruntime
from stub_gpu import stub_gpu

from bisenet_ros.engines.tensorrt.api import BuiltPlan
from bisenet_ros.engines.tensorrt.plan import PlanTensor, TensorRtError

DTYPES = {"tensor(uint8)": np.uint8, "tensor(int32)": np.int32, "tensor(float)": np.float32}
HOST_FUNCTION = ctypes.CFUNCTYPE(None, ctypes.c_void_p)


class FakeTensorRt:
    """What the engine uses of `TensorRt`.

    Attributes:
        built: how many plans were built.
        enqueued: how often one was put on a stream.
        plans: those that are loaded.
        fails: the next run of a plan raises.
        errors: of runs on a stream.
    """

    flavor, version, name, cuda_package = "tensorrt", "0.host", "TensorRT on the host", ""
    has_fp16_flag, bindings = True, False

    def __init__(self, *, has_uint8: bool = True) -> None:
        self.has_uint8 = has_uint8
        self.built = 0
        self.enqueued = 0
        self.fails = False
        self.errors: List[Exception] = []
        self.plans: List[FakePlan] = []

    def require_gpu(self, compute_capability: Tuple[int, int]) -> None:
        pass

    def require_precision(self, precision: str, compute_capability: Tuple[int, int]) -> None:
        pass

    def build(self, model: bytes, *, precision: str, max_batch: int, **options: Any) -> BuiltPlan:
        self.built += 1
        return BuiltPlan(f"{max_batch}\n".encode() + model, b"")

    def load(self, plan: bytes, *, kernels: bytes = b"") -> FakePlan:
        self.plans.append(FakePlan(self, plan))
        return self.plans[-1]


class FakePlan:
    """Like one of TensorRT 10: it has a context for each batch size, and a workspace that the caller allocates."""

    workspace_size = 4096

    def __init__(self, tensorrt: FakeTensorRt, plan: bytes) -> None:
        self._tensorrt = tensorrt
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        max_batch, _, model = plan.partition(b"\n")
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
            self._max_batch = int(max_batch)
        except Exception as error:  # ONNX Runtime has many
            raise TensorRtError(f"it does not take the plan: {error}") from error
        self.inputs, self.outputs = (
            [PlanTensor(value.name, _shape(value.shape), np.dtype(DTYPES[value.type])) for value in values]
            for values in (self._session.get_inputs(), self._session.get_outputs())
        )
        self._batch = 0
        self._prepared: Set[int] = set()
        self._runs: List = []  # what a stream or a graph may still call
        self.workspace = 0
        self.keep_kernels: Callable[[bytes], None]

    def prepare(self, batch: int, stream: int) -> bool:
        assert 1 <= batch <= self._max_batch and (batch == 1 or self.inputs[0].shape[0] == -1)
        assert stream and self.workspace
        was_prepared, self._batch = batch in self._prepared, batch
        self._prepared.add(batch)
        return was_prepared

    def is_capturable(self, stream: int) -> bool:
        return bool(stream)

    def keep_compiled_kernels(self) -> None:
        self.keep_kernels(b"")

    def enqueue(self, addresses: Dict[str, int], stream: int) -> None:
        if self._tensorrt.fails:
            self._tensorrt.fails = False
            raise RuntimeError("TensorRT cannot run the plan")
        self._tensorrt.enqueued += 1
        batch = self._batch

        def run(_) -> None:
            try:
                self._run(addresses, batch)
            except Exception as error:  # ctypes would only print it
                self._tensorrt.errors.append(error)

        self._runs.append(HOST_FUNCTION(run))
        stub_gpu().launch_host_function(stream, self._runs[-1])

    def _run(self, addresses: Dict[str, int], batch: int) -> None:
        (given,), (wanted,) = (
            [tensor._replace(shape=(batch, *tensor.shape[1:])) for tensor in tensors]
            for tensors in (self.inputs, self.outputs)
        )
        (result,) = self._session.run(None, {given.name: _view(addresses[given.name], given)})
        assert result.shape == wanted.shape and result.dtype == wanted.dtype
        _view(addresses[wanted.name], wanted)[:] = result

    def close(self) -> None:
        self._tensorrt.plans.remove(self)


def _view(address: int, tensor: PlanTensor) -> np.ndarray:
    """The device's memory, which is the host's."""
    size = int(np.prod(tensor.shape)) * tensor.dtype.itemsize
    return np.frombuffer((ctypes.c_ubyte * size).from_address(address), tensor.dtype).reshape(tensor.shape)


def _shape(shape: Sequence[Union[int, str]]) -> Tuple[int, ...]:
    """A batch that changes has a name in ONNX Runtime, and is -1 in TensorRT."""
    return tuple(-1 if isinstance(side, str) else side for side in shape)
