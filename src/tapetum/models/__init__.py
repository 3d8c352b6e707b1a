"""Networks: tensors in, tensors out."""

from tapetum.models.backbones.blocks import AttentionPattern, Block, attend
from tapetum.models.backbones.clip import Clip, create_clip
from tapetum.models.backbones.clip_files import load_clip, read_notes, save_clip
from tapetum.models.backbones.clip_resnet import CLIP_RN50, ClipResNet, ClipResNetConfig
from tapetum.models.backbones.resnet import RESNET_50, ResNet, ResNetConfig
from tapetum.models.backbones.resnet_files import load_resnet
from tapetum.models.backbones.text import TEXT_B, TextConfig, TextTransformer
from tapetum.models.backbones.vision import VIT_B_16, VisionConfig, VisionTransformer
from tapetum.models.pooling import GeneralisedMean
from tapetum.models.prompts import SharedPrompts
from tapetum.models.standin import read_words, standin_path
from tapetum.models.streams import Segment, Streams
from tapetum.models.text import DAY_AND_NIGHT, PHOTO, BpeTokenizer, PromptTemplate, WordTokenizer

__all__ = [
    "CLIP_RN50",
    "DAY_AND_NIGHT",
    "PHOTO",
    "RESNET_50",
    "TEXT_B",
    "VIT_B_16",
    "AttentionPattern",
    "Block",
    "BpeTokenizer",
    "Clip",
    "ClipResNet",
    "ClipResNetConfig",
    "GeneralisedMean",
    "PromptTemplate",
    "ResNet",
    "ResNetConfig",
    "Segment",
    "SharedPrompts",
    "Streams",
    "TextConfig",
    "TextTransformer",
    "VisionConfig",
    "VisionTransformer",
    "WordTokenizer",
    "attend",
    "create_clip",
    "load_clip",
    "load_resnet",
    "read_notes",
    "read_words",
    "save_clip",
    "standin_path",
]
