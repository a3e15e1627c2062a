# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""TensorRT's adapter: on the recorded names of each generation, and on the real TensorRT for RTX."""

from __future__ import annotations

import importlib.util
import logging
import sys
from importlib.machinery import ModuleSpec

import numpy as np
import pytest
from fake_tensorrt import GENERATIONS, WORKSPACE_SIZE, FakeTensorRtModule
from onnx import TensorProto, helper

from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.tensorrt import api as tensorrt_api
from bisenet_ros.engines.tensorrt.api import TACTIC_SOURCES, WORKSPACE, TensorRt, load_tensorrt
from bisenet_ros.engines.tensorrt.log import log_of
from bisenet_ros.engines.tensorrt.plan import BindingPlan, TensorPlan, TensorRtError

WITH_FLAGS = ("8.0", "8.2", "8.4", "8.5", "8.6", "10.3", "10")
"""Where precision is the builder's part."""
BINDINGS_ALONE = ("8.0", "8.2", "8.4")
WITHOUT_POOLS = ("8.0", "8.2")
OUR_WORKSPACE = ("10.3", "10", "11", "tensorrt_rtx")
"""Where the caller allocates the workspace, and contexts can share a profile."""


@pytest.fixture(params=GENERATIONS)
def module(request, monkeypatch) -> FakeTensorRtModule:
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    fake = FakeTensorRtModule(request.param)
    fake.generation = request.param
    return fake


def flags_set(module):
    return {flag.name for name, *arguments in module.calls if name == "set_flag" for flag in arguments}


def test_a_build_makes_the_calls_of_its_generation_in_order(module):
    built = TensorRt(module).build(b"model", precision="fp32", max_batch=1, timing_cache=b"before")
    rtx = module.generation == "tensorrt_rtx"
    assert built == (b"plan", b"" if rtx else b"timings")
    assert module.called() == [
        "create_network",
        "parse",
        "create_builder_config",
        "max_workspace_size" if module.generation in WITHOUT_POOLS else "set_memory_pool_limit",
        "clear_flag",
        "create_optimization_profile",
        "set_shape",
        "add_optimization_profile",
        *(["set_flag"] if rtx else []),
        *([] if rtx else ["create_timing_cache", "set_timing_cache"]),
        "build_serialized_network",
        *([] if rtx else ["get_timing_cache", "serialize"]),
    ]
    arguments = {name: values for name, *values in module.calls}
    assert arguments["create_network"] == [
        1 << module.NetworkDefinitionCreationFlag.EXPLICIT_BATCH if module.generation in WITH_FLAGS else 0
    ]
    assert arguments["clear_flag"] == [module.BuilderFlag.TF32]
    if module.generation in WITHOUT_POOLS:
        assert arguments["max_workspace_size"] == [WORKSPACE]
    else:
        assert arguments["set_memory_pool_limit"] == [module.MemoryPoolType.WORKSPACE, WORKSPACE]


@pytest.mark.parametrize("precision, flags", [("fp16", {"FP16"}), ("int8", {"FP16", "INT8"})])
def test_precision_is_a_flag_until_tensorrt_10(module, precision, flags):
    tensorrt = TensorRt(module)
    tensorrt.build(b"model", precision=precision, max_batch=1)
    assert tensorrt.has_fp16_flag == (module.generation in WITH_FLAGS)
    ours = {"REQUIRE_USER_ALLOCATION"} if module.generation == "tensorrt_rtx" else set()
    assert flags_set(module) == (flags if tensorrt.has_fp16_flag else ours)


def test_uint8_begins_with_tensorrt_8_5(module):
    assert TensorRt(module).has_uint8 == (module.generation not in BINDINGS_ALONE)


def test_one_profile_spans_the_batches_and_another_is_for_one_frame(module):
    TensorRt(module).build(b"model", precision="fp32", max_batch=8)
    assert [call for call in module.calls if call[0] == "set_shape"] == [
        ("set_shape", "frames", (1, 4, 6, 3), (8, 4, 6, 3), (8, 4, 6, 3)),
        ("set_shape", "frames", (1, 4, 6, 3), (1, 4, 6, 3), (1, 4, 6, 3)),
    ]


def test_rtx_builds_for_the_gpu_that_is_there():
    module = FakeTensorRtModule("tensorrt_rtx")
    TensorRt(module).build(b"model", precision="fp16", max_batch=1, compute_capability=(7, 5))
    assert ("num_compute_capabilities", 1) in module.calls
    assert ("set_compute_capability", module.ComputeCapability.SM75, 0) in module.calls


@pytest.mark.parametrize(
    "generation, compute_capability, advice",
    [
        (
            "tensorrt_rtx",
            (9, 0),
            "takes no GPU of compute capability 9.0; install TensorRT as docs/gpu.md says",
        ),
        ("10", (7, 2), "takes no GPU of compute capability 7.2, it needs 7.5; install TensorRT 8.6"),
        ("10.3", (6, 1), "takes no GPU of compute capability 6.1, it needs 7.0; install TensorRT 8.6"),
        ("11", (6, 1), "takes no GPU of compute capability 6.1, it needs 7.5"),
    ],
)
def test_a_gpu_that_tensorrt_has_no_kernels_for_is_refused_at_the_start(generation, compute_capability, advice):
    with pytest.raises(TensorRtError, match=advice):
        TensorRt(FakeTensorRtModule(generation)).require_gpu(compute_capability)


def test_volta_is_taken_by_the_last_versions_that_have_it():
    TensorRt(FakeTensorRtModule("10.3")).require_gpu((7, 0))
    TensorRt(FakeTensorRtModule("8.6")).require_gpu((5, 3))


def test_int8_is_refused_at_the_start_where_the_gpu_has_none():
    tensorrt = TensorRt(FakeTensorRtModule("8.2"))
    with pytest.raises(TensorRtError, match="this GPU has no int8 arithmetic .*; choose precision fp16"):
        tensorrt.require_precision("int8", (6, 2))
    tensorrt.require_precision("fp16", (6, 2))
    tensorrt.require_precision("int8", (6, 1))


@pytest.mark.parametrize("generation, compute_capability", [("8.2", (6, 2)), ("10", (8, 7)), ("tensorrt_rtx", (12, 0))])
def test_a_gpu_that_it_has_kernels_for_is_taken(generation, compute_capability):
    TensorRt(FakeTensorRtModule(generation)).require_gpu(compute_capability)


def test_a_timing_cache_that_does_not_fit_gives_way_to_an_empty_one(caplog):
    caplog.set_level(logging.DEBUG)
    module = FakeTensorRtModule("8.5")
    log, severity = log_of(module), module.ILogger.Severity

    class Refused:
        """As a failed call is: TensorRT reports an error, and returns False."""

        def __bool__(self) -> bool:
            log.log(severity.ERROR, "4: The timing cache will not be used!")
            return False

    module.answers["set_timing_cache"] = Refused()
    TensorRt(module).build(b"model", precision="fp32", max_batch=1, timing_cache=b"of another GPU")
    assert [call[1:] for call in module.calls if call[0] == "create_timing_cache"] == [(b"of another GPU",), (b"",)]
    assert "the timings of an earlier build do not fit" in caplog.text
    levels = {record.levelno for record in caplog.records if "will not be used" in record.getMessage()}
    assert levels == {logging.DEBUG} and log.reason() == "it gives no reason"
    log.log(severity.ERROR, "2: broken")
    assert caplog.records[-1].levelno == logging.ERROR


def test_a_gpu_without_int8_says_so():
    module = FakeTensorRtModule("8.2")
    module.answers["platform_has_fast_int8"] = False
    with pytest.raises(TensorRtError, match="no int8 arithmetic .*TX2.*choose precision fp16"):
        TensorRt(module).build(b"model", precision="int8", max_batch=1)


def test_a_gpu_without_fast_fp16_is_warned_of(caplog):
    module = FakeTensorRtModule("8.6")
    module.answers["platform_has_fast_fp16"] = False
    TensorRt(module).build(b"model", precision="fp16", max_batch=1)
    assert "no faster in fp16" in caplog.text and flags_set(module) == {"FP16"}


def test_tactic_sources_can_be_left_out(monkeypatch):
    module = FakeTensorRtModule("8.5")
    monkeypatch.setenv(TACTIC_SOURCES, "EDGE_MASK_CONVOLUTIONS, JIT_CONVOLUTIONS")
    TensorRt(module).build(b"model", precision="fp32", max_batch=1)
    sources = module.TacticSource
    expected = 1 << sources.EDGE_MASK_CONVOLUTIONS | 1 << sources.JIT_CONVOLUTIONS
    assert ("set_tactic_sources", expected) in module.calls


def test_an_unknown_tactic_source_is_named(monkeypatch):
    monkeypatch.setenv(TACTIC_SOURCES, "CUDNN,MAGIC")
    with pytest.raises(ValueError, match="must name sources that TensorRT 8.5.3.1 has, got MAGIC"):
        TensorRt(FakeTensorRtModule("8.5")).build(b"model", precision="fp32", max_batch=1)


def test_refused_tactic_sources_are_an_error(monkeypatch):
    module = FakeTensorRtModule("8.5")
    module.answers["set_tactic_sources"] = False
    monkeypatch.setenv(TACTIC_SOURCES, "CUDNN")
    with pytest.raises(TensorRtError, match="refuses the tactic sources CUDNN"):
        TensorRt(module).build(b"model", precision="fp32", max_batch=1)


def test_a_model_that_does_not_parse_gives_the_parsers_reason(module):
    module.answers["parse"] = False
    with pytest.raises(TensorRtError, match="does not take the model: no such operator .node 7."):
        TensorRt(module).build(b"model", precision="fp32", max_batch=1)


def test_a_failed_build_gives_what_tensorrt_logged(module, caplog):
    tensorrt = TensorRt(module)
    log = log_of(module)

    def fail(network, config):
        log.log(module.ILogger.Severity.VERBOSE, "trying a tactic")
        log.log(module.ILogger.Severity.ERROR, "out of memory\n")

    module.recorded = lambda name, function: fail if name == "build_serialized_network" else function
    with caplog.at_level(logging.DEBUG), pytest.raises(TensorRtError, match="cannot build a plan .*: out of memory$"):
        tensorrt.build(b"model", precision="fp32", max_batch=1)
    assert "trying a tactic" not in caplog.text


def test_the_same_warning_is_logged_once(module, caplog):
    log, severity = log_of(module), module.ILogger.Severity
    for message in ("scales become fp32", "weights become fp32", "scales become fp32"):
        log.log(severity.WARNING, message)
    assert len(caplog.records) == 2


def test_an_unknown_precision_is_refused(module):
    with pytest.raises(ValueError, match="precision must be one of fp32, fp16, int8, got 'fp8'"):
        TensorRt(module).build(b"model", precision="fp8", max_batch=1)


ADDRESSES = {"frames": 0x1000, "mask": 0x2000, "confidence": 0x3000}


def test_a_run_makes_the_calls_of_its_generation_in_order(module):
    plan = TensorRt(module).load(b"plan")
    assert plan.inputs == [("frames", (-1, 4, 6, 3), np.float32)]
    assert plan.outputs == [("mask", (-1, 4, 6), np.int32), ("confidence", (-1, 4, 6), np.float16)]
    ours = module.generation in OUR_WORKSPACE
    assert plan.workspace_size == (WORKSPACE_SIZE if ours else 0), "allocated by the caller where TensorRT lets it"
    plan.workspace = 0x4000
    module.calls.clear()
    assert not plan.prepare(2, 77)
    plan.enqueue(ADDRESSES, 77)
    calls = [call for call in module.calls if call[0] != "create_execution_context"]
    memory = [("set_device_memory", 0x4000, WORKSPACE_SIZE)] if ours else []
    if module.generation in BINDINGS_ALONE:
        assert calls == [
            ("set_binding_shape", 2, (2, 4, 6, 3)),
            ("execute_async_v2", [0x2000, 0x3000, 0x1000], 77),
        ]
    else:
        assert calls == [
            *memory,
            ("set_input_shape", "frames", (2, 4, 6, 3)),
            *[("set_tensor_address", name, address) for name, address in ADDRESSES.items()],
            ("execute_async_v3", 77),
        ]
    module.calls.clear()
    assert plan.prepare(2, 77) and not module.calls, "nothing is set twice"
    plan.close()


def test_batch_sizes_have_contexts_of_their_own(module):
    """Before TensorRT 10, whose contexts can share a profile, one for each profile."""
    module.profiles = 2
    plan = TensorRt(module).load(b"plan")
    kept = []
    for batch in (3, 1, 2, 3, 1, 2):
        module.active_profile = 1 if batch == 1 else 0
        kept.append(plan.prepare(batch, 77))
    profiles = [call[1:] for call in module.calls if call[0] == "set_optimization_profile_async"]
    if module.generation in OUR_WORKSPACE:
        assert (module.contexts, kept) == (3, [False, False, False, True, True, True])
        assert profiles == [(0, 77), (1, 77), (0, 77)]
    else:
        assert (module.contexts, kept) == (2, [False, False, False, False, True, False])
        assert profiles == [(0, 77), (1, 77)]


@pytest.mark.parametrize("generation", BINDINGS_ALONE)
def test_a_second_profile_has_bindings_of_its_own(generation, monkeypatch):
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    module = FakeTensorRtModule(generation)
    module.profiles, module.active_profile = 2, 1
    plan = TensorRt(module).load(b"plan")
    plan.prepare(1, 77)
    plan.enqueue(ADDRESSES, 77)
    assert ("set_binding_shape", 5, (1, 4, 6, 3)) in module.calls
    assert module.calls[-1] == ("execute_async_v2", [0, 0, 0, 0x2000, 0x3000, 0x1000], 77)


def test_rtx_keeps_the_kernels_that_it_compiles(monkeypatch):
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    module, kept = FakeTensorRtModule("tensorrt_rtx"), []
    plan = TensorRt(module).load(b"plan", kernels=b"of an earlier run")
    assert ("deserialize", b"of an earlier run") in module.calls
    strategies = module.DynamicShapesKernelSpecializationStrategy
    assert ("dynamic_shapes_kernel_specialization_strategy", strategies.EAGER) in module.calls
    plan.keep_kernels = kept.append
    plan.keep_compiled_kernels()
    assert kept == [b"kernels"]
    plan.prepare(1, 77)
    assert plan.is_capturable(77) and module.calls[-1] == ("is_stream_capturable", 77)


@pytest.mark.parametrize("generation", ["8.5", "8.6"])
def test_bindings_can_be_had_where_there_are_both(generation, monkeypatch):
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    module = FakeTensorRtModule(generation)
    monkeypatch.setattr(tensorrt_api, "TensorPlan", lambda engine, *_: BindingPlan(engine))  # as on 8.4
    plan = TensorRt(module).load(b"plan")
    plan.prepare(2, 77)
    plan.enqueue(ADDRESSES, 77)
    assert "execute_async_v2" in module.called() and "execute_async_v3" not in module.called()
    assert not any("tensor" in name for name in module.called())


def test_what_the_run_refuses_is_an_error(module):
    plan = TensorRt(module).load(b"plan")
    plan.prepare(1, 77)
    for name in ("set_input_shape", "set_binding_shape", "execute_async_v2", "execute_async_v3"):
        module.answers[name] = False
    with pytest.raises(TensorRtError, match="takes no batch of 9"):
        plan.prepare(9, 77)
    with pytest.raises(RuntimeError, match="cannot run the plan"):
        plan.enqueue(ADDRESSES, 77)


def test_a_refused_address_is_named():
    module = FakeTensorRtModule("10")
    plan = TensorPlan(module._engine(), module.TensorIOMode.INPUT)
    plan.prepare(1, 77)
    module.answers["set_tensor_address"] = False
    with pytest.raises(RuntimeError, match="address of frames"):
        plan.enqueue(ADDRESSES, 77)


def test_a_plan_that_does_not_load_is_an_error(module):
    module.answers["deserialize_cuda_engine"] = None
    with pytest.raises(TensorRtError, match="does not take the plan: it gives no reason"):
        TensorRt(module).load(b"plan")


def test_a_plan_without_room_on_the_gpu_is_an_error(module):
    module.answers["create_execution_context"] = None
    with pytest.raises(RuntimeError, match="no room for the plan"):
        TensorRt(module).load(b"plan").prepare(1, 77)


def test_without_a_driver_nothing_is_loaded(monkeypatch):
    def refuse():
        raise GpuError("expected an NVIDIA driver")

    monkeypatch.setattr(tensorrt_api, "require_gpu", refuse)
    module = FakeTensorRtModule("10")
    with pytest.raises(GpuError, match="expected an NVIDIA driver"):
        TensorRt(module).load(b"plan")
    assert module.calls == []
    module.__spec__ = ModuleSpec("tensorrt", None)
    monkeypatch.setitem(sys.modules, "tensorrt", module)
    with pytest.raises(GpuError, match="expected an NVIDIA driver"):
        load_tensorrt()


@pytest.mark.parametrize("generation, other", [("8.2", "tensorrt_rtx"), ("tensorrt_rtx", "tensorrt")])
def test_the_installed_module_is_taken(generation, other, monkeypatch):
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    module = FakeTensorRtModule(generation)
    module.__spec__ = ModuleSpec(module.__name__, None)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    find = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == other else find(name))
    tensorrt = load_tensorrt()
    assert (tensorrt.flavor, tensorrt.version) == (module.__name__, module.__version__)


def test_without_tensorrt_the_message_says_how_to_install_it(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(TensorRtError, match="JetPack.*docs/gpu.md"):
        load_tensorrt()


def test_a_broken_installation_is_named(monkeypatch, tmp_path):
    (tmp_path / "tensorrt.py").write_text("raise ImportError('libnvinfer.so.10: cannot open shared object file')")
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "tensorrt", raising=False)
    with pytest.raises(TensorRtError, match="tensorrt is installed but cannot be imported: libnvinfer.so.10"):
        load_tensorrt()


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    return TensorRt(pytest.importorskip("tensorrt_rtx"))


def tiny_model(*, batch="batch", height=8, kind=TensorProto.FLOAT, operator="Relu") -> bytes:
    x = helper.make_tensor_value_info("x", kind, (batch, 3, height, 8))
    y = helper.make_tensor_value_info("y", kind, (batch, 3, height, 8))
    graph = helper.make_graph([helper.make_node(operator, ["x"], ["y"])], "tiny", [x], [y])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=7).SerializeToString()


@pytest.mark.parametrize("batch, max_batch", [(1, 1), ("batch", 1), ("batch", 4)])
@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.FLOAT16])
def test_the_real_tensorrt_for_rtx_builds(rtx, batch, max_batch, kind):
    precision = "fp16" if kind == TensorProto.FLOAT16 else "fp32"
    built = rtx.build(tiny_model(batch=batch, kind=kind), precision=precision, max_batch=max_batch)
    assert len(built.plan) > 1000 and built.timing_cache == b""
    assert rtx.has_uint8 and not rtx.has_fp16_flag and rtx.name.startswith("TensorRT for RTX 1.")


@pytest.mark.parametrize(
    "model, max_batch, reason",
    [
        (b"nonsense", 1, "does not take the model: .*Failed to parse the ONNX model"),
        (tiny_model(operator="NoSuchOperator"), 1, "does not take the model: .*Plugin not found.* .node 0."),
        (tiny_model(batch=1), 4, r"input x to have a fixed size and a dynamic batch, got the shape \(1, 3, 8, 8\)"),
        (tiny_model(height="height"), 1, r"input x to have a fixed size, got the shape \(-1, 3, -1, 8\)"),
    ],
)
def test_the_real_tensorrt_for_rtx_gives_its_reasons(rtx, model, max_batch, reason):
    with pytest.raises(TensorRtError, match=reason):
        rtx.build(model, precision="fp32", max_batch=max_batch)


def test_the_real_tensorrt_for_rtx_loads_nothing_without_a_driver(rtx):
    try:
        tensorrt_api.require_gpu()
    except GpuError:
        with pytest.raises(GpuError, match="expected an? .*NVIDIA"):
            rtx.load(rtx.build(tiny_model(), precision="fp32", max_batch=1).plan)
    else:
        pytest.skip("there is a GPU")
