"""MUN (ICCV 2023): a third, auxiliary modality between visible and infrared; our reconstruction.

From the abstract and an account of the paper: a generator of intra- and cross-modality learners mixed by
layer scales, identity alignment on centres of three modalities, modality alignment by accumulated prototypes.
The inner form of each, and every number, is taken from named predecessors or inferred; see
docs/methods/mun.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import nn

from tapetum.methods._base import MethodConfig, Stage
from tapetum.methods._mun_config import MunConfig
from tapetum.methods._mun_stage import AlignmentStage
from tapetum.methods._two_stream import MODALITIES, TwoStreamMethod, TwoStreamNetwork
from tapetum.models.auxiliary import AuxiliaryGenerator, MiddleModality, PixelFusion
from tapetum.models.prototypes import ModalityPrototypes
from tapetum.models.streams import AUXILIARY

DNS: Mapping[str, Any] = {
    "stem_layers": 2,
    "batches": {"identities": 6},
    "optim": {"lr": 0.2, "layer3_factor": 0.2, "layer4_factor": 0.25},
    "schedule": {
        "warmup_epochs": 16,
        "warmup_start": 0.001,
        "final": 0,
        "fall": "linear",
        "per_step": True,
        "milestones": None,
    },
}
"""Stems, rates and schedule as in the code of DNS (ECCV 2024), a later method of the same laboratory."""

TINY: Mapping[str, Any] = {
    "height": 96,
    "width": 48,
    "resnet": {"layers": (1, 1, 1, 1), "width": 16, "non_local": (0, 0, 0, 0)},
    "batches": {"identities": 16, "tracklets": 2},
    "augment": {"pad": 5, "channels": True},
    "triplet_on": "after",
    "triplet_unit": True,
    "optim": {"algorithm": "adamw", "lr": 5e-3, "backbone_factor": 1},
    "schedule": {
        "epochs": 12,
        "steps_per_epoch": 25,
        "warmup_epochs": 0.75,
        "warmup_start": 0.01,
        "per_step": True,
        "milestones": None,
    },
}
"""What learns from random weights in minutes on a processor; no published values.

Identity alignment on features before the norm, whose lengths grow from random weights, hardly learns.
"""


class Mun(TwoStreamMethod):
    """MUN (our reconstruction): one image a clip by default; of video clips features are averaged.

    Attributes:
        generator: Makes the auxiliary modality; None where there is none.
        prototypes: Of the modalities, accumulated.

    Raises:
        ConfigError: Switches that contradict one another.
    """

    name: ClassVar[str] = "mun"
    config_type: ClassVar[type[MethodConfig]] = MunConfig
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {"paper": {}, "dns": DNS, "tiny": TINY}
    config: MunConfig

    def __init__(self, config: MunConfig, num_identities: int, num_cameras: int) -> None:
        config.check()
        super().__init__(config, num_identities, num_cameras)
        names = (*MODALITIES, AUXILIARY) if config.has_third_stem else MODALITIES
        self.network = TwoStreamNetwork(config, num_identities, names)
        self.generator = _build_generator(config)
        count = len(MODALITIES) + config.has_auxiliary
        self.prototypes = ModalityPrototypes(count, config.resnet.output_dim)

    @property
    def training_parts(self) -> tuple[str, ...]:
        """The generator, the prototypes, and the auxiliary modality's stem."""
        third = (f"network.stems.stems.{AUXILIARY}",) if self.config.has_third_stem else ()
        return ("generator", "prototypes", *third)

    def stages(self) -> list[Stage]:
        """One stage for everything.

        Raises:
            RuntimeError: The method came from a model file, which lacks what only training needs.
        """
        if not hasattr(self, "generator"):
            raise RuntimeError(
                "a model file of mun holds no generator: train anew, or go on from a checkpoint of the run"
            )
        return [AlignmentStage(self.network, self.generator, self.prototypes, self.config)]


def _build_generator(config: MunConfig) -> nn.Module | None:
    if config.auxiliary == "none":
        return None
    if config.auxiliary == "pixels":
        return PixelFusion()
    if config.auxiliary == "mmn":
        return MiddleModality(config.resnet.channels)
    on_images = config.auxiliary_level == "image"
    channels = config.resnet.channels if on_images else config.stem_channels
    return AuxiliaryGenerator(
        channels,
        config.generator_width if on_images else channels,
        use_iml=config.use_iml,
        use_cml=config.use_cml,
        kernels=config.iml_kernels,
        grids=config.cml_grids,
        scale=config.layer_scale_init,
        scale_form=config.layer_scale,
        tied=config.tie_layer_scales,
        pixel_skip=config.pixel_skip,
        decodes=on_images,
    )
