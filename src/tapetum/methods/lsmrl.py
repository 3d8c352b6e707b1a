"""LSMRL (arXiv 2601.12062): language-driven, sequence-level, modal-invariant features; our reconstruction.

From the paper's abstract: an image tower cut into a basic, a spatial-temporal grouped and a temporal patch
shift encoder (STFL); prompts that the modalities share, diffused into both modalities' features (SD);
bidirectional cross-modal self-attention (CMI); identity-level losses and two modality-level ones. The inner
form of each, and every number, is taken from named predecessors or inferred; see docs/methods/lsmrl.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.methods._base import Method, MethodConfig, Stage
from tapetum.methods._clip_method import Towers, build_towers
from tapetum.methods._lsmrl_config import LsmrlConfig
from tapetum.methods._lsmrl_network import LsmrlNetwork
from tapetum.methods._lsmrl_stages import NetworkStage, PromptStage
from tapetum.methods._sequence_encoder import SequenceEncoder, TemporalLayout
from tapetum.models.interaction import CrossModalInteraction, SemanticDiffusion
from tapetum.models.prompts import SharedPrompts
from tapetum.types import Id, Modality

TINY: Mapping[str, Any] = {
    "height": 96,
    "width": 48,
    "frames": 2,
    "test_sampling": "dense",
    "backbone": "tiny",
    "weights": "stand-in",
    "prompt": "a {} person",
    "stfl_split": (2, 1, 2),
    "stg_groups": 3,
    "msel_norm": True,
    "modality_on": ("f", "g"),
    "loss": {"wrt": 0, "xmod_nce": 1, "v2t": 0.02},
    "batches": {"identities": 16, "tracklets": 2},
    "augment": {"pad": 5},
    "optim": {"lr": 1e-3, "head_factor": 10, "bias_factor": 1, "module_factor": 3},
    "schedule": {"epochs": 12, "steps_per_epoch": 40, "warmup_epochs": 0.75, "per_step": True},
    "prompt_learning": {"schedule": {"epochs": 5, "steps_per_epoch": 40, "warmup_epochs": 1}},
}
"""What learns most on a processor in minutes; no published values.

In a few hundred steps the triplet draws all features together before they part, so that the contrast between
modalities stands in its place. Clips are short and batches hold many people: frames of a walk are alike, and
the tracklet is read whole when encoding.
"""


class Lsmrl(Method):
    """LSMRL (our reconstruction).

    Raises:
        ConfigError: Switches that contradict one another, or do not fit the tower.
    """

    name: ClassVar[str] = "lsmrl"
    config_type: ClassVar[type[MethodConfig]] = LsmrlConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "tiny": TINY}
    config: LsmrlConfig

    def __init__(self, config: LsmrlConfig, num_identities: int, num_cameras: int) -> None:
        config.check()
        towers, config = build_towers(config, with_text=config.uses_text)
        super().__init__(config, num_identities, num_cameras)
        self.network = _build_network(config, towers, num_identities)

    @property
    def mixes_frames(self) -> bool:
        """Whether some block of the tower sees other frames, or frames have positions."""
        return any(self.config.stfl_split[1:]) or self.config.temporal_pos == "learned"

    @property
    def embedding_dim(self) -> int:
        """D: widths of the configured parts together."""
        return sum(self.network.dims[part] for part in self.config.test_feature)

    def stages(self) -> list[Stage]:
        """One stage, or two where prompts learn first."""
        network = NetworkStage(self.network, self.config)
        if self.config.uses_text and not self.config.is_joint:
            return [PromptStage(self.network, self.config), network]
        return [network]

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings of clips: float32 `[B, D]`, L2-normalised; modality and camera make no difference.

        Each part that `test_feature` names is L2-normalised, then all together. No label and no partner is
        needed: semantic diffusion reads the stored text bank, and a sequence is its own partner.

        Args:
            clips: `[B, T, 3, H, W]` float, normalised; any T.
            modality: Not used.
            camera_ids: Not used.

        Raises:
            ValueError: Clips of another shape.
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"clips of shape {list(clips.shape)}: expected [B, T, 3, H, W]")
        encoded = self.network.encode_frames(clips)
        parts = {"f": encoded.pooled, "f_p": encoded.projected}
        if "g" in self.config.test_feature:
            tokens = encoded.tokens
            if self.config.sd_at_test:
                tokens = self.network.diffuse(encoded, self.network.text_bank)
            bypass = self.config.cmi_test == "bypass"
            parts["g"] = tokens.float().mean(1) if bypass else self.network.interact(tokens)
        if self.config.neck_feature == "after":
            parts = {name: self.network.normed(name, parts[name]) for name in self.config.test_feature}
        chosen = [F.normalize(parts[name], dim=1) for name in self.config.test_feature]
        return F.normalize(torch.cat(chosen, dim=1), dim=1)


def _build_network(config: LsmrlConfig, towers: Towers, num_identities: int) -> LsmrlNetwork:
    layout = TemporalLayout(
        split=config.stfl_split,
        group_mode=config.stg_mode,
        stripes=config.stg_groups,
        frame_groups=config.stg_frame_groups,
        shift_pattern=config.tps_pattern,
        alternate=config.tps_alternate,
    )
    encoder = SequenceEncoder(
        towers.transformer,
        layout,
        config.frames,
        learned_positions=config.temporal_pos == "learned",
        freeze_stem=config.freeze_patch_embed,
    )
    joint = towers.visual.config.output_dim
    sd, cmi = config.sd_mode, config.cmi_kv
    prompts = None
    if towers.text is not None and towers.template is not None:
        prompts = SharedPrompts(towers.text, towers.template, num_identities)
    return LsmrlNetwork(
        encoder,
        num_identities,
        text=towers.text,
        prompts=prompts,
        diffusion=SemanticDiffusion(joint, sd, scale=config.sd_scale) if sd != "none" else None,
        interaction=CrossModalInteraction(joint, cmi, scale=config.cmi_scale) if cmi != "none" else None,
        diffuse_patches=sd != "none" and config.sd_tokens == "all",
        heads=_heads(config),
    )


def _heads(config: LsmrlConfig) -> list[str]:
    """Features with an identity loss; without SD and CMI g is f_p, which then counts once."""
    if config.loss.id == 0:
        return []
    has_modules = config.sd_mode != "none" or config.cmi_kv != "none"
    return ["f", "f_p", "g"] if has_modules else ["f", "f_p"]
