"""Ends a run after a given time, with its state saved for `--resume`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import lightning


class TimeLimit(lightning.Callback):
    """Stops at the end of the iteration in which the time is up, and writes `last.ckpt`.

    Args:
        output: where the checkpoint goes.
        minutes: counted from the first iteration of this process.
    """

    def __init__(self, output: Path, *, minutes: float) -> None:
        self.output = output
        self.seconds = 60 * minutes

    def on_train_start(self, *_: Any) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        up = time.monotonic() - self.began >= self.seconds
        if trainer.strategy.reduce_boolean_decision(up, all=False):
            trainer.should_stop = True

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.should_stop and trainer.global_step < trainer.max_steps:
            trainer.save_checkpoint(self.output / "last.ckpt")
