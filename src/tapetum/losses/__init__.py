"""Losses: pure functions of tensors, computed in float32 whatever the network runs in."""

from tapetum.losses.alignment import (
    assignment_gap,
    centre_spread,
    direction_moments,
    identity_centre_alignment,
    modality_gap,
)
from tapetum.losses.contrastive import supervised_contrastive, text_to_visual, visual_to_text
from tapetum.losses.identity import identity_loss
from tapetum.losses.modality import (
    center_alignment,
    cross_modal_contrastive,
    discriminative_center,
    maximum_mean_discrepancy,
    modality_shared_enhancement,
    multi_modality_alignment,
    squared_gap,
)
from tapetum.losses.prototype import prototype_contrast
from tapetum.losses.triplet import (
    batch_hard_triplet,
    pairwise_distance,
    weighted_regularised_triplet,
)

__all__ = [
    "assignment_gap",
    "batch_hard_triplet",
    "center_alignment",
    "centre_spread",
    "cross_modal_contrastive",
    "direction_moments",
    "discriminative_center",
    "identity_centre_alignment",
    "identity_loss",
    "maximum_mean_discrepancy",
    "modality_gap",
    "modality_shared_enhancement",
    "multi_modality_alignment",
    "pairwise_distance",
    "prototype_contrast",
    "squared_gap",
    "supervised_contrastive",
    "text_to_visual",
    "visual_to_text",
    "weighted_regularised_triplet",
]
