"""Time limit: ends a run after some minutes, with its state saved for `--resume`."""

import time
from pathlib import Path
from typing import Any

import lightning
from lightning.pytorch.callbacks import Checkpoint


class TimeLimit(Checkpoint):
    """Ends the run after the iteration in which the time is up; where a validation is due, after that.

    It is a `Checkpoint` so that Lightning calls it after the callback that averages the weights.

    Args:
        last: the checkpoint to write.
        minutes: counted from the first iteration of this process.
    """

    def __init__(self, last: Path, *, minutes: float) -> None:
        self.last = last
        self.seconds = 60 * minutes

    def on_train_start(self, *_: Any) -> None:
        self.began = time.monotonic()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        up = time.monotonic() - self.began >= self.seconds
        # All processes stop at the same iteration.
        if not trainer.strategy.reduce_boolean_decision(up, all=False):
            return
        trainer.should_stop = True
        if trainer.global_step % module.recipe.run.validate_every == 0:
            return  # the checkpoint that is due now is written by its own callback
        trainer.limit_val_batches = 0  # or Lightning would validate once more before it stops
        trainer.save_checkpoint(self.last)
