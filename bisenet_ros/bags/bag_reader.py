"""ROS 2 bags, read in order and without ROS: sqlite3 and MCAP, compressed or not, whole or cut off."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Collection, Dict, Generator, Iterator, List, NamedTuple, Optional, Sequence, Tuple

import numpy as np
from rosbags.typesys import Stores, get_typestore
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bisenet_ros.bags.storage_file import STORAGE_ERRORS, damage_of, is_storage, open_storage, problem_of
from bisenet_ros.bags.zstd_compression import decompress_message
from bisenet_ros.images.encodings import ImageError, decode_compressed, decode_image

IMAGE = "sensor_msgs/msg/Image"
COMPRESSED_IMAGE = "sensor_msgs/msg/CompressedImage"
IMAGE_TYPES = (IMAGE, COMPRESSED_IMAGE)
LABEL_ENCODINGS = ("mono8", "8UC1")
METADATA = "metadata.yaml"

# sensor_msgs/Image and its like have been the same in every ROS 2.
TYPES = get_typestore(Stores.ROS2_JAZZY)


class BagError(ValueError):
    """A bag that cannot be used; the message says what was expected, what came and what to do."""


class Topic(NamedTuple):
    name: str
    type: str
    messages: int


@dataclass(frozen=True)
class BagMessage:
    """A message as it was recorded.

    Attributes:
        index: its number in the topic, from 0.
        log_ns: when it was recorded.
        data: the message in CDR.
    """

    topic: str
    type: str
    index: int
    log_ns: int
    data: bytes

    @property
    def number(self) -> int:
        """As people count, from 1."""
        return self.index + 1


@dataclass(frozen=True)
class BagFrame:
    """An image of a bag.

    Attributes:
        index: the message's number in the topic, from 0.
        stamp_ns, frame_id: of its header.
        log_ns: when it was recorded.
        pixels: H x W x 3 uint8 BGR, read-only where it is the message's own memory.
    """

    topic: str
    index: int
    stamp_ns: int
    frame_id: str
    log_ns: int
    pixels: np.ndarray


class Bag:
    """A recorded bag: a folder with metadata.yaml, a folder with the files alone, or one file.

    Attributes:
        files: what the bag is stored in, in order.
        topics: what was recorded, by name.
        damage: in words, where the bag cannot be read and why; complete once `messages` was read to its end.
    """

    def __init__(self, path: Path) -> None:
        """Raises BagError where the path is no bag, or nothing in it can be read; FileNotFoundError."""
        if not path.exists():
            raise FileNotFoundError(f"expected a bag at {path}, there is nothing")
        self.path = path
        self.damage: List[str] = []
        self.files = [path] if path.is_file() else []
        listed: Optional[List[Topic]] = None
        if path.is_dir():
            self.files, listed = self._read_folder()
        unknown = [file for file in self.files if not is_storage(file)]
        if unknown or not self.files:
            raise BagError(f"expected a ROS 2 bag (a folder, .db3 or .mcap), got {(unknown or [path])[0]}")
        self.topics = {topic.name: topic for topic in (self._list_topics() if listed is None else listed)}

    def messages(self, topics: Collection[str]) -> Generator[BagMessage, None, None]:
        """The messages of some topics in the order of the bag; one file is open at a time.

        Where a file breaks off, `damage` says so, and the next file follows. Raises OSError where not the file but the
        system fails: a full disk, no permission, a drive that is gone.
        """
        counts = dict.fromkeys(topics, 0)
        damage = list(self.damage)
        last: Optional[BagMessage] = None
        for file in self.files:
            try:
                with open_storage(file) as (storage, problem):
                    for stored in storage.messages(topics):
                        last = BagMessage(
                            stored.topic,
                            stored.type,
                            counts[stored.topic],
                            stored.log_ns,
                            decompress_message(stored.data),
                        )
                        counts[stored.topic] += 1
                        yield last
            except STORAGE_ERRORS as error:
                problem = damage_of(error)
            if problem:
                damage.append(f"{file} is damaged ({problem}); {_where(last)}")
        self.damage = damage

    def _read_folder(self) -> Tuple[List[Path], Optional[List[Topic]]]:
        """The files and, where metadata.yaml tells them, the topics."""
        files = natural_order(file for file in self.path.iterdir() if is_storage(file))
        if not (self.path / METADATA).exists():
            return files, None
        try:
            text = (self.path / METADATA).read_text(encoding="utf-8")
            information = YAML(typ="safe").load(text)["rosbag2_bagfile_information"]
            _check_compression(self.path, information)
            listed = [self.path / PurePosixPath(name).name for name in information["relative_file_paths"]]
            topics = [_topic(entry) for entry in information["topics_with_message_count"]]
        except BagError:
            raise
        except (YAMLError, *STORAGE_ERRORS) as error:
            problem = f"{self.path / METADATA} cannot be read ({damage_of(error)})"
            if not files:
                raise BagError(problem) from error
            self.damage.append(f"{problem}; the files are read as found")
            return files, None
        missing = [file for file in listed if not file.exists()]
        if len(missing) == len(listed):
            raise BagError(f"{self.path / METADATA} lists {', '.join(map(str, missing))}, none of which is there")
        self.damage += [f"{file} is missing, which {METADATA} lists" for file in missing]
        return [file for file in listed if file not in missing], topics

    def _list_topics(self) -> List[Topic]:
        found: Dict[Tuple[str, str], int] = {}
        problems = []
        for file in self.files:
            try:
                with open_storage(file) as (storage, problem):
                    problems += [f"{file}: {problem}"] if problem else []
                    for name, kind, messages in storage.topics():
                        found[name, kind] = found.get((name, kind), 0) + messages
            except STORAGE_ERRORS as error:
                problems.append(f"{file}: {damage_of(error)}")
        if not found and problems:
            raise BagError(f"nothing of the bag {self.path} can be read ({'; '.join(problems)})")
        return [Topic(name, kind, messages) for (name, kind), messages in found.items()]


def find_bags(path: Path, *, but: Collection[Path] = ()) -> List[Path]:
    """The bag at a path, or those in a folder and the folders below it, in natural order.

    A folder of files without metadata.yaml is one bag where they are NAME_0, NAME_1 and so on, else a bag each.

    Args:
        but: resolved folders below the path that are passed over.

    Raises:
        BagError: there is none. FileNotFoundError: there is nothing.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a bag at {path}, there is nothing")
    if path.suffix == ".bag":
        raise BagError(f"{path} is a bag of ROS 1; convert it with `rosbags-convert --src {path} --dst FOLDER`")
    bags = _bags_at(path, but)
    if not bags:
        raise BagError(f"expected a ROS 2 bag (a folder, .db3 or .mcap) at {path}, found none")
    return bags


def choose_topics(bag: Bag, asked: Sequence[str] = (), *, but: Collection[str] = ()) -> List[Topic]:
    """The image topics that are asked for, else the only one that there is, those of `but` aside.

    Raises:
        BagError: a topic is missing, holds something else or is empty; or there are several, which are listed.
    """
    images = [topic for topic in bag.topics.values() if topic.type in IMAGE_TYPES and topic.name not in but]
    if asked:
        chosen = [_asked_topic(bag, name) for name in dict.fromkeys(asked)]
    elif len(images) == 1:
        chosen = images
    elif images:
        raise BagError(f"{bag.path} has {len(images)} image topics; choose with --topic: {_listed(images)}")
    else:
        others = _listed(bag.topics.values()) or "nothing"
        raise BagError(f"{bag.path} has no image topic ({' or '.join(IMAGE_TYPES)}); it holds {others}")
    if not any(topic.messages for topic in chosen):
        raise BagError(f"{bag.path} has no message on {', '.join(topic.name for topic in chosen)}")
    return chosen


def decode_frame(message: BagMessage) -> BagFrame:
    """The image in a message.

    Raises:
        ImageError: it cannot be read; its reason "message" says that the bytes are no such message at all.
    """
    image = _deserialize(message)
    if message.type == COMPRESSED_IMAGE:
        pixels = decode_compressed(format=image.format, data=image.data)
    else:
        pixels = decode_image(
            encoding=image.encoding,
            height=image.height,
            width=image.width,
            step=image.step,
            is_bigendian=bool(image.is_bigendian),
            data=image.data,
        )
    header = image.header
    return BagFrame(message.topic, message.index, _stamp(header), header.frame_id, message.log_ns, pixels)


def decode_labels(message: BagMessage) -> Tuple[int, np.ndarray]:
    """The stamp in ns and the H x W uint8 ids of a mask.

    Raises:
        ImageError: it is no image of one byte a pixel, or has too little data.
    """
    if message.type != IMAGE:
        raise ImageError("message", f"expected labels as {IMAGE}, got {message.type}")
    image = _deserialize(message)
    if image.encoding not in LABEL_ENCODINGS:
        raise ImageError("encoding", f"expected labels as {' or '.join(LABEL_ENCODINGS)}, got {image.encoding!r}")
    height, width, step = image.height, image.width, image.step
    if not height or not width or step < width or len(image.data) < height * step:
        raise ImageError(
            "data", f"expected labels of {width} x {height} pixels, got {len(image.data)} bytes in rows of {step}"
        )
    return _stamp(image.header), image.data[: height * step].reshape(height, step)[:, :width]


def read_labels(path: Path, topic: str) -> Iterator[Tuple[int, np.ndarray]]:
    """The stamp in ns and the H x W uint8 ids of each mask of one topic, in order.

    Raises:
        ImageError: one cannot be read.
    """
    return map(decode_labels, Bag(path).messages([topic]))


def natural_order(paths: Any) -> List[Path]:
    """Sorted, with numbers by value: 2 before 10."""
    return sorted(paths, key=lambda path: [int(part) if part.isdigit() else part for part in _digits(path)])


def _deserialize(message: BagMessage) -> Any:
    try:
        return TYPES.deserialize_cdr(message.data, message.type)
    except STORAGE_ERRORS as error:
        raise ImageError(
            "message", f"expected a message {message.type}, got other bytes ({problem_of(error)})"
        ) from error


def _stamp(header: Any) -> int:
    return header.stamp.sec * 10**9 + header.stamp.nanosec


def _where(last: Optional[BagMessage]) -> str:
    if last is None:
        return "no message could be read"
    return f"the last message read is number {last.number} of {last.topic}, recorded at {last.log_ns} ns"


def _topic(entry: Dict[str, Any]) -> Topic:
    metadata = entry["topic_metadata"]
    if metadata["serialization_format"] != "cdr":
        raise BagError(f"expected messages in CDR, got {metadata['serialization_format']!r} on {metadata['name']}")
    return Topic(str(metadata["name"]), str(metadata["type"]), int(entry["message_count"]))


def _check_compression(path: Path, information: Dict[str, Any]) -> None:
    mode, kind = (str(information.get(f"compression_{what}") or "").lower() for what in ("mode", "format"))
    if mode not in ("", "none", "file", "message") or (mode in ("file", "message") and kind != "zstd"):
        raise BagError(
            f"expected a bag without compression or with zstd by file or message, got {path} with {kind!r} by "
            f"{mode!r}; convert it with `ros2 bag convert` where it was recorded"
        )


def _asked_topic(bag: Bag, name: str) -> Topic:
    topic = bag.topics.get(name)
    if topic is None:
        raise BagError(f"{bag.path} has no topic {name}; it holds {_listed(bag.topics.values()) or 'nothing'}")
    if topic.type not in IMAGE_TYPES:
        raise BagError(f"expected {' or '.join(IMAGE_TYPES)} on {name}, got {topic.type} in {bag.path}")
    return topic


def _listed(topics: Collection[Topic]) -> str:
    return ", ".join(f"{topic.name} ({topic.type}, {topic.messages} messages)" for topic in topics)


def _bags_at(path: Path, but: Collection[Path]) -> List[Path]:
    if path.is_file():
        return [path] if is_storage(path) else []
    if (path / METADATA).exists():
        return [path]
    children = natural_order(child for child in path.iterdir() if child.resolve() not in but)
    files = [child for child in children if child.is_file() and is_storage(child)]
    below = [bag for child in children if child.is_dir() for bag in _bags_at(child, but)]
    names = {re.sub(r"_\d+$", "", file.name.split(".")[0]) for file in files}
    return [path] if len(names) == 1 and not below else files + below


def _digits(path: Path) -> List[str]:
    return re.split(r"(\d+)", path.name)
