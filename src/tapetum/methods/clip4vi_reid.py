"""CLIP4VI-ReID (arXiv 2511.10309): text learnt from visible images bridges to infrared, in three stages.

Re-implementation from the abstract, hyper-parameters of its predecessors. From the abstract: texts are learnt
from visible images alone (TSG), infrared features are rectified by these texts (IFE), then texts and both
modalities are refined together (HSA). Losses, sizes and numbers are those of CLIP-ReID (AAAI 2023) and CSDN
(arXiv 2401.05806), or our own inference; see docs/methods/clip4vi-reid.md.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.methods._base import Method, MethodConfig, Stage
from tapetum.methods._clip4vi_config import Clip4ViReidConfig
from tapetum.methods._clip4vi_network import Clip4ViNetwork, ClipFeatures
from tapetum.methods._clip4vi_prompt_stage import BimodalTsgStage, FusionStage, TsgStage
from tapetum.methods._clip4vi_stages import HsaAfterTsg, HsaStage, IfeStage
from tapetum.methods._clip_method import build_towers
from tapetum.models.backbones.clip_resnet_variants import ResNetVariant
from tapetum.models.streams import Routing, frame_routing, segments_of
from tapetum.types import Id, Modality, Preprocessing

_HALF = (0.5, 0.5, 0.5)

PAPER_VIT: Mapping[str, Any] = {
    "backbone": "ViT-B/16",
    "pixel_norm": "half",
    "modality_stems": False,
    "tsg": {
        "optim": {"lr": 3.5e-4},
        "schedule": {"epochs": 120, "warmup_start": 1 / 35, "final": 1 / 350},
    },
    "ife": {"optim": {"lr": 5e-6}, "schedule": {"final": 0.02}},
    "wrt_on": ("last", "g", "f"),
    "optim": {
        "lr": 5e-6,
        "weight_decay": 1e-4,
        "prompt_factor": 7,
        "head_factor": 70,
        "bias_factor": 2,
    },
    "schedule": {"epochs": 60, "warmup_start": 0.1, "milestones": (30, 50)},
    "test_feature": ("g", "f"),
    "normalise_parts": False,
}
"""ViT-B/16 with the numbers of CLIP-ReID's code."""

CSDN: Mapping[str, Any] = {
    "text_from": "bimodal",
    "text_fusion": "csdn",
    "use_ife": False,
    "tune_prompts": False,
    "csdn_stem": True,
    "neck_bias": True,
    "loss": {"contrast_visible": 0, "contrast_infrared": 0},
}
"""The nearest predecessor: a learner of prompts per modality, texts fused, no IFE, text fixed at last."""

TINY: Mapping[str, Any] = {
    "backbone": "tiny",
    "weights": "stand-in",
    "height": 96,
    "width": 48,
    "frames": 2,
    "test_sampling": "dense",
    "modality_stems": False,
    "prompt": "a {} person",
    "logit_scale": 0.1,
    "tsg": {
        "optim": {"lr": 3e-3},
        "schedule": {"epochs": 2, "steps_per_epoch": 40, "warmup_epochs": 0.25, "per_step": True},
    },
    "ife": {
        "batches": {"identities": 16, "tracklets": 2},
        "augment": {"pad": 5},
        "optim": {"lr": 3e-4},
        "schedule": {"epochs": 1, "steps_per_epoch": 40, "warmup_epochs": 0.25, "per_step": True},
    },
    "batches": {"identities": 16, "tracklets": 2},
    "augment": {"pad": 5},
    "optim": {"lr": 1e-3, "weight_decay": 1e-4, "prompt_factor": 1, "head_factor": 10},
    "schedule": {
        "epochs": 5,
        "steps_per_epoch": 40,
        "warmup_epochs": 0.75,
        "milestones": None,
        "per_step": True,
    },
}
"""What learns in minutes on a processor; no published values."""


class Clip4ViReid(Method):
    """CLIP4VI-ReID (re-implementation from the abstract).

    Raises:
        ConfigError: Switches that contradict one another, or a prompt that the weights cannot say.
    """

    name: ClassVar[str] = "clip4vi-reid"
    config_type: ClassVar[type[MethodConfig]] = Clip4ViReidConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": {},
        "paper-vit": PAPER_VIT,
        "csdn": CSDN,
        "tiny": TINY,
    }
    mirror: ClassVar[Literal["add", "append"]] = "append"
    config: Clip4ViReidConfig

    def __init__(self, config: Clip4ViReidConfig, num_identities: int, num_cameras: int) -> None:
        config.check()
        resnet: ResNetVariant = {
            "stems": 2 if config.modality_stems else 1,
            "stem_relus": 1 if config.csdn_stem else 3,
        }
        towers, config = build_towers(config, with_text=config.uses_text, resnet=resnet)
        super().__init__(config, num_identities, num_cameras)
        self.network = Clip4ViNetwork(towers, config, num_identities)

    @property
    def preprocessing(self) -> Preprocessing:
        """What the network expects of its input."""
        size = (self.config.height, self.config.width, self.config.frames)
        return (
            Preprocessing(*size)
            if self.config.pixel_norm == "imagenet"
            else Preprocessing(*size, _HALF, _HALF)
        )

    @property
    def reads_modality(self) -> bool:
        """Whether modalities have stems of their own."""
        return self.config.modality_stems

    @property
    def embedding_dim(self) -> int:
        """D: lengths of the configured parts together."""
        return sum(self.network.dims[part.removeprefix("bn_")] for part in self.config.test_feature)

    @property
    def training_parts(self) -> tuple[str, ...]:
        """Text tower and prompts, once the last stage is over; the texts themselves stay as `text_bank`."""
        if not (self.config.use_hsa and self.config.uses_text):
            return ()
        fusion = ("network.fusion",) if self.config.fuses else ()
        return ("network.text", "network.prompts", *fusion)

    def stages(self) -> list[Stage]:
        """TSG, IFE and HSA, as far as they are on and there is text; where texts are fused, so after TSG."""
        config, network = self.config, self.network
        stages: list[Stage] = []
        if config.use_tsg and config.learns_prompts:
            kind = BimodalTsgStage if config.text_from == "bimodal" else TsgStage
            stages.append(kind(network, config))
        if config.fuses:
            stages.append(FusionStage(network, config))
        if config.use_ife and config.uses_text:
            stages.append(IfeStage(network, config))
        if config.use_hsa:
            stages.append((HsaStage if config.use_ife else HsaAfterTsg)(network, config))
        return stages

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings of clips: float32 `[B, D]`, L2-normalised; no text is used.

        Args:
            clips: `[B, T, 3, H, W]` float, normalised; any T.
            modality: Decides which stem a clip passes, where modalities have stems of their own;
                `unknown_modality` says what becomes of None.
            camera_ids: Not used.

        Raises:
            ValueError: Clips of another shape; where modality decides the stem, another number of modalities
                than clips, or None with `unknown_modality=error`.
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"clips of shape {list(clips.shape)}: expected [B, T, 3, H, W]")
        if not self.config.modality_stems:
            return self._embed(clips, None)
        is_one = modality is None or isinstance(modality, str)
        told = [modality] * clips.shape[0] if is_one else list(modality or ())
        if len(told) != clips.shape[0]:
            raise ValueError(f"{len(told)} modalities for {clips.shape[0]} clips")
        known = [Modality(each) for each in told if isinstance(each, str)]
        if len(known) == len(told):
            return self._embed(clips, segments_of(known, clips.shape[1]))
        return self._embed_unknown(clips, [m if isinstance(m, str) else None for m in told])

    def encode_rows(
        self, clips: Tensor, *, infrared: Tensor | None = None, cameras: Tensor | None = None
    ) -> Tensor:
        """As `Method.encode_rows`; where modalities have stems of their own, every frame passes both.

        Raises:
            ValueError: `infrared` is not told, and decides the stem.
        """
        return self._embed(clips, frame_routing(clips, infrared) if self.reads_modality else None)

    def _embed_unknown(self, clips: Tensor, told: Sequence[str | None]) -> Tensor:
        """Embeddings where some clips' modality is unknown: through both stems, and the mean of the two."""
        if self.config.unknown_modality == "error":
            raise ValueError(
                f"{list(told).count(None)} of {len(told)} clips are of unknown modality, which decides the "
                "stem they pass (modality_stems): pass modality=, or set unknown_modality=mean"
            )
        visible, infrared = (self.encode(clips, modality=modality) for modality in Modality)
        share = clips.new_tensor([0.5 if m is None else float(m == Modality.VISIBLE) for m in told])[:, None]
        return F.normalize(share * visible + (1 - share) * infrared, dim=1)

    def _embed(self, clips: Tensor, segments: Routing | None) -> Tensor:
        features = self.network.encode_clips(clips, segments)
        parts = [self._part(features, name) for name in self.config.test_feature]
        if self.config.normalise_parts:
            parts = [F.normalize(part, dim=1) for part in parts]
        return F.normalize(torch.cat(parts, dim=1), dim=1)

    def _part(self, features: ClipFeatures, name: str) -> Tensor:
        feature: Tensor = getattr(features, name.removeprefix("bn_"))
        if not name.startswith("bn_"):
            return feature
        return self.network.necks[name.removeprefix("bn_")].norm(feature).float()  # type: ignore[operator, no-any-return]
