"""Trained models as ONNX files that run without torch, compared with what they came from, with a card."""

from tapetum.export.parity import Comparison, Parity
from tapetum.export.run import Exported, export_onnx

__all__ = ["Comparison", "Exported", "Parity", "export_onnx"]
