# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""`make demo`: replays the clip through segmentation_node, scores its masks and draws them."""

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Tuple

import cv2
import numpy as np
from std_msgs.msg import Header
from tqdm import tqdm

from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.driver.camera_player import TimedImage
from bisenet_ros.node.driver.interval import SentFrame
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.image_messages import make_image
from demo.clip import RATE, frame_ids, read_ground_truth, read_image
from demo.pictures import contact_sheet, side_by_side

OUTPUT = Path("demo_output")
SHEET_ROWS = 5
WARM_UP_FRAMES = 15


def main() -> int:
    argparse.ArgumentParser(prog="python -m demo.run_demo", description=__doc__).parse_args()
    print("starting segmentation_node and a camera; the replay takes 7 seconds")
    classes = read_card(package_file(SHIPPED_MODEL)).classes
    try:
        masks, table = replay_clip(classes)
    except BisenetError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    print("", *(f"  {name:<32}{value}" for name, value in table.items()), sep="\n")
    draw(masks, classes, table)
    print(f"\npictures are in {OUTPUT}/; begin with {OUTPUT / 'contact_sheet.png'}")
    return 0


def replay_clip(classes: ClassMap) -> Tuple[Dict[int, np.ndarray], Dict[str, str]]:
    """Plays the clip once, at its own rate, to a node with default parameters.

    Returns:
        The masks, H x W uint8 ids, by the number of their frame in the clip; and the results as text, by name.

    Raises:
        BisenetError: the node cannot run, or publishes no mask.
    """
    ids = frame_ids()
    masks: Dict[int, np.ndarray] = {}

    def keep(frame: SentFrame, message: Any) -> None:
        masks[frame.number] = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)

    with NodeDriver() as driver:
        driver.warm_up(partial(clip_images, WARM_UP_FRAMES))
        with tqdm(total=len(ids), unit="frame", desc=f"replaying at {RATE:.0f} Hz", mininterval=0.5) as bar:
            found = driver.play(clip_images, on_answer=keep, bar=bar)
        times, engine = driver.diagnostics.milliseconds(), driver.diagnostics.engine
    if not masks:
        raise BisenetError("the node published no mask")
    confusion = np.zeros((len(classes), len(classes)), np.int64)
    for number, mask in masks.items():
        confusion += confusion_matrix(read_ground_truth(ids[number]), mask, classes=len(classes))
    p50, p99 = np.percentile(found.latencies(), [50, 99])
    losses = ", ".join(f"{count} {place}" for place, count in found.losses_in_words.items())
    return masks, {
        "frames sent": f"{len(found.sent)} at {RATE:.0f} Hz",
        "masks received": str(len(masks)),
        "frames lost": f"{found.lost}" + (f": {losses}" if losses else ""),
        "end to end, p50 / p99": f"{p50:.1f} / {p99:.1f} ms",
        "inside the engine, p50 / p99": f"{times['engine_p50_ms']:.1f} / {times['engine_p99_ms']:.1f} ms",
        "mIoU of the masks received": f"{100 * mean_iou(confusion):.1f} % (the model was trained on them)",
        "engine": engine,
    }


def clip_images(count: Optional[int] = None) -> Iterator[TimedImage]:
    """The clip, or its first frames, as a camera publishes it."""
    messages = [make_image(read_image(frame_id), "bgr8", Header()) for frame_id in frame_ids()[:count]]
    return (TimedImage(i / RATE, message) for i, message in enumerate(messages))


def draw(masks: Dict[int, np.ndarray], classes: ClassMap, table: Dict[str, str]) -> None:
    """Writes some frames with their masks, and all of these on one sheet."""
    OUTPUT.mkdir(exist_ok=True)
    for earlier in OUTPUT.glob("*.png"):
        earlier.unlink()
    answered = sorted(masks)
    rows: List[Tuple[str, np.ndarray]] = []
    for i in np.linspace(0, len(answered) - 1, min(SHEET_ROWS, len(answered))).astype(int):
        frame_id = frame_ids()[answered[i]]
        picture = side_by_side(read_image(frame_id), masks[answered[i]], classes)
        cv2.imwrite(str(OUTPUT / f"{frame_id}.png"), picture)
        rows.append((frame_id, picture))
    shown = ("masks received", "end to end, p50 / p99", "inside the engine, p50 / p99", "mIoU of the masks received")
    line = "    ".join(f"{name}: {table[name]}" for name in shown)
    title = f"bisenet_ros: a CamVid clip of {len(frame_ids())} frames through segmentation_node"
    cv2.imwrite(str(OUTPUT / "contact_sheet.png"), contact_sheet(rows, classes=classes, title=title, line=line))


if __name__ == "__main__":
    sys.exit(main())
