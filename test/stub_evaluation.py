# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Runs of `bisenet evaluate-bag` with a stub engine, in other processes too."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Callable, Optional

import pytest
from bag_workshop import BlueEngine

from bisenet_ros.engines import Engine
from bisenet_ros.evaluation import bag_evaluation
from bisenet_ros.evaluation.bag_evaluation import Replay, Request, evaluate_bags
from bisenet_ros.evaluation.bag_outcome import Outcome
from bisenet_ros.evaluation.run_engine import EngineLoader


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
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bag_evaluation, "EngineLoader", partial(StubLoader, make=make))
        return evaluate_bags(request, replay=replay)
