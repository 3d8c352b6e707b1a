"""What a method costs: parameters that encoding reads and training moves, and operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode, sdpa_backward_flop_count, sdpa_flop_count

from tapetum.data.clips import select_test_frames
from tapetum.methods import Method
from tapetum.types import Modality, TrackletSet


@dataclass(frozen=True, slots=True)
class Costs:
    """Size and work of a method.

    Attributes:
        embedding: Numbers of an embedding.
        parameters: Numbers of the network that encoding reads, of both modalities together.
        trained: Numbers that any stage of training moves; 0 where nothing is trained.
        flops_per_clip: Floating-point operations of encoding one clip, mean over the modalities.
        clips_per_tracklet: Clips of a test tracklet, mean.
    """

    embedding: int
    parameters: int
    trained: int
    flops_per_clip: int
    clips_per_tracklet: float

    def to_json(self) -> dict[str, float]:
        """The figures, ready for `json.dumps`."""
        return {
            "embedding": self.embedding,
            "parameters": self.parameters,
            "trained": self.trained,
            "flops_per_clip": self.flops_per_clip,
            "clips_per_tracklet": self.clips_per_tracklet,
            "flops_per_tracklet": self.flops_per_clip * self.clips_per_tracklet,
        }


def measure_costs(method: Method, tracklets: TrackletSet, *, trained: int) -> Costs:
    """Size and work of a method that embeds `tracklets`.

    Args:
        method: On any device; left as it is, but for being in evaluation mode.
        tracklets: Of the test; not empty.
        trained: Numbers that training moved, see `count_trained`.
    """
    encode = _encoding(method.eval())
    return Costs(
        method.embedding_dim,
        sum(parameter.numel() for parameter in parameters_read(encode)),
        trained,
        count_flops(encode) // 2,
        _clips_per_tracklet(method, tracklets),
    )


def parameters_read(call: Callable[[], object]) -> list[nn.Parameter]:
    """The parameters that torch's functions are given while `call` runs, each once."""
    with torch.no_grad(), _Reading() as reading:
        call()
    return list(reading.found.values())


def count_trained(method: Method) -> int:
    """Numbers that any stage of training moves.

    Args:
        method: As it is before training: files of finished methods may lack what only training needs.
    """
    groups = [group for stage in method.stages() for group in stage.parameter_groups()]
    return sum({id(p): p.numel() for group in groups for p in group.parameters}.values())


def count_flops(call: Callable[[], object], *, with_gradients: bool = False) -> int:
    """Floating-point operations of matrix products, convolutions and attention while `call` runs.

    A multiplication and the addition after it count as two; element-wise work is not counted.

    Args:
        call: What is counted.
        with_gradients: Whether it may compute gradients, which count too.
    """
    with (
        torch.set_grad_enabled(with_gradients),
        FlopCounterMode(display=False, custom_mapping=_ATTENTION) as counter,
    ):
        call()
    return int(counter.get_total_flops())


def _encoding(method: Method) -> Callable[[], Tensor]:
    """A call that encodes one clip of each modality."""
    expected = method.preprocessing
    tensors = (*method.parameters(), *method.buffers())
    clips = torch.zeros(
        2,
        expected.frames,
        3,
        expected.height,
        expected.width,
        device=tensors[0].device if tensors else None,
    )
    cameras = [method.camera_ids[0] if method.camera_ids else None] * 2
    return lambda: method.encode(clips, modality=list(Modality), camera_ids=cameras)


def _clips_per_tracklet(method: Method, tracklets: TrackletSet) -> float:
    sampling, frames = method.config.test_sampling, method.preprocessing.frames
    counts = [len(select_test_frames(sampling, len(t.frames), frames)) for t in tracklets]
    return sum(counts) / len(counts)


class _Reading(TorchFunctionMode):
    """Keeps the parameters among the arguments of every torch function."""

    def __init__(self) -> None:
        super().__init__()
        self.found: dict[int, nn.Parameter] = {}

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        for leaf in tree_leaves((args, kwargs)):
            if isinstance(leaf, nn.Parameter):
                self.found[id(leaf)] = leaf
        return func(*args, **(kwargs or {}))


def _attention_flops(
    query: torch.Size, key: torch.Size, value: torch.Size, *args: Any, out_shape: Any = None, **kwargs: Any
) -> int:
    flops: int = sdpa_flop_count(query, key, value)  # type: ignore[no-untyped-call]
    return flops


def _attention_backward_flops(
    slope: torch.Size,
    query: torch.Size,
    key: torch.Size,
    value: torch.Size,
    *args: Any,
    out_shape: Any = None,
    **kwargs: Any,
) -> int:
    flops: int = sdpa_backward_flop_count(slope, query, key, value)  # type: ignore[no-untyped-call]
    return flops


_ATTENTION = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention_flops,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward_flops,
}
"""Attention as a processor computes it, which the counter does not know by itself."""
