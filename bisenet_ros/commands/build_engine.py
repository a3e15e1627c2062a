# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build TensorRT's plans of a model ahead of time, and quantize a model to int8.

The node builds the same plans at its first frame, should they not be in the cache: one that ends with the mask, and one
that ends with the logits. It uses the faster one.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Optional, Sequence

from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.cuda.driver import open_device
from bisenet_ros.engines.engine import check_max_batch
from bisenet_ros.engines.heartbeat import heartbeat
from bisenet_ros.engines.loader import choose_precision
from bisenet_ros.engines.tensorrt.api import TensorRt, load_tensorrt
from bisenet_ros.engines.tensorrt.builder import PlanRequest, PlanStore, build_plan, tails
from bisenet_ros.engines.tensorrt.plan import PRECISIONS
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import parse_size
from bisenet_ros.model.model_card import read_card
from bisenet_ros.model.model_file import is_quantized

EXTRA = "tensorrt-rtx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a model file of `bisenet export`")
    size = "of the camera's frames, such as 1920x1080"
    parser.add_argument("--size", required=True, metavar="WIDTHxHEIGHT", help=size)
    precisions = "default auto, as for the node: int8 for a quantized model, else fp16"
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), default="auto", help=precisions)
    images = "with --precision int8: images of your camera; writes MODEL.int8.onnx, prints its accuracy, and builds it"
    parser.add_argument("--calibration", type=Path, metavar="FOLDER", help=images)
    labels = "with --calibration: a PNG of class ids of the same name for each image; prints mIoU before and after"
    parser.add_argument("--truth", type=Path, metavar="FOLDER", help=labels)
    batch = "the most frames at once, as for the node; default 1"
    parser.add_argument("--max-batch", type=int, default=1, metavar="N", help=batch)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where plans are kept, default ~/.cache/bisenet_ros")
    parser.add_argument("--dry-run", action="store_true", help="print the plans' keys, and whether the cache has them")


def run(arguments: argparse.Namespace) -> int:
    _check(arguments)
    model, size, precision = arguments.model, parse_size(arguments.size), arguments.precision
    if not arguments.calibration:
        precision = choose_precision(model, device="cuda", precision=precision)
    tensorrt = load_tensorrt()
    if arguments.calibration:
        model = _quantize(model, arguments.calibration, ground_truth=arguments.truth)
    requests = [PlanRequest(model, size, precision, arguments.max_batch, tail) for tail in tails(tensorrt)]
    try:
        device = open_device()
    except GpuError as error:
        if not arguments.dry_run:
            _try_to_build(requests, tensorrt)
        raise BisenetError(f"no plan is kept, as the GPU's name is part of its key: {error}") from None
    plans = PlanStore(tensorrt, device, PlanCache(arguments.cache), on_progress=_print_progress)
    try:
        for request in requests:
            (_print_key if arguments.dry_run else _build)(request, plans)
    finally:
        device.close()
    return 0


def _check(arguments: argparse.Namespace) -> None:
    check_max_batch(arguments.max_batch)
    read_card(arguments.model)
    if arguments.calibration and arguments.precision != "int8":
        raise BisenetError(f"--calibration is for --precision int8, got --precision {arguments.precision}")
    if arguments.calibration and arguments.dry_run:
        raise BisenetError("a dry run writes no quantized model; give it MODEL.int8.onnx instead of --calibration")
    if arguments.truth and not arguments.calibration:
        raise BisenetError("--truth is for the images of --calibration; give that folder too")
    if arguments.calibration and is_quantized(arguments.model):
        raise BisenetError(f"{arguments.model} is quantized already; leave out --calibration")


def _print_key(request: PlanRequest, plans: PlanStore) -> None:
    key = plans.key(request)
    found, path = plans.cache.lookup(key), plans.cache.path(key)
    print(json.dumps(key, indent=2))
    print(f"in the cache: {found}" if found else f"not in the cache; would be built and kept as {path}")


def _build(request: PlanRequest, plans: PlanStore) -> None:
    key, cache = plans.key(request), plans.cache
    found = cache.lookup(key)
    start = time.monotonic()
    plan = plans.get(request)
    if not cache.lookup(key):
        raise BisenetError(f"the plan was built but cannot be kept in {cache.folder}; name another folder with --cache")
    made = "already there" if found else f"built in {time.monotonic() - start:.1f} s"
    print(f"{cache.path(key)}: to {request.tail}, {len(plan) / 1e6:.1f} MB, {made}")


def _try_to_build(requests: Sequence[PlanRequest], tensorrt: TensorRt) -> None:
    """Without a GPU: shows at least that TensorRT takes the model. Only TensorRT for RTX builds without one."""
    for request in requests:
        start = time.monotonic()
        plan = build_plan(request, tensorrt, on_progress=_print_progress).plan
        took = time.monotonic() - start
        print(f"{tensorrt.name} takes the model: a plan to {request.tail}, {len(plan) / 1e6:.1f} MB in {took:.1f} s")


def _print_progress(seconds: float) -> None:
    print(f"building, {seconds:.0f} s so far", flush=True)


def _quantize(model: Path, folder: Path, *, ground_truth: Optional[Path]) -> Path:
    """Writes MODEL.int8.onnx beside MODEL.onnx and prints what it costs on the images; returns its path."""
    from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
    from bisenet_ros.engines.quantization import quantize_file
    from bisenet_ros.evaluation.quantization_cost import LabeledImages, quantization_cost

    card, output = read_card(model), model.with_suffix(".int8.onnx")
    images = LabeledImages(folder, ground_truth, classes=len(card.classes))
    images.check()
    with heartbeat(lambda seconds: print(f"quantizing, {seconds:.0f} s so far", flush=True)):
        quantize_file(model, (frame for frame, _ in images), output)
    print(f"{output}: quantized on the {len(images)} images of {folder}; give the node this file")
    with heartbeat(lambda seconds: print(f"comparing with fp32, {seconds:.0f} s so far", flush=True)):
        cost = quantization_cost(OnnxRuntimeEngine(model, card), OnnxRuntimeEngine(output, card), images)
    print(f"on these images, by ONNX Runtime on the CPU: {cost}")
    if ground_truth is None:
        print("mIoU before and after needs label images of them: --truth FOLDER")
    return output
