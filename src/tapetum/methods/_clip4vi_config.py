"""Every choice of CLIP4VI-ReID as a switch; defaults are those of the RN50 configuration."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tapetum.config import Config
from tapetum.errors import ConfigError
from tapetum.methods._base import AugmentConfig, BatchConfig, OptimConfig, ScheduleConfig
from tapetum.methods._clip_method import ClipMethodConfig
from tapetum.methods._image_towers import RESNETS, Backbone
from tapetum.types import Modality

FeatureName = Literal["g", "f", "bn_g", "bn_f"]
MetricFeature = Literal["last", "g", "f"]
TextSource = Literal["visible", "infrared", "both", "bimodal"]
BatchModality = Literal["both", "visible", "infrared"]


class CachedConfig(Config):
    """Learning from cached features of frozen towers, in CLIP-ReID's form with CSDN's numbers."""

    batch_size: int = Field(64, ge=2, description="cached features a step")
    optim: OptimConfig = OptimConfig(algorithm="adam", lr=3e-4)
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=60, steps_per_epoch="from-data", warmup_epochs=5, warmup_start=1 / 30, final=1 / 300
    )


class IfeLossConfig(Config):
    """Weights of the losses of stage 2; a loss of weight 0 is not computed."""

    i2t: float = Field(1, ge=0, description="each image against the texts of all identities")
    t2i: float = Field(1, ge=0, description="each text against the images of the batch")
    replay: float = Field(
        0, ge=0, description="i2t of images of the modality that the texts come from, to hold their alignment"
    )


class IfeConfig(Config):
    """Stage 2: the image tower is pulled to the finished texts."""

    loss: IfeLossConfig = IfeLossConfig()
    batches: BatchConfig = BatchConfig(identities=8, tracklets=8, modality="infrared")
    augment: AugmentConfig = AugmentConfig()
    optim: OptimConfig = OptimConfig(algorithm="adam", lr=3e-5)
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=20, steps_per_epoch="from-data", warmup_epochs=2, warmup_start=0.1, final=1 / 300
    )


class HsaLossConfig(Config):
    """Weights of the losses of stage 3; a loss of weight 0 is not computed."""

    id: float = Field(1, ge=0, description="identity cross-entropy, each on g and f")
    msel: float = Field(1, ge=0, description="modality-shared enhancement, each on g and f")
    wrt: float = Field(0.15, ge=0, description="weighted regularised triplet, each on the features of wrt_on")
    i2t_visible: float = Field(0.05, ge=0, description="visible f against the texts of all identities")
    i2t_infrared: float = Field(0.1, ge=0, description="infrared f against the texts of all identities")
    contrast_visible: float = Field(
        0.05, ge=0, description="visible f and the texts of the batch, both ways; moves the prompts too"
    )
    contrast_infrared: float = Field(
        0.1, ge=0, description="infrared f and the texts of the batch, both ways; moves the prompts too"
    )


class HsaOptimConfig(OptimConfig):
    """Adam with a factor on the base rate for each kind of parameter; the first that fits counts."""

    algorithm: Literal["adamw", "adam", "sgd"] = "adam"
    lr: float = Field(3e-4, gt=0)
    weight_decay: float = Field(5e-4, ge=0)
    prompt_factor: float = Field(0.1, gt=0, description="prompts")
    head_factor: float = Field(2, gt=0, description="exponent of the pooling, batch-norm necks, classifiers")
    bias_factor: float = Field(1, gt=0, description="every bias of the image tower; 2 with ViT-B/16")
    decay_norms: bool = Field(
        True, description="weight decay of batch norms and of the pooling's exponent, as CSDN's code has it"
    )


class Clip4ViReidConfig(ClipMethodConfig):
    """CLIP4VI-ReID's switches; names follow docs/methods/clip4vi-reid.md."""

    backbone: Backbone = Field(
        "RN50", description="image tower; those called tiny take their sizes from their weights"
    )
    frames: int = Field(1, ge=1, description="T, frames a clip; more than one: the mean over frames")
    test_sampling: Literal["chunk-first", "uniform", "dense"] = "chunk-first"
    pixel_norm: Literal["imagenet", "half"] = Field(
        "imagenet", description="mean and deviation of pixels: ImageNet's (CSDN), or 0.5 and 0.5 (CLIP-ReID)"
    )
    modality_stems: bool = Field(True, description="a copy of the image tower's stem for each modality")
    unknown_modality: Literal["mean", "error"] = Field(
        "error",
        description="encoding clips of unknown modality where each has a stem of its own: an error, or the "
        "mean of what both stems lead to",
    )
    csdn_stem: bool = Field(
        False, description="RN50: one ReLU after the stem's three convolutions, as in CSDN's code, not three"
    )
    neck_bias: bool = Field(False, description="the biases of the necks' batch norms learn (CSDN's code)")
    prompt: str = Field("A photo of a {} person.", description="sentence with one gap {}")
    prompts: Literal["learned", "sentence", "none"] = Field(
        "learned",
        description="learned: tokens per identity in the gap; sentence: the same words for all, no gap; "
        "none: no text at all",
    )
    text_from: TextSource = Field(
        "visible",
        description="whose images teach the texts in stage 1; bimodal: a learner for each modality, as in "
        "CSDN, see text_fusion",
    )
    text_fusion: Literal["csdn", "mean"] = Field(
        "csdn",
        description="what makes one text of two with text_from=bimodal: a small network that learns in a "
        "stage of its own, or their mean",
    )
    logit_scale: float = Field(1, gt=0, description="factor on products of image and text features")
    use_tsg: bool = Field(True, description="stage 1; without it prompts stay as they are drawn")
    use_ife: bool = Field(True, description="stage 2")
    use_hsa: bool = Field(True, description="stage 3")
    tune_prompts: bool = Field(True, description="prompts learn in stage 3 too")
    tsg: CachedConfig = CachedConfig()
    fusion: CachedConfig = CachedConfig()
    ife: IfeConfig = IfeConfig()
    loss: HsaLossConfig = HsaLossConfig()
    wrt_on: tuple[MetricFeature, ...] = Field(
        ("g", "f"),
        min_length=1,
        description="features with a triplet loss; last: the class token before the last block (ViT)",
    )
    label_smooth: float = Field(0, ge=0, lt=1, description="label smoothing of the identity loss")
    text_smooth: float = Field(0, ge=0, lt=1, description="label smoothing of i2t; CLIP-ReID: 0.1")
    batches: BatchConfig = BatchConfig(identities=8, tracklets=4)
    augment: AugmentConfig = AugmentConfig(exchanged_view=True)
    optim: HsaOptimConfig = HsaOptimConfig()
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=120, steps_per_epoch="from-data", warmup_epochs=10, warmup_start=0.01, milestones=(40, 70)
    )
    test_feature: tuple[FeatureName, ...] = Field(
        ("bn_g", "f"), min_length=1, description="parts of an embedding; bn_: behind its batch norm"
    )
    normalise_parts: bool = Field(
        True, description="each part of an embedding gets unit length before they are joined"
    )
    monitor_share: float = Field(
        0.1, ge=0, le=1, description="share of each identity's training tracklets measured after each epoch"
    )

    @property
    def uses_text(self) -> bool:
        """Whether there are texts."""
        return self.prompts != "none"

    @property
    def learns_prompts(self) -> bool:
        """Whether there are tokens to learn."""
        return self.prompts == "learned"

    @property
    def fuses(self) -> bool:
        """Whether a network makes one text of a person's two."""
        return self.learns_prompts and self.text_from == "bimodal" and self.text_fusion == "csdn"

    @property
    def tunes_prompts(self) -> bool:
        """Whether there are tokens that learn in stage 3."""
        return self.learns_prompts and self.tune_prompts

    @property
    def rectified(self) -> Modality:
        """Whose images stage 2 pulls to the texts: infrared ones, unless the texts come from those alone."""
        return Modality.VISIBLE if self.text_from == "infrared" else Modality.INFRARED

    @property
    def ife_modality(self) -> BatchModality:
        """What batches of stage 2 hold."""
        if self.ife.loss.replay > 0:
            return "both"
        return "visible" if self.rectified is Modality.VISIBLE else "infrared"

    def check(self) -> None:
        """Refuse combinations in which a switch could have no effect.

        Raises:
            ConfigError: Such a combination; the message names the keys.
        """
        loss, ife = self.loss, self.ife.loss
        has_stage_2 = self.use_ife and self.uses_text
        is_vit = self.backbone not in RESNETS
        for is_wrong, message in (
            (
                not (self.use_hsa or has_stage_2 or (self.use_tsg and self.learns_prompts)),
                "there is no stage to train: set use_hsa=true, or prompts=learned with use_tsg or use_ife",
            ),
            (
                self.use_hsa and loss.msel > 0 and self.batches.tracklets < 2,
                "loss.msel needs batches.tracklets of at least 2 (other images of the same modality)",
            ),
            (
                self.use_hsa and not any(loss.model_dump().values()),
                "stage 3 would learn nothing: set a weight of loss above 0, or use_hsa=false",
            ),
            (
                self.use_hsa and self.tunes_prompts and loss.contrast_visible == loss.contrast_infrared == 0,
                "tune_prompts acts through loss.contrast_visible and loss.contrast_infrared: set one above "
                "0, or tune_prompts=false",
            ),
            (
                has_stage_2 and ife.i2t == ife.t2i == 0,
                "stage 2 would learn nothing: set ife.loss.i2t or ife.loss.t2i above 0, or use_ife=false",
            ),
            (
                has_stage_2 and self.ife.batches.modality not in ("infrared", self.ife_modality),
                f"ife.batches.modality follows from text_from and ife.loss.replay: {self.ife_modality}",
            ),
            (
                self.text_fusion == "mean" and self.text_from != "bimodal",
                "text_fusion=mean is for the two texts of text_from=bimodal",
            ),
            (
                self.fuses and not self.use_tsg,
                "text_fusion=csdn learns from finished prompts: set use_tsg=true, or text_fusion=mean",
            ),
            ("last" in self.wrt_on and not is_vit, f"wrt_on=[last, ...]: {self.backbone} has no class token"),
            (self.csdn_stem and is_vit, f"csdn_stem is a stem of RN50, and the backbone is {self.backbone}"),
        ):
            if is_wrong:
                raise ConfigError(message)
