"""The small CLIP that the package trains itself: everything runs where no published weights are."""

from __future__ import annotations

import json
from pathlib import Path

from tapetum.errors import CheckpointError
from tapetum.models.backbones.clip_files import read_notes
from tapetum.models.backbones.text import TextConfig
from tapetum.models.backbones.vision import VisionConfig

TINY_VISION = VisionConfig(
    width=192,
    layers=5,
    heads=3,
    patch_size=16,
    image_size=(96, 48),
    output_dim=128,
    activation="gelu",
    stem="conv",
    stem_channels=(32, 64, 96, 160),
    stem_depth=1,
)
"""Image tower of the small CLIP; heads of 64 channels as in the large one."""

TINY_TEXT = TextConfig(
    vocab_size=54, context_length=40, width=128, layers=3, heads=2, output_dim=128, activation="gelu"
)
"""Text tower of the small CLIP where no word list says how many words there are."""

WORDS_NOTE = "words"
"""Header note of a weight file that holds the word list of its text tower, as a JSON list."""

_PATH = Path(__file__).parent.parent / "weights" / "tiny-clip.safetensors"


def standin_path() -> Path:
    """File of the small CLIP in the installed package.

    Raises:
        FileNotFoundError: It was never made.
    """
    if not _PATH.is_file():
        raise FileNotFoundError(
            f"{_PATH}: the small stand-in CLIP is not there; `tapetum pretrain` makes it, and weights=none "
            "starts from random weights"
        )
    return _PATH


def read_words(path: str | Path) -> tuple[str, ...]:
    """The word list of a weight file's text tower, in order.

    Raises:
        FileNotFoundError: There is no such file.
        CheckpointError: Not a file of this package, or without a word list.
    """
    notes = read_notes(path)
    if WORDS_NOTE not in notes:
        raise CheckpointError(f"{path}: has no note {WORDS_NOTE!r} with the words of its text tower")
    return tuple(json.loads(notes[WORDS_NOTE]))
