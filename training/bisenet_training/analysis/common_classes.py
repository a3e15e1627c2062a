# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The classes that a model and a data set have in common, once class maps have merged both."""

from pathlib import Path

import numpy as np

from bisenet_ros.model.class_groups import read_class_groups
from bisenet_ros.model.class_map import IGNORE, ClassMap, ClassMapError
from bisenet_training.data.description import Description
from bisenet_training.data.find_dataset import merge_classes


def merge_to_common(
    dataset: Description, model: ClassMap, *, model_map: Path, dataset_map: Path, what: str
) -> tuple[Description, list[int]]:
    """The data set with its classes merged, all but the common ones ignored, and the ids of the common ones.

    Common are the groups that classes of both are merged into. Pixels of others are not scored; the model would be
    wrong there whatever it says.

    Args:
        model: its classes, before they are merged.
        model_map, dataset_map: the files of the class maps, perhaps one for both, to the same groups. A side that has
            the groups already stays as it is.
        what: the data set, for messages.

    Raises:
        ClassMapError: a class map cannot be used, or not with the classes that it is for; the groups of the two are not
            the same; or nothing is common.
    """
    groups, of_dataset = read_class_groups(model_map), read_class_groups(dataset_map)
    if groups.groups.names != of_dataset.groups.names:
        raise ClassMapError(
            f"{model_map} and {dataset_map} must have the same groups in the same order, got "
            f"{', '.join(groups.groups.names)} and {', '.join(of_dataset.groups.names)}"
        )
    merged = merge_classes(dataset, of_dataset, what=what)
    of_model = groups.ids_of(model, what="the model").tolist()
    common = sorted({*of_model} & {*merged.encoding.train_ids.values()} - {IGNORE})
    if not common:
        raise ClassMapError(f"{model_map}: the model and {what} have no group in common, so that there is no score")
    ids = np.full(256, IGNORE, np.uint8)
    ids[common] = common
    return merged._replace(encoding=merged.encoding.merged(ids)), common
