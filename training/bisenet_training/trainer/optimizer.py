# Copyright 2026 bisenet_ros maintainers
# SPDX-License-Identifier: Apache-2.0
"""SGD with the poly schedule of the learning rate (section 4, "Training")."""

import torch
from torch import nn

from bisenet_training.trainer.recipe import OptimizerRecipe


def make_optimizer(network: nn.Module, recipe: OptimizerRecipe) -> torch.optim.SGD:
    """SGD with momentum, and weight decay on the parameters of convolutions only."""
    layers = list(network.modules())
    decayed = [p for layer in layers if isinstance(layer, nn.Conv2d) for p in layer.parameters()]
    others = [p for layer in layers if not isinstance(layer, nn.Conv2d) for p in layer.parameters(recurse=False)]
    return torch.optim.SGD(
        [{"params": decayed, "weight_decay": recipe.weight_decay}, {"params": others, "weight_decay": 0.0}],
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
    )


def poly_rate(iteration: int, *, recipe: OptimizerRecipe, iterations: int) -> float:
    """The learning rate of an iteration, as a share of the recipe's.

    Args:
        iteration: from 0.
        iterations: of the whole run.
    """
    left = max(0.0, 1 - (1 - recipe.poly_end) * iteration / iterations)
    return min(1.0, (iteration + 1) / (recipe.warmup_iterations + 1)) * left**recipe.poly_power
