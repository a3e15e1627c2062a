"""Grad-CAM (Selvaraju et al. 2017), as in Fig. 8."""

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
    hooks = [
        stage.register_forward_hook(lambda module, _, output: features.update({module: output})) for stage in stages
    ]
    try:
        with torch.enable_grad():
            logits = network(image.detach().requires_grad_())
    finally:
        for hook in hooks:
            hook.remove()
    score = logits[:, class_id][logits.argmax(dim=1) == class_id].sum()
    outputs = [features[stage] for stage in stages]
    gradients = torch.autograd.grad(score, outputs)
    return [_map(output.detach(), gradient) for output, gradient in zip(outputs, gradients)]


def _map(features: Tensor, gradient: Tensor) -> Tensor:
    weights = gradient.mean(dim=(2, 3), keepdim=True)
    return F.relu((weights * features).sum(dim=1))[0]
