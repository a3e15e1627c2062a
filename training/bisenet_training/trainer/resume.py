# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Whether a run may go on from a checkpoint: by the same recipe, but for how long and on what it runs."""

from dataclasses import fields
from pathlib import Path
from typing import Any, Mapping, Sequence

from bisenet_ros.network.checkpoint import read_checkpoint
from bisenet_training.errors import RecipeError
from bisenet_training.trainer.devices import print_once
from bisenet_training.trainer.portable_checkpoint import is_portable
from bisenet_training.trainer.recipe import Recipe, without_places

CONSEQUENCES = {
    "iterations": "the learning rate follows the new one",
    "batch_size": "from here on the frames come in another order",
    "seed": "from here on the frames come in another order",
    "start_from": "a run that goes on has its own weights, so that this has no effect",
}
"""What another value of these entries of `run` means for a run that goes on."""


def check_resumable(last: Path, recipe: Recipe) -> bool:
    """Checks that a run may go on from its checkpoint by this recipe, and prints what is another in its section `run`.

    Returns:
        whether the checkpoint is a portable one.

    Raises:
        RecipeError: it was trained by another recipe, but for that section and the data's places, or is finished.
        ModelError: the file is no checkpoint of a run.
    """
    checkpoint = read_checkpoint(last)
    before = checkpoint["card"]["training"]
    if "iterations_done" not in before:
        raise RecipeError(f"{last} was imported and is no run to go on with; start from it: run.start_from={last}")
    then = _flat(before)
    differences = [
        f"{name} was {then.get(name)}, is now {value}"
        for name, value in _flat(without_places(recipe)).items()
        if then.get(name) != value
    ]
    if differences:
        raise RecipeError(
            f"{last} was trained by another recipe: {'; '.join(differences)}; go on with the same, or start again with "
            "another --output"
        )
    done, iterations = checkpoint["global_step"], recipe.run.iterations
    if done >= iterations:
        raise RecipeError(
            f"{last} is of iteration {done}, and run.iterations is {iterations}: the run is finished; give it more "
            "iterations to go on"
        )
    for name, now in without_places(recipe)["run"].items():
        if name in CONSEQUENCES and before["run"].get(name) != now:
            print_once(f"run.{name} was {before['run'].get(name)} and is now {now}: {CONSEQUENCES[name]}")
    return is_portable(checkpoint)


def describe_other_splits(before: Sequence[Mapping[str, Any]], now: Sequence[Mapping[str, Any]]) -> str:
    """In words, the splits that have other frames than before; "" where none has.

    Args:
        before, now: as `RunData.splits` has them; none of earlier versions.
    """
    others = [
        f"{new['split']!r} had {old['frames']} frames and has {new['frames']}"
        + (", of other names" if old["frames"] == new["frames"] else "")
        for old, new in zip(before, now)
        if old != new
    ]
    if not others:
        return ""
    return (
        f"the data are not those that the run had before: {'; '.join(others)}; from here on the frames come in another "
        "order, and scores may be of other frames than those before"
    )


def _flat(training: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of a recipe that a run that goes on must not change, by names such as data.1.weight."""
    sections = {field.name: training[field.name] for field in fields(Recipe) if field.name not in ("name", "run")}
    data = sections.pop("data")
    sets = [{"class_map": None, **entries} for entries in (data if isinstance(data, list) else [data])]
    if isinstance(data, list):
        sections.update({f"data.{number}": entries for number, entries in enumerate(sets)}, data={"sets": len(sets)})
    else:
        sections["data"] = {"sets": 1, **sets[0]}
    return {f"{section}.{key}": value for section, entries in sections.items() for key, value in entries.items()}
