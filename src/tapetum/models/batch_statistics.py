"""Running statistics of batch norms held still while their weights learn."""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm


def hold_statistics(module: nn.Module) -> None:
    """Make every batch norm in `module` normalise by its running statistics, which then stay as they are.

    Weights and biases go on learning. `module.train()` ends it.
    """
    for part in module.modules():
        if isinstance(part, _BatchNorm):
            part.eval()
