"""Networks: tensors in, tensors out."""

from tapetum.models.backbones.blocks import AttentionPattern, Block, attend
from tapetum.models.backbones.clip import Clip, create_clip
from tapetum.models.backbones.clip_files import load_clip, read_notes, save_clip
from tapetum.models.backbones.clip_resnet import CLIP_RN50, ClipResNet, ClipResNetConfig
from tapetum.models.backbones.text import TEXT_B, TextConfig, TextTransformer
from tapetum.models.backbones.vision import VIT_B_16, VisionConfig, VisionTransformer
from tapetum.models.prompts import SharedPrompts
from tapetum.models.standin import read_words, standin_path
from tapetum.models.text import DAY_AND_NIGHT, PHOTO, BpeTokenizer, PromptTemplate, WordTokenizer

__all__ = [
    "CLIP_RN50",
    "DAY_AND_NIGHT",
    "PHOTO",
    "TEXT_B",
    "VIT_B_16",
    "AttentionPattern",
    "Block",
    "BpeTokenizer",
    "Clip",
    "ClipResNet",
    "ClipResNetConfig",
    "PromptTemplate",
    "SharedPrompts",
    "TextConfig",
    "TextTransformer",
    "VisionConfig",
    "VisionTransformer",
    "WordTokenizer",
    "attend",
    "create_clip",
    "load_clip",
    "read_notes",
    "read_words",
    "save_clip",
    "standin_path",
]
