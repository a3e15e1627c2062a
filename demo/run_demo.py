"""`make demo`: replays the clip through segmentation_node, scores its masks and draws them."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, Dict, Iterator, List, NamedTuple, Tuple

import cv2
import numpy as np
from std_msgs.msg import Header
from tqdm import tqdm

from bisenet_ros.errors import BisenetError
from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import read_card
from bisenet_ros.node.driver.camera_player import TimedImage, images_at_rate
from bisenet_ros.node.driver.interval import Interval, SentFrame
from bisenet_ros.node.driver.node_driver import NodeDriver
from bisenet_ros.node.driver.outcomes import losses_in_words
from bisenet_ros.node.image_messages import make_image
from demo.clip import RATE, frame_ids, read_ground_truth, read_image
from demo.pictures import contact_sheet, side_by_side

OUTPUT = Path("demo_output")
SHEET_ROWS = 5


class Replay(NamedTuple):
    """What came of the clip.

    Attributes:
        masks: H x W uint8 class ids of each frame that was answered, by its number in the clip.
        times: milliseconds that the node tells of its stages, such as engine_p50_ms.
        engine: that the node used.
    """

    interval: Interval
    masks: Dict[int, np.ndarray]
    times: Dict[str, float]
    engine: str


def main() -> int:
    print("starting segmentation_node and a camera; the replay takes 7 seconds")
    try:
        replay = replay_clip()
    except BisenetError as error:
        print(f"demo: error: {error}", file=sys.stderr)
        return 1
    if not replay.masks:
        print("demo: error: the node published no mask", file=sys.stderr)
        return 1
    classes = read_card(package_file(SHIPPED_MODEL)).classes
    table = summarize(replay, classes)
    print("", *(f"  {name:<32}{value}" for name, value in table.items()), sep="\n")
    draw(replay.masks, classes, table)
    print(f"\npictures are in {OUTPUT}/; begin with {OUTPUT / 'contact_sheet.png'}")
    return 0


def replay_clip() -> Replay:
    """Plays the clip once, at its own rate, to a node with default parameters."""
    masks: Dict[int, np.ndarray] = {}

    def keep(frame: SentFrame, message: Any) -> None:
        masks[frame.number] = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)

    with NodeDriver() as driver:
        driver.warm_up(warm_up_images)
        with tqdm(total=len(frame_ids()), unit="frame", desc=f"replaying at {RATE:.0f} Hz", mininterval=0.5) as bar:

            def show(interval: Interval) -> None:
                bar.set_postfix(masks=len(masks), refresh=False)
                bar.update(len(interval.sent) - bar.n)

            interval = driver.play(clip_images, on_answer=keep, on_progress=show)
        return Replay(interval, masks, driver.diagnostics.milliseconds(), driver.diagnostics.engine)


def clip_images() -> Iterator[TimedImage]:
    """The clip as a camera publishes it."""
    messages = [make_image(read_image(frame_id), "bgr8", Header()) for frame_id in frame_ids()]
    return (TimedImage(i / RATE, message) for i, message in enumerate(messages))


def warm_up_images() -> Iterator[TimedImage]:
    """A second of its first frame."""
    return images_at_rate([make_image(read_image(frame_ids()[0]), "bgr8", Header())], rate=RATE, seconds=1.0)


def summarize(replay: Replay, classes: ClassMap) -> Dict[str, str]:
    """The demo's results in words, by name."""
    interval, times, ids = replay.interval, replay.times, frame_ids()
    confusion = np.sum(
        [confusion_matrix(read_ground_truth(ids[i]), mask, classes=len(classes)) for i, mask in replay.masks.items()],
        axis=0,
    )
    p50, p99 = np.percentile(interval.latencies(), [50, 99])
    losses = ", ".join(f"{count} {place}" for place, count in losses_in_words(interval.losses).items())
    return {
        "frames sent": f"{len(interval.sent)} at {RATE:.0f} Hz",
        "masks received": str(len(replay.masks)),
        "frames lost": f"{interval.lost}" + (f": {losses}" if losses else ""),
        "end to end, p50 / p99": f"{p50:.1f} / {p99:.1f} ms",
        "inside the engine, p50 / p99": f"{times['engine_p50_ms']:.1f} / {times['engine_p99_ms']:.1f} ms",
        "mIoU of the masks received": f"{100 * mean_iou(confusion):.1f} %",
        "engine": replay.engine,
    }


def draw(masks: Dict[int, np.ndarray], classes: ClassMap, table: Dict[str, str]) -> None:
    """Writes some frames with their masks, and all of these on one sheet."""
    OUTPUT.mkdir(exist_ok=True)
    for earlier in OUTPUT.glob("*.png"):
        earlier.unlink()
    answered = sorted(masks)
    chosen = [answered[i] for i in np.linspace(0, len(answered) - 1, min(SHEET_ROWS, len(answered))).astype(int)]
    rows: List[Tuple[str, np.ndarray]] = []
    for number in chosen:
        frame_id = frame_ids()[number]
        picture = side_by_side(read_image(frame_id), masks[number], classes)
        cv2.imwrite(str(OUTPUT / f"{frame_id}.png"), picture)
        rows.append((frame_id, picture))
    shown = ("end to end, p50 / p99", "inside the engine, p50 / p99", "mIoU of the masks received")
    line = "    ".join(
        [f"masks received: {len(masks)} of {len(frame_ids())}", *(f"{name}: {table[name]}" for name in shown)]
    )
    title = "bisenet_ros: a CamVid clip through segmentation_node"
    cv2.imwrite(str(OUTPUT / "contact_sheet.png"), contact_sheet(rows, classes=classes, title=title, lines=[line]))


if __name__ == "__main__":
    sys.exit(main())
