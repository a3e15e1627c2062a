"""`make demo`: the clip from a camera process through the real node, with its masks received and scored here."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Dict, List, NamedTuple, Tuple

import cv2
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import Image
from tqdm import tqdm

from bisenet_ros.evaluation.metrics import confusion_matrix, mean_iou
from bisenet_ros.files.package_share import SHIPPED_MODEL, package_file
from bisenet_ros.model.class_map import ClassMap
from bisenet_ros.model.model_card import ModelCard, read_card
from bisenet_ros.node.fastdds import THIS_MACHINE, free_domain, use_shared_memory
from demo.clip import RATE, frame_ids, read_image, read_truth
from demo.pictures import contact_sheet, side_by_side

OUTPUT = Path("demo_output")
STARTUP = 60.0
"""Seconds for the node to load its model and be seen."""
LAST_MASK = 10.0
"""Seconds after the last frame for its mask to come."""
SHEET_ROWS = 5


class ReceivedMask(NamedTuple):
    labels: np.ndarray  # H x W uint8
    latency: float  # seconds from the camera's stamp to the mask's arrival here


class MaskReceiver(Node):
    """Receives what the segmentation node publishes, by stamp in nanoseconds."""

    def __init__(self) -> None:
        super().__init__("mask_receiver")
        self.masks: Dict[int, ReceivedMask] = {}
        self.diagnostics: Dict[str, str] = {}
        self.create_subscription(Image, "/segmentation/mask", self._receive, 10)
        self.create_subscription(DiagnosticArray, "/diagnostics", self._note, 10)

    def _receive(self, message: Image) -> None:
        arrival = self.get_clock().now().nanoseconds
        stamp = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        labels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.width)
        self.masks[stamp] = ReceivedMask(labels, (arrival - stamp) / 1e9)

    def _note(self, message: DiagnosticArray) -> None:
        self.diagnostics = {value.key: value.value for status in message.status for value in status.values}


def main() -> int:
    # A domain of its own and no network, so that no robot nearby takes part.
    os.environ["ROS_DOMAIN_ID"] = str(free_domain())
    os.environ.update(THIS_MACHINE)
    use_shared_memory()
    print("starting segmentation_node and a camera; the replay takes 7 seconds")
    node = subprocess.Popen([sys.executable, "-m", "bisenet_ros.node"])
    try:
        rclpy.init()
        receiver = MaskReceiver()
        executor = SingleThreadedExecutor()
        executor.add_node(receiver)
        if not _wait_for_node(receiver, executor, node):
            print("the node did not come up; its messages are above", file=sys.stderr)
            return 1
        sent = _replay(receiver, executor)
        diagnostics = receiver.diagnostics
    finally:
        _end(node)
        rclpy.try_shutdown()
    if not receiver.masks:
        print("the node published no mask; its messages are above", file=sys.stderr)
        return 1
    _report(sent, receiver.masks, diagnostics, read_card(package_file(SHIPPED_MODEL)))
    return 0


def _end(node: subprocess.Popen) -> None:
    node.terminate()
    try:
        node.wait(timeout=10)
    except subprocess.TimeoutExpired:
        node.kill()


def _wait_for_node(receiver: MaskReceiver, executor: SingleThreadedExecutor, node: subprocess.Popen) -> bool:
    deadline = time.monotonic() + STARTUP
    while time.monotonic() < deadline and node.poll() is None:
        executor.spin_once(timeout_sec=0.1)
        if receiver.count_publishers("/segmentation/mask"):
            return True
    return False


def _replay(receiver: MaskReceiver, executor: SingleThreadedExecutor) -> List[Tuple[str, int]]:
    """Runs the camera to its end and returns what it sent: (frame id, stamp in nanoseconds)."""
    camera = subprocess.Popen([sys.executable, "-m", "demo.camera"], stdout=subprocess.PIPE, text=True)
    sent: List[Tuple[str, int]] = []
    reader = threading.Thread(target=lambda: sent.extend(_parse(line) for line in camera.stdout or ()))
    reader.start()
    ended = None
    with tqdm(total=len(frame_ids()), unit="frame", desc=f"replaying at {RATE:.0f} Hz", mininterval=0.5) as progress:
        while ended is None or time.monotonic() < ended + LAST_MASK:
            executor.spin_once(timeout_sec=0.1)
            progress.set_postfix(masks=len(receiver.masks), refresh=False)
            progress.update(len(sent) - progress.n)
            if camera.poll() is not None and ended is None:
                ended = time.monotonic()
                reader.join()
            if ended is not None and (not sent or sent[-1][1] in receiver.masks):
                break
    # One more second for the diagnostics to catch up with the last frame.
    until = time.monotonic() + 1.2
    while time.monotonic() < until:
        executor.spin_once(timeout_sec=0.1)
    return sent


def _parse(line: str) -> Tuple[str, int]:
    frame_id, stamp = line.split()
    return frame_id, int(stamp)


def _report(
    sent: List[Tuple[str, int]], masks: Dict[int, ReceivedMask], diagnostics: Dict[str, str], card: ModelCard
) -> None:
    answered = [(frame_id, masks[stamp]) for frame_id, stamp in sent if stamp in masks]
    classes = len(card.classes)
    confusion = np.sum([confusion_matrix(read_truth(i), mask.labels, classes=classes) for i, mask in answered], axis=0)
    p50, p99 = 1000 * np.percentile([mask.latency for _, mask in answered], [50, 99])
    engine = "{} / {} ms".format(diagnostics.get("engine_p50_ms", "?"), diagnostics.get("engine_p99_ms", "?"))
    table = [
        ("frames sent", f"{len(sent)} at {RATE:.0f} Hz"),
        ("masks received", str(len(answered))),
        ("dropped", f"{len(sent) - len(answered)}, {_reasons(diagnostics)}"),
        ("end to end, p50 / p99", f"{p50:.1f} / {p99:.1f} ms"),
        ("inside the engine, p50 / p99", engine),
        ("mIoU of the masks received", f"{100 * mean_iou(confusion):.1f} %"),
        ("engine", diagnostics.get("engine", "?")),
    ]
    print()
    for name, value in table:
        print(f"  {name:<32}{value}")
    lines = [f"masks received: {len(answered)} of {len(sent)}", *(f"{name}: {value}" for name, value in table[3:6])]
    _draw(answered, card.classes, lines)
    print(f"\npictures are in {OUTPUT}/; begin with {OUTPUT / 'contact_sheet.png'}")


def _reasons(diagnostics: Dict[str, str]) -> str:
    """What the node says of the frames that have no mask."""
    counts = {event: diagnostics.get(event, "?") for event in ("dropped_newer", "skipped", "failed")}
    return "of which {dropped_newer} for a newer frame, {skipped} unreadable, {failed} failed".format(**counts)


def _draw(answered: List[Tuple[str, ReceivedMask]], label_set: ClassMap, lines: List[str]) -> None:
    OUTPUT.mkdir(exist_ok=True)
    for earlier in OUTPUT.glob("*.png"):
        earlier.unlink()
    chosen = [answered[i] for i in np.linspace(0, len(answered) - 1, min(SHEET_ROWS, len(answered))).astype(int)]
    rows = []
    for frame_id, mask in chosen:
        picture = side_by_side(read_image(frame_id), mask.labels, label_set)
        cv2.imwrite(str(OUTPUT / f"{frame_id}.png"), picture)
        rows.append((frame_id, picture))
    title = "bisenet_ros: a CamVid clip through segmentation_node"
    sheet = contact_sheet(rows, label_set=label_set, title=title, lines=["    ".join(lines)])
    cv2.imwrite(str(OUTPUT / "contact_sheet.png"), sheet)


if __name__ == "__main__":
    sys.exit(main())
