"""Images per second while training, with data loading and without."""

import time
from typing import Any

import lightning
import torch


class Throughput(lightning.Callback):
    """Logs the images per second since the last report, all devices together, every so many iterations.

    `images_per_second` is the rate of the run, with loading and without validation; `images_per_second_computing` is
    that of network, loss and optimizer alone: a batch divided by the median time of the iterations that were timed.

    Args:
        batch_size: images of an iteration, all devices together.
        every: iterations between reports.

    Attributes:
        rates: the latest report.
    """

    def __init__(self, *, batch_size: int, every: int) -> None:
        self.batch_size = batch_size
        self.every = every
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
        if trainer.global_step % self.every == 0:
            self._report(trainer)
            self._restart()

    def _report(self, trainer: lightning.Trainer) -> None:
        self.rates = {"images_per_second": self.batch_size * self.iterations / (_now() - self.began)}
        if self.computing:
            median = sorted(self.computing)[len(self.computing) // 2]
            self.rates["images_per_second_computing"] = self.batch_size / median
        for logger in trainer.loggers:
            logger.log_metrics(self.rates, step=trainer.global_step)

    def _is_timed(self, index: int) -> bool:
        return index % self.timed_each == self.timed_each - 1


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
