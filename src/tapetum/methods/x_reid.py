"""X-ReID (AAAI 2026): prototypes of both modalities in place of texts, interaction at several granularities.

The structure is the paper's; what the paper leaves open is as in the authors' released code, which lacks half
of it: the cross-modality update of the memories, LII, CII and its loss. Preset `released` does what that code
does. See docs/methods/x-reid.md for which is which.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

import torch
import torch.nn.functional as F
from torch import Tensor

from tapetum.errors import ConfigError
from tapetum.methods._base import Method, MethodConfig, Stage
from tapetum.methods._image_towers import build_transformer
from tapetum.methods._x_reid_config import XReidConfig
from tapetum.methods._x_reid_network import XReidNetwork
from tapetum.methods._x_reid_stages import NetworkStage
from tapetum.types import Id, Modality

RELEASED: Mapping[str, Any] = {
    "memory_update": "all",
    "memory_momentum": 0.1,
    "rebuild_memory_each_epoch": True,
    "memory_precision": "32",
    "use_lii": False,
    "use_cii": False,
    "augment": {"pad": 0},
    "optim": {"mii_classifier_factor": 100},
    "schedule": {"epochs": 30, "milestones": (30, 50, 70)},
}
"""What the released code does, without its defects: frame 0 spread over the clip, boxes erased elsewhere."""

TINY: Mapping[str, Any] = {
    "height": 96,
    "width": 48,
    "frames": 2,
    "backbone": "tiny",
    "weights": "stand-in",
    "freeze_patch_embed": False,
    "lii_stride": 1,
    "loss": {"triplet": 0, "id": 1, "cmcl": 0.1},
    "batches": {"identities": 16, "tracklets": 2},
    "augment": {"pad": 5, "channels": True},
    "optim": {
        "algorithm": "adamw",
        "lr": 1e-3,
        "mii_classifier_factor": 10,
        "classifier_factor": 10,
        "mii_bias_factor": 3,
        "mii_factor": 3,
        "bias_factor": 1,
    },
    "schedule": {
        "epochs": 12,
        "steps_per_epoch": 40,
        "warmup_epochs": 0.75,
        "warmup_start": 0.01,
        "per_step": True,
        "milestones": None,
    },
}
"""What learns in minutes on a processor; no published values. Clips are too short for a stride of 2."""


class XReid(Method):
    """X-ReID, whole.

    Raises:
        ConfigError: Switches that contradict one another, or a camera embedding without any camera.
    """

    name: ClassVar[str] = "x-reid"
    config_type: ClassVar[type[MethodConfig]] = XReidConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "released": RELEASED, "tiny": TINY}
    config: XReidConfig

    def __init__(self, config: XReidConfig, num_identities: int, num_cameras: int) -> None:
        config.check()
        if config.camera_embedding and num_cameras < 1:
            raise ConfigError("camera_embedding needs known cameras, and the data name none: set it to false")
        visual, config = build_transformer(config)
        super().__init__(config, num_identities, num_cameras)
        self.network = XReidNetwork(visual, config, num_identities, num_cameras)

    @property
    def reads_cameras(self) -> bool:
        """Whether there is a camera embedding."""
        return self.config.camera_embedding

    @property
    def mixes_frames(self) -> bool:
        """Whether SII and LII, which look at other frames, have a part in embeddings."""
        return "o" in self.config.embedding_parts

    @property
    def embedding_dim(self) -> int:
        """D: widths of the configured parts together."""
        return sum(self.network.dims[part] for part in self.config.embedding_parts)

    def stages(self) -> list[Stage]:
        """One stage."""
        return [NetworkStage(self.network, self.config)]

    def encode(
        self,
        clips: Tensor,
        *,
        modality: Modality | Sequence[Modality] | None = None,
        camera_ids: Sequence[Id | None] | None = None,
    ) -> Tensor:
        """Embeddings of clips: float32 `[B, D]`, L2-normalised; modality makes no difference.

        The parts that `test_feature` names, behind their batch norms, side by side, then normalised. Memories
        and CII have no part in it.

        Args:
            clips: `[B, T, 3, H, W]` float, normalised; any T.
            modality: Not used.
            camera_ids: Camera of each clip as in the training data; `unknown_camera` says what becomes of
                others and of unknown ones.

        Raises:
            ValueError: Clips of another shape, another number of cameras than clips, or with
                `unknown_camera=error` a camera that training did not see.
        """
        if clips.ndim != 5 or clips.shape[2] != 3:
            raise ValueError(f"clips of shape {list(clips.shape)}: expected [B, T, 3, H, W]")
        return self.encode_rows(clips, cameras=self._camera_rows(clips, camera_ids))

    def encode_rows(
        self, clips: Tensor, *, infrared: Tensor | None = None, cameras: Tensor | None = None
    ) -> Tensor:
        """As `Method.encode_rows`; modality makes no difference."""
        network, parts = self.network, self.config.embedding_parts
        features = network.encode_frames(clips, cameras, with_patches="o" in parts)
        normed = network.neck.normed(features.g, features.p)
        found = {"g": normed[:, : network.dims["g"]], "p": normed[:, network.dims["g"] :]}
        if "o" in parts and network.mii_neck is not None:
            found["o"] = network.mii_neck.norm(network.interact(features).fused.float().mean(1))
        return F.normalize(torch.cat([found[part].float() for part in parts], dim=1), dim=1)

    def _camera_rows(self, clips: Tensor, camera_ids: Sequence[Id | None] | None) -> Tensor | None:
        """Index of each clip's camera, int64 `[B]`, -1 where training did not see it."""
        if not self.config.camera_embedding:
            return None
        if camera_ids is None:
            self._check_cameras([None])
            return torch.full((clips.shape[0],), -1, device=clips.device)
        if len(camera_ids) != clips.shape[0]:
            raise ValueError(f"{len(camera_ids)} camera_ids for {clips.shape[0]} clips")
        self._check_cameras(camera_ids)
        row_of: dict[Id | None, int] = {camera: row for row, camera in enumerate(self.camera_ids)}
        rows = torch.tensor([row_of.get(camera, -1) for camera in camera_ids])
        return rows.to(clips.device, non_blocking=True)

    def _check_cameras(self, camera_ids: Sequence[Id | None]) -> None:
        foreign = [camera for camera in camera_ids if camera not in self.camera_ids]
        if foreign and self.config.unknown_camera == "error":
            known = ", ".join(map(str, self.camera_ids))
            raise ValueError(f"camera {foreign[0]!r} is not among those of the training data: {known}")
