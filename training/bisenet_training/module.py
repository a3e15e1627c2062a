"""The network as PyTorch Lightning trains it."""

from __future__ import annotations

import pickle
from dataclasses import asdict
from pathlib import Path
from typing import Any, Dict, List, Optional, Tuple

import lightning
import torch
from torch import Tensor
from torchmetrics.classification import MulticlassConfusionMatrix

from bisenet_ros.evaluation.confusion_matrix import class_iou, mean_iou
from bisenet_ros.labels import IGNORE
from bisenet_ros.model_card import STRIDE, ModelCard, ModelError
from bisenet_ros.network import BiSeNetV2
from bisenet_ros.network.layers import upsample_to
from bisenet_training.losses import OhemCrossEntropy, boosted_loss
from bisenet_training.recipe import Recipe, as_dict

Batch = Tuple[Tensor, Tensor]


class SegmentationModule(lightning.LightningModule):
    """BiSeNetV2 with its boosters, loss, optimiser and validation score.

    Its checkpoints carry what export needs: `network`, the arguments of BiSeNetV2, and `card`.
    """

    def __init__(self, recipe: Recipe, card: ModelCard, class_weights: Optional[Tensor] = None) -> None:
        super().__init__()
        self.recipe = recipe
        self.card = card
        self.network_options = {"classes": len(card.labels), **asdict(recipe.network)}
        # Channels last makes an iteration a tenth shorter on a CPU.
        self.network = BiSeNetV2(**self.network_options)
        self.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.criterion = OhemCrossEntropy(
            threshold=recipe.loss.ohem_threshold,
            min_fraction=recipe.loss.ohem_min_fraction,
            class_weights=class_weights,
        )
        self.confusion = MulticlassConfusionMatrix(num_classes=len(card.labels), ignore_index=IGNORE)
        self.scores: Dict[str, Any] = {}
        self.earlier_runs: List[Dict[str, Any]] = []
        self.started_from: Optional[Dict[str, Any]] = None

    def start_from(self, path: Path) -> None:
        """Begins with the weights of another run's checkpoint, whose story becomes part of the card's.

        Raises:
            ModelError: the file is missing, is no checkpoint of `bisenet train`, or its network is another.
        """
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
            self.load_state_dict(checkpoint["state_dict"])
        except FileNotFoundError:
            raise ModelError(f"expected a checkpoint at {path} to start from, found none") from None
        except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError) as error:
            raise ModelError(f"{path} does not fit the recipe's network: {error}") from None
        self.started_from = dict(checkpoint["card"]["training"])

    def training_step(self, batch: Batch, _: int) -> Tensor:
        images, labels = batch
        logits = self.network.forward_boosted(images.contiguous(memory_format=torch.channels_last))
        loss = boosted_loss(logits, labels, criterion=self.criterion, booster_weight=self.recipe.loss.booster_weight)
        self.log("loss", loss, prog_bar=True)
        return loss

    def validation_step(self, batch: Batch, _: int) -> None:
        """The label of a pixel as the engines have it: logits upsampled x8, then to the frame's size, argmax."""
        images, labels = batch
        logits = self.network(images)
        logits = upsample_to(logits, (logits.shape[-2] * STRIDE, logits.shape[-1] * STRIDE))
        self.confusion.update(upsample_to(logits, labels.shape[-2:]).argmax(dim=1), labels)

    def on_validation_epoch_end(self) -> None:
        confusion = self.confusion.compute().cpu().numpy()
        self.confusion.reset()
        self.scores = {
            "val_miou": round(mean_iou(confusion), 4),
            "val_iou": dict(zip(self.card.labels.names, class_iou(confusion).round(4).tolist())),
            "iteration": self.global_step,
        }
        self.log("val_miou", self.scores["val_miou"], prog_bar=True)

    def configure_optimizers(self) -> Any:
        """SGD with the poly schedule; weight decay on convolution weights only, as the paper notes."""
        recipe = self.recipe.optimizer
        weights = [p for p in self.network.parameters() if p.ndim == 4]
        others = [p for p in self.network.parameters() if p.ndim != 4]
        optimizer = torch.optim.SGD(
            [{"params": weights, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
            lr=recipe.learning_rate,
            momentum=recipe.momentum,
        )
        iterations, power = self.recipe.run.iterations, recipe.poly_power
        schedule = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda iteration: max(0.0, 1 - iteration / iterations) ** power
        )
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def on_save_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        card = self.card.to_dict()
        card["training"] = {
            **as_dict(self.recipe),
            "iterations_done": self.global_step,
            "earlier_runs": self.earlier_runs,
            "started_from": self.started_from,
            "device": self.device.type,
        }
        card["training"]["data"].pop("root")
        card["scores"] = self.scores
        checkpoint["card"] = card
        checkpoint["network"] = self.network_options

    def on_load_checkpoint(self, checkpoint: Dict[str, Any]) -> None:
        """Keeps what the card must tell of a run that goes on: until where which schedule held."""
        before = checkpoint["card"]["training"]
        part = {"until": before["iterations_done"], "run": before["run"]}
        self.started_from = before.get("started_from")
        self.earlier_runs = [*before.get("earlier_runs", []), part]
