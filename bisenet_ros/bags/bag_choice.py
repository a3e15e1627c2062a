# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Which bags a run reads, how each is called in it, and which of their topics are of images."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Collection, Dict, List, Sequence, Set, Tuple

from bisenet_ros.bags.bag_files import METADATA, is_storage, storage_files, unpacked
from bisenet_ros.bags.bag_images import IMAGE_TYPES
from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.bags.storage import Topic
from bisenet_ros.files.file_content import ROS_1, describe_bytes, first_bytes
from bisenet_ros.files.file_names import natural_order
from bisenet_ros.files.permissions import is_readable


@dataclass(frozen=True)
class ChosenBag:
    """A bag to process: a name that is unique in this run, and the image topics to segment."""

    name: str
    bag: Bag
    topics: List[Topic]


def _is_never(_: Path) -> bool:
    return False


def choose_bags(
    given: Sequence[Path],
    topics: Sequence[str] = (),
    *,
    is_result: Callable[[Path], bool] = _is_never,
    exclude_topics: Collection[str] = (),
    reserved: Collection[str] = (),
) -> Tuple[List[ChosenBag], List[str]]:
    """The bags, and which of several were left out and why, as text.

    Args:
        given: bags, or folders of bags.
        topics: of images; none for the only one that each bag has.
        is_result: whether a folder holds results of an earlier run, which are bags only where it alone is given.
        exclude_topics: topics that are not chosen by themselves.
        reserved: names that no bag gets; one that is called so gets a number too.

    Raises BagError where not one can be used, or one is given twice; FileNotFoundError.
    """
    chosen: List[ChosenBag] = []
    results = [path for path in given if len(given) > 1 and is_result(path)]
    left_out = [f"left out: {path} holds the results of an earlier run; to use them, name its bags" for path in results]
    paths: List[Path] = []
    for path in [path for path in given if path not in results]:
        try:
            paths += find_bags(path, is_result=is_result)
        except BagError as error:  # a file beside bags, as drives/* names it too
            if len(given) == 1:
                raise
            left_out.append(f"left out: {error}")
    for path in paths:
        try:
            bag = Bag(path)
            found = choose_topics(bag, topics, exclude=exclude_topics)
        except BagError as error:  # the others may be fine
            if len(paths) == 1 and not left_out:
                raise
            left_out.append(f"left out: {error}")
            continue
        files = {file.resolve() for file in bag.files}
        same = [other.bag.path for other in chosen if files.intersection(map(Path.resolve, other.bag.files))]
        if same:
            raise BagError(f"expected every bag once, but {path} is the same bag as {same[0]}; leave one out")
        chosen.append(ChosenBag(_free_name(path, [*reserved, *(other.name for other in chosen)]), bag, found))
    if not chosen:
        raise BagError(f"none of the bags can be used: {'; '.join(left_out)}")
    return chosen, left_out


def find_bags(path: Path, *, is_result: Callable[[Path], bool] = _is_never) -> List[Path]:
    """The bag at a path, or those in a folder and the folders below it but for results, in natural order.

    A folder of files without metadata.yaml is one bag where they are NAME_0, NAME_1 and so on, else a bag each. A link
    to a bag that is found too, such as `latest`, is passed over, and so are hidden folders. A folder that may not be
    read counts as a bag, of which `Bag` says so.

    Raises BagError where there is none; FileNotFoundError.
    """
    if not path.exists():
        raise FileNotFoundError(f"expected a bag at {path}, there is nothing")
    found = _bags_at(path, is_result, set())
    if not found:
        kind = describe_bytes(first_bytes(path)) if path.is_file() else "none"
        advice = f"; convert it with `rosbags-convert --src {path} --dst FOLDER`" if kind == ROS_1 else ""
        raise BagError(f"expected a ROS 2 bag (a folder, .db3 or .mcap) at {path}, found {kind}{advice}")
    unique: Dict[Path, Path] = {}
    for bag in sorted(found, key=Path.is_symlink):
        unique.setdefault(bag.resolve(), bag)
    return [bag for bag in found if bag in unique.values()]


def choose_topics(bag: Bag, asked: Sequence[str] = (), *, exclude: Collection[str] = ()) -> List[Topic]:
    """The image topics that are asked for, else the only one that there is, those of `exclude` aside.

    Raises BagError where a topic is missing, holds something else or is empty; or there are several, which are listed.
    """
    chosen = [_asked_topic(bag, name) for name in dict.fromkeys(asked)]
    if not asked:
        topics = [topic for topic in bag.topics.values() if topic.name not in exclude]
        chosen = [topic for topic in topics if topic.type in IMAGE_TYPES and topic.is_cdr]
    if not chosen:
        raise BagError(
            f"{bag.path} has no image topic ({' or '.join(IMAGE_TYPES)}); it holds {_listed(bag.topics.values())}"
        )
    if not asked and len(chosen) > 1:
        raise BagError(f"{bag.path} has {len(chosen)} image topics; choose with --topic: {_listed(chosen)}")
    names = [topic.name for topic in chosen]
    # By looking: a recorder that was killed leaves counts of 0.
    if all(topic.messages == 0 for topic in chosen) and not any(True for _ in bag.messages(names)):
        found = f" ({'; '.join(bag.problems)})" if bag.problems else ""
        raise BagError(f"{bag.path} has no message on {', '.join(names)}{found}")
    return chosen


def _asked_topic(bag: Bag, name: str) -> Topic:
    topic = bag.topics.get(name)
    if topic is None:
        raise BagError(f"{bag.path} has no topic {name}; it holds {_listed(bag.topics.values())}")
    if topic.type not in IMAGE_TYPES:
        raise BagError(f"expected {' or '.join(IMAGE_TYPES)} on {name}, got {topic.type} in {bag.path}")
    if not topic.is_cdr:
        raise BagError(f"expected messages in CDR on {name}, got {topic.encoding!r} in {bag.path}")
    return topic


def _listed(topics: Collection[Topic]) -> str:
    counts = [(topic, "?" if topic.messages is None else topic.messages) for topic in topics]
    return ", ".join(f"{topic.name} ({_kind(topic)}, {count} messages)" for topic, count in counts) or "nothing"


def _kind(topic: Topic) -> str:
    return topic.type if topic.is_cdr else f"{topic.type} in {topic.encoding}, not CDR"


def _bags_at(path: Path, is_result: Callable[[Path], bool], seen: Set[Path]) -> List[Path]:
    """The bags at a path; none in folders that were `seen` before, by another link."""
    if not path.is_dir():
        return [path] if is_storage(path) else []
    if not is_readable(path) or (path / METADATA).is_file():
        return [path]
    if path.resolve() in seen:
        return []
    seen.add(path.resolve())
    files = storage_files(path)
    folders = [child for child in path.iterdir() if child.is_dir() and not child.name.startswith(".")]
    by_folder = {
        folder: _bags_at(folder, is_result, seen)
        for folder in sorted(folders, key=Path.is_symlink)
        if not is_result(folder)
    }
    below = [bag for folder in natural_order(by_folder) for bag in by_folder[folder]]
    return [path] if _are_one_bag(files) and not below else files + below


def _are_one_bag(files: Sequence[Path]) -> bool:
    """Whether there is one file alone, or they are called as parts of one recording: NAME_0, NAME_1 and so on."""
    if len(files) == 1:
        return True
    parts = [unpacked(file).stem.rpartition("_") for file in files]
    return len({name for name, _, _ in parts}) == 1 and "0" in (number for _, _, number in parts)


def _free_name(path: Path, taken: Collection[str]) -> str:
    short = path.resolve().name if path.is_dir() else unpacked(path).stem
    short = re.sub(r"[?#%\ud800-\udfff]", "_", short)  # a folder has this name; SQLite takes it as part of a URI
    name, number = short, 2
    while name in taken:
        name, number = f"{short}_{number}", number + 1
    return name
