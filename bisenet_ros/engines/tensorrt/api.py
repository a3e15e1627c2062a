# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Builds plans with every generation of TensorRT's Python API: 8.0 to 8.6, 10, 11, and TensorRT for RTX.

What to call is decided by what the module offers, not by its version.
"""

from __future__ import annotations

import importlib
import importlib.util
import logging
import os
from typing import Any, NamedTuple, Optional, Tuple

from bisenet_ros.engines.cuda.libcuda import require_gpu
from bisenet_ros.engines.tensorrt.log import log_of
from bisenet_ros.engines.tensorrt.plan import PRECISIONS, BindingPlan, Plan, TensorPlan, TensorRtError
from bisenet_ros.files.installed_package import installed_version

MODULES = ("tensorrt", "tensorrt_rtx")
WORKSPACE = 1 << 30
"""Bytes that a layer may use while it runs. TensorRT before 8.4 allows none by itself; a Jetson shares its memory."""
TACTIC_SOURCES = "BISENET_TENSORRT_TACTIC_SOURCES"
"""An environment variable: the names of `tensorrt.TacticSource` to build with, separated by commas. For a machine that
lacks cuDNN or cuBLAS."""

WITHOUT_INT8 = ((5, 3), (6, 0), (6, 2))
"""Compute capabilities without int8 arithmetic: Jetson TX1 and Nano, Tesla P100, Jetson TX2."""
NO_INT8 = "this GPU has no int8 arithmetic (a Jetson TX2 has none); choose precision fp16"
LEAST_CAPABILITIES = (((10, 5), (7, 5)), ((10, 0), (7, 0)))
"""Versions of TensorRT, and the lowest compute capability from each on: Turing, before that Volta."""

logger = logging.getLogger(__name__)


class BuiltPlan(NamedTuple):
    """A serialized plan, and the timing cache it was built with: empty where there is none."""

    plan: bytes
    timing_cache: bytes


def load_tensorrt() -> TensorRt:
    """TensorRT as it is installed here, or TensorRT for RTX.

    Raises:
        TensorRtError: none is installed, or it cannot be imported.
        GpuError: it needs a driver and a GPU and there are none. TensorRT for RTX needs them only to load a plan.
    """
    name = next((name for name in MODULES if importlib.util.find_spec(name)), None)
    if name is None:
        raise TensorRtError(
            f"{' or '.join(MODULES)} is not installed; a Jetson has TensorRT in JetPack, for other GPUs docs/gpu.md "
            "has the packages that fit the driver"
        )
    if name == "tensorrt":
        require_gpu()
    try:
        return TensorRt(importlib.import_module(name))
    except (ImportError, OSError) as error:
        raise TensorRtError(f"{name} is installed but cannot be imported: {error}; install it again") from error


class TensorRt:
    """One of TensorRT's modules.

    Attributes:
        flavor: "tensorrt" or "tensorrt_rtx".
        version: the module's own.
        has_fp16_flag: whether the builder has fp16; if not, the model's weights must be fp16.
        has_uint8: whether frames and masks may be uint8: from 8.5 on.
    """

    def __init__(self, module: Any) -> None:
        self._module = module
        self.flavor: str = module.__name__
        self.version: str = module.__version__
        self.has_fp16_flag = hasattr(module.BuilderFlag, "FP16")
        self.has_uint8 = hasattr(module.DataType, "UINT8")

    def require_gpu(self, compute_capability: Tuple[int, int]) -> None:
        """Raises TensorRtError for a GPU that this TensorRT has no kernels for; it would say so only while building."""
        text = f"{self.name} takes no GPU of compute capability {compute_capability[0]}.{compute_capability[1]}"
        if self.flavor == "tensorrt_rtx":
            if not hasattr(self._module.ComputeCapability, _architecture(compute_capability)):
                raise TensorRtError(f"{text}; install TensorRT as docs/gpu.md says")
            return
        version = tuple(map(int, self.version.split(".")[:2]))
        least = next((capability for since, capability in LEAST_CAPABILITIES if version >= since), (0, 0))
        if compute_capability < least:
            needed = "{}.{}".format(*least)
            raise TensorRtError(f"{text}, it needs {needed}; install TensorRT 8.6, or choose device cpu")

    def require_precision(self, precision: str, compute_capability: Tuple[int, int]) -> None:
        """Raises TensorRtError for int8 on a GPU that does not have it; TensorRT would say so only while building."""
        if precision == "int8" and compute_capability in WITHOUT_INT8:
            raise TensorRtError(NO_INT8)

    def build(
        self,
        model: bytes,
        *,
        precision: str,
        max_batch: int,
        timing_cache: bytes = b"",
        compute_capability: Optional[Tuple[int, int]] = None,
    ) -> BuiltPlan:
        """Builds a plan for this machine's GPU, which may take minutes. Other Python threads go on meanwhile.

        Args:
            model: an ONNX model, which is quantized where precision is int8, and in fp16 where precision is fp16 and
                there is no flag for it.
            precision: "fp32" (then TF32 is off), "fp16" or "int8".
            max_batch: the most frames in a batch; above 1 the first dimension of the model's inputs is dynamic.
            timing_cache: of an earlier build; one that does not fit is not used.
            compute_capability: of the GPU that TensorRT for RTX, which uses none itself, builds for; None for all.

        Raises:
            TensorRtError: the model or the precision is not available here.
            ValueError: an unknown precision.
        """
        if precision not in PRECISIONS:
            raise ValueError(f"precision must be one of {', '.join(PRECISIONS)}, got {precision!r}")
        trt, log = self._module, log_of(self._module)
        log.errors.clear()
        builder = trt.Builder(log)
        explicit_batch = getattr(trt.NetworkDefinitionCreationFlag, "EXPLICIT_BATCH", None)
        network = builder.create_network(0 if explicit_batch is None else 1 << int(explicit_batch))
        parser = trt.OnnxParser(network, log)  # the network uses its memory until the plan is built
        if not parser.parse(model):
            errors = [parser.get_error(i) for i in range(parser.num_errors)]
            reasons = [f"{error.desc()} (node {error.node()})" for error in errors]
            raise TensorRtError(f"{self.name} does not take the model: {'; '.join(reasons) or log.reason()}")
        config = builder.create_builder_config()
        self._set_workspace(config)
        self._set_precision(builder, config, precision)
        self._set_tactic_sources(config)
        self._set_batches(builder, config, network, max_batch)
        if self.flavor == "tensorrt_rtx":
            self._set_target(config, compute_capability)
        if self._has_timing_cache:
            _set_timing_cache(config, timing_cache, log)
        plan = builder.build_serialized_network(network, config)
        if plan is None:
            raise TensorRtError(f"{self.name} cannot build a plan of the model: {log.reason()}")
        timings = bytes(config.get_timing_cache().serialize()) if self._has_timing_cache else b""
        return BuiltPlan(bytes(plan), timings)

    def load(self, plan: bytes, *, kernels: bytes = b"") -> Plan:
        """A plan that is ready to run. Loading one runs what it contains: only ever load what was built here.

        Args:
            plan: as `build` returned it, of the same version and GPU.
            kernels: what an earlier run gave to `Plan.keep_kernels`; those that do not fit are compiled again.

        Raises:
            TensorRtError: the plan is not for this GPU or version.
            GpuError: there is no driver or no GPU.
        """
        require_gpu()
        log = log_of(self._module)
        log.errors.clear()
        engine = self._module.Runtime(log).deserialize_cuda_engine(plan)
        if engine is None:
            raise TensorRtError(f"{self.name} does not take the plan: {log.reason()}")
        if not hasattr(engine, "num_io_tensors"):  # before 8.5
            return BindingPlan(engine)
        return TensorPlan(engine, self._module.TensorIOMode.INPUT, *self._context_option(engine, kernels))

    def _context_option(self, engine: Any, kernels: bytes) -> Tuple[Any, Any]:
        """How the plan's contexts are made so that the caller allocates their workspace; None before TensorRT 10.1.

        Contexts run one after another, so that one workspace serves all. For RTX a graph also needs it to be ours.

        Returns:
            It, and its cache of compiled kernels; None where there is none. It refers to the cache and does not own it.
        """
        if not hasattr(engine, "device_memory_size_v2"):
            return None, None
        strategy = self._module.ExecutionContextAllocationStrategy.USER_MANAGED
        if not hasattr(engine, "create_runtime_config"):  # before 10.11
            return strategy, None
        config = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(strategy)
        if self.flavor != "tensorrt_rtx":
            return config, None
        # By default kernels for a new shape are compiled beside a slower one, which a graph would keep for ever.
        strategies = self._module.DynamicShapesKernelSpecializationStrategy
        config.dynamic_shapes_kernel_specialization_strategy = strategies.EAGER
        cache = config.create_runtime_cache()
        if kernels and not cache.deserialize(kernels):
            logger.warning("the kernels that %s compiled before do not fit, and are compiled again", self.name)
        config.set_runtime_cache(cache)
        return config, cache

    @property
    def name(self) -> str:
        """For people."""
        return f"{'TensorRT for RTX' if self.flavor == 'tensorrt_rtx' else 'TensorRT'} {self.version}"

    @property
    def cuda_package(self) -> str:
        """The pip package that its libraries are in, which names the CUDA they are for; empty with JetPack or apt."""
        packages = (f"{self.flavor}_{cuda}" for cuda in ("cu13", "cu12", "cu11"))
        return next((package for package in packages if installed_version(package)), "")

    @property
    def _has_timing_cache(self) -> bool:
        return self.flavor == "tensorrt"  # the other has the calls, but they are empty and warn

    def _set_workspace(self, config: Any) -> None:
        if hasattr(config, "set_memory_pool_limit"):
            config.set_memory_pool_limit(self._module.MemoryPoolType.WORKSPACE, WORKSPACE)
        else:
            config.max_workspace_size = WORKSPACE

    def _set_precision(self, builder: Any, config: Any, precision: str) -> None:
        flags = self._module.BuilderFlag
        if precision == "fp32":
            config.clear_flag(flags.TF32)  # on by default, with 10 bits of mantissa
            return
        if not getattr(builder, f"platform_has_fast_{precision}", True):
            if precision == "int8":
                raise TensorRtError(NO_INT8)
            logger.warning("this GPU computes no faster in fp16 than in fp32")
        if precision == "int8" and self.flavor == "tensorrt_rtx":
            logger.warning("TensorRT for RTX documents no convolutions in int8; compare its speed with that of fp16")
        if hasattr(flags, "FP16"):
            config.set_flag(flags.FP16)  # with int8 too: for what is not quantized
        if precision == "int8" and hasattr(flags, "INT8"):
            config.set_flag(flags.INT8)

    def _set_tactic_sources(self, config: Any) -> None:
        names = [name.strip() for name in os.environ.get(TACTIC_SOURCES, "").split(",") if name.strip()]
        if not names:
            return
        sources = self._module.TacticSource
        unknown = [name for name in names if not hasattr(sources, name)]
        if unknown:
            raise TensorRtError(f"{TACTIC_SOURCES} must name sources that {self.name} has, got {', '.join(unknown)}")
        if not config.set_tactic_sources(sum(1 << int(getattr(sources, name)) for name in names)):
            reason = log_of(self._module).reason()
            raise TensorRtError(f"{self.name} refuses the tactic sources {', '.join(names)}: {reason}")

    def _set_target(self, config: Any, compute_capability: Optional[Tuple[int, int]]) -> None:
        """For RTX: builds for the GPU that is there, as the default leaves Turing out, and for graphs to record it."""
        config.set_flag(self._module.BuilderFlag.REQUIRE_USER_ALLOCATION)
        if compute_capability:
            target = getattr(self._module.ComputeCapability, _architecture(compute_capability))
            config.num_compute_capabilities = 1
            config.set_compute_capability(target, 0)

    def _set_batches(self, builder: Any, config: Any, network: Any, max_batch: int) -> None:
        """Lets dynamic batches be 1 to `max_batch`: one profile is fastest at the largest, a second is for 1 alone."""
        tensors = [network.get_input(i) for i in range(network.num_inputs)]
        shapes = {tensor.name: tuple(tensor.shape) for tensor in tensors}
        expected = "a fixed size and a dynamic batch" if max_batch > 1 else "a fixed size"
        for name, shape in shapes.items():
            if -1 in shape[1:] or (max_batch > 1 and shape[0] != -1):
                raise TensorRtError(f"expected the model's input {name} to have {expected}, got the shape {shape}")
        dynamic = {name: shape[1:] for name, shape in shapes.items() if shape[0] == -1}
        if not dynamic:
            return
        for largest in sorted({max_batch, 1}, reverse=True):
            profile = builder.create_optimization_profile()
            for name, rest in dynamic.items():
                profile.set_shape(name, (1, *rest), (largest, *rest), (largest, *rest))
            config.add_optimization_profile(profile)


def _architecture(compute_capability: Tuple[int, int]) -> str:
    """Its name in TensorRT for RTX, such as SM89."""
    return "SM{}{}".format(*compute_capability)


def _set_timing_cache(config: Any, content: bytes, log: Any) -> None:
    """Gives a build the timings of earlier ones; an empty cache where TensorRT refuses them.

    TensorRT 8.5 refuses what it wrote itself in another build, where Myelin's part is in it (seen on an H200).
    """
    with log.expected_errors():
        cache = config.create_timing_cache(content)
        if cache is not None and config.set_timing_cache(cache, False):
            return
    logger.info("the timings of an earlier build do not fit; everything is timed again")
    config.set_timing_cache(config.create_timing_cache(b""), False)
