# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The callbacks of a training run: progress report, time limit and SIGTERM, best and portable checkpoint."""

import io
import math
import statistics
import time
import zipfile
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.pytorch.callbacks import Checkpoint, ModelCheckpoint
from lightning.pytorch.utilities.exceptions import SIGTERMException

from bisenet_ros.files.atomic_write import write_bytes


class BestCheckpoint(ModelCheckpoint):
    """Writes `best.ckpt`, the weights of the best mIoU, also where the run's folder was moved before it went on."""

    def __init__(self, output: Path) -> None:
        super().__init__(output, filename="best", monitor="val_miou", mode="max", enable_version_counter=False)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        best, score = str(Path(self.dirpath or "") / "best.ckpt"), state_dict["best_model_score"]
        if score is not None and Path(best).is_file():  # Lightning forgets it where the folder has another path
            places = {"dirpath": self.dirpath, "best_model_path": best, "kth_best_model_path": best}
            state_dict = {**state_dict, **places, "best_k_models": {best: score}}
        super().load_state_dict(state_dict)


class ProgressReport(lightning.Callback):
    """Reports loss, mIoU and throughput at every validation, or as often where there is none.

    Prints lines beside the progress bar, and at the start and the end of a run; a log file gets no bar, these lines are
    its whole record. The throughput is logged too, of all devices together since the last report: `images_per_second`
    is the rate of the run, with loading and without validation; `images_per_second_computing` is that of network, loss
    and optimizer alone: a batch divided by the median time of the iterations that were timed.

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
        self._restart()

    def on_train_batch_start(self, trainer: lightning.Trainer, module: Any, batch: Any, index: int) -> None:
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
        self._say(trainer, f"checkpoints: {', '.join(map(str, sorted(self.output.glob('*.ckpt'))))}")

    def on_exception(self, trainer: lightning.Trainer, module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._say_stopped(trainer, "by the keyboard")
        if isinstance(exception, SIGTERMException):
            self._say_stopped(trainer, "by SIGTERM")

    def _is_timed(self, index: int) -> bool:
        return index % self.timed_each == self.timed_each - 1

    def _restart(self) -> None:
        self.began = time.perf_counter()
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
        advice = f"the same command with --resume goes on from {last}" if last.exists() else "nothing was saved yet"
        self._say(trainer, f"stopped at iteration {trainer.global_step}, {reason}; {advice}")

    @staticmethod
    def _say(trainer: lightning.Trainer, line: str) -> None:
        if not trainer.is_global_zero:
            return
        if trainer.progress_bar_callback:
            print(flush=True)  # ends the bar's line
        print(line, flush=True)


class GracefulStop(Checkpoint):
    """Ends the run, with its state saved for `--resume`, after the iteration in which its time is up or SIGTERM comes.

    Where a validation is due when the time is up, the run ends after that. Of several processes that get SIGTERM,
    Lightning ends all at once: they go on from the last validation. It is a `Checkpoint` so that Lightning calls it
    after the callback that averages the weights.

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


class PortableCheckpoint(Checkpoint):
    """Writes a portable copy of `last.ckpt` after every validation, and when the run ends (`--save-weights`).

    Without a validation split it is written as often. It is a `Checkpoint` so that Lightning calls it after the
    callback that writes `last.ckpt`.
    """

    def __init__(self, last: Path, path: Path) -> None:
        self.last = last
        self.path = path

    def on_validation_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        if trainer.is_global_zero and self.last.exists():
            checkpoint = torch.load(self.last, map_location="cpu", weights_only=True)
            write_bytes(self.path, deflated(portable(checkpoint)))

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        if not module.recipe.data.scored and trainer.global_step % module.recipe.run.validate_every == 0:
            self.on_validation_end(trainer)

    def on_train_end(self, trainer: lightning.Trainer, *_: Any) -> None:
        self.on_validation_end(trainer)


def portable(checkpoint: dict[str, Any]) -> dict[str, Any]:
    """A checkpoint for `--resume-from` of a fifth of the size.

    Weights are in half precision. The optimizer's momentum and the moving average of the weights are left out: both
    begin anew, the average with the weights of the last iteration. So are the scores where they are the average's.
    """
    weights = {
        name: tensor.half() if tensor.is_floating_point() else tensor
        for name, tensor in checkpoint.get("current_model_state", checkpoint["state_dict"]).items()
    }
    optimizers = [{**state, "state": {}} for state in checkpoint["optimizer_states"]]
    changed = {"state_dict": weights, "optimizer_states": optimizers}
    if "current_model_state" in checkpoint:
        changed.update(current_model_state=weights, card={**checkpoint["card"], "scores": {}})
    return {**checkpoint, **changed}


def deflated(checkpoint: dict[str, Any]) -> bytes:
    """The checkpoint as `torch.save` writes it, compressed; `torch.load` reads it. A tenth smaller."""
    plain, compressed = io.BytesIO(), io.BytesIO()
    torch.save(checkpoint, plain)
    with zipfile.ZipFile(plain) as source, zipfile.ZipFile(compressed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    return compressed.getvalue()


def _now() -> float:
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return time.perf_counter()
