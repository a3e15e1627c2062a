# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""The network as PyTorch Lightning trains it."""

import math
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any, Sequence

import lightning
import numpy as np
import torch
from torch import Tensor

from bisenet_ros.benchmark.machine import describe_cpu
from bisenet_ros.engines.cpu.postprocess import upsample_logits
from bisenet_ros.evaluation.metrics import class_iou, confusion_matrix, mean_iou
from bisenet_ros.model.model_card import ModelCard
from bisenet_ros.model.model_file import ModelError
from bisenet_ros.network import BiSeNetV2
from bisenet_training.errors import TrainingDiverged
from bisenet_training.trainer.devices import memory_format, print_once
from bisenet_training.trainer.fp32_convolution import keep_strided_depthwise_in_fp32
from bisenet_training.trainer.losses import OhemCrossEntropy, boosted_loss
from bisenet_training.trainer.optimizer import make_optimizer, poly_rate
from bisenet_training.trainer.portable_checkpoint import is_portable
from bisenet_training.trainer.recipe import DataSetRecipe, Recipe, without_places
from bisenet_training.trainer.resume import describe_other_splits

Batch = tuple[Tensor, Tensor]


class SegmentationModule(lightning.LightningModule):
    """BiSeNetV2 with its boosters, loss, optimizer and validation score.

    Its checkpoints hold what export needs: `network`, the arguments of BiSeNetV2, and `card`.

    Args:
        card: of the checkpoints; its training and scores are filled in here.
        class_weights: classes float; the weight of a pixel of each class in the loss. None: equal weights.
        labeled: the class ids that each data set to validate with can have; None: all.
        splits: of the data, as `RunData.splits` has them.
    """

    def __init__(
        self,
        recipe: Recipe,
        card: ModelCard,
        class_weights: Tensor | None = None,
        *,
        labeled: Sequence[Sequence[int]] | None = None,
        splits: Sequence[dict[str, Any]] = (),
    ) -> None:
        super().__init__()
        self.recipe = recipe
        self.card = card
        self.network_options = {"classes": len(card.classes), **asdict(recipe.network)}
        self.network = BiSeNetV2(**self.network_options)
        self.memory_format = memory_format()
        self.network.to(memory_format=self.memory_format)  # type: ignore[call-overload]
        if not torch.cuda.is_available():
            keep_strided_depthwise_in_fp32(self.network)
        loss = recipe.loss
        self.criterion = OhemCrossEntropy(
            threshold=loss.ohem_threshold, min_fraction=loss.ohem_min_fraction, class_weights=class_weights
        )
        self.labeled = labeled or [range(len(card.classes))] * len(recipe.data.scored)
        self.splits = list(splits)
        self.scores: dict[str, Any] = {}
        self.earlier_runs: list[dict[str, Any]] = []
        self.started_from: dict[str, Any] | None = None
        self.seconds_before = 0.0
        self.images_seen = 0

    def on_fit_start(self) -> None:
        self.began = time.monotonic()

    def training_step(self, batch: Batch, _: int) -> Tensor:
        """The loss of a batch: B x h x w x 3 uint8 BGR and B x h x w uint8 targets to a scalar."""
        frames, target = batch[0], batch[1].long()
        self.images_seen += len(frames) * self.trainer.world_size
        images = normalized(frames, mean=self.card.mean, std=self.card.std)
        logits = self.network.forward_boosted(images.contiguous(memory_format=self.memory_format))
        weight, stride = self.recipe.loss.booster_weight, self.recipe.loss.booster_stride
        loss = boosted_loss(logits, target, criterion=self.criterion, booster_weight=weight, booster_stride=stride)
        self._require_finite(_is_finite(loss), "the loss")
        self.log("loss", loss, prog_bar=True)
        return loss

    def on_validation_epoch_start(self) -> None:
        """Confusion matrices of this process's frames, one for each data set."""
        classes = len(self.card.classes)
        self.logits_are_finite = True
        self.confusions = np.zeros((len(self.labeled), classes, classes), np.int64)

    def validation_step(self, batch: Batch, _: int, dataloader_idx: int = 0) -> None:
        """Adds a batch, B x 3 x h x w float32 and B x H x W uint8, to its data set's matrix, by the engines' masks."""
        images, targets = batch
        logits = self.network(images).float()
        if not _is_finite(logits):
            self.logits_are_finite = False  # told at the end: processes can have different numbers of batches
            return
        for one, target in zip(logits.contiguous().cpu().numpy(), targets.cpu().numpy()):
            mask = upsample_logits(one, target.shape).mask
            self.confusions[dataloader_idx] += confusion_matrix(target, mask, classes=len(self.card.classes))

    def _require_finite(self, finite: bool, what: str) -> None:
        """Raises TrainingDiverged in every process if `what` is not finite in one of them; all must call it."""
        if self.trainer.strategy.reduce_boolean_decision(finite, all=True):
            return
        last = Path(self.trainer.default_root_dir) / "last.ckpt"
        advice = (
            f"the last good checkpoint is {last}: go on with run.start_from={last} and another --output"
            if last.exists()
            else "no checkpoint had been saved yet: start again"
        )
        raise TrainingDiverged(
            f"{what} is not finite any more at iteration {self.global_step}; {advice}, with a lower "
            "optimizer.learning_rate or more optimizer.warmup_iterations"
        )

    def on_validation_epoch_end(self) -> None:
        """Scores each data set by the frames of all processes; the run's score is the mean of their mIoU."""
        self._require_finite(self.logits_are_finite, "a logit in the validation")
        found = torch.from_numpy(self.confusions).to(self.device)
        confusions = self.trainer.strategy.reduce(found, reduce_op="sum").cpu().numpy()
        scores = [self._score(confusion, labeled) for confusion, labeled in zip(confusions, self.labeled)]
        if len(scores) == 1:
            self.scores = {**scores[0], "iteration": self.global_step}
        else:
            named = dict(zip(set_names(self.recipe.data.scored), scores))
            mean = round(sum(found["val_miou"] for found in scores) / len(scores), 4)
            self.scores = {"val_miou": mean, "sets": named, "iteration": self.global_step}
            self.log_dict({f"val_miou_{name}": found["val_miou"] for name, found in named.items()}, sync_dist=True)
        self.log("val_miou", self.scores["val_miou"], prog_bar=True, sync_dist=True)

    def _score(self, confusion: np.ndarray, labeled: Sequence[int]) -> dict[str, Any]:
        """mIoU and IoU on one data set, of the classes that it labels; None for one that never occurs."""
        iou = [round(value, 4) if math.isfinite(value) else None for value in class_iou(confusion).tolist()]
        return {
            "val_miou": round(mean_iou(confusion, scored=labeled), 4),
            "val_iou": {self.card.classes[class_id].name: iou[class_id] for class_id in labeled},
        }

    def configure_optimizers(self) -> Any:
        """SGD with the poly schedule."""
        optimizer = make_optimizer(self.network, self.recipe.optimizer)
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, self.rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def rate(self, iteration: int) -> float:
        """The learning rate of an iteration, as a share of the recipe's."""
        return poly_rate(iteration, recipe=self.recipe.optimizer, iterations=self.recipe.run.iterations)

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        self._require_finite(all(map(_is_finite, self.network.state_dict().values())), "a weight")
        card = self.card.to_dict()
        card["training"] = {
            **without_places(self.recipe),
            "iterations_done": self.global_step,
            "images_seen": self.images_seen,
            "splits": self.splits,
            "earlier_runs": self.earlier_runs,
            "started_from": self.started_from,
            "device": torch.cuda.get_device_name(self.device) if self.on_gpu else describe_cpu(),
            "processes": self.trainer.world_size,
            "seconds": round(self.seconds_before + time.monotonic() - self.began),
        }
        card["scores"] = self.scores
        checkpoint["card"] = card
        checkpoint["network"] = self.network_options

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Keeps the earlier schedules for the card, and the iterations until which they held.

        Raises:
            ModelError: it is of other classes.
        """
        self._require_same_classes(ModelCard.from_dict(checkpoint["card"]).classes.names)
        for optimizer in checkpoint["optimizer_states"]:
            for group in optimizer["param_groups"]:  # the schedule may be another from here on
                group["lr"] = group["initial_lr"] * self.rate(checkpoint["global_step"])
        before = checkpoint["card"]["training"]
        print_once(describe_other_splits(before.get("splits", []), self.splits))
        self.seconds_before = before["seconds"]
        self.images_seen = before["images_seen"]
        self.started_from = before["started_from"]
        self.earlier_runs = before["earlier_runs"]
        self.scores = checkpoint["card"]["scores"]
        is_reset = is_portable(checkpoint)  # momentum and average begin again
        if is_reset or before["run"] != without_places(self.recipe)["run"]:
            part = {"until": before["iterations_done"], "run": before["run"], "portable": is_reset}
            self.earlier_runs = [*self.earlier_runs, part]

    def _require_same_classes(self, before: Sequence[str]) -> None:
        names = self.card.classes.names
        if before != names:
            raise ModelError(
                f"expected a checkpoint of the data set's classes, {', '.join(names)}, got one of {', '.join(before)}; "
                "start from its weights: run.start_from=CHECKPOINT, and another --output"
            )


def _is_finite(values: Tensor) -> bool:
    return bool(values.isfinite().all())


def normalized(frames: Tensor, *, mean: Sequence[float], std: Sequence[float]) -> Tensor:
    """Normalizes a batch on its device.

    B x h x w x 3 uint8 BGR to B x 3 x h x w float32 RGB in channels-last memory.
    """
    scale = torch.tensor([1 / (255 * share) for share in std], device=frames.device)
    offset = torch.tensor([share / spread for share, spread in zip(mean, std)], device=frames.device)
    return (frames.flip(-1) * scale - offset).permute(0, 3, 1, 2)


def set_names(sets: Sequence[DataSetRecipe]) -> list[str]:
    """Short names of data sets, each once: with their numbers where two would be the same."""
    names = [Path(entry.dataset).stem for entry in sets]
    if len({*names}) == len(names):
        return names
    return [f"{name}_{number}" for number, name in enumerate(names)]
