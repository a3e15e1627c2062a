# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Makes the ground truth of a run's bags ready, before they are segmented."""

from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

import numpy as np
from tqdm import tqdm

from bisenet_ros.bags.bag_choice import ChosenBag
from bisenet_ros.bags.bag_images import decode_frame, decode_mask, read_stamp
from bisenet_ros.bags.bag_reader import Bag
from bisenet_ros.bags.storage import BagMessage
from bisenet_ros.errors import ImageError
from bisenet_ros.evaluation.ground_truth import (
    SUFFIX,
    GroundTruthError,
    check_ground_truth,
    check_pixels,
    ground_truth_files,
    list_ground_truth,
    read_ground_truth,
)
from bisenet_ros.files.atomic_write import write_png
from bisenet_ros.files.result_folder import flush, unfinished_folder
from bisenet_ros.model.class_groups import Grouping
from bisenet_ros.model.class_map import ClassMap


def prepare_ground_truth(
    bags: Sequence[ChosenBag],
    *,
    topic: Optional[str],
    given: Optional[Path],
    folder: Path,
    classes: ClassMap,
    grouping: Optional[Grouping],
) -> Tuple[Dict[str, Path], List[str]]:
    """The folder of ground truth of each bag by the bag's name, none without any; and what is missing, as text.

    Args:
        topic: of the bags, on which it is; None for the folder that is given, or for none.
        given: a folder that it lies in, if any.
        folder: for what is made of it; what is there already, of an earlier call, is taken as it is.
        classes: whose ids it has.
        grouping: what the classes are merged into, if anything.

    Raises GroundTruthError where it cannot be used; OSError.
    """
    if given:
        usable = _check_or_merge(given, folder / "merged", classes=len(classes), grouping=grouping)
        return {chosen.name: usable for chosen in bags}, []
    if not topic:
        return {}, []
    made = {chosen.name: folder / chosen.name for chosen in bags}
    for chosen in bags:
        if not made[chosen.name].exists():
            _export_masks(chosen.bag, topic, made[chosen.name], classes=classes, grouping=grouping)
    return made, [notice for chosen in bags for notice in _missing_masks(chosen, topic, made[chosen.name])]


def _check_or_merge(given: Path, merged: Path, *, classes: int, grouping: Optional[Grouping]) -> Path:
    """The folder that masks are scored by: the one that is given, or one with its classes merged."""
    if grouping is None:
        check_ground_truth(given, classes=classes)
        return given.resolve()
    if not merged.exists():
        _merge_classes(given, merged, classes=classes, grouping=grouping)
    return merged


def _missing_masks(chosen: ChosenBag, topic: str, folder: Path) -> List[str]:
    promised, read = chosen.bag.topics[topic].messages, sum(1 for _ in folder.iterdir())
    if promised in (None, read):
        return []
    return [f"{chosen.name}, {topic}: {promised} masks of ground truth promised, {read} read"]


def _merge_classes(source: Path, folder: Path, *, classes: int, grouping: Grouping) -> None:
    """Writes a copy of ground truth with the ids of groups in place of classes; raises as `check_ground_truth` does."""
    with unfinished_folder(folder) as unfinished:
        unfinished.mkdir()
        for path in tqdm(
            ground_truth_files(source), desc="merging classes of ground truth", unit="file", leave=False, disable=None
        ):
            ground_truth = read_ground_truth(path, classes=classes)
            write_png(unfinished / f"{path.stem}{SUFFIX}", grouping.ids[ground_truth])
        flush(unfinished)
        unfinished.rename(folder)


def _export_masks(bag: Bag, topic: str, folder: Path, *, classes: ClassMap, grouping: Optional[Grouping]) -> None:
    """Writes the masks of a topic as a folder of ground truth, so that each is found whenever its frame comes.

    With a grouping, the ids are those of its groups.

    Raises GroundTruthError where the topic is missing or empty, the bag names other classes, or a message is no mask of
    the classes.
    """
    if topic not in bag.topics:
        raise GroundTruthError(f"{bag.path} has no topic {topic} of ground truth; it holds {', '.join(bag.topics)}")
    if bag.label_classes not in ([], classes.names):
        raise GroundTruthError(
            f"expected ground truth of the model's classes ({', '.join(classes.names)}), got that of {bag.path} "
            f"({', '.join(bag.label_classes)}); choose a model of these classes"
        )
    with unfinished_folder(folder) as unfinished:
        unfinished.mkdir()
        _write_masks(bag, topic, unfinished, classes=len(classes), grouping=grouping)
        if not any(unfinished.iterdir()):
            raise GroundTruthError(f"{bag.path} has no message on {topic}, which was named as the ground truth")
        flush(unfinished)
        unfinished.rename(folder)


def _write_masks(bag: Bag, topic: str, folder: Path, *, classes: int, grouping: Optional[Grouping]) -> None:
    seen: Counter = Counter()
    for message in bag.messages([topic]):
        what = f"message {message.number} of {topic} in {bag.path}"
        try:
            stamp_ns, ground_truth = decode_mask(message)
        except ImageError as error:
            raise GroundTruthError(f"{what} is no ground truth: {error}") from error
        ground_truth = np.ascontiguousarray(ground_truth)
        check_pixels(ground_truth, classes=classes, what=what)
        if grouping is not None:
            ground_truth = grouping.ids[ground_truth]
        seen[stamp_ns] += 1
        number = f"_{seen[stamp_ns]}" if seen[stamp_ns] > 1 else ""
        write_png(folder / f"{stamp_ns}{number}{SUFFIX}", ground_truth)


def require_frame_of(ground_truth: Dict[str, Path], bags: Sequence[ChosenBag], *, classes: int) -> None:
    """Raises GroundTruthError where no frame has the stamp of a file, or the first that has one is of another size.

    So it is told before the bags are segmented, not after that. The bags are read up to the first frame with a file.

    Args:
        ground_truth: the folder of each bag that has one, by the bag's name.
    """
    first: Optional[int] = None
    numbered = {folder: list_ground_truth(folder) for folder in set(ground_truth.values())}
    for chosen in [chosen for chosen in bags if chosen.name in ground_truth]:
        for message in chosen.bag.messages([topic.name for topic in chosen.topics]):
            with suppress(ImageError):  # it is counted when the bag is segmented
                stamp_ns = read_stamp(message)
                first = stamp_ns if first is None else first
                files = numbered[ground_truth[chosen.name]].get(stamp_ns)
                if files is not None:
                    _require_size(files, message, classes=classes)
                    return
    if first is not None:
        count, example = sum(map(len, numbered.values())), next(iter(next(iter(numbered.values()))))
        raise GroundTruthError(
            f"none of the {count} stamps of the ground truth, such as {example}, is that of a frame, such as {first}"
        )


def _require_size(files: Dict[int, Path], message: BagMessage, *, classes: int) -> None:
    """Raises GroundTruthError where the first of a frame's files does not fit the image, if that can be decoded."""
    if 1 not in files:
        return
    with suppress(ImageError):
        read_ground_truth(files[1], classes=classes, size=decode_frame(message).pixels.shape[:2])
