"""Which bags lie in a folder, and which of a bag's topics are of images."""

from __future__ import annotations

import re
from contextlib import closing
from pathlib import Path
from typing import Collection, Dict, List, Sequence

from bisenet_ros.bags.bag_images import IMAGE_TYPES
from bisenet_ros.bags.bag_reader import METADATA, Bag, BagError, natural_order
from bisenet_ros.bags.storage import Topic
from bisenet_ros.bags.storage_file import is_storage


def find_bags(path: Path, *, but: Collection[Path] = ()) -> List[Path]:
    """The bag at a path, or those in a folder and the folders below it, in natural order.

    A folder of files without metadata.yaml is one bag where they are NAME_0, NAME_1 and so on, else a bag each. A link
    to a bag that is found too, such as `latest`, is passed over.

    Args:
        but: resolved folders below the path that are passed over.

    Raises:
        BagError: there is none. FileNotFoundError: there is nothing.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a bag at {path}, there is nothing")
    if path.suffix == ".bag":
        raise BagError(f"{path} is a bag of ROS 1; convert it with `rosbags-convert --src {path} --dst FOLDER`")
    found = _bags_at(path, but)
    if not found:
        raise BagError(f"expected a ROS 2 bag (a folder, .db3 or .mcap) at {path}, found none")
    unique: Dict[Path, Path] = {}
    for bag in sorted(found, key=Path.is_symlink):
        unique.setdefault(bag.resolve(), bag)
    return [bag for bag in found if bag in unique.values()]


def choose_topics(bag: Bag, asked: Sequence[str] = (), *, but: Collection[str] = ()) -> List[Topic]:
    """The image topics that are asked for, else the only one that there is, those of `but` aside.

    Raises:
        BagError: a topic is missing, holds something else or is empty; or there are several, which are listed.
    """
    images = [topic for topic in bag.topics.values() if _is_image(topic) and topic.name not in but]
    if asked:
        chosen = [_asked_topic(bag, name) for name in dict.fromkeys(asked)]
    elif len(images) == 1:
        chosen = images
    elif images:
        raise BagError(f"{bag.path} has {len(images)} image topics; choose with --topic: {_listed(images)}")
    else:
        others = _listed(bag.topics.values()) or "nothing"
        raise BagError(f"{bag.path} has no image topic ({' or '.join(IMAGE_TYPES)}); it holds {others}")
    if all(topic.messages == 0 for topic in chosen) and _is_empty(bag, chosen):
        raise BagError(f"{bag.path} has no message on {', '.join(topic.name for topic in chosen)}")
    return chosen


def _is_image(topic: Topic) -> bool:
    return topic.type in IMAGE_TYPES and topic.encoding == "cdr"


def _asked_topic(bag: Bag, name: str) -> Topic:
    topic = bag.topics.get(name)
    if topic is None:
        raise BagError(f"{bag.path} has no topic {name}; it holds {_listed(bag.topics.values()) or 'nothing'}")
    if topic.type not in IMAGE_TYPES:
        raise BagError(f"expected {' or '.join(IMAGE_TYPES)} on {name}, got {topic.type} in {bag.path}")
    if topic.encoding != "cdr":
        raise BagError(f"expected messages in CDR on {name}, got {topic.encoding!r} in {bag.path}")
    return topic


def _is_empty(bag: Bag, topics: Sequence[Topic]) -> bool:
    """By looking: a recorder that was killed leaves counts of 0."""
    with closing(bag.messages([topic.name for topic in topics])) as messages:
        return next(messages, None) is None


def _listed(topics: Collection[Topic]) -> str:
    return ", ".join(
        f"{topic.name} ({topic.type}, {'?' if topic.messages is None else topic.messages} messages)" for topic in topics
    )


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
