"""A bag in real time through the running node: what is lost, how long it takes, and whether the masks are the same.

`bisenet evaluate-bag --through-node` starts the node as a process of its own, in a ROS domain of its own that does not
leave this machine, and is the camera and the listener around it.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Deque, Dict, Iterable, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from diagnostic_msgs.msg import DiagnosticArray
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.serialization import deserialize_message
from sensor_msgs.msg import CompressedImage, Image
from tqdm import tqdm

from bisenet_ros.bags.bag_reader import COMPRESSED_IMAGE, Bag, BagMessage, read_labels
from bisenet_ros.evaluation.frame_record import FrameRecord
from bisenet_ros.evaluation.run_summary import Source
from bisenet_ros.evaluation.node_replay import NodeReplay
from bisenet_ros.node.fastdds import THIS_MACHINE, free_domain, use_shared_memory

STARTUP = 120.0
"""Seconds for the node to load its model and answer."""
SILENCE = 10.0
"""Seconds without a mask until those still missing at the end are lost."""
MOST_PENDING = 300
"""Frames that are waited for at a time; an older one is lost."""
QUEUE = 10
OUTCOMES = {
    "dropped_newer": "dropped in the node for a newer frame",
    "dropped_stale": "dropped in the node as too old",
    "dropped_rate": "dropped in the node by its publish_rate",
    "dropped_inactive": "dropped in the node while inactive",
    "skipped": "unreadable for the node",
    "failed": "failed in the node's engine",
}
"""Words for the outcomes that the node's diagnostics count."""
IN_TRANSPORT = "lost on the way"


class ReplayError(ValueError):
    """A replay that cannot be; where the node did not come up or died, the message ends with what it printed."""


class Frame(NamedTuple):
    """A frame with an offline mask: its number in the topic, and its stamp."""

    number: int
    stamp_ns: int


class _Pending(NamedTuple):
    """A frame on its way, with its offline mask."""

    stamp_ns: int
    sent: float
    expected: np.ndarray


@dataclass
class _Account:
    """What came back so far."""

    received: int = 0
    differing_pixels: int = 0

    def __post_init__(self) -> None:
        self.latencies: List[float] = []
        self.differing_frames: List[int] = []

    def add(self, pending: _Pending, labels: np.ndarray, *, arrival: float) -> None:
        self.received += 1
        self.latencies.append(1000 * (arrival - pending.sent))
        same = labels.shape == pending.expected.shape
        differing = int(np.count_nonzero(labels != pending.expected)) if same else pending.expected.size
        if differing:
            self.differing_frames.append(pending.stamp_ns)
            self.differing_pixels += differing


def replay_through_node(
    source: Source,
    records: Iterable[FrameRecord],
    *,
    folder: Path,
    model: Path,
    device: str = "auto",
    precision: str = "auto",
    rate: float = 1.0,
    program: Sequence[str] = ("-m", "bisenet_ros.node"),
) -> NodeReplay:
    """Replays one topic at the pace at which it was recorded.

    Only frames with an offline mask are sent, under their own stamps.

    Args:
        records: of the whole offline run.
        folder: of its report.
        model, device, precision: of the offline run.
        rate: the pace; 1 is the bag's own.
        program: what Python runs as the node.

    Raises:
        ReplayError: the node does not come up or ends; or a rate that is not above 0. BagError: a bag cannot be read.
    """
    if not rate > 0:
        raise ReplayError(f"expected a rate above 0, got {rate}; 1 is the bag's own pace")
    use_shared_memory()
    os.environ.update(THIS_MACHINE)
    compressed = source.message_type == COMPRESSED_IMAGE
    options = {"model": str(model.absolute()), "device": device, "precision": precision}
    options = {**options, "transport": "compressed" if compressed else "raw", "diagnostics_rate": "2.0"}
    own = [Frame(record.index, record.stamp_ns) for record in records if record.key[:2] == (source.bag, source.topic)]
    warm_up = max((frame.stamp_ns for frame in own), default=0) + 1
    domain = free_domain()
    with _running_node(program, options, domain=domain) as node, _Vehicle(
        domain, compressed=compressed, warm_up=warm_up
    ) as vehicle:
        frames = _frames(source, own, folder=folder)
        first = next(frames, None)
        if first is None:
            raise ReplayError(f"{source.bag} {source.topic} has no frame with an offline mask to replay")
        vehicle.connect(first[0], node)
        before = vehicle.fresh_counts(node)
        sent = _replay(vehicle, chain([first], frames), node, rate=rate, total=len(own))
        vehicle.wait_for_masks(node)
        after = vehicle.fresh_counts(node)
        account = vehicle.account
        p50, p99 = np.percentile(account.latencies, [50, 99]) if account.latencies else (0.0, 0.0)
        return NodeReplay(
            bag=source.bag,
            topic=source.topic,
            rate=rate,
            sent=sent,
            received=account.received,
            losses=_losses(before, after, lost=sent - account.received),
            latency_p50_ms=round(float(p50), 3),
            latency_p99_ms=round(float(p99), 3),
            differing_frames=account.differing_frames,
            differing_pixels=account.differing_pixels,
            engine=vehicle.engine,
        )


def _frames(source: Source, frames: Sequence[Frame], *, folder: Path) -> Iterator[Tuple[BagMessage, int, np.ndarray]]:
    """The messages that have an offline mask, their stamps in ns, and the masks."""
    masks = read_labels(folder / source.masks, source.mask_topic)
    wanted = iter(frames)
    frame = next(wanted, None)
    for message in Bag(Path(source.path)).messages([source.topic]):
        if frame is None:
            return
        if message.index != frame.number:
            continue
        yield message, frame.stamp_ns, next(masks)[1]
        frame = next(wanted, None)


def _replay(
    vehicle: _Vehicle,
    frames: Iterable[Tuple[BagMessage, int, np.ndarray]],
    node: _NodeProcess,
    *,
    rate: float,
    total: int,
) -> int:
    """Sends every frame at its time; how many those were."""
    sent, begin, first_log = 0, time.monotonic(), None
    for message, stamp_ns, mask in tqdm(frames, desc="through the node", unit="frame", total=total, disable=None):
        first_log = message.log_ns if first_log is None else first_log
        time.sleep(max(0.0, begin + (message.log_ns - first_log) / 1e9 / rate - time.monotonic()))
        node.check()
        vehicle.send(message, stamp_ns, mask)
        sent += 1
    return sent


def _losses(before: Dict[str, int], after: Dict[str, int], *, lost: int) -> Dict[str, int]:
    """Where the lost frames were lost; they sum to `lost`."""
    losses = {words: after.get(name, 0) - before.get(name, 0) for name, words in OUTCOMES.items()}
    return {**losses, IN_TRANSPORT: lost - sum(losses.values())}


class _Vehicle:
    """The camera, and the listener to the masks and to the diagnostics."""

    def __init__(self, domain: int, *, compressed: bool, warm_up: int) -> None:
        """
        Args:
            warm_up: a stamp in ns that no frame has, for the frame that is sent until the node answers.
        """
        self.account = _Account()
        self.engine = ""
        self._kind = CompressedImage if compressed else Image
        self._topic = "/camera/image_raw/compressed" if compressed else "/camera/image_raw"
        self._pending: Deque[_Pending] = deque()
        self._lock = threading.Lock()
        self._answered = threading.Event()
        self._counts: Optional[Dict[str, int]] = None
        self._context = Context()
        self._domain = domain
        self._warm_up = warm_up

    def __enter__(self) -> _Vehicle:
        self._context.init(args=[], domain_id=self._domain)
        self._node = Node("replay", context=self._context, use_global_arguments=False)
        reliable = QoSProfile(depth=QUEUE, reliability=ReliabilityPolicy.RELIABLE)
        self._publisher = self._node.create_publisher(self._kind, self._topic, reliable)
        self._node.create_subscription(Image, "/segmentation/mask", self._receive, reliable)
        # As offline: an engine may compute labels in another way where nobody asks for the confidence.
        self._node.create_subscription(Image, "/segmentation/confidence", lambda _: None, reliable)
        self._node.create_subscription(DiagnosticArray, "/diagnostics", self._note, reliable)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *exception: Any) -> None:
        self._executor.shutdown()
        self._thread.join()
        self._node.destroy_node()
        self._context.try_shutdown()

    def connect(self, message: BagMessage, node: _NodeProcess) -> None:
        """Sends a frame until a mask comes back, so that both sides know each other and the engine is warm."""
        image = deserialize_message(message.data, self._kind)
        image.header.stamp.sec, image.header.stamp.nanosec = divmod(self._warm_up, 10**9)
        deadline = time.monotonic() + STARTUP
        while not self._answered.is_set():
            node.check()
            if time.monotonic() > deadline:
                raise ReplayError(f"the node gave no mask within {STARTUP:.0f} s; it printed:\n{node.printed()}")
            if self._publisher.get_subscription_count():
                self._publisher.publish(image)
            self._answered.wait(1.0)
        time.sleep(1.0)  # for the masks of further warm-up frames

    def send(self, message: BagMessage, stamp_ns: int, mask: np.ndarray) -> None:
        image = deserialize_message(message.data, self._kind)
        with self._lock:
            self._pending.append(_Pending(stamp_ns, time.monotonic(), mask))
            if len(self._pending) > MOST_PENDING:
                self._pending.popleft()
        self._publisher.publish(image)

    def wait_for_masks(self, node: _NodeProcess) -> None:
        """Until the last frame's mask is there, or no mask has come for `SILENCE`."""
        received, since = self.account.received, time.monotonic()
        while self._pending and time.monotonic() - since < SILENCE:
            node.check()
            time.sleep(0.05)
            if self.account.received != received:
                received, since = self.account.received, time.monotonic()

    def fresh_counts(self, node: _NodeProcess) -> Dict[str, int]:
        """What the node counts, once every image that it received has an outcome; {} where it does not say."""
        self._counts = None
        deadline = time.monotonic() + SILENCE
        while time.monotonic() < deadline:
            node.check()
            counts = self._counts
            if counts is not None and counts.get("received") == counts["published"] + sum(
                counts[name] for name in OUTCOMES
            ):
                return counts
            time.sleep(0.05)
        return {}

    def _spin(self) -> None:
        try:
            self._executor.spin()
        except ExternalShutdownException:
            pass

    def _receive(self, message: Image) -> None:
        arrival = time.monotonic()
        stamp_ns = message.header.stamp.sec * 10**9 + message.header.stamp.nanosec
        if stamp_ns == self._warm_up:
            self._answered.set()
            return
        pending = self._take(stamp_ns)
        if pending is not None:
            labels = np.frombuffer(message.data, np.uint8).reshape(message.height, message.step)[:, : message.width]
            self.account.add(pending, labels, arrival=arrival)

    def _take(self, stamp_ns: int) -> Optional[_Pending]:
        """The frame that a mask is for. Masks come in order, so that the frames before it are lost."""
        with self._lock:
            if not any(pending.stamp_ns == stamp_ns for pending in self._pending):
                return None
            while self._pending[0].stamp_ns != stamp_ns:
                self._pending.popleft()
            return self._pending.popleft()

    def _note(self, message: DiagnosticArray) -> None:
        for status in message.status:
            values = {entry.key: entry.value for entry in status.values}
            self.engine = values.get("engine", self.engine)
            if "received" in values:
                names = ("received", "published", *OUTCOMES)
                self._counts = {name: int(values.get(name, 0)) for name in names}


class _NodeProcess:
    """The node and what it prints."""

    def __init__(self, process: subprocess.Popen, output: Any) -> None:
        self._process = process
        self._output = output

    def check(self) -> None:
        """Raises ReplayError where the node has ended."""
        if self._process.poll() is not None:
            raise ReplayError(f"the node ended with code {self._process.returncode}; it printed:\n{self.printed()}")

    def printed(self) -> str:
        """Its last lines."""
        self._output.seek(0)
        return "\n".join(self._output.read().decode(errors="replace").splitlines()[-10:])


@contextmanager
def _running_node(program: Sequence[str], options: Dict[str, str], *, domain: int) -> Iterator[_NodeProcess]:
    parameters = [word for name, value in options.items() for word in ("-p", f"{name}:={value}")]
    environment = {**os.environ, "ROS_DOMAIN_ID": str(domain)}
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            [sys.executable, *program, "--ros-args", *parameters],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
        try:
            yield _NodeProcess(process, output)
        finally:
            process.terminate()  # killed, it would leave its shared memory behind
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
