"""Layers that stay in fp32 under mixed precision."""

import torch
from torch import Tensor, nn


class Fp32Conv2d(nn.Conv2d):
    """A convolution that autocast leaves in fp32; its parameters have the names of nn.Conv2d's."""

    def forward(self, x: Tensor) -> Tensor:
        with torch.autocast(x.device.type, enabled=False):
            return super().forward(x.float())


def keep_strided_depthwise_in_fp32(network: nn.Module) -> None:
    """Replaces the strided depthwise convolutions of `network` by Fp32Conv2d.

    On a CPU the bf16 gradient of such a convolution takes three to eight times as long as its fp32 one (oneDNN 3.x in
    torch 2.13, Zen 4); with it a training iteration is a tenth shorter.
    """
    for parent in list(network.modules()):
        for name, layer in list(parent.named_children()):
            if isinstance(layer, nn.Conv2d) and layer.groups > 1 and layer.stride != (1, 1):
                setattr(parent, name, _in_fp32(layer))


def _in_fp32(layer: nn.Conv2d) -> Fp32Conv2d:
    replacement = Fp32Conv2d(
        layer.in_channels,
        layer.out_channels,
        kernel_size=layer.kernel_size,  # type: ignore[arg-type]
        stride=layer.stride,  # type: ignore[arg-type]
        padding=layer.padding,  # type: ignore[arg-type]
        groups=layer.groups,
        bias=layer.bias is not None,
    )
    replacement.load_state_dict(layer.state_dict())
    return replacement
