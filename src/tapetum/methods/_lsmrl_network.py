"""LSMRL's network: sequence encoder, prompts, semantic diffusion, cross-modal interaction, necks."""

from __future__ import annotations

from collections.abc import Iterable

import torch
from torch import Tensor, nn

from tapetum.methods._sequence_encoder import SequenceEncoder, SequenceFeatures
from tapetum.models.backbones.text import TextTransformer
from tapetum.models.interaction import CrossModalInteraction, SemanticDiffusion
from tapetum.models.necks import BatchNormNeck
from tapetum.models.prompts import SharedPrompts


class LsmrlNetwork(nn.Module):
    """The parts of LSMRL; what is None is switched off.

    Attributes:
        text_bank: Text features of all training identities, `[I, D]`. What `diffuse` reads at test time:
            encoding needs no text tower.

    Args:
        encoder: Clips to features.
        num_identities: I.
        text: Frozen text tower.
        prompts: One prompt per identity.
        diffusion: Semantic diffusion.
        interaction: Cross-modal interaction.
        diffuse_patches: Semantic diffusion works on patch tokens too.
        heads: Names of the features with an identity loss: f, f_p, g.
    """

    text_bank: Tensor

    def __init__(
        self,
        encoder: SequenceEncoder,
        num_identities: int,
        *,
        text: TextTransformer | None = None,
        prompts: SharedPrompts | None = None,
        diffusion: SemanticDiffusion | None = None,
        interaction: CrossModalInteraction | None = None,
        diffuse_patches: bool = False,
        heads: Iterable[str] = (),
    ) -> None:
        super().__init__()
        width, joint = encoder.visual.config.width, encoder.visual.config.output_dim
        self.dims = {"f": width, "f_p": joint, "g": joint}
        self.encoder = encoder
        self.text = text
        self.prompts = prompts
        self.diffusion = diffusion
        self.interaction = interaction
        self.diffuse_patches = diffuse_patches
        self.necks = nn.ModuleDict({name: BatchNormNeck(self.dims[name], num_identities) for name in heads})
        self.register_buffer("text_bank", torch.zeros(num_identities if prompts else 0, joint))

    def encode_frames(self, clips: Tensor) -> SequenceFeatures:
        """STFL: features of clips `[B, T, 3, H, W]`, with patches where semantic diffusion reads them."""
        return self.encoder(clips, with_patches=self.diffuse_patches)  # type: ignore[no-any-return]

    def text_features(self, labels: Tensor | None = None) -> Tensor:
        """Text features `[I, D]` of all prompts, or `[N, D]` of those of `labels` `[N]`; with gradients.

        Raises:
            RuntimeError: The network has no prompts.
        """
        if self.text is None or self.prompts is None:
            raise RuntimeError("this network was built without prompts")
        embeddings, end = self.prompts(labels)
        return self.text.encode_embeddings(embeddings, end)

    @torch.no_grad()
    def refresh_text_bank(self) -> None:
        """Recompute the text bank from the prompts as they are; nothing where there are none."""
        if self.prompts is not None:
            self.text_bank.copy_(self.text_features())

    def normed(self, name: str, feature: Tensor) -> Tensor:
        """`feature` `[B, D]` behind its neck's batch norm; without modules g is f_p and shares its neck."""
        neck = self.necks[name if name in self.necks else "f_p"]
        return neck.norm(feature)  # type: ignore[operator, no-any-return]

    def diffuse(self, features: SequenceFeatures, bank: Tensor) -> Tensor:
        """SD: frame tokens `[B, T, D]` that carry the prompts' semantics, or as they are without SD.

        With patches, a frame's token is the mean of its class token and the mean of its patches.
        """
        if self.diffusion is None:
            return features.tokens
        if features.patches is None:
            return self.diffusion(features.tokens, bank)  # type: ignore[no-any-return]
        rows, frames, patches, dim = features.patches.shape
        tokens = torch.cat([features.tokens, features.patches.flatten(1, 2)], dim=1)
        diffused = self.diffusion(tokens, bank)
        spread = diffused[:, frames:].view(rows, frames, patches, dim).mean(2)
        return (diffused[:, :frames] + spread) / 2  # type: ignore[no-any-return]

    def interact(self, tokens: Tensor, partner: Tensor | None = None) -> Tensor:
        """CMI and mean over frames: float32 `[B, D]`; without a partner a sequence is its own."""
        if self.interaction is not None:
            tokens = self.interaction(tokens, partner)
        return tokens.float().mean(1)
