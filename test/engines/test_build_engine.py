# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""From a model file to TensorRT plans, and `bisenet build-engine`, on the real TensorRT for RTX.

It needs no GPU to build; of a GPU only the name is needed, which is made up.
"""

from __future__ import annotations

import json
import logging
import time
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import onnx
import pytest
from camvid_classes import CAMVID
from fake_tensorrt import FakeTensorRtModule
from onnx import TensorProto
from tiny_model import save_stem_model, save_tiny_model

from bisenet_ros.cli import main
from bisenet_ros.commands import build_engine
from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.tensorrt import api as tensorrt_api
from bisenet_ros.engines.tensorrt import builder
from bisenet_ros.engines.tensorrt.api import TensorRt
from bisenet_ros.engines.tensorrt.builder import PlanRequest, PlanStore, build_plan, wrapped_model
from bisenet_ros.engines.tensorrt.heartbeat import INTERVAL, heartbeat
from bisenet_ros.engines.tensorrt.plan import TensorRtError
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.model.model_card import ModelCard, write_card
from bisenet_ros.model.model_file import model_sha256
from bisenet_ros.quantization.static_quantization import quantize

SIZE = (72, 96)
GPU = SimpleNamespace(
    name="NVIDIA GeForce RTX 4090",
    compute_capability=(8, 9),
    multiprocessors=128,
    memory=lambda: (20 << 30, 24 << 30),
    close=lambda: None,
)


@pytest.fixture(scope="module")
def rtx() -> TensorRt:
    return TensorRt(pytest.importorskip("tensorrt_rtx"))


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    card = ModelCard("Tiny", CAMVID, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25), network_size=SIZE)
    return save_tiny_model(tmp_path_factory.mktemp("model") / "tiny.onnx", card)


@pytest.fixture
def cache(tmp_path) -> PlanCache:
    return PlanCache(tmp_path / "plans")


@pytest.mark.parametrize("tail", ["mask", "logits", "network"])
@pytest.mark.parametrize("precision, max_batch", [("fp32", 1), ("fp16", 1), ("fp16", 4)])
def test_tensorrt_builds_what_the_wrapper_makes(rtx, model, tail, precision, max_batch):
    assert len(build_plan(PlanRequest(model, SIZE, precision, max_batch, tail), rtx).plan) > 1000


def test_tensorrt_builds_the_shipped_model(rtx, shipped_model):
    plan = build_plan(PlanRequest(shipped_model, (720, 960), "fp16"), rtx).plan
    assert 5e6 < len(plan) < 20e6


def test_a_plan_is_kept_and_found_again(rtx, model, cache, caplog):
    request = PlanRequest(model, SIZE, "fp16")
    with caplog.at_level(logging.INFO):
        plan = PlanStore(rtx, GPU, cache).get(request)
    assert "building the TensorRT plan" in caplog.text
    caplog.clear()
    with caplog.at_level(logging.INFO):
        assert PlanStore(rtx, GPU, cache).get(request) == plan._replace(was_built=False)
    assert not caplog.records


def test_the_key_follows_the_model_and_our_code(rtx, model, cache, tmp_path, monkeypatch):
    request, plans = PlanRequest(model, SIZE), PlanStore(rtx, GPU, cache)
    key = plans.key(request)
    expected = ("NVIDIA GeForce RTX 4090", [8, 9], "tensorrt_rtx", rtx.version)
    assert (key["gpu"], key["compute_capability"], key["flavor"], key["version"]) == expected
    other = tmp_path / "other.onnx"
    content = onnx.load(model)
    content.doc_string = "changed"
    onnx.save(content, other)
    assert plans.key(request._replace(model=other)) != key
    monkeypatch.setattr(builder, "CODE", (("bisenet_ros.engines.tensorrt", "onnx_graph.py"),))
    builder._code_sha256.cache_clear()
    assert plans.key(request) != key
    builder._code_sha256.cache_clear()


@pytest.fixture
def older_tensorrt(monkeypatch) -> TensorRt:
    monkeypatch.setattr(tensorrt_api, "require_gpu", lambda: None)
    return TensorRt(FakeTensorRtModule("8.6"))


def test_the_timing_cache_goes_from_build_to_build(older_tensorrt, model, cache):
    calls = older_tensorrt._module.calls
    for size in (SIZE, (144, 192)):
        PlanStore(older_tensorrt, GPU, cache).get(PlanRequest(model, size))
    assert [call[1:] for call in calls if call[0] == "create_timing_cache"] == [(b"",), (b"timings",)]
    assert len(list(cache.folder.glob("*.timing"))) == 1


def test_a_kept_plan_that_tensorrt_refuses_is_built_again_once(older_tensorrt, model, cache, caplog):
    request, plans = PlanRequest(model, SIZE), PlanStore(older_tensorrt, GPU, cache)
    module = older_tensorrt._module
    plans.load(request).close()
    module.answers["deserialize_cuda_engine"] = None
    module.calls.clear()
    with pytest.raises(TensorRtError, match="does not take the plan"):
        plans.load(request)
    assert [name for name in module.called() if name.startswith(("build", "deserialize"))] == [
        "deserialize_cuda_engine",
        "build_serialized_network",
        "deserialize_cuda_engine",
    ]
    assert "is built again: TensorRT 8.6.1 does not take the plan" in caplog.text


def test_a_kept_plan_that_does_not_fit_into_the_memory_now_is_kept(older_tensorrt, model, cache):
    request = PlanRequest(model, SIZE)
    PlanStore(older_tensorrt, GPU, cache).load(request).close()
    module = older_tensorrt._module
    module.answers["deserialize_cuda_engine"] = None
    module.calls.clear()
    full = SimpleNamespace(**{**vars(GPU), "memory": lambda: (1, 24 << 30)})
    with pytest.raises(RuntimeError, match="the GPU has too little free memory to load the plan .*does not take"):
        PlanStore(older_tensorrt, full, cache).load(request)
    assert not [name for name in module.called() if name.startswith("build")]


def test_a_long_build_gives_signs_of_life(older_tensorrt, model, monkeypatch):
    build = older_tensorrt.build
    monkeypatch.setattr(older_tensorrt, "build", lambda *a, **k: time.sleep(0.1) or build(*a, **k))
    monkeypatch.setattr(builder, "heartbeat", lambda beat: heartbeat(beat, interval=0.02))
    beats = []
    build_plan(PlanRequest(model, SIZE), older_tensorrt, on_progress=beats.append)
    assert len(beats) >= 2 and INTERVAL < 5


def test_fp16_is_in_the_model_only_where_there_is_no_flag(older_tensorrt, rtx, model):
    def kinds(tensorrt):
        graph = onnx.load_from_string(wrapped_model(PlanRequest(model, SIZE, "fp16"), tensorrt)).graph
        return {tensor.data_type for tensor in graph.initializer}

    assert TensorProto.FLOAT16 in kinds(rtx) and TensorProto.FLOAT16 not in kinds(older_tensorrt)


def run(*arguments) -> int:
    return main(["build-engine", *map(str, arguments)])


@pytest.fixture
def gpu(monkeypatch, rtx):
    monkeypatch.setattr(build_engine, "open_device", lambda: GPU)


@pytest.fixture
def no_gpu(monkeypatch, rtx):
    def refuse():
        raise GpuError("expected an NVIDIA driver, but there is none")

    monkeypatch.setattr(build_engine, "open_device", refuse)


def test_the_command_builds_then_finds(gpu, model, tmp_path, capsys):
    arguments = (model, "--size", "96x72", "--cache", tmp_path)
    assert run(*arguments) == 0
    first = capsys.readouterr().out
    assert "to mask" in first and "to logits" in first and first.count("built in") == 2
    assert run(*arguments) == 0
    assert capsys.readouterr().out.count("already there") == 2
    assert len(list(tmp_path.glob("*.plan"))) == 2


def test_a_plan_that_cannot_be_built_is_a_warning_where_there_is_the_other(gpu, model, tmp_path, capsys, monkeypatch):
    get, lacking = PlanStore.get, ["mask"]

    def get_one(plans, request, **options):
        if request.tail in lacking:
            raise TensorRtError(f"no plan to {request.tail}")
        return get(plans, request, **options)

    monkeypatch.setattr(PlanStore, "get", get_one)
    assert run(model, "--size", "64x32", "--cache", tmp_path) == 0
    found = capsys.readouterr()
    assert "to logits" in found.out and "warning: the node goes without the plan to mask: no plan to mask" in found.err
    lacking.append("logits")
    assert run(model, "--size", "64x32", "--cache", tmp_path) == 1
    assert "bisenet: error: no plan to mask" in capsys.readouterr().err


def test_a_dry_run_prints_the_key_and_builds_nothing(gpu, model, tmp_path, capsys):
    arguments = (model, "--size", "96x72", "--precision", "fp32", "--cache", tmp_path)
    assert run(*arguments, "--dry-run") == 0
    printed = capsys.readouterr().out
    key, end = json.JSONDecoder().raw_decode(printed)
    assert key["precision"] == "fp32" and key["frame_size"] == [72, 96] and key["tail"] == "mask"
    assert f"not in the cache; would be built and kept as {tmp_path}" in printed[end:]
    assert list(tmp_path.iterdir()) == []
    assert run(*arguments) == 0
    capsys.readouterr()
    assert run(*arguments, "--dry-run") == 0
    assert capsys.readouterr().out.count(f"in the cache: {tmp_path}") == 2


def test_another_network_size_is_another_plan(gpu, model, rtx, tmp_path, capsys):
    size = ("--network-size", "half")
    assert run(model, "--size", "192x144", "--precision", "fp32", "--cache", tmp_path, "--dry-run", *size) == 0
    key, _ = json.JSONDecoder().raw_decode(capsys.readouterr().out)
    assert key["network_size"] == "half"
    for choice, expected in (("card", [72, 96]), ("half", [64, 96]), ("full", [128, 192]), ("192x144", [144, 192])):
        request = PlanRequest(model, (144, 192), tail="network", size_choice=choice)
        (image,) = onnx.load_from_string(wrapped_model(request, rtx)).graph.input
        assert [side.dim_value for side in image.type.tensor_type.shape.dim[2:]] == expected
    assert run(model, "--size", "192x144", "--cache", tmp_path, "--network-size", "third") == 1
    assert "expected card, half, full or WIDTHxHEIGHT" in capsys.readouterr().err


def test_without_a_gpu_the_model_is_tried_and_nothing_kept(no_gpu, model, tmp_path, capsys):
    assert run(model, "--size", "96x72", "--cache", tmp_path) == 1
    printed = capsys.readouterr()
    assert "TensorRT for RTX" in printed.out and "takes the model: a plan to mask" in printed.out
    assert "no plan is kept, as the GPU's name is part of its key: expected an NVIDIA driver" in printed.err
    assert list(tmp_path.iterdir()) == []


def test_a_gpu_that_fails_or_is_too_old_is_an_error_of_one_line(gpu, model, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise RuntimeError("CUDA answers CUDA_ERROR_OUT_OF_MEMORY")

    monkeypatch.setattr(TensorRt, "build", fail)
    assert run(model, "--size", "96x72", "--cache", tmp_path) == 1
    assert (
        "the plan cannot be built: CUDA answers CUDA_ERROR_OUT_OF_MEMORY; see `nvidia-smi`" in capsys.readouterr().err
    )
    monkeypatch.setattr(GPU, "compute_capability", (6, 1))
    assert run(model, "--size", "96x72", "--cache", tmp_path) == 1
    assert "takes no GPU of compute capability 6.1" in capsys.readouterr().err


def test_a_cache_that_cannot_be_written_fails_the_command(gpu, model, capsys):
    assert run(model, "--size", "96x72", "--cache", __file__) == 1
    assert "built but cannot be kept" in capsys.readouterr().err


def test_without_tensorrt_the_command_says_what_to_install(model, monkeypatch, capsys):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert run(model, "--size", "96x72") == 1
    assert "JetPack" in capsys.readouterr().err


def test_int8_takes_the_int8_version(gpu, tmp_path, card, capsys):
    source = save_stem_model(tmp_path / "m.onnx", card)
    arguments = ("--size", "96x72", "--cache", tmp_path / "plans")
    assert run(source, *arguments, "--precision", "int8") == 1
    assert (
        f"needs {tmp_path / 'm.int8.onnx'}, which is not there; make it with `bisenet quant" in capsys.readouterr().err
    )
    network = quantize(onnx.load(source), card, [np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)])
    write_card(network, replace(card, quantization={"made_from_sha256": model_sha256(source)}))
    onnx.save(network, tmp_path / "m.int8.onnx")
    assert run(source, *arguments, "--precision", "int8") == 0
    assert capsys.readouterr().out.count("built in") == 2
    assert run(tmp_path / "m.int8.onnx", *arguments) == 0
    assert capsys.readouterr().out.count("already there") == 2


def test_max_batch_makes_the_plans_that_the_node_looks_up(gpu, model, tmp_path, capsys):
    assert run(model, "--size", "96x72", "--max-batch", "3", "--cache", tmp_path) == 0
    keys = {json.loads(path.read_bytes().partition(b"\n")[0])["key"]["max_batch"] for path in tmp_path.glob("*.plan")}
    assert keys == {3}
    assert run(model, "--size", "96x72", "--max-batch", "3", "--cache", tmp_path) == 0
    assert capsys.readouterr().out.count("already there") == 2


@pytest.mark.parametrize(
    "arguments, message",
    [
        (["--size", "1080p"], "expected a size as WIDTHxHEIGHT in pixels, such as 2048x1024, got '1080p'"),
        (["--size", "1920x4"], "expected a size of 32 to 8192 pixels a side, got 1920x4"),
        (["--size", "96x72", "--max-batch", "0"], "max_batch must be 1 to 64 frames, got 0"),
    ],
)
def test_bad_arguments(model, arguments, message, capsys):
    assert run(model, *arguments) == 1
    assert message in capsys.readouterr().err


def test_a_missing_model_is_named(capsys, tmp_path):
    assert run(tmp_path / "none.onnx", "--size", "96x72") == 1
    assert "expected a model file at" in capsys.readouterr().err
