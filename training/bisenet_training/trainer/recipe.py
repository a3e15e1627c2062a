"""A training recipe: one YAML file that states everything a result depends on."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Iterator, List, Optional, Sequence, Tuple

from omegaconf import MISSING, DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from bisenet_ros.model.input_size import LONGEST_SIDE

SMALLEST_SIDE = 32
SIDES = f"{SMALLEST_SIDE} to {LONGEST_SIDE} pixels"
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message names the entry."""


@dataclass
class DataRecipe:
    dataset: str = MISSING  # one of `bisenet_training.data.datasets.DATASETS`, or the path of your own data set's YAML
    root: str = MISSING
    train_split: str = MISSING  # several may be joined by "+"
    val_split: Optional[str] = MISSING  # null: nothing is scored, and the last weights are the result
    mean: List[float] = MISSING  # of RGB in 0 to 1
    std: List[float] = MISSING
    network_size: List[int] = MISSING  # height, width; frames are resized to as many pixels to be segmented


@dataclass
class NetworkRecipe:
    """The arguments of `bisenet_ros.network.BiSeNetV2`, but for the classes, which the data set gives."""

    lambda_ratio: float = MISSING
    expansion: int = MISSING
    width: float = MISSING
    depth: int = MISSING
    head_width: int = MISSING
    branches: str = MISSING
    backbone: str = MISSING
    gather: bool = MISSING
    double_depthwise: bool = MISSING
    context_embedding: bool = MISSING
    aggregation: str = MISSING
    variant: str = MISSING
    boosters: List[str] = MISSING


@dataclass
class AugmentationRecipe:
    scales: List[float] = MISSING
    scale_range: Optional[List[float]] = MISSING  # smallest, largest; drawn log-uniformly in place of scales
    crop: List[int] = MISSING  # height, width
    resize: Optional[List[int]] = MISSING  # height, width that crops are resized to; null keeps them
    flip: bool = MISSING
    brightness: float = MISSING  # this and the next three vary by up to these shares
    contrast: float = MISSING
    saturation: float = MISSING
    channel_gain: float = MISSING


@dataclass
class LossRecipe:
    ohem_threshold: Optional[float] = MISSING  # null: plain cross entropy
    ohem_min_fraction: float = MISSING
    booster_weight: float = MISSING
    booster_stride: int = MISSING  # booster heads are compared with every so many pixels; 1 as in the paper
    class_balance: float = MISSING  # a class weighs (median share of pixels / its share) to this power; 0: all alike


@dataclass
class OptimizerRecipe:
    """SGD; the rate falls as `learning_rate * (1 - way) ** poly_power` after the warm-up.

    `way` goes from 0 to `1 - poly_end` over the run's iterations.
    """

    learning_rate: float = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING  # on convolution weights only
    poly_power: float = MISSING
    poly_end: float = MISSING  # share of the way that is left to another run, which starts from this one; 0: none
    warmup_iterations: int = MISSING  # the rate rises linearly to its place in the schedule
    average_decay: float = MISSING  # of the weights' exponential moving average, which is what is scored; 0: none


@dataclass
class RunRecipe:
    iterations: int = MISSING
    batch_size: int = MISSING  # of all devices together
    validate_every: int = MISSING  # iterations
    max_minutes: Optional[float] = MISSING  # then the run stops with its state saved, for --resume; null: no limit
    precision: str = MISSING  # 32-true, bf16-mixed, 16-mixed, or auto: bf16-mixed where the device computes in it
    workers: int = MISSING  # processes of each device that load data; 0 loads in the training process
    cache_gigabytes: float = MISSING  # of a machine, for its processes' copies of a split: what fits is decoded once
    start_from: Optional[str] = MISSING  # checkpoint whose weights the run starts with; null: from scratch
    seed: int = MISSING


@dataclass
class Recipe:
    name: str = MISSING
    data: DataRecipe = MISSING
    network: NetworkRecipe = MISSING
    augmentation: AugmentationRecipe = MISSING
    loss: LossRecipe = MISSING
    optimizer: OptimizerRecipe = MISSING
    run: RunRecipe = MISSING


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Reads a recipe and applies overrides such as `data.root=/data/camvid`.

    A recipe may build on another, `base: ../camvid.yaml`, relative to itself, and then states what it changes.

    Raises:
        RecipeError: the file cannot be read, or an entry is unknown, missing or of the wrong type.
    """
    malformed = [override for override in overrides if not re.match(r"[\w.]+=.", override)]
    if malformed:
        raise RecipeError(f"expected key=value, such as data.root=/data/camvid, got {malformed[0]!r}")
    try:
        stated = OmegaConf.merge(OmegaConf.structured(Recipe), *_with_bases(path, []))
    except (OSError, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{path}: {_in_one_line(error)}") from None
    try:
        merged = OmegaConf.merge(stated, OmegaConf.from_dotlist(list(overrides)))
    except (OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{' '.join(overrides)}: {_in_one_line(error)}") from None
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise RecipeError(
            f"{path} does not state {', '.join(missing)}; give each on the command line, as {missing[0]}=..."
        )
    recipe: Recipe = OmegaConf.to_object(merged)  # type: ignore[assignment]
    _check(recipe, path)
    return recipe


def _in_one_line(error: Exception) -> str:
    """What is wrong and where, without the inner life of the library that found it."""
    first, *rest = str(error).splitlines()
    places = [line.split(":", 1)[1].strip() for line in rest if line.strip().startswith("full_key:")]
    return f"{places[0]}: {first}" if places else first


def _with_bases(path: Path, above: List[Path]) -> List[Any]:
    """The file's entries, after those of the files that it builds on."""
    if path.resolve() in above:
        raise RecipeError(f"{path} builds on itself; its `base` must be another recipe")
    entries = OmegaConf.load(path)
    if not isinstance(entries, DictConfig):
        raise RecipeError(f"{path} must hold entries such as `name: camvid`, got {type(entries).__name__}")
    base = entries.pop("base", None)
    if not isinstance(base, (str, type(None))):
        raise RecipeError(f"{path}: base must be the path of another recipe, got {base}")
    bases = _with_bases(path.parent / base, [*above, path.resolve()]) if base else []
    return [*bases, entries]


def _check(recipe: Recipe, path: Path) -> None:
    if recipe.name != Path(recipe.name).name or not recipe.name:
        raise RecipeError(f"{path}: name must be what a folder can be called, got {recipe.name!r}")
    for entry, value in _floats(as_dict(recipe)):
        if not math.isfinite(value):
            raise RecipeError(f"{path}: {entry} must be a finite number, got {value}")
    data, network, augmentation = recipe.data, recipe.network, recipe.augmentation
    loss, optimizer, run = recipe.loss, recipe.optimizer, recipe.run
    rules = {
        "data.mean must have 3 numbers": len(data.mean) == 3,
        "data.std must have 3 numbers above 0": len(data.std) == 3 and min(data.std) > 0,
        "data.network_size must be a height and a width of " + SIDES: _is_size(data.network_size),
        "network.boosters must be different stages": len(set(network.boosters)) == len(network.boosters),
        "augmentation.scales must be from 0.1 to 10, and at least one": (
            len(augmentation.scales) > 0 and all(0.1 <= scale <= 10 for scale in augmentation.scales)
        ),
        "augmentation.crop must be a height and a width of " + SIDES: _is_size(augmentation.crop),
        "augmentation.resize must be null, or a height and a width of " + SIDES: (
            augmentation.resize is None or _is_size(augmentation.resize)
        ),
        "augmentation.scale_range must be null, or a smallest and a largest scale from 0.1 to 10": (
            augmentation.scale_range is None or _is_range(augmentation.scale_range)
        ),
        "augmentation.brightness must be from 0 to below 1": 0 <= augmentation.brightness < 1,
        "augmentation.contrast must be from 0 to below 1": 0 <= augmentation.contrast < 1,
        "augmentation.saturation must be from 0 to below 1": 0 <= augmentation.saturation < 1,
        "augmentation.channel_gain must be from 0 to below 1": 0 <= augmentation.channel_gain < 1,
        "loss.ohem_threshold must be between 0 and 1, or null": (
            loss.ohem_threshold is None or 0 < loss.ohem_threshold < 1
        ),
        "loss.ohem_min_fraction must be from 0 to 1": 0 <= loss.ohem_min_fraction <= 1,
        "loss.booster_weight must be at least 0": loss.booster_weight >= 0,
        "loss.booster_stride must be from 1 to 32": 1 <= loss.booster_stride <= 32,
        "loss.class_balance must be at least 0": loss.class_balance >= 0,
        "optimizer.learning_rate must be at least 0": optimizer.learning_rate >= 0,
        "optimizer.momentum must be from 0 to below 1": 0 <= optimizer.momentum < 1,
        "optimizer.weight_decay must be at least 0": optimizer.weight_decay >= 0,
        "optimizer.poly_power must be at least 0": optimizer.poly_power >= 0,
        "optimizer.poly_end must be from 0 to below 1": 0 <= optimizer.poly_end < 1,
        "optimizer.warmup_iterations must be at least 0": optimizer.warmup_iterations >= 0,
        "optimizer.average_decay must be from 0 to below 1": 0 <= optimizer.average_decay < 1,
        "run.max_minutes must be null or above 0": run.max_minutes is None or run.max_minutes > 0,
        "run.precision must be one of " + ", ".join(PRECISIONS): run.precision in PRECISIONS,
        "run.batch_size must be at least 2": run.batch_size >= 2,
        "run.workers must be at least 0": run.workers >= 0,
        "run.cache_gigabytes must be at least 0": run.cache_gigabytes >= 0,
        "run.seed must be at least 0": run.seed >= 0,
        "run.iterations must be a multiple of run.validate_every, so that the last weights are scored": (
            run.validate_every >= 1 and run.iterations >= 1 and run.iterations % run.validate_every == 0
        ),
    }
    for rule, holds in rules.items():
        if holds:
            continue
        entry = rule.split()[0]
        section, key = entry.split(".")
        raise RecipeError(f"{path}: {rule}; got {getattr(getattr(recipe, section), key)}")


def _is_size(sides: Sequence[int]) -> bool:
    return len(sides) == 2 and all(SMALLEST_SIDE <= side <= LONGEST_SIDE for side in sides)


def _is_range(ends: Sequence[float]) -> bool:
    return len(ends) == 2 and 0.1 <= ends[0] <= ends[1] <= 10


def _floats(entries: Any, name: str = "") -> Iterator[Tuple[str, float]]:
    """Every float among nested entries, with its name such as `loss.class_balance`."""
    if isinstance(entries, float):
        yield name, entries
    elif isinstance(entries, list):
        for value in entries:
            yield from _floats(value, name)
    elif isinstance(entries, dict):
        for key, value in entries.items():
            yield from _floats(value, f"{name}.{key}".lstrip("."))


def without_places(recipe: Recipe) -> Dict[str, Any]:
    """The recipe as cards and checkpoints have it: without where this machine keeps its files."""
    entries = as_dict(recipe)
    entries["data"].pop("root")
    if recipe.run.start_from:
        entries["run"]["start_from"] = Path(recipe.run.start_from).name
    return entries


def as_dict(recipe: Recipe) -> Dict[str, Any]:
    """The recipe as plain types."""
    return OmegaConf.to_container(OmegaConf.structured(recipe))  # type: ignore[return-value]
