"""Grad-CAM (Selvaraju et al. 2017), as in Fig. 8."""

from contextlib import ExitStack
from typing import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F


def grad_cam(network: nn.Module, stages: Sequence[nn.Module], image: Tensor, class_id: int) -> list[Tensor]:
    """Where each stage's features speak for a class.

    The score is the sum of the class's logits over the pixels that the network gives to it. Each channel of a stage
    weighs its mean gradient of the score; the map is the positive part of the weighted sum of the channels.

    Args:
        network: in eval mode; image to B x classes x h x w logits.
        stages: modules of it, each called once and returning B x C x h' x w' features.
        image: 1 x 3 x H x W float, normalized.

    Returns:
        For each stage h' x w' float32, 0 or more. All zeros where no pixel is given to the class.
    """
    features: dict[nn.Module, Tensor] = {}
    with ExitStack() as hooks, torch.enable_grad():
        for stage in stages:
            keep = stage.register_forward_hook(lambda module, _, output: features.update({module: output}))
            hooks.enter_context(keep)
        logits = network(image.detach().requires_grad_())
    score = logits[:, class_id][logits.argmax(dim=1) == class_id].sum()
    outputs = [features[stage] for stage in stages]
    weights = [gradient.mean(dim=(2, 3), keepdim=True) for gradient in torch.autograd.grad(score, outputs)]
    return [F.relu((weight * output.detach()).sum(dim=1))[0] for weight, output in zip(weights, outputs)]
