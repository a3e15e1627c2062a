# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Build TensorRT's plans of a model ahead of time.

The node builds the same plans at its first frame, should they not be in the cache: one that ends with the mask, and one
that ends with the logits. It uses the faster one. For int8 make MODEL.int8.onnx first, with `bisenet quantize`.
"""

import argparse
import json
import time
from pathlib import Path
from typing import Dict, Sequence

from bisenet_ros.commands._arguments import add_network_size
from bisenet_ros.commands._messages import print_warning
from bisenet_ros.engines.cuda.device import GpuError
from bisenet_ros.engines.cuda.open_device import open_device
from bisenet_ros.engines.engine import check_max_batch
from bisenet_ros.engines.precision import choose_precision
from bisenet_ros.engines.tensorrt.api import TensorRt, load_tensorrt
from bisenet_ros.engines.tensorrt.builder import PlanRequest, PlanStore, build_plan, tails
from bisenet_ros.engines.tensorrt.plan import PRECISIONS, TensorRtError
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.errors import BisenetError
from bisenet_ros.model.input_size import check_size_choice, parse_size
from bisenet_ros.model.model_card import read_card

EXTRA = "tensorrt-rtx"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = __doc__
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a model file of `bisenet export`")
    size = "of the camera's frames, such as 1920x1080"
    parser.add_argument("--size", required=True, metavar="WIDTHxHEIGHT", help=size)
    precisions = "default auto, as for the node: int8 for a quantized model, else fp16; int8 takes MODEL.int8.onnx"
    parser.add_argument("--precision", choices=("auto", *PRECISIONS), default="auto", help=precisions)
    add_network_size(parser)
    batch = "the most frames at once, as for the node; default 1"
    parser.add_argument("--max-batch", type=int, default=1, metavar="N", help=batch)
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where plans are kept, default ~/.cache/bisenet_ros")
    parser.add_argument("--dry-run", action="store_true", help="print the plans' keys, and whether the cache has them")


def run(arguments: argparse.Namespace) -> int:
    check_max_batch(arguments.max_batch)
    check_size_choice(arguments.network_size)
    size = parse_size(arguments.size)
    choice = choose_precision(arguments.model, device="cuda", precision=arguments.precision)
    read_card(choice.model)
    tensorrt = load_tensorrt()
    requests = [
        PlanRequest(
            choice.model,
            size,
            precision=choice.precision,
            max_batch=arguments.max_batch,
            tail=tail,
            size_choice=arguments.network_size,
        )
        for tail in tails(tensorrt)
    ]
    try:
        device = open_device()
    except GpuError as error:
        if not arguments.dry_run:
            _try_to_build(requests, tensorrt)
        raise BisenetError(f"no plan is kept, as the GPU's name is part of its key: {error}") from None
    except RuntimeError as error:  # of CUDA, such as when memory is short
        raise BisenetError(f"the GPU cannot be used: {error}; see `nvidia-smi` for who uses it") from error
    plans = PlanStore(tensorrt, device, PlanCache(arguments.cache), on_progress=_print_progress)
    try:
        tensorrt.require_gpu(device.compute_capability)
        if arguments.dry_run:
            for request in requests:
                _print_key(request, plans)
        else:
            _build_all(requests, plans)
    except RuntimeError as error:  # of CUDA, such as when memory is short
        raise BisenetError(f"the plan cannot be built: {error}; see `nvidia-smi` for who uses the GPU") from error
    finally:
        device.close()
    return 0


def _print_key(request: PlanRequest, plans: PlanStore) -> None:
    key = plans.key(request)
    found, path = plans.cache.lookup(key), plans.cache.path(key)
    print(json.dumps(key, indent=2))
    print(f"in the cache: {found}" if found else f"not in the cache; would be built and kept as {path}")


def _build_all(requests: Sequence[PlanRequest], plans: PlanStore) -> None:
    """Builds a plan for each end; one that cannot be built is a warning where there is another for the node to take."""
    failed: Dict[str, TensorRtError] = {}
    for request in requests:
        try:
            _build(request, plans)
        except TensorRtError as error:
            failed[request.tail] = error
    if len(failed) == len(requests):
        raise next(iter(failed.values()))
    for tail, reason in failed.items():
        print_warning(f"the node goes without the plan to {tail}: {reason}")


def _build(request: PlanRequest, plans: PlanStore) -> None:
    start = time.monotonic()
    content, was_built, is_kept = plans.get(request)
    if not is_kept:
        folder = plans.cache.folder
        raise BisenetError(f"the plan was built but cannot be kept in {folder}; name another folder with --cache")
    made = f"built in {time.monotonic() - start:.1f} s" if was_built else "already there"
    print(f"{plans.cache.path(plans.key(request))}: to {request.tail}, {len(content) / 1e6:.1f} MB, {made}")


def _try_to_build(requests: Sequence[PlanRequest], tensorrt: TensorRt) -> None:
    """Without a GPU: shows at least that TensorRT takes the model. Only TensorRT for RTX builds without one."""
    for request in requests:
        start = time.monotonic()
        plan = build_plan(request, tensorrt, on_progress=_print_progress).plan
        took = time.monotonic() - start
        print(f"{tensorrt.name} takes the model: a plan to {request.tail}, {len(plan) / 1e6:.1f} MB in {took:.1f} s")


def _print_progress(seconds: float) -> None:
    print(f"building, {seconds:.0f} s so far", flush=True)
