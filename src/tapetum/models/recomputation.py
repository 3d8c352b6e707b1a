"""Gradient checkpointing of modules with batch norms: what is computed twice is counted once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def recomputed(module: nn.Module, *inputs: Any) -> Tensor:
    """`module(*inputs)`, computed again in the backward pass instead of keeping its activations.

    Gradients and running statistics of batch norms are equal to those of a plain call.
    """
    return checkpoint(module, *inputs, use_reentrant=False, context_fn=partial(_contexts, module))  # type: ignore[no-any-return]


def _contexts(module: nn.Module) -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
    """Contexts of the first pass and of the second one."""
    return nullcontext(), _statistics_untouched(module)


@contextmanager
def _statistics_untouched(module: nn.Module) -> Iterator[None]:
    """Inside, batch norms that train write their running statistics into copies, which are dropped.

    Norms told to track no statistics would save fewer tensors than in the first pass, which checkpointing
    refuses.
    """
    norms = [part for part in module.modules() if isinstance(part, _BatchNorm) and part.training]
    kept = [(norm, name, buffer) for norm in norms for name, buffer in norm.named_buffers(recurse=False)]
    for norm, name, buffer in kept:
        setattr(norm, name, buffer.clone())
    try:
        yield
    finally:
        for norm, name, buffer in kept:
            setattr(norm, name, buffer)
