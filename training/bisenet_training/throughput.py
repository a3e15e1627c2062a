"""Images per second while training, with data loading and without."""

from __future__ import annotations

import time
from typing import Any, List

import lightning
import torch
from lightning.pytorch.utilities import rank_zero_info

EVERY = 10
"""Iterations: the last of each ten is timed alone, so that waiting for the GPU to finish costs the others nothing."""


class Throughput(lightning.Callback):
    """Logs, at every validation, the images per second since the last, all devices together.

    `images_per_second` is the rate of the run, loading included and validation not; `images_per_second_computing` is
    what the network, loss and optimiser alone would reach: a batch over the median time of the iterations timed.
    """

    def __init__(self, *, batch_size: int) -> None:
        self.batch_size = batch_size
        self._restart()

    def _restart(self) -> None:
        self.began = time.perf_counter()
        self.iterations = 0
        self.computing: List[float] = []

    def on_train_start(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._restart()

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self._restart()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
        if index % EVERY == EVERY - 1:
            self.batch_began = _now()

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, loss: Any, batch: Any, index: int) -> None:
        self.iterations += 1
        if index % EVERY == EVERY - 1:
            self.computing.append(_now() - self.batch_began)

    def on_validation_epoch_start(self, trainer: lightning.Trainer, module: lightning.LightningModule) -> None:
        if not self.computing:
            return
        rates = {
            "images_per_second": self.batch_size * self.iterations / (_now() - self.began),
            "images_per_second_computing": self.batch_size / sorted(self.computing)[len(self.computing) // 2],
        }
        module.log_dict(rates, sync_dist=True)
        rank_zero_info(
            f"{rates['images_per_second']:.1f} images/s in training, "
            f"{rates['images_per_second_computing']:.1f} without loading"
        )


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
