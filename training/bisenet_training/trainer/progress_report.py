# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""What a training run prints and logs about its progress."""

import statistics
import time
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bisenet_ros.network.checkpoint import read_checkpoint


class ProgressReport(lightning.Callback):
    """Reports the last batch's loss, mIoU and throughput at every validation, or as often where there is none.

    Prints lines beside the progress bar, and at the start and the end of a run; a log file gets no bar, these lines are
    its whole record. The throughput is logged too, of all devices together since the last report: `images_per_second`
    is the rate of the run, with loading but without validation and the writing of checkpoints;
    `images_per_second_computing` is that of network, loss and optimizer alone: a batch divided by the median time of
    the iterations that were timed.

    Args:
        output: where the checkpoints are.
    """

    def __init__(self, output: Path) -> None:
        self.output = output
        # Waiting for a GPU to finish would slow it down, so that only some iterations are timed there.
        self.timed_each = 10 if torch.cuda.is_available() else 1
        self.rates: dict[str, float] = {}

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        parameters = sum(parameter.numel() for parameter in module.network.parameters()) / 1e6
        self._say(
            trainer,
            f"{module.card.name}, {parameters:.2f} M parameters with its boosters, {trainer.world_size} x "
            f"{module.device.type}, {trainer.precision}: iteration {trainer.global_step} of {trainer.max_steps}",
        )
        warmup = module.recipe.optimizer.warmup_iterations
        if warmup >= trainer.max_steps:
            self._say(
                trainer,
                f"optimizer.warmup_iterations is {warmup}, so that a run of {trainer.max_steps} never has its learning "
                "rate; choose fewer",
            )
        self._restart()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
        if not self.iterations:  # checkpoints are written after a report
            self.began = time.perf_counter()
        if self._is_timed(index):
            self.batch_began = _now()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, loss: Any, batch: Any, index: int) -> None:
        self.iterations += 1
        if self._is_timed(index):
            self.computing.append(_now() - self.batch_began)
        if trainer.global_step % module.recipe.run.validate_every == 0:
            self._measure(trainer, module.recipe.run.batch_size)
            if not module.recipe.data.scored:
                self._report(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        sets = [f"{name} {100 * found['val_miou']:.2f}" for name, found in module.scores.get("sets", {}).items()]
        means = f" in the mean of {', '.join(sets)}" if sets else ""
        self._report(trainer, f"mIoU {100 * module.scores['val_miou']:.2f} %{means}, ")

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.global_step < trainer.max_steps:
            self._say_stopped(trainer, "as run.max_minutes is over")
        elif module.recipe.optimizer.poly_end:
            share = f"{module.rate(trainer.max_steps):.0%}"
            self._say(
                trainer,
                f"the learning rate ends at {share} of the recipe's, by optimizer.poly_end: the rest of the schedule "
                "is for another run, with run.start_from",
            )
        self._say(trainer, f"checkpoints: {', '.join(map(str, sorted(self.output.glob('*.ckpt'))))}")

    def on_exception(self, trainer: lightning.Trainer, module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._say_stopped(trainer, "by the keyboard")
        if isinstance(exception, SIGTERMException):
            self._say_stopped(trainer, "by SIGTERM")

    def _is_timed(self, index: int) -> bool:
        return index % self.timed_each == self.timed_each - 1

    def _restart(self) -> None:
        self.iterations = 0
        self.computing: list[float] = []

    def _measure(self, trainer: lightning.Trainer, batch_size: int) -> None:
        self.rates = {"images_per_second": batch_size * self.iterations / (_now() - self.began)}
        if self.computing:
            self.rates["images_per_second_computing"] = batch_size / statistics.median(self.computing)
        for logger in trainer.loggers:
            logger.log_metrics(self.rates, step=trainer.global_step)

    def _report(self, trainer: lightning.Trainer, score: str = "") -> None:
        loss = float(trainer.callback_metrics["loss"])
        line = f"iteration {trainer.global_step} of {trainer.max_steps}: {score}loss {loss:.2f}"
        for rate, words in zip(self.rates.values(), ("images/s", "without loading")):
            line += f", {rate:.1f} {words}"
        self._say(trainer, line)
        self._restart()

    def _say_stopped(self, trainer: lightning.Trainer, reason: str) -> None:
        last = self.output / "last.ckpt"
        resumed = "--resume"
        if trainer.ckpt_path and Path(trainer.ckpt_path) != last:
            resumed += " in place of --resume-from"
        advice = "nothing was saved yet"
        if last.exists():
            saved = read_checkpoint(last)["global_step"]
            advice = f"the same command with {resumed} goes on from {last}, which is of iteration {saved}"
        self._say(trainer, f"stopped at iteration {trainer.global_step}, {reason}; {advice}")

    @staticmethod
    def _say(trainer: lightning.Trainer, line: str) -> None:
        if not trainer.is_global_zero:
            return
        if trainer.progress_bar_callback:
            print(flush=True)  # ends the bar's line
        print(line, flush=True)


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
