"""Console logger: a line of text at the start of a run, at every validation, and at the end."""

from pathlib import Path
from typing import Any

import lightning

from bisenet_training.trainer.throughput import Throughput


class ConsoleLogger(lightning.Callback):
    """Prints beside the progress bar; in a log file, which gets no progress bar, these lines are the whole record.

    Args:
        output: where the checkpoints are.
        throughput: measures the images per second; must be called before this callback.
    """

    def __init__(self, output: Path, *, throughput: Throughput) -> None:
        self.output = output
        self.throughput = throughput

    def on_train_start(self, trainer: lightning.Trainer, module: Any) -> None:
        parameters = sum(parameter.numel() for parameter in module.network.parameters()) / 1e6
        self._say(
            trainer,
            f"{module.card.name}, {parameters:.2f} M parameters with its boosters, {trainer.world_size} x "
            f"{module.device.type}, {trainer.precision}: iteration {trainer.global_step} of {trainer.max_steps}",
        )

    def on_train_batch_end(self, trainer: lightning.Trainer, module: Any, *_: Any) -> None:
        if module.recipe.data.val_split is None and trainer.global_step % module.recipe.run.validate_every == 0:
            self._report(trainer)

    def on_validation_end(self, trainer: lightning.Trainer, module: Any) -> None:
        self._report(trainer, f"mIoU {100 * module.scores['val_miou']:.1f} %, ")

    def on_train_end(self, trainer: lightning.Trainer, module: Any) -> None:
        if trainer.global_step < trainer.max_steps:
            self._say_stopped(trainer, "as run.max_minutes is over")
        self._say(trainer, f"checkpoints: {', '.join(map(str, sorted(self.output.glob('*.ckpt'))))}")

    def on_exception(self, trainer: lightning.Trainer, module: Any, exception: BaseException) -> None:
        if isinstance(exception, KeyboardInterrupt):
            self._say_stopped(trainer, "by the keyboard")

    def _say_stopped(self, trainer: lightning.Trainer, reason: str) -> None:
        last = self.output / "last.ckpt"
        advice = f"the same command with --resume goes on from {last}" if last.exists() else "nothing was saved yet"
        self._say(trainer, f"stopped at iteration {trainer.global_step}, {reason}; {advice}")

    def _report(self, trainer: lightning.Trainer, score: str = "") -> None:
        loss = float(trainer.callback_metrics["loss"])
        line = f"iteration {trainer.global_step} of {trainer.max_steps}: {score}loss {loss:.2f}"
        for rate, words in zip(self.throughput.rates.values(), ("images/s", "without loading")):
            line += f", {rate:.1f} {words}"
        self._say(trainer, line)

    @staticmethod
    def _say(trainer: lightning.Trainer, line: str) -> None:
        if not trainer.is_global_zero:
            return
        if trainer.progress_bar_callback:
            print(flush=True)  # ends the bar's line
        print(line, flush=True)
