"""CLIP fine-tuned with identity and triplet loss, mean over frames: LSMRL with its modules switched off."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from tapetum.config import merge
from tapetum.methods.lsmrl import TINY, Lsmrl

_OFF: Mapping[str, Any] = {
    "stfl_split": (12, 0, 0),
    "sd_mode": "none",
    "cmi_kv": "none",
    "loss": {"v2t": 0, "msel": 0, "dcl": 0},
}


class ClipBaseline(Lsmrl):
    """The baseline of LSMRL's ablation: every frame alone, no prompts, no modality-level loss."""

    name: ClassVar[str] = "clip-baseline"
    presets: ClassVar[Mapping[str, Mapping[str, Any]]] = {
        "paper": _OFF,
        "tiny": merge(merge(TINY, _OFF), {"stfl_split": (5, 0, 0), "loss": {"xmod_nce": 0, "wrt": 0.1}}),
    }
