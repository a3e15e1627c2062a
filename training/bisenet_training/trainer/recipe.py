"""A training recipe: every setting that a result depends on. `recipe_file.py` reads them from YAML."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Dict, List, Optional, Sequence

from bisenet_ros.model.input_size import LONGEST_SIDE, SMALLEST_SIDE
from bisenet_training.errors import RecipeError

SIDES = f"{SMALLEST_SIDE} to {LONGEST_SIDE} pixels"
PRECISIONS = ("auto", "32-true", "bf16-mixed", "16-mixed")


@dataclass
class DataRecipe:
    dataset: str  # one of `bisenet_training.data.datasets.DATASETS`, or the path of your own data set's YAML
    root: str
    train_split: str  # several may be joined by "+"
    val_split: Optional[str]  # null: nothing is scored, and the last weights are the result
    mean: List[float]  # of RGB in 0 to 1
    std: List[float]
    network_size: List[int]  # height, width; frames are resized to as many pixels to be segmented


@dataclass
class NetworkRecipe:
    """The arguments of `bisenet_ros.network.BiSeNetV2`, but for the classes, which the data set gives."""

    lambda_ratio: float
    expansion: int
    width: float
    depth: int
    head_width: int
    branches: str
    backbone: str
    gather: bool
    double_depthwise: bool
    context_embedding: bool
    aggregation: str
    variant: str
    boosters: List[str]


@dataclass
class AugmentationRecipe:
    scales: List[float]
    scale_range: Optional[List[float]]  # smallest, largest; drawn log-uniformly in place of scales
    crop: List[int]  # height, width
    resize: Optional[List[int]]  # height, width that crops are resized to; null keeps them
    flip: bool
    brightness: float  # this and the next three vary by up to these shares
    contrast: float
    saturation: float
    channel_gain: float


@dataclass
class LossRecipe:
    ohem_threshold: Optional[float]  # null: plain cross entropy
    ohem_min_fraction: float
    booster_weight: float
    booster_stride: int  # booster heads are compared with every so many pixels; 1 as in the paper
    class_balance: float  # a class weighs (median share of pixels / its share) to this power; 0: equal weights


@dataclass
class OptimizerRecipe:
    """SGD; after the warm-up the rate is `learning_rate * (1 - progress) ** poly_power`.

    `progress` goes from 0 to `1 - poly_end` over the run's iterations.
    """

    learning_rate: float
    momentum: float
    weight_decay: float  # on convolution weights only
    poly_power: float
    poly_end: float  # part of the schedule that is left to another run, which starts from this one; 0: none
    warmup_iterations: int  # over which the rate rises linearly
    average_decay: float  # of the weights' exponential moving average, which is scored and saved; 0: none


@dataclass
class RunRecipe:
    iterations: int
    batch_size: int  # of all devices together
    validate_every: int  # iterations
    max_minutes: Optional[float]  # then the run stops with its state saved, for --resume; null: no limit
    precision: str  # 32-true, bf16-mixed, 16-mixed, or auto: bf16-mixed where the device computes in it
    workers: int  # processes of each device that load data, at most one a core; 0 loads in the training process
    cache_gigabytes: float  # of a machine, for its processes' copies of a split: what fits is decoded once
    start_from: Optional[str]  # checkpoint whose weights the run starts with; null: from scratch
    seed: int


@dataclass
class Recipe:
    name: str
    data: DataRecipe
    network: NetworkRecipe
    augmentation: AugmentationRecipe
    loss: LossRecipe
    optimizer: OptimizerRecipe
    run: RunRecipe


AT_LEAST_0 = (
    "loss.booster_weight",
    "loss.class_balance",
    "optimizer.learning_rate",
    "optimizer.weight_decay",
    "optimizer.poly_power",
    "optimizer.warmup_iterations",
    "run.workers",
    "run.cache_gigabytes",
    "run.seed",
)
FROM_0_TO_BELOW_1 = (
    "augmentation.brightness",
    "augmentation.contrast",
    "augmentation.saturation",
    "augmentation.channel_gain",
    "optimizer.momentum",
    "optimizer.poly_end",
    "optimizer.average_decay",
)


def check_recipe(recipe: Recipe) -> None:
    """Raises RecipeError, which names the entry, if a value cannot be followed."""
    if recipe.name != Path(recipe.name).name or recipe.name == "..":
        raise RecipeError(f"name must be a name that a folder can have, got {recipe.name!r}")
    data, augmentation, loss, run = recipe.data, recipe.augmentation, recipe.loss, recipe.run
    stages, scales, threshold = recipe.network.boosters, augmentation.scales, loss.ohem_threshold
    rules = {
        "data.mean must have 3 numbers": len(data.mean) == 3,
        "data.std must have 3 numbers above 0": len(data.std) == 3 and min(data.std) > 0,
        f"data.network_size must be a height and a width of {SIDES}": _is_size(data.network_size),
        "network.boosters must be different stages": len(set(stages)) == len(stages),
        "augmentation.scales must be from 0.1 to 10, and at least one": scales and all(map(_is_scale, scales)),
        "augmentation.scale_range must be null, or a smallest and a largest scale from 0.1 to 10": (
            augmentation.scale_range is None or _is_range(augmentation.scale_range)
        ),
        f"augmentation.crop must be a height and a width of {SIDES}": _is_size(augmentation.crop),
        f"augmentation.resize must be null, or a height and a width of {SIDES}": (
            augmentation.resize is None or _is_size(augmentation.resize)
        ),
        "loss.ohem_threshold must be between 0 and 1, or null": threshold is None or 0 < threshold < 1,
        "loss.ohem_min_fraction must be from 0 to 1": 0 <= loss.ohem_min_fraction <= 1,
        "loss.booster_stride must be from 1 to 32": 1 <= loss.booster_stride <= 32,
        "run.max_minutes must be null or above 0": run.max_minutes is None or run.max_minutes > 0,
        f"run.precision must be one of {', '.join(PRECISIONS)}": run.precision in PRECISIONS,
        "run.batch_size must be at least 2": run.batch_size >= 2,
        "run.iterations must be a multiple of run.validate_every, so that the last weights are scored": (
            run.validate_every >= 1 and run.iterations >= 1 and run.iterations % run.validate_every == 0
        ),
        **{f"{entry} must be at least 0": _value(recipe, entry) >= 0 for entry in AT_LEAST_0},
        **{f"{entry} must be from 0 to below 1": 0 <= _value(recipe, entry) < 1 for entry in FROM_0_TO_BELOW_1},
    }
    for rule, holds in rules.items():
        if not holds:
            raise RecipeError(f"{rule}; got {_value(recipe, rule.split()[0])}")


def _value(recipe: Recipe, entry: str) -> Any:
    """The value of an entry such as "run.seed"."""
    section, key = entry.split(".")
    return getattr(getattr(recipe, section), key)


def _is_size(sides: Sequence[int]) -> bool:
    return len(sides) == 2 and all(SMALLEST_SIDE <= side <= LONGEST_SIDE for side in sides)


def _is_scale(scale: float) -> bool:
    return 0.1 <= scale <= 10


def _is_range(ends: Sequence[float]) -> bool:
    return len(ends) == 2 and all(map(_is_scale, ends)) and ends[0] <= ends[1]


def without_places(recipe: Recipe) -> Dict[str, Any]:
    """The recipe for model cards and checkpoints: as plain types, without this machine's paths."""
    entries = asdict(recipe)
    del entries["data"]["root"]
    if recipe.run.start_from:
        entries["run"]["start_from"] = Path(recipe.run.start_from).name
    return entries
