"""Every choice X-ReID has; defaults are the structure of its paper with the numbers of its code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tapetum.config import Config
from tapetum.errors import ConfigError
from tapetum.methods._base import AugmentConfig, BatchConfig, OptimConfig, ScheduleConfig
from tapetum.methods._image_towers import ImageTowerConfig
from tapetum.models.prototypes import UpdateRule

FeatureName = Literal["g", "p", "o"]


class XReidLossConfig(Config):
    """Weights of the losses; a loss of weight 0 is not computed."""

    cpc: float = Field(1, ge=0, description="contrast with the prototypes, each memory; 0: no memories")
    triplet: float = Field(1, ge=0, description="batch-hard triplet, each on g, p and o")
    id: float = Field(0.25, ge=0, description="identity cross-entropy of clips, on [g, p] and on o")
    frame: float = Field(1, ge=0, description="identity cross-entropy of frames over T, on [g, p] and on o")
    cmcl: float = Field(1, ge=0, description="squared gap of a branch before and after meeting its partner")


class XReidOptimConfig(OptimConfig):
    """Adam with a factor on the base rate for each kind of parameter; the first that fits counts."""

    algorithm: Literal["adamw", "adam"] = "adam"
    lr: float = Field(5e-6, gt=0)
    mii_classifier_factor: float = Field(10, gt=0, description="classifier of o; 100 in the released code")
    classifier_factor: float = Field(10, gt=0, description="classifiers of [g, p]")
    mii_bias_factor: float = Field(20, gt=0, description="biases of SII, LII and CII")
    mii_factor: float = Field(10, gt=0, description="other weights of SII, LII and CII")
    bias_factor: float = Field(2, gt=0, description="every other bias, those of CLIP too")


class XReidConfig(ImageTowerConfig):
    """X-ReID's switches; names follow docs/methods/x-reid.md."""

    frames: int = Field(10, ge=1, description="T, frames a clip")
    test_sampling: Literal["chunk-first", "uniform", "dense"] = "dense"
    freeze_patch_embed: bool = Field(True, description="the patch embedding does not train")
    camera_embedding: bool = Field(True, description="a learned vector per camera joins the class token")
    unknown_camera: Literal["mean", "error"] = Field(
        "mean", description="encoding a camera that training did not see: mean vector of all, or an error"
    )
    memory_feature: Literal["necks", "projected"] = Field(
        "necks", description="what prototypes are made of: g and p behind their batch norms, or p"
    )
    memory_update: UpdateRule = Field(
        "cross", description="whose clips move a memory: the other modality's, all, or its own modality's"
    )
    memory_momentum: float = Field(0.2, ge=0, le=1, description="share of the old prototype in an update")
    collaboration: Literal["both", "own"] = Field(
        "both", description="memories a clip is contrasted with: both, or that of its modality"
    )
    temperature: float = Field(0.05, gt=0, description="of the contrast with prototypes")
    rebuild_memory_each_epoch: bool = Field(False, description="fill the memories anew before each epoch")
    memory_share: float = Field(
        1, gt=0, le=1, description="share of each person's tracklets that fill the memories"
    )
    memory_precision: Literal["bf16", "32"] = Field(
        "bf16", description="number type of the pass that fills the memories"
    )
    use_sii: bool = Field(True, description="short-term interaction inside clips")
    sii_depth: int = Field(2, ge=1, description="units of SII")
    sii_stride: int = Field(1, ge=0, description="frames between which SII exchanges channels; 0: none")
    use_lii: bool = Field(True, description="long-term interaction inside clips")
    lii_stride: int = Field(2, ge=0, description="frames from LII's class token to the patches it reads")
    use_cii: bool = Field(True, description="interaction between modalities, in training only")
    mii_detach: bool = Field(True, description="no gradient from the interactions to the image tower")
    triplet_margin: float | None = Field(0.3, description="of the triplet; None: soft margin")
    loss: XReidLossConfig = XReidLossConfig()
    test_feature: tuple[FeatureName, ...] = Field(
        ("g", "p", "o"),
        min_length=1,
        description="parts of an embedding, behind their batch norms; without SII and LII there is no o",
    )
    batches: BatchConfig = BatchConfig(identities=4, tracklets=2)
    augment: AugmentConfig = AugmentConfig(channels=False, erase_area=(0.02, 0.2), erase_colour="random")
    optim: XReidOptimConfig = XReidOptimConfig()
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=60, steps_per_epoch=300, warmup_epochs=10, warmup_start=0.1, milestones=(30, 50)
    )

    @property
    def has_branch(self) -> bool:
        """Whether there is an o: SII or LII is on."""
        return self.use_sii or self.use_lii

    @property
    def embedding_parts(self) -> tuple[FeatureName, ...]:
        """Parts of an embedding that exist."""
        return tuple(part for part in self.test_feature if part != "o" or self.has_branch)

    def check(self) -> None:
        """Refuse combinations in which a switch could have no effect.

        Raises:
            ConfigError: Such a combination; the message names the keys.
        """
        for is_wrong, message in (
            (
                self.use_cii and self.loss.cmcl == 0,
                "use_cii acts through loss.cmcl alone: set loss.cmcl above 0, or use_cii=false",
            ),
            (
                self.use_cii and not self.has_branch and self.mii_detach,
                "use_cii without use_sii and use_lii would train nothing but itself: set mii_detach=false",
            ),
            (
                not self.embedding_parts,
                "test_feature=[o] needs use_sii or use_lii, which o comes from",
            ),
        ):
            if is_wrong:
                raise ConfigError(message)
