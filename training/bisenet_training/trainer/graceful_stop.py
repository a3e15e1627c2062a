# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The end of a training run by its time limit or SIGTERM."""

import math
import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint


class GracefulStop(Checkpoint):
    """Ends the run, with its state saved for `--resume`, after the iteration in which its time is up or SIGTERM comes.

    Where a validation is due when the time is up, the run ends after that. SIGTERM in a validation, or to several
    processes, ends the run at once: it goes on from the validation before. It is a `Checkpoint` so that Lightning calls
    it after the callback that averages the weights.

    Args:
        last: the checkpoint to write.
        minutes: counted from the first iteration of this process; None: no limit.
    """

    def __init__(self, last: Path, *, minutes: float | None) -> None:
        self.last = last
        self.seconds = math.inf if minutes is None else 60 * minutes

    def on_train_start(self, *_: Any) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        terminated = trainer.received_sigterm and trainer.world_size == 1
        if not terminated and not self._is_time_up(trainer):
            return
        trainer.should_stop = True
        if not terminated and trainer.global_step % module.recipe.run.validate_every == 0:
            return  # the checkpoint that is due now is written by its own callback
        trainer.limit_val_batches = 0  # or Lightning would validate once more before it stops
        trainer.save_checkpoint(self.last)

    def _is_time_up(self, trainer: lightning.Trainer) -> bool:
        """Whether it is for one process; all of them stop at the same iteration."""
        if self.seconds == math.inf:
            return False
        up = time.monotonic() - self.began >= self.seconds
        return trainer.strategy.reduce_boolean_decision(up, all=False)
