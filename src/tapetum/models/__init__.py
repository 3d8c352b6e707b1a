"""Networks: tensors in, tensors out."""

from tapetum.models.backbones.blocks import AttentionPattern, Block, attend
from tapetum.models.backbones.clip import Clip, create_clip
from tapetum.models.backbones.text import TEXT_B, TextConfig, TextTransformer
from tapetum.models.backbones.vision import VIT_B_16, VisionConfig, VisionTransformer

__all__ = [
    "TEXT_B",
    "VIT_B_16",
    "AttentionPattern",
    "Block",
    "Clip",
    "TextConfig",
    "TextTransformer",
    "VisionConfig",
    "VisionTransformer",
    "attend",
    "create_clip",
]
