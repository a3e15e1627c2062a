# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""Every fault at every call of CUDA's that the TensorRT engine makes, from its start to its closing, on the stub GPU.

`pytest -rP` prints the table of what was injected and what came of it.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from pathlib import Path
from typing import Dict, List, NamedTuple, Set, Tuple

import numpy as np
import pytest
from fake_plans import FakeTensorRt
from stub_gpu import ILLEGAL_ADDRESS, LAUNCH_FAILED, OUT_OF_MEMORY, StubGpu
from tiny_model import save_tiny_model

from bisenet_ros.engines.engine import FatalEngineError
from bisenet_ros.engines.tensorrt import engine as tensorrt_engine
from bisenet_ros.engines.tensorrt import tail_choice
from bisenet_ros.engines.tensorrt.engine import TensorRtEngine
from bisenet_ros.model.model_card import ModelCard, read_card

FRAME = np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8)
PHASES = ("start", "frame 1: load and run", "frame 2: capture a graph", "frame 3: replay it", "close")
ANSWERS = {"start": "refused", "close": "closed"}
"""What an error that passes does to a phase; to a frame: it is tried again."""


class Outcome(NamedTuple):
    """Of one life of an engine.

    Attributes:
        ends: the number of calls at the end of each phase.
        errors: their names, by phase; of a frame, of its first try. The errors themselves would keep objects alive.
        is_fatal: FatalEngineError was raised.
        masks: of the frames.
        alive: what was not freed after closing.
        threads: of the engine, that live after closing.
    """

    ends: List[int]
    errors: Dict[str, str]
    is_fatal: bool
    masks: List[np.ndarray]
    alive: Dict[str, int]
    threads: int


class Lives:
    """Lives of an engine, whose plan is in the cache: opened, three frames, closed."""

    def __init__(self, stub: StubGpu, model: Path, cache: Path) -> None:
        self._stub = stub
        self._model = model
        self._cache = cache

    def live(self, *, fail_at: int = -1, error: int = 0) -> Outcome:
        self._stub.reset()
        if fail_at >= 0:
            self._stub.fail(fail_at, error)
        outcome = Outcome([], {}, False, [], {}, 0)
        try:
            engine = TensorRtEngine(self._model, read_card(self._model), precision="fp32", cache=self._cache)
        except (RuntimeError, ValueError) as raised:
            outcome.errors[PHASES[0]] = type(raised).__name__
            return self._end(outcome)
        outcome.ends.append(len(self._stub.calls()))
        for phase in PHASES[1:-1]:
            try:
                outcome.masks.append(self._segment(engine, outcome, phase))
            except FatalEngineError as raised:
                outcome.errors[phase] = type(raised).__name__
                break
            outcome.ends.append(len(self._stub.calls()))
        engine.close()
        outcome.ends.append(len(self._stub.calls()))
        return self._end(outcome)

    def _segment(self, engine: TensorRtEngine, outcome: Outcome, phase: str) -> np.ndarray:
        """As the node does: a frame that fails is tried once more."""
        try:
            return engine.segment(FRAME)
        except FatalEngineError:
            raise
        except RuntimeError as raised:
            outcome.errors[phase] = type(raised).__name__
            return engine.segment(FRAME)

    def _end(self, outcome: Outcome) -> Outcome:
        threads = sum(thread.name == "tensorrt" for thread in threading.enumerate())
        fatal = FatalEngineError.__name__ in outcome.errors.values()
        return outcome._replace(is_fatal=fatal, alive=self._stub.alive(), threads=threads)


@pytest.fixture
def lives(backend, stub, monkeypatch, tmp_path, card: ModelCard) -> Lives:
    monkeypatch.setattr(tail_choice, "read", lambda path: "logits")  # with our kernel, and without measuring
    monkeypatch.setattr(tensorrt_engine, "load_tensorrt", FakeTensorRt)
    return Lives(stub, save_tiny_model(tmp_path / "tiny.onnx", card), tmp_path / "plans")


def test_every_fault_at_every_call(lives: Lives, stub: StubGpu) -> None:
    lives.live()  # builds the plan
    healthy = lives.live()
    calls = stub.calls()
    assert not healthy.errors and not healthy.alive and len(healthy.ends) == len(PHASES)
    table: Dict[Tuple[str, str, str], Set[str]] = defaultdict(set)
    for i, call in enumerate(calls):
        phase = next(phase for phase, end in zip(PHASES, healthy.ends) if i < end)
        for error, name in ((OUT_OF_MEMORY, "passes"), (ILLEGAL_ADDRESS, "lasts"), (LAUNCH_FAILED, "lasts")):
            outcome = lives.live(fail_at=i, error=error)
            where = f"{call}, {i} of {len(calls)}, in {phase}, error {error}: {outcome}"
            assert outcome.threads == 0, where
            for mask in outcome.masks:
                assert np.array_equal(mask, healthy.masks[0]), where
            table[phase, name, call].add(describe(outcome, phase))
            if name == "passes":
                assert not outcome.is_fatal and sum(outcome.alive.values()) <= 1, where
                assert len(outcome.masks) == (0 if phase == PHASES[0] and outcome.errors else 3), where
            elif phase not in (PHASES[0], PHASES[-1]):
                assert outcome.is_fatal, where
    print(as_text(table))


def describe(outcome: Outcome, phase: str) -> str:
    """What became of a phase in which a call failed."""
    freed = "all is freed" if not outcome.alive else "only what cannot be freed stays"
    if outcome.is_fatal:
        return "FatalEngineError: cured by a new process"
    if phase not in outcome.errors:
        return "goes on" if not outcome.alive else f"closes, {freed}"
    return f"{ANSWERS.get(phase, 'tried again, masks as before')}, {freed}"


def as_text(table: Dict[Tuple[str, str, str], Set[str]]) -> str:
    """The table by phase, kind of error and what came of it, with the calls."""
    rows: Dict[Tuple[str, str, str], List[str]] = defaultdict(list)
    for (phase, name, call), outcomes in table.items():
        rows[phase, name, " or ".join(sorted(outcomes))].append(call)
    lines = ["| phase | error | outcome | calls |", "|---|---|---|---|"]
    for phase, name, outcome in sorted(rows, key=lambda row: (PHASES.index(row[0]), row[1], row[2])):
        lines.append(f"| {phase} | {name} | {outcome} | {', '.join(rows[phase, name, outcome])} |")
    return "\n".join(lines)
