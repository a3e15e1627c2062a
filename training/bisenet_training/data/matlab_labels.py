# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Label files of MATLAB, as COCO-Stuff 10K has them."""

from pathlib import Path

import numpy as np

from bisenet_training.errors import DataError


def read_matlab_labels(path: Path) -> np.ndarray:
    """The matrix S of a .mat file, H x W, as it is stored; raises DataError where the file has none."""
    from scipy.io import loadmat  # takes a second, for one data set

    try:
        return loadmat(path, variable_names=["S"])["S"]
    except KeyError:
        raise DataError(f"{path} has no variable S, which should hold the labels") from None
    # scipy raises many kinds of errors for a broken file.
    except Exception as error:
        raise DataError(f"{path} is not a MATLAB file that can be read ({error}); download it again") from None
