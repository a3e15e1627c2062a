"""Images per second while training, with data loading and without."""

import statistics
import time
from typing import Any

import lightning
import torch


class Throughput(lightning.Callback):
    """Logs the images per second since the last report, all devices together, every `validate_every` iterations.

    `images_per_second` is the rate of the run, with loading and without validation; `images_per_second_computing` is
    that of network, loss and optimizer alone: a batch divided by the median time of the iterations that were timed.

    Attributes:
        rates: the latest report.
    """

    def __init__(self) -> None:
        # Waiting for a GPU to finish would slow it down, so that only some iterations are timed there.
        self.timed_each = 10 if torch.cuda.is_available() else 1
        self.rates: dict[str, float] = {}
        self._restart()

    def _restart(self) -> None:
        self.began = time.perf_counter()
        self.iterations = 0
        self.computing: list[float] = []

    def on_train_start(self, *_: Any) -> None:
        self._restart()

    def on_validation_end(self, *_: Any) -> None:
        self._restart()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
        if self._is_timed(index):
            self.batch_began = _now()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, loss: Any, batch: Any, index: int) -> None:
        self.iterations += 1
        if self._is_timed(index):
            self.computing.append(_now() - self.batch_began)
        if trainer.global_step % module.recipe.run.validate_every == 0:
            self._report(trainer, module.recipe.run.batch_size)
            self._restart()

    def _report(self, trainer: lightning.Trainer, batch_size: int) -> None:
        self.rates = {"images_per_second": batch_size * self.iterations / (_now() - self.began)}
        if self.computing:
            self.rates["images_per_second_computing"] = batch_size / statistics.median(self.computing)
        for logger in trainer.loggers:
            logger.log_metrics(self.rates, step=trainer.global_step)

    def _is_timed(self, index: int) -> bool:
        return index % self.timed_each == self.timed_each - 1


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
