# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs of `bisenet evaluate-bag` with a stub engine, in other processes too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Callable, Optional

import pytest
from bag_workshop import BlueEngine

from bisenet_ros.engines import Engine
from bisenet_ros.evaluation.run_engine import EngineLoader

if TYPE_CHECKING:
    from bisenet_ros.evaluation.bag_evaluation import Replay, Request
    from bisenet_ros.evaluation.bag_outcome import Outcome


@dataclass(frozen=True)
class StubLoader(EngineLoader):
    """Makes its engine wherever a bag is segmented."""

    make: Callable[[], Engine] = BlueEngine

    def __call__(self) -> Engine:
        return self.make()


def evaluate_stubbed(
    request: Request, *, make: Callable[[], Engine] = BlueEngine, replay: Optional[Replay] = None
) -> Outcome:
    """`evaluate_bags` with the engine that `make` makes, which can be pickled where bags are segmented side by side."""
    from bisenet_ros.evaluation import bag_evaluation  # not where a worker unpickles its loader: it takes a second

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bag_evaluation, "EngineLoader", partial(StubLoader, make=make))
        return bag_evaluation.evaluate_bags(request, replay=replay)
