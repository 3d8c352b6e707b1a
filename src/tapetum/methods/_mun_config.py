"""Every choice MUN has; defaults are our reconstruction, with the training recipe of CAJ's code."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tapetum.config import Config
from tapetum.errors import ConfigError
from tapetum.losses.alignment import Pairs
from tapetum.methods._base import AugmentConfig, BatchConfig, ScheduleConfig
from tapetum.methods._two_stream import TwoStreamConfig, TwoStreamOptimConfig
from tapetum.models.auxiliary import GRIDS, KERNELS, ScaleForm
from tapetum.models.pyramid import Grid


class MunLossConfig(Config):
    """Weights of the losses; a loss of weight 0 is not computed."""

    id: float = Field(1, ge=0, description="identity cross-entropy of all three modalities")
    ia: float = Field(1, ge=0, description="identity alignment: hardest pairs of identity centres")
    ma: float = Field(0.5, ge=0, description="modality alignment by accumulated prototypes")


class MunOptimConfig(TwoStreamOptimConfig):
    """SGD: neck and generator at the base rate, the pretrained rest at a tenth of it."""

    generator_factor: float = Field(
        1, gt=0, description="of the base rate: the generator; its layer scales have no weight decay"
    )
    layer3_factor: float | None = Field(
        None, gt=0, description="of the base rate: layer 3; None: backbone_factor"
    )
    layer4_factor: float | None = Field(
        None, gt=0, description="of the base rate: layer 4; None: backbone_factor"
    )

    @property
    def layer_factors(self) -> dict[str, float]:
        """Factors of the body's layers that have one of their own."""
        factors = {"layer3": self.layer3_factor, "layer4": self.layer4_factor}
        return {name: factor for name, factor in factors.items() if factor is not None}


class MunConfig(TwoStreamConfig):
    """MUN's switches."""

    auxiliary: Literal["learnt", "pixels", "mmn", "none"] = Field(
        "learnt",
        description="what the third modality is: made by MUN's generator, the mean of both pictures, made by "
        "MMN's generator of each picture alone, or not there",
    )
    auxiliary_level: Literal["image", "feature"] = Field(
        "image", description="what is fused: pictures, or the maps that the two stems make of them"
    )
    use_iml: bool = Field(True, description="the generator has intra-modality learners")
    use_cml: bool = Field(True, description="the generator has a cross-modality learner")
    generator_width: int = Field(
        16, ge=1, description="channels inside the generator; on features they are the stems'"
    )
    iml_kernels: tuple[int, ...] = Field(
        KERNELS, min_length=1, description="sizes of depth-wise convolutions"
    )
    cml_grids: tuple[Grid, ...] = Field(
        GRIDS, min_length=1, description="rows and columns of each level of pyramid pooling"
    )
    layer_scale: ScaleForm = Field("channel", description="a factor per channel, or one number for each part")
    layer_scale_init: float = Field(0.1, description="first value of the layer scales")
    tie_layer_scales: bool = Field(False, description="visible and infrared patterns share one layer scale")
    pixel_skip: bool = Field(True, description="the auxiliary picture starts from the mean of both")
    own_stem: bool = Field(True, description="a stem for the auxiliary modality; else the visible one")
    ia_margin: float = Field(0.3, ge=0, description="of identity alignment, in units of feature distance")
    ia_anchors: Literal["all", "auxiliary"] = Field("all", description="whose centres are anchors")
    ma_reading: Literal["means", "moments", "assignments"] = Field(
        "means", description="what is compared: means (A), also variances (B), soft assignments (C)"
    )
    ma_momentum: float = Field(0.9, ge=0, lt=1, description="share of the old prototypes; 0: none is kept")
    ma_pairs: Pairs = Field(
        "bridge", description="visible and infrared each meet the auxiliary modality, or each other"
    )
    ma_temperature: float = Field(0.1, gt=0, description="of the soft assignments")
    sample_triplet: bool = Field(False, description="add the weighted regularised triplet of single clips")
    triplet_on: Literal["before", "after"] = Field(
        "before",
        description="identity alignment and triplet read features before or behind the batch norm",
    )
    triplet_unit: bool = Field(False, description="L2-normalise features for these two")
    label_smooth: float = Field(0, ge=0, lt=1, description="label smoothing of the identity loss")
    loss: MunLossConfig = MunLossConfig()
    batches: BatchConfig = BatchConfig(identities=8, tracklets=4)
    augment: AugmentConfig = AugmentConfig()
    optim: MunOptimConfig = MunOptimConfig()
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=100,
        steps_per_epoch="from-data",
        warmup_epochs=9,
        warmup_start=0.1,
        milestones=(20, 50),
    )

    @property
    def has_auxiliary(self) -> bool:
        """Whether there is a third modality."""
        return self.auxiliary != "none"

    @property
    def has_third_stem(self) -> bool:
        """Whether the third modality has a stem of its own."""
        is_paired = self.auxiliary in ("learnt", "pixels")
        return is_paired and self.auxiliary_level == "image" and self.own_stem

    def check(self) -> None:
        """Refuse combinations in which a switch could have no effect.

        Raises:
            ConfigError: Such a combination; the message names the keys.
        """
        for is_wrong, message in (
            (
                self.auxiliary == "learnt" and not (self.use_iml or self.use_cml),
                "a generator without use_iml and use_cml learns nothing: set auxiliary=pixels",
            ),
            (
                self.auxiliary == "mmn" and self.auxiliary_level == "feature",
                "auxiliary=mmn makes pictures: set auxiliary_level=image",
            ),
            (
                not self.has_auxiliary and self.loss.ma > 0 and self.ma_pairs == "bridge",
                "without an auxiliary modality there is no bridge: set ma_pairs=direct or loss.ma=0",
            ),
            (
                not self.has_auxiliary and self.loss.ia > 0 and self.ia_anchors == "auxiliary",
                "without an auxiliary modality it has no centres: set ia_anchors=all or loss.ia=0",
            ),
        ):
            if is_wrong:
                raise ConfigError(message)
