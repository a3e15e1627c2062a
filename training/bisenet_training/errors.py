# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The errors of training that a user can fix."""

from bisenet_ros.errors import BisenetError


class DataError(BisenetError):
    """A data set that cannot be used; the message names the file, what was expected, and what came."""


class RecipeError(BisenetError):
    """A recipe that cannot be followed; the message names the entry."""


class TrainingDiverged(BisenetError):
    """The loss or a weight is not finite any more; the message says where to go on from."""


class OutOfMemory(BisenetError):
    """The memory of the GPU or of the machine is not enough; the message says what to make smaller."""


class OptionError(BisenetError):
    """A command-line option that cannot be followed; the message names it."""
