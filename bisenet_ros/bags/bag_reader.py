# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""ROS 2 bags, read in order and without ROS: sqlite3 and MCAP, compressed or not, whole or cut off."""

import json
from collections import Counter
from dataclasses import replace
from pathlib import Path, PurePosixPath
from typing import Any, Collection, Dict, Generator, Iterable, Iterator, List, Mapping, Optional

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from bisenet_ros.bags.bag_files import METADATA, is_storage, storage_files, stored_file, unpacked
from bisenet_ros.bags.storage import BagMessage, DamagedFileError, Topic, merge_topics, problem_of
from bisenet_ros.bags.storage_file import decompress_message, open_storage
from bisenet_ros.errors import BisenetError
from bisenet_ros.files.permissions import require_readable

LABEL_CLASSES = "label_classes"
"""The entry of custom_data in metadata.yaml with the names of the ground truth's classes, as JSON."""
MALFORMED = (YAMLError, ValueError, TypeError, KeyError, AttributeError, OverflowError, RecursionError)
"""What reading a metadata.yaml raises that is none."""


class BagError(BisenetError):
    """A bag that cannot be used; the message says what was expected, what came and what to do."""


class Bag:
    """A recorded bag: a folder with metadata.yaml, a folder with the files alone, or one file.

    Attributes:
        files: what the bag is stored in, in order.
        topics: what was recorded, by name.
        label_classes: the names of the ground truth's classes, where `bisenet make-bag` knew them; else empty.
        problems: as text, what is missing or damaged, and where fewer or more messages were read than the bag says it
            has; complete once `messages` was read to its end.
    """

    def __init__(self, path: Path) -> None:
        """Raises BagError where the path is no bag, or nothing in it can be read; FileNotFoundError."""
        if not path.exists():
            raise FileNotFoundError(f"expected a bag at {path}, there is nothing")
        self.path = path
        self.label_classes: List[str] = []
        self.problems: List[str] = []
        self.files = [path]
        listed: Optional[List[Topic]] = None
        _require_readable(path)
        if path.is_dir():
            self.files = storage_files(path)
            if (path / METADATA).is_file():
                _require_readable(path / METADATA)
                listed = self._read_metadata()
        else:
            self.label_classes = _label_classes_of_file(path)
        unknown = [file for file in self.files if not is_storage(file)]
        if unknown or not self.files:
            raise BagError(f"expected a ROS 2 bag (a folder, .db3 or .mcap), got {(unknown or [path])[0]}")
        _require_readable(*self.files)
        self._promised: Counter = Counter()
        for topic in listed or []:
            self._promised[topic.name] += topic.messages or 0
        found = self._list_topics() if listed is None else listed
        # Of several encodings on one topic, ROS 2's own.
        self.topics = {topic.name: topic for topic in sorted(found, key=lambda topic: topic.is_cdr)}

    @property
    def places(self) -> List[Path]:
        """What it lies in: the folder of its metadata.yaml; where there is none, its files."""
        path = self.path.resolve()
        folder = path if path.is_dir() else path.parent
        return [folder] if (folder / METADATA).is_file() else self.files

    def messages(self, topics: Collection[str]) -> Generator[BagMessage, None, None]:
        """The messages of some topics in the order of the bag; one file is open at a time.

        Where a file breaks off, `problems` says so, and the next file follows; messages that cannot be decompressed are
        passed over and told there too. Raises OSError where not the file but the system fails: a full disk, no
        permission, a drive that is gone.
        """
        read: Counter = Counter()
        problems = list(self.problems)
        last: Optional[BagMessage] = None
        for file in self.files:
            before, promised, problem = Counter(read), {}, ""
            damaged: List[str] = []
            try:
                with open_storage(file) as storage:
                    promised, problem = storage.promised(), storage.problem
                    for message in _decompressed(storage.messages(topics), read, damaged):
                        last = message
                        yield message
            except DamagedFileError as error:
                problem = str(error)
            if problem:
                end = "no message could be read"
                if last:
                    end = f"the last message read is number {last.number} of {last.topic}, recorded at {last.log_ns} ns"
                problems.append(f"{file} is damaged ({problem}); {end}")
            if damaged:
                problems.append(f"{len(damaged)} messages of {file} cannot be decompressed, first {damaged[0]}")
            problems += _differences(topics, promised, read - before, source=str(file))
        problems += _differences(topics, self._promised, read, source=METADATA)
        self.problems = list(dict.fromkeys(problems))  # once, however often the bag is read

    def _read_metadata(self) -> Optional[List[Topic]]:
        """The topics, and the files in the order of metadata.yaml; None, and the files as found, where it is broken."""
        metadata = self.path / METADATA
        try:
            information = _read_information(metadata)
            _check_compression(self.path, information)
            listed = [stored_file(self.path / PurePosixPath(name).name) for name in information["relative_file_paths"]]
            topics = merge_topics(map(_listed_topic, information["topics_with_message_count"]))
            if not topics:
                raise ValueError("it lists no topic")
            self.label_classes = _label_classes(information)
        except BagError:
            raise
        except MALFORMED as error:
            problem = f"{metadata} cannot be read ({problem_of(error)})"
            if not self.files:
                raise BagError(problem) from error
            self.problems.append(f"{problem}; the files are read as found")
            return None
        missing = [file for file in listed if not file.is_file()]
        if len(missing) == len(listed):
            raise BagError(f"{metadata} lists {', '.join(map(str, missing)) or 'no file'}, none of which is there")
        others = [file for file in self.files if file not in map(unpacked, listed) and file not in listed]
        self.problems += [f"{file} is missing, which {METADATA} lists" for file in missing]
        self.problems += [f"{file} is not read, as {METADATA} does not list it" for file in others]
        self.files = [file for file in listed if file not in missing]
        return topics

    def _list_topics(self) -> List[Topic]:
        found: List[Topic] = []
        problems = []
        for file in self.files:
            try:
                with open_storage(file) as storage:
                    found += storage.topics()
                    problems += [f"{file}: {storage.problem}"] if storage.problem else []
            except DamagedFileError as error:
                problems.append(f"{file}: {error}")
        if not found and problems:
            raise BagError(f"nothing of the bag {self.path} can be read ({'; '.join(problems)})")
        return merge_topics(found)


def _require_readable(*paths: Path) -> None:
    try:
        require_readable(*paths)
    except PermissionError as error:
        raise BagError(str(error)) from None


def _decompressed(stored: Iterable[BagMessage], read: Counter, damaged: List[str]) -> Iterator[BagMessage]:
    """Messages with an `index`, by what was `read` of each topic; what cannot be decompressed goes into `damaged`."""
    for packed in stored:
        message = replace(packed, index=read[packed.topic])
        read[packed.topic] += 1
        try:
            data = decompress_message(packed.data)
        except DamagedFileError as error:
            damaged.append(f"message {message.number} of {message.topic}: {error}")
            continue
        yield replace(message, data=data)


def _differences(
    topics: Collection[str], promised: Mapping[str, Optional[int]], read: Counter, *, source: str
) -> List[str]:
    """Where what is promised is not what was read."""
    return [
        f"{count} messages promised on {topic} by {source}, {read[topic]} read"
        for topic, count in promised.items()
        if topic in topics and count is not None and count != read[topic]
    ]


def _read_information(metadata: Path) -> Any:
    return YAML(typ="safe").load(metadata.read_text(encoding="utf-8"))["rosbag2_bagfile_information"]


def _label_classes(information: Dict[str, Any]) -> List[str]:
    names = json.loads((information.get("custom_data") or {}).get(LABEL_CLASSES, "[]"))
    return [_text(name) for name in list(names)]


def _label_classes_of_file(file: Path) -> List[str]:
    """The `label_classes` of one file of a bag, of the metadata.yaml beside it that lists it."""
    try:
        information = _read_information(file.parent / METADATA)
        listed = {unpacked(Path(name)).name for name in information["relative_file_paths"]}
        return _label_classes(information) if unpacked(file).name in listed else []
    except (OSError, *MALFORMED):  # the file can be read without
        return []


def _listed_topic(entry: Dict[str, Any]) -> Topic:
    topic = entry["topic_metadata"]
    name, kind, encoding = map(_text, (topic["name"], topic["type"], topic["serialization_format"]))
    return Topic(name, kind, int(entry["message_count"]), encoding)


def _text(value: Any) -> str:
    """Raises ValueError where it is no text: `str` of a list whose aliases of YAML stand for lists is without end."""
    if not isinstance(value, str):
        raise ValueError(f"expected a text, got a {type(value).__name__}")
    return value


def _check_compression(path: Path, information: Dict[str, Any]) -> None:
    mode, kind = (_text(information.get(f"compression_{what}") or "").lower() for what in ("mode", "format"))
    if mode not in ("", "none", "file", "message") or (mode in ("file", "message") and kind != "zstd"):
        raise BagError(
            f"expected a bag without compression or with zstd by file or message, got {path} with {kind!r} by "
            f"{mode!r}; convert it with `ros2 bag convert` where it was recorded"
        )
