"""Selects the bags of a run and their image topics, and names each bag."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Collection, List, Sequence, Tuple

from bisenet_ros.bags.bag_choice import choose_topics, find_bags
from bisenet_ros.bags.bag_reader import Bag, BagError
from bisenet_ros.bags.storage import Topic


@dataclass(frozen=True)
class ChosenBag:
    """A bag and what is segmented of it.

    Attributes:
        name: short, and its own in the run.
        topics: of images.
    """

    name: str
    bag: Bag
    topics: List[Topic]


def choose_bags(
    given: Sequence[Path], topics: Sequence[str] = (), *, but: Collection[Path] = (), but_topics: Collection[str] = ()
) -> Tuple[List[ChosenBag], List[str]]:
    """The bags, and which of several were left out and why, in words.

    Args:
        given: bags, or folders of bags.
        topics: of images; none for the only one that each bag has.
        but: resolved folders, such as earlier results in a folder of bags, that are none of them.
        but_topics: topics that are not chosen by themselves.

    Raises:
        BagError: not one can be used, or one is given twice. FileNotFoundError: there is nothing.
    """
    chosen: List[ChosenBag] = []
    left_out: List[str] = []
    paths = [found for path in given for found in find_bags(path, but=but)]
    for path in paths:
        try:
            bag = Bag(path)
            found = choose_topics(bag, topics, but=but_topics)
        except BagError as error:  # the others are still worth a night
            if len(paths) == 1:
                raise
            left_out.append(f"left out: {error}")
            continue
        _require_new(bag, chosen)
        chosen.append(ChosenBag(_free_name(path, [other.name for other in chosen]), bag, found))
    if not chosen:
        raise BagError(f"none of the bags can be used: {'; '.join(left_out)}")
    return chosen, left_out


def _require_new(bag: Bag, chosen: Sequence[ChosenBag]) -> None:
    files = {file.resolve() for file in bag.files}
    for other in chosen:
        if files.intersection(file.resolve() for file in other.bag.files):
            raise BagError(
                f"expected every bag once, but {bag.path} is the same bag as {other.bag.path}; leave one out"
            )


def _free_name(path: Path, taken: Collection[str]) -> str:
    short = path.resolve().name if path.is_dir() else path.name.partition(".")[0]
    short = re.sub(r"[?#%\ud800-\udfff]", "_", short)  # a folder has this name; SQLite takes it as part of a URI
    name, number = short, 2
    while name in taken:
        name, number = f"{short}_{number}", number + 1
    return name
