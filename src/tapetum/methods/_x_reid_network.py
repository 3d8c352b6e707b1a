"""X-ReID's network: image tower, camera embedding, interactions, necks, prototype memories."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn

from tapetum.methods._x_reid_config import XReidConfig
from tapetum.models.backbones.vision import VisionTransformer
from tapetum.models.cameras import CameraEmbedding
from tapetum.models.granularity import Branches, GranularityInteraction
from tapetum.models.necks import BatchNormNeck, JointNeck
from tapetum.models.prototypes import PrototypeMemory


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """What the image tower says of clips.

    Attributes:
        classes: Class token of each frame after the last norm, `[B, T, width]`.
        projected: The same in the joint space, `[B, T, D]`.
        patches: Patches of each frame after the last norm, `[B, T, N, width]`; None where not asked for.
    """

    classes: Tensor
    projected: Tensor
    patches: Tensor | None = None

    @property
    def g(self) -> Tensor:
        """Mean over frames of `classes`: float32 `[B, width]`."""
        return self.classes.float().mean(1)

    @property
    def p(self) -> Tensor:
        """Mean over frames of `projected`: float32 `[B, D]`."""
        return self.projected.float().mean(1)


class XReidNetwork(nn.Module):
    """The parts of X-ReID; what is None is switched off.

    Attributes:
        dims: Lengths of g, p and o.
        neck: Batch norms of g and p, and the classifier on both.
        frame_neck: The same of single frames, with weights of its own.
        mii_neck: Batch norm of o, and the classifier of o and of o's frames.
        mii_frame_norm: Batch norm of o's frames.
        memory: Prototypes; None where nothing is contrasted with them.

    Args:
        visual: Image tower, trained in place.
        config: Which parts there are.
        num_identities: I.
        num_cameras: C.
    """

    def __init__(
        self, visual: VisionTransformer, config: XReidConfig, num_identities: int, num_cameras: int
    ) -> None:
        super().__init__()
        width, joint = visual.config.width, visual.config.output_dim
        self.dims = {"g": width, "p": joint, "o": width}
        self.detaches = config.mii_detach
        self.visual = visual
        self.cameras = CameraEmbedding(num_cameras, width) if config.camera_embedding else None
        self.neck = JointNeck((width, joint), num_identities, bias_trains=False)
        self.frame_neck = JointNeck((width, joint), num_identities, bias_trains=False)
        self.interaction = _build_interaction(config, width)
        self.mii_neck: BatchNormNeck | None = None
        self.mii_frame_norm: nn.BatchNorm1d | None = None
        if config.has_branch:
            self.mii_neck = BatchNormNeck(width, num_identities, bias_trains=False)
            self.mii_frame_norm = nn.BatchNorm1d(width)
            self.mii_frame_norm.bias.requires_grad_(False)
        self.memory: PrototypeMemory | None = None
        if config.loss.cpc > 0:
            dim = width + joint if config.memory_feature == "necks" else joint
            self.memory = PrototypeMemory(num_identities, dim)
        if config.freeze_patch_embed:
            visual.stem.requires_grad_(False)

    def encode_frames(
        self, clips: Tensor, cameras: Tensor | None = None, *, with_patches: bool = True
    ) -> ClipFeatures:
        """Features of clips, with patches where something reads them.

        Where no gradient is to come from the patches, the last block keeps activations for the class tokens
        alone and computes the patches beside: equal numbers and gradients, about 4 % less work a step.

        Args:
            clips: `[B, T, 3, H, W]`, normalised.
            cameras: int64 `[B]`, index of each clip's camera, -1 where training did not see it; None: nothing
                is added for cameras.
            with_patches: False leaves the patches out in any case.
        """
        frames, visual = clips.shape[1], self.visual
        x = visual.embed(clips.flatten(0, 1), self._class_shift(cameras, frames))
        last = len(visual.blocks) - 1
        for index in range(last):
            x = visual.run_block(index, x)
        patches = None
        if self.interaction is None or not with_patches:
            x = visual.run_block(last, x, queries=1)
        elif torch.is_grad_enabled() and self.detaches:
            with torch.no_grad():
                patches = visual.ln_post(visual.run_block(last, x)[:, 1:])
            x = visual.run_block(last, x, queries=1)
        else:
            x = visual.run_block(last, x)
            patches = visual.ln_post(x[:, 1:])
        classes, projected = visual.finish(x[:, 0])
        return ClipFeatures(
            by_clip(classes, frames),
            by_clip(projected, frames),
            None if patches is None else by_clip(patches, frames),
        )

    def interact(self, features: ClipFeatures) -> Branches:
        """SII and LII on the tower's tokens, which give no gradient where they are detached.

        Raises:
            RuntimeError: The features have no patches.
        """
        if self.interaction is None or features.patches is None:
            raise RuntimeError("these features were computed without patches, which SII and LII read")
        classes, patches = features.classes, features.patches
        if self.detaches:
            classes, patches = classes.detach(), patches.detach()
        return self.interaction(classes, patches)  # type: ignore[no-any-return]

    def _class_shift(self, cameras: Tensor | None, frames: int) -> Tensor | None:
        if self.cameras is None or cameras is None:
            return None
        rows: Tensor = self.cameras(cameras)
        return rows[:, None].expand(-1, frames, -1).flatten(0, 1)


def by_clip(rows: Tensor, frames: int) -> Tensor:
    """`[B * T, ...]` as `[B, T, ...]`."""
    return rows.reshape(-1, frames, *rows.shape[1:])


def _build_interaction(config: XReidConfig, width: int) -> GranularityInteraction | None:
    if not (config.has_branch or config.use_cii):
        return None
    return GranularityInteraction(
        width,
        short_depth=config.sii_depth if config.use_sii else 0,
        short_stride=config.sii_stride,
        has_long=config.use_lii,
        long_stride=config.lii_stride,
        has_partner=config.use_cii,
    )
