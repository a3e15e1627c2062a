"""A training recipe: one YAML file that states everything a result depends on."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, List, Sequence

from omegaconf import MISSING, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError


class RecipeError(ValueError):
    """A recipe that cannot be followed; the message names the entry."""


@dataclass
class DataRecipe:
    dataset: str = MISSING
    root: str = MISSING
    train_split: str = MISSING
    val_split: str = MISSING
    mean: List[float] = MISSING
    std: List[float] = MISSING


@dataclass
class NetworkRecipe:
    """The arguments of `bisenet_ros.network.BiSeNetV2`, but for the classes, which the data set gives."""

    lambda_ratio: float = MISSING
    expansion: int = MISSING
    width: float = MISSING
    depth: int = MISSING
    head_width: int = MISSING
    aggregation: str = MISSING
    context_embedding: bool = MISSING


@dataclass
class AugmentationRecipe:
    scales: List[float] = MISSING
    crop: List[int] = MISSING  # height, width
    flip: bool = MISSING


@dataclass
class LossRecipe:
    ohem_threshold: float = MISSING
    ohem_min_fraction: float = MISSING
    booster_weight: float = MISSING


@dataclass
class OptimizerRecipe:
    """SGD; the rate falls as `learning_rate * (1 - iteration / iterations) ** poly_power`."""

    learning_rate: float = MISSING
    momentum: float = MISSING
    weight_decay: float = MISSING  # on convolution weights only
    poly_power: float = MISSING


@dataclass
class RunRecipe:
    iterations: int = MISSING
    batch_size: int = MISSING
    validate_every: int = MISSING  # iterations
    workers: int = MISSING  # processes that load data; 0 loads in the training process
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

    Raises:
        RecipeError: the file cannot be read, or an entry is unknown, missing or of the wrong type.
    """
    try:
        merged = OmegaConf.merge(
            OmegaConf.structured(Recipe), OmegaConf.load(path), OmegaConf.from_dotlist(list(overrides))
        )
    except (OSError, OmegaConfBaseException, YAMLError) as error:
        raise RecipeError(f"{path}: {error}") from None
    missing = sorted(OmegaConf.missing_keys(merged))
    if missing:
        raise RecipeError(
            f"{path} does not state {', '.join(missing)}; give each on the command line, as {missing[0]}=..."
        )
    recipe: Recipe = OmegaConf.to_object(merged)  # type: ignore[assignment]
    _check(recipe, path)
    return recipe


def _check(recipe: Recipe, path: Path) -> None:
    for name, values, count in (
        ("data.mean", recipe.data.mean, 3),
        ("data.std", recipe.data.std, 3),
        ("augmentation.crop", recipe.augmentation.crop, 2),
    ):
        if len(values) != count:
            raise RecipeError(f"{path}: {name} must have {count} numbers, got {values}")
    run = recipe.run
    if run.validate_every < 1 or run.iterations % run.validate_every:
        raise RecipeError(
            f"{path}: run.iterations must be a multiple of run.validate_every, so that the last weights are scored; "
            f"got {run.iterations} and {run.validate_every}"
        )


def as_dict(recipe: Recipe) -> Dict[str, Any]:
    """The recipe as plain types, for cards and checkpoints."""
    return OmegaConf.to_container(OmegaConf.structured(recipe))  # type: ignore[return-value]
