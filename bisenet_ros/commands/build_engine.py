"""Builds a TensorRT plan ahead of time: `bisenet build-engine MODEL.onnx --size 1920x1080`.

The node builds the same plans at its first frame, should they not be in the cache: one that ends with labels, and one
that ends with logits, for the node uses whichever is faster.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Iterator, List, Optional, Sequence, Tuple

import numpy as np

from bisenet_ros.engines.cuda.device import CudaDevice
from bisenet_ros.engines.cuda.driver import open_device
from bisenet_ros.engines.engine import LARGEST_BATCH
from bisenet_ros.engines.tensorrt.api import PRECISIONS, TensorRt, TensorRtError, load_tensorrt
from bisenet_ros.engines.tensorrt.builder import (
    PlanRequest,
    build_plan,
    cached_plan,
    choose_precision,
    is_quantized,
    plan_key,
    tails,
)
from bisenet_ros.engines.tensorrt.heartbeat import heartbeat
from bisenet_ros.engines.tensorrt.plan_cache import PlanCache
from bisenet_ros.model.input_size import parse_size
from bisenet_ros.model.model_card import read_card

IMAGES = (".png", ".jpg", ".jpeg", ".bmp")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("model", type=Path, metavar="MODEL.onnx", help="a model file of `bisenet export`")
    parser.add_argument(
        "--size", type=frame_size, required=True, metavar="WxH", help="the camera's frames, such as 1920x1080"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", *PRECISIONS),
        default="auto",
        help="default auto, as for the node: int8 for a quantized model, else fp16",
    )
    parser.add_argument(
        "--calibration",
        type=Path,
        metavar="FOLDER",
        help="with --precision int8: images of your camera; writes MODEL.int8.onnx, tells its cost, and builds it",
    )
    parser.add_argument(
        "--truth",
        type=Path,
        metavar="FOLDER",
        help="with --calibration: a PNG of class ids of the same name for each image; prints mIoU before and after",
    )
    parser.add_argument(
        "--max-batch", type=batch, default=1, metavar="N", help="the most frames at once, as for the node; default 1"
    )
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where plans are kept, default ~/.cache/bisenet_ros")
    parser.add_argument("--dry-run", action="store_true", help="print the plans' keys, and whether the cache has them")


def run(arguments: argparse.Namespace) -> int:
    read_card(arguments.model)
    if arguments.calibration and arguments.precision != "int8":
        raise ValueError(f"--calibration is for --precision int8, got --precision {arguments.precision}")
    if arguments.calibration and arguments.dry_run:
        raise ValueError("a dry run writes no quantized model; give it MODEL.int8.onnx in place of --calibration")
    if arguments.truth and not arguments.calibration:
        raise ValueError("--truth is for the images of --calibration; give that folder too")
    if arguments.calibration and is_quantized(arguments.model):
        raise ValueError(f"{arguments.model} is quantized already; leave out --calibration")
    if not arguments.calibration:
        arguments.precision = choose_precision(arguments.model, arguments.precision)
    try:
        tensorrt = load_tensorrt()
    except (ModuleNotFoundError, RuntimeError) as error:
        raise TensorRtError(str(error)) from None
    model = arguments.model
    if arguments.calibration:
        model = quantize_file(model, arguments.calibration, truth=arguments.truth)
    requests = [
        PlanRequest(model, arguments.size, arguments.precision, arguments.max_batch, tail) for tail in tails(tensorrt)
    ]
    try:
        device = open_device()
    except (ModuleNotFoundError, RuntimeError) as error:
        if not arguments.dry_run:
            _try_to_build(requests, tensorrt)
        raise TensorRtError(f"no plan is kept, as the GPU's name is part of its key: {error}") from None
    cache = PlanCache(arguments.cache)
    try:
        for request in requests:
            (_print_key if arguments.dry_run else _build)(request, tensorrt, device, cache)
    finally:
        device.close()
    return 0


def _print_key(request: PlanRequest, tensorrt: TensorRt, device: CudaDevice, cache: PlanCache) -> None:
    key = plan_key(request, tensorrt, device)
    found = cache.lookup(key)
    print(json.dumps(key.to_dict(), indent=2))
    print(f"in the cache: {found}" if found else f"not in the cache; would be built and kept as {cache.path(key)}")


def _build(request: PlanRequest, tensorrt: TensorRt, device: CudaDevice, cache: PlanCache) -> None:
    key = plan_key(request, tensorrt, device)
    found = cache.lookup(key)
    start = time.monotonic()
    plan = cached_plan(request, tensorrt, device, cache, on_progress=_print_progress)
    if not cache.lookup(key):
        raise OSError(f"the plan was built but cannot be kept in {cache.folder}; name another folder with --cache")
    made = "already there" if found else f"built in {time.monotonic() - start:.1f} s"
    print(f"{cache.path(key)}: to {request.tail}, {len(plan) / 1e6:.1f} MB, {made}")


def _try_to_build(requests: Sequence[PlanRequest], tensorrt: TensorRt) -> None:
    """Without a GPU: shows at least that TensorRT takes the model. Only TensorRT for RTX gets here."""
    for request in requests:
        start = time.monotonic()
        plan = build_plan(request, tensorrt, on_progress=_print_progress).plan
        took = time.monotonic() - start
        print(f"{tensorrt.name} takes the model: a plan to {request.tail}, {len(plan) / 1e6:.1f} MB in {took:.1f} s")


def _print_progress(seconds: float) -> None:
    print(f"building, {seconds:.0f} s so far", flush=True)


def quantize_file(path: Path, folder: Path, *, truth: Optional[Path] = None) -> Path:
    """Writes MODEL.int8.onnx beside MODEL.onnx, calibrated on a folder of images; prints what it costs on them.

    Args:
        truth: a folder of label images; see `read_images`.

    Returns:
        The path of what was written.

    Raises:
        ValueError: the folder has no images, or one of these or of their label images cannot be used.
    """
    import onnx

    from bisenet_ros.engines.cpu.onnxruntime_engine import OnnxRuntimeEngine
    from bisenet_ros.engines.quantization import quantize
    from bisenet_ros.evaluation.quantization_cost import quantization_cost

    card, output, paths = read_card(path), path.with_suffix(".int8.onnx"), image_paths(folder)

    def images() -> Iterator[Tuple[np.ndarray, Optional[np.ndarray]]]:
        return read_images(paths, truth=truth, classes=len(card.classes))

    for _ in images():
        pass  # whatever cannot be used is said before minutes are spent
    with heartbeat(lambda seconds: print(f"quantizing, {seconds:.0f} s so far", flush=True)):
        onnx.save(quantize(onnx.load(path), card, (image for image, _ in images())), output)
    print(f"{output}: quantized on the {len(paths)} images of {folder}; give the node this file")
    with heartbeat(lambda seconds: print(f"comparing with fp32, {seconds:.0f} s so far", flush=True)):
        cost = quantization_cost(OnnxRuntimeEngine(path, card), OnnxRuntimeEngine(output, card), images())
    print(f"on these images, by ONNX Runtime on the CPU: {cost.to_text()}")
    if truth is None:
        print("mIoU before and after needs label images of them: --truth FOLDER")
    return output


def image_paths(folder: Path) -> List[Path]:
    """The images of a folder in the order of their names.

    Raises:
        ValueError: there are none.
    """
    paths = sorted(path for path in folder.glob("*") if path.suffix.lower() in IMAGES)
    if not paths:
        raise ValueError(f"expected images ({', '.join(IMAGES)}) of your camera in {folder.absolute()}, found none")
    return paths


def read_images(
    paths: Sequence[Path], *, truth: Optional[Path], classes: int
) -> Iterator[Tuple[np.ndarray, Optional[np.ndarray]]]:
    """Each image as H x W x 3 uint8 BGR, and with a folder of truth its H x W uint8 ids, 255 being none.

    Args:
        truth: has a PNG of ids for each image, NAME.png for NAME.jpg.

    Raises:
        ValueError: an image or its truth cannot be read, or the two do not go together.
    """
    import cv2

    from bisenet_ros.evaluation.quantization_cost import read_label_image

    for path in paths:
        image = cv2.imread(str(path), cv2.IMREAD_COLOR)
        if image is None:
            raise ValueError(f"{path} cannot be read as an image; remove it")
        if truth is None:
            yield image, None
            continue
        yield image, read_label_image(truth / f"{path.stem}.png", size=image.shape[:2], classes=classes)


def frame_size(text: str) -> Tuple[int, int]:
    """(height, width) of "WIDTHxHEIGHT", as cameras have it."""
    try:
        return parse_size(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from None


def batch(text: str) -> int:
    """A number of frames."""
    if not text.isdecimal() or not 1 <= int(text) <= LARGEST_BATCH:
        raise argparse.ArgumentTypeError(f"expected 1 to {LARGEST_BATCH} frames, got {text!r}")
    return int(text)
