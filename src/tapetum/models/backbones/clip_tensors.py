"""From the tensors of a file to a CLIP: every tensor is accounted for, or an error names it."""

from __future__ import annotations

import torch
from torch import Tensor

from tapetum.errors import CheckpointError
from tapetum.models.backbones.clip import INITIAL_LOGIT_SCALE, Clip, ImageTowerShape
from tapetum.models.backbones.clip_layouts import Layout
from tapetum.models.backbones.text import TextConfig
from tapetum.models.weight_files import WeightFile


class FileTensors:
    """The tensors of a file under our names, with a book of which have been used.

    Attributes:
        path: The file.
        layout: How the file names its tensors.
    """

    def __init__(self, weights: WeightFile, layout: Layout) -> None:
        self.path = weights.path
        self.layout = layout
        self._stored = weights.tensors
        self._unused = {name for name in weights.tensors if not layout.harmless.fullmatch(name)}

    def take(self, ours: str, like: Tensor) -> Tensor:
        """Our tensor `ours`, which must have the shape of `like`, in its number type.

        Raises:
            CheckpointError: A source is missing, or does not fit.
        """
        made = self._make(ours, f"{ours} of shape {tuple(like.shape)}")
        if made.shape != like.shape:
            raise self._misfit(ours, f"{ours} of shape {tuple(like.shape)}")
        self._unused.difference_update(self.layout.recipe(ours).sources)
        return made.to(like.dtype).contiguous()

    def sizes(self, ours: str, dimensions: int) -> tuple[int, ...]:
        """Shape of our tensor `ours`.

        Raises:
            CheckpointError: A source is missing, or there are more or fewer dimensions.
        """
        made = self._make(ours, f"{ours} of {dimensions} dimensions")
        if made.ndim != dimensions:
            raise self._misfit(ours, f"{ours} of {dimensions} dimensions")
        return tuple(made.shape)

    def _make(self, ours: str, expected: str) -> Tensor:
        recipe = self.layout.recipe(ours)
        for source in recipe.sources:
            if source not in self._stored:
                raise CheckpointError(
                    f"{self.path}: tensor {source!r} is missing (for {expected}); a file of "
                    f"{self.layout.title} has it"
                )
        try:
            return recipe.make(*(self._stored[source] for source in recipe.sources))
        except (RuntimeError, IndexError):  # transposing, cutting or stacking what has no such dimensions
            raise self._misfit(ours, expected) from None

    def _misfit(self, ours: str, expected: str) -> CheckpointError:
        given = ", ".join(self._describe(source) for source in self.layout.recipe(ours).sources)
        return CheckpointError(f"{self.path}: tensor {given} does not fit: expected {expected}")

    def _describe(self, source: str) -> str:
        return f"{source!r} {tuple(self._stored[source].shape)}"

    @property
    def names(self) -> list[str]:
        """Names in the file, in its order."""
        return list(self._stored)

    def has(self, ours: str) -> bool:
        """Whether the file holds all that our tensor `ours` is made of."""
        return all(source in self._stored for source in self.layout.recipe(ours).sources)

    def check_all_used(self) -> None:
        """Do nothing if every tensor of the file has been taken.

        Raises:
            CheckpointError: Some were not; they are named.
        """
        if self._unused:
            names = sorted(self._unused)
            some = ", ".join(self._describe(name) for name in names[:4])
            more = f" and {len(names) - 4} more" if len(names) > 4 else ""
            raise CheckpointError(f"{self.path}: unexpected tensors: {some}{more}")


_COUNTER = ".num_batches_tracked"
"""Of a batch norm: how often it has trained, which nothing here reads and some files leave out."""


def build_clip(vision: ImageTowerShape, text: TextConfig | None, tensors: FileTensors) -> Clip:
    """A CLIP of these shapes with the weights of a file.

    Raises:
        CheckpointError: A tensor is missing, left over, or of another shape.
    """
    try:
        with torch.device("meta"):
            clip = Clip(vision, text)
    except ValueError as error:
        raise CheckpointError(f"{tensors.path}: {error}") from None
    state: dict[str, Tensor] = {}
    for name, expected in clip.state_dict().items():
        if name == "logit_scale" and text is None and not tensors.has(name):
            state[name] = torch.tensor(INITIAL_LOGIT_SCALE)
        elif name.endswith(_COUNTER) and not tensors.has(name):
            state[name] = torch.zeros((), dtype=expected.dtype)
        else:
            state[name] = tensors.take(name, expected)
    tensors.check_all_used()
    clip.load_state_dict(state, assign=True)
    return clip
