# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""A training recipe: every setting that a result depends on. `recipe_file.py` reads it from YAML.

Pydantic makes of an entry's text what its type says, so that `name=0512` stays text, and checks the type's rule.
"""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any, Callable, Dict, List, Literal, Optional, TypeVar

import yaml
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    ValidationInfo,
    field_validator,
)
from pydantic.dataclasses import dataclass

from bisenet_ros.model.input_size import LONGEST_SIDE, SMALLEST_SIDE
from bisenet_ros.model.model_card import SMALLEST_STD
from bisenet_training.yaml_file import TextLoader

SIZE = f"a height and a width of {SMALLEST_SIDE} to {LONGEST_SIDE} pixels"
MOST_IMAGES = 10**8
"""Largest iterations x batch_size of a run; the drawing order takes up to 25 bytes of memory an image."""
MOST_STRETCH = 0.02
"""By which resizing may change the shape of a crop, as sides are whole numbers."""
OF_BYTES = "divide those of colors of 0 to 255 by 255"
T = TypeVar("T")


def must(words: str, holds: Callable[[Any], bool]) -> AfterValidator:
    """Makes a validator: a value for which `holds` is false is the error "must {words}"."""

    def check(value: Any) -> Any:
        if not holds(value):
            raise ValueError(f"must {words}")
        return value

    return AfterValidator(check)


def parse_list(value: Any) -> Any:
    """Parses text as a YAML list; returns any other value unchanged."""
    try:
        return yaml.load(value, Loader=TextLoader) if isinstance(value, str) else value
    except yaml.YAMLError:
        return value


def is_folder_name(name: str) -> bool:
    return name == Path(name).name and name != ".."


def is_size(sides: List[int]) -> bool:
    return len(sides) == 2 and all(SMALLEST_SIDE <= side <= LONGEST_SIDE for side in sides)


def is_mean(mean: List[float]) -> bool:
    return len(mean) == 3 and 0 <= min(mean) <= max(mean) <= 1


def is_std(std: List[float]) -> bool:
    return is_mean(std) and min(std) >= SMALLEST_STD


def is_scale(scale: float) -> bool:
    return 0.1 <= scale <= 10


def is_scale_range(ends: List[float]) -> bool:
    return len(ends) == 2 and all(map(is_scale, ends)) and ends[0] <= ends[1]


Nullable = Annotated[Optional[T], BeforeValidator(lambda value: None if value in ("null", "~", "") else value)]
ListOf = Annotated[List[T], BeforeValidator(parse_list)]
Text = Annotated[str, Field(min_length=1)]
Share = Annotated[float, Field(ge=0, lt=1)]
Factor = Annotated[float, Field(gt=0, le=100)]
WholeFactor = Annotated[int, Field(ge=1, le=100)]
Mean = Annotated[ListOf[float], must(f"have 3 numbers from 0 to 1; {OF_BYTES}", is_mean)]
Std = Annotated[ListOf[float], must(f"have 3 numbers from {SMALLEST_STD} to 1; {OF_BYTES}", is_std)]
Size = Annotated[ListOf[int], must(f"be {SIZE}", is_size)]
SizeOrNull = Nullable[Annotated[ListOf[int], must(f"be null, or {SIZE}", is_size)]]
Names = Annotated[ListOf[Text], must("have different names", lambda names: len(set(names)) == len(names))]
Scales = Annotated[ListOf[float], must("be from 0.1 to 10, and at least one", lambda s: s and all(map(is_scale, s)))]
ScaleRange = Annotated[ListOf[float], must("be null, or a smallest and a largest scale from 0.1 to 10", is_scale_range)]
Probability = Annotated[float, must("be between 0 and 1, or null", lambda probability: 0 < probability < 1)]
Minutes = Annotated[float, must("be null or above 0", lambda minutes: minutes > 0)]
Weight = Annotated[
    float,
    Field(le=1e6),  # sums of larger ones may overflow
    must("be above 0; leave out a set that is not to be trained on", lambda weight: weight > 0),
]

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(config=STRICT)
class DataSetRecipe:
    dataset: Text  # the name of a file in bisenet_training/datasets, or the path of your own data set's YAML
    root: Text
    train_split: Text  # several may be joined by "+"
    val_split: Nullable[Text]  # null: the set is not scored; without any that is, the last weights are the result
    class_map: Nullable[Text] = None  # merges classes: the name of a file in bisenet_training/class_maps, or a path
    weight: Weight = 1.0  # how often a frame of this set is drawn, relative to the other sets


@dataclass(config=STRICT)
class DataRecipe:
    """The data sets of a run, and what is the same for all of them.

    In a recipe, `data` is the entries of one data set, or a list of such.
    """

    sets: List[DataSetRecipe]
    mean: Mean  # of RGB in 0 to 1
    std: Std
    network_size: Size  # height, width; frames are resized to as many pixels to be segmented

    @property
    def scored(self) -> List[DataSetRecipe]:
        """The sets that the weights are scored on."""
        return [entry for entry in self.sets if entry.val_split]


@dataclass(config=STRICT)
class NetworkRecipe:
    """The arguments of `bisenet_ros.network.BiSeNetV2`, but for the classes, which the data set gives."""

    lambda_ratio: Factor
    expansion: WholeFactor
    width: Factor
    depth: WholeFactor
    head_width: Annotated[int, Field(ge=1, le=65536)]
    branches: Text
    backbone: Text
    gather: bool
    double_depthwise: bool
    context_embedding: bool
    aggregation: Text
    variant: Text
    boosters: Names


@dataclass(config=STRICT)
class AugmentationRecipe:
    scales: Scales
    scale_range: Nullable[ScaleRange]  # smallest, largest; drawn log-uniformly in place of scales
    crop: Size  # height, width
    resize: SizeOrNull  # height, width that crops are resized to; null keeps them
    target_size: SizeOrNull  # height, width that targets are resized to (nearest); null: as the images
    flip: bool
    brightness: Share  # this and the next three vary by up to these shares
    contrast: Share
    saturation: Share
    channel_gain: Share
    noise: Share  # the largest standard deviation of noise that is added to every value, as a share of 255
    copy_paste: Names  # classes whose pixels are pasted into every second frame, from another one
    frame_size: SizeOrNull = None  # height, width; scales count from frames of as many pixels; null: from frames as is

    @field_validator("resize")
    @classmethod
    def _keeps_the_shape(cls, resize: Optional[List[int]], info: ValidationInfo) -> Optional[List[int]]:
        crop = info.data.get("crop")
        if resize and crop and abs(resize[0] * crop[1] / (resize[1] * crop[0]) - 1) > MOST_STRETCH:
            raise ValueError(
                f"must have the shape of augmentation.crop {crop}, or objects are stretched in training; choose "
                "augmentation.resize=null to keep the crop's size"
            )
        return resize


@dataclass(config=STRICT)
class LossRecipe:
    ohem_threshold: Nullable[Probability]  # null: plain cross entropy
    ohem_min_fraction: Annotated[float, Field(ge=0, le=1)]
    booster_weight: NonNegativeFloat
    booster_stride: Annotated[int, Field(ge=1, le=32)]  # booster heads are compared with every so many pixels; paper: 1
    class_balance: NonNegativeFloat  # a class weighs (median share of pixels / its share) to this power; 0: all equal


@dataclass(config=STRICT)
class OptimizerRecipe:
    """SGD; after the warm-up the rate is `learning_rate * (1 - progress) ** poly_power`.

    `progress` goes from 0 to `1 - poly_end` over the run's iterations.
    """

    learning_rate: NonNegativeFloat
    momentum: Share
    weight_decay: NonNegativeFloat  # on the parameters of convolutions only
    poly_power: NonNegativeFloat
    poly_end: Share  # part of the schedule that is left to another run, which starts from this one; 0: none
    warmup_iterations: NonNegativeInt  # over which the rate rises linearly
    average_decay: Share  # of the weights' exponential moving average, which is scored and saved; 0: none


@dataclass(config=STRICT)
class RunRecipe:
    validate_every: PositiveInt  # iterations
    iterations: PositiveInt
    batch_size: Annotated[int, Field(ge=2)]  # of all devices together
    max_minutes: Nullable[Minutes]  # then the run stops with its state saved, for --resume; null: no limit
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"]  # auto: bf16-mixed where the device computes in it
    workers: NonNegativeInt  # loading processes of each device, at most one a core; 0 loads in the training process
    cache_gigabytes: Annotated[float, Field(ge=0, le=1e6)]  # of a machine's memory, for each split; decoded once
    start_from: Nullable[Text]  # checkpoint whose weights the run starts with; null: from scratch
    seed: Annotated[int, Field(ge=0, lt=2**32)]

    @field_validator("iterations")
    @classmethod
    def _is_scored_at_the_end(cls, iterations: int, info: ValidationInfo) -> int:
        every = info.data.get("validate_every", 1)
        if iterations % every:
            raise ValueError(f"must be a multiple of run.validate_every ({every}), so that the last weights are scored")
        return iterations

    @field_validator("batch_size")
    @classmethod
    def _fits_into_memory(cls, batch_size: int, info: ValidationInfo) -> int:
        iterations = info.data.get("iterations", 1)
        if iterations * batch_size > MOST_IMAGES:
            raise ValueError(f"times run.iterations ({iterations}) must be at most {MOST_IMAGES} images")
        return batch_size


@dataclass(config=STRICT)
class Recipe:
    name: Annotated[str, must("be a name that a folder can have", is_folder_name)]
    data: DataRecipe
    network: NetworkRecipe
    augmentation: AugmentationRecipe
    loss: LossRecipe
    optimizer: OptimizerRecipe
    run: RunRecipe


def without_places(recipe: Recipe) -> Dict[str, Any]:
    """The recipe for model cards and checkpoints: as plain types, without this machine's paths."""
    entries = {**asdict(recipe), "data": _data_without_places(recipe.data)}
    if recipe.run.start_from:
        entries["run"]["start_from"] = Path(recipe.run.start_from).name
    return entries


def _data_without_places(data: DataRecipe) -> Any:
    """The section `data` as a recipe states it: the entries of one data set, or a list of such."""
    common = {key: value for key, value in asdict(data).items() if key != "sets"}
    sets = []
    for entry in data.sets:
        class_map = {"class_map": Path(entry.class_map).name} if entry.class_map else {}
        weight = {"weight": entry.weight} if len(data.sets) > 1 else {}
        splits = {"train_split": entry.train_split, "val_split": entry.val_split}
        sets.append({"dataset": Path(entry.dataset).name, **splits, **class_map, **weight, **common})
    return sets if len(sets) > 1 else sets[0]
