"""Every choice LSMRL leaves open, as a switch; defaults are those of our reconstruction."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from tapetum.config import Config
from tapetum.errors import ConfigError
from tapetum.methods._base import AugmentConfig, BatchConfig, OptimConfig, ScheduleConfig
from tapetum.methods._clip_method import ClipMethodConfig
from tapetum.methods._sequence_encoder import GroupMode
from tapetum.models.temporal import ShiftPattern

FeatureName = Literal["f", "f_p", "g"]


class LsmrlLossConfig(Config):
    """Weights of the losses; a loss of weight 0 is not computed."""

    id: float = Field(1, ge=0, description="identity cross-entropy, each on f, f_p and g")
    wrt: float = Field(1, ge=0, description="weighted regularised triplet, each on f_last, f, f_p and g")
    v2t: float = Field(0.08, ge=0, description="visual to text, f_p against the prompts")
    t2v: float = Field(0, ge=0, description="text to visual, the prompts against f_p")
    msel: float = Field(0.5, ge=0, description="modality-level loss 1: modality-shared enhancement")
    dcl: float = Field(0.5, ge=0, description="modality-level loss 2: discriminative centres")
    xmod_nce: float = Field(0, ge=0, description="rival: visible-infrared supervised contrast")
    mma: float = Field(0, ge=0, description="rival: multi-modality alignment (M3-ReID)")
    cmcl: float = Field(0, ge=0, description="rival: squared gap of g with and without a partner (X-ReID)")
    center_align: float = Field(0, ge=0, description="rival: squared gap of a person's modality centres")
    mmd: float = Field(0, ge=0, description="rival: Gaussian maximum mean discrepancy")


class LsmrlOptimConfig(OptimConfig):
    """AdamW with a factor on the base rate for each kind of parameter; the first that fits counts."""

    head_factor: float = Field(25, gt=0, description="prompts, batch-norm necks and classifiers")
    bias_factor: float = Field(25, gt=0, description="every other bias, those of CLIP too (as VLD's code)")
    module_factor: float = Field(10, gt=0, description="semantic diffusion and cross-modal interaction")


class PromptLearningConfig(Config):
    """The first stage of prompt_stage = two-stage: prompts learn from cached features, as in CLIP-ReID."""

    batch_size: int = Field(64, ge=2, description="cached features a step")
    optim: OptimConfig = OptimConfig(lr=3.5e-4)
    schedule: ScheduleConfig = ScheduleConfig(
        epochs=120, steps_per_epoch=150, warmup_epochs=5, warmup_start=0.03
    )


class LsmrlConfig(ClipMethodConfig):
    """LSMRL's switches; names follow docs/methods/lsmrl.md."""

    stfl_split: tuple[int, int, int] = Field(
        (6, 3, 3), description="blocks of the basic, the grouped and the patch shift encoder"
    )
    stg_mode: GroupMode = Field("stripe_tube", description="how the grouped encoder groups tokens")
    stg_groups: int = Field(6, ge=1, description="G, stripes of stripe_tube; divides the rows of patches")
    stg_frame_groups: int = Field(3, ge=1, description="M, groups of frame_group; divides the frames")
    tps_pattern: ShiftPattern = Field("C", description="mosaic of the patch shift")
    tps_alternate: bool = Field(False, description="every other shift block shifts channels instead")
    temporal_pos: Literal["none", "learned"] = Field("none", description="an embedding per frame, at first 0")
    prompt_stage: Literal["joint", "two-stage"] = Field(
        "joint", description="prompts learn with the network, or before it"
    )
    sd_mode: Literal["xattn_bank", "pooled_prompt", "token_concat", "none"] = "xattn_bank"
    sd_tokens: Literal["frame", "all"] = Field(
        "frame", description="what queries the prompts: class tokens alone, or patches too"
    )
    sd_detach_text: bool = Field(True, description="no gradient from semantic diffusion to the prompts")
    sd_at_test: bool = Field(True, description="semantic diffusion runs when encoding")
    sd_scale: float = Field(0.1, description="initial value of its residual scales")
    cmi_kv: Literal["concat", "other", "none"] = Field(
        "concat", description="what a sequence attends to: itself and its partner, or its partner alone"
    )
    cmi_shuffle: bool = Field(True, description="draw partners anew inside each identity every step")
    cmi_self_prob: float = Field(0.5, ge=0, le=1, description="how often a sequence is its own partner")
    cmi_test: Literal["self", "bypass"] = Field("self", description="when encoding: its own partner, or none")
    cmi_scale: float = Field(0.1, description="initial value of its residual scales")
    loss: LsmrlLossConfig = LsmrlLossConfig()
    label_smooth: float = Field(0, ge=0, lt=1, description="label smoothing of the identity loss")
    wrt_compat: bool = Field(False, description="triplet weights as in the widely copied code")
    msel_norm: bool = Field(False, description="L2-normalise features before msel")
    modality_on: tuple[FeatureName, ...] = Field(
        ("g",), min_length=1, description="features that modality-level losses act on"
    )
    neck_feature: Literal["before", "after"] = Field(
        "before",
        description="modality-level losses and embeddings read features before or after their batch norm",
    )
    test_feature: tuple[FeatureName, ...] = Field(
        ("f", "g"), min_length=1, description="parts of an embedding, each L2-normalised"
    )
    batches: BatchConfig = BatchConfig()
    augment: AugmentConfig = AugmentConfig()
    optim: LsmrlOptimConfig = LsmrlOptimConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    prompt_learning: PromptLearningConfig = PromptLearningConfig()

    @property
    def uses_text(self) -> bool:
        """Whether anything reads the prompts."""
        return self.sd_mode != "none" or self.loss.v2t > 0 or self.loss.t2v > 0

    @property
    def is_joint(self) -> bool:
        """Whether prompts learn together with the network."""
        return self.uses_text and self.prompt_stage == "joint"

    def check(self) -> None:
        """Refuse combinations in which a switch could have no effect.

        Raises:
            ConfigError: Such a combination; the message names the keys.
        """
        for is_wrong, message in (
            (
                self.is_joint and self.sd_detach_text and self.loss.v2t == self.loss.t2v == 0,
                "nothing would train the prompts: set loss.v2t or loss.t2v above 0, sd_detach_text=false, "
                "prompt_stage=two-stage or sd_mode=none",
            ),
            (
                self.prompt_stage == "two-stage" and not self.uses_text,
                "prompt_stage=two-stage needs something that reads prompts: sd_mode, loss.v2t or loss.t2v",
            ),
            (
                self.loss.msel > 0 and self.batches.tracklets < 2,
                "loss.msel needs batches.tracklets of at least 2 (other tracklets of the same modality)",
            ),
            (
                self.neck_feature == "after" and self.loss.id == 0,
                "neck_feature=after reads the batch norm of the identity loss: set loss.id above 0",
            ),
            (self.loss.cmcl > 0 and self.cmi_kv == "none", "loss.cmcl compares g with and without cmi_kv"),
        ):
            if is_wrong:
                raise ConfigError(message)
