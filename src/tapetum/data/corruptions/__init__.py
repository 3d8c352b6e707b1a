"""What goes wrong with pictures: noise, blur, light, compression, weather, occluders, infrared sensors."""

from tapetum.data.corruptions._base import SEVERITIES, Corruption, Moment, Scene, corrupt
from tapetum.data.corruptions.catalogue import CORRUPTIONS, corruption_names, find_corruption
from tapetum.data.corruptions.frames import CorruptedFrames

__all__ = [
    "CORRUPTIONS",
    "SEVERITIES",
    "CorruptedFrames",
    "Corruption",
    "Moment",
    "Scene",
    "corrupt",
    "corruption_names",
    "find_corruption",
]
