"""Rates of a machine, measured, in a small JSON file."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

from tapetum.errors import DataError
from tapetum.files import replace_text
from tapetum.json_files import read_json_of

FORMAT = "tapetum-rates"
FORMAT_VERSION = 1


@dataclass(frozen=True, slots=True)
class ModelRates:
    """A model, and how fast a device is with it.

    Attributes:
        device: On which it was measured, such as "cpu" or "cuda".
        precision: Number type inside the network.
        threads: That it computed with, on a processor.
        frames_per_s: Frames encoded a second by one device, in full batches.
        flop_per_frame: Operations of a frame; 0 where they cannot be counted.
        weight_bytes: Of the weights.
        dimension: Length of an embedding.
        height: Of a frame, in pixels.
        width: Of a frame, in pixels.
        clip_frames: Frames of a clip.
        sampling: How the frames of a clip are chosen.
    """

    device: str
    precision: str
    threads: int
    frames_per_s: float
    flop_per_frame: float
    weight_bytes: int
    dimension: int
    height: int
    width: int
    clip_frames: int
    sampling: str


@dataclass(frozen=True, slots=True)
class Rates:
    """What a machine does a second.

    Attributes:
        machine: Its processor, in words.
        processors: How many it has.
        pictures_per_s: JPEG pictures at a model's size read, decoded and prepared by one thread.
        written_per_s: Bytes written to the disk and flushed.
        scanned_per_s: Bytes of float32 vectors compared with a query.
        loaded_per_s: Rows that a gallery in a folder takes.
        models: By name.
    """

    machine: str
    processors: int
    pictures_per_s: float
    written_per_s: float
    scanned_per_s: float
    loaded_per_s: float
    models: Mapping[str, ModelRates]

    def of(self, model: str) -> ModelRates:
        """The rates of a model.

        Raises:
            ValueError: It was not measured.
        """
        if model not in self.models:
            known = ", ".join(self.models) or "none"
            raise ValueError(f"no rates of model {model!r} (measured: {known}); measure them with --measure")
        return self.models[model]


def save_rates(rates: Rates, file: Path) -> Path:
    """Write rates to a file, whole or not at all.

    Raises:
        OSError: It could not be written.
    """
    content = {"format": FORMAT, "format_version": FORMAT_VERSION, **asdict(rates)}
    return replace_text(file, json.dumps(content, indent=2) + "\n")


def load_rates(file: Path) -> Rates:
    """The rates in a file.

    Raises:
        OSError: It cannot be read.
        DataError: It holds no rates of this version, or a number that is none.
    """
    content = read_json_of(file, FORMAT, "a file of measured rates")
    if content.pop("format_version", None) != FORMAT_VERSION:
        raise DataError(f"{file}: not of format version {FORMAT_VERSION}")
    del content["format"]
    try:
        models = {name: ModelRates(**found) for name, found in content.pop("models").items()}
        rates = Rates(**content, models=models)
        speeds = [
            rates.pictures_per_s,
            rates.written_per_s,
            rates.scanned_per_s,
            rates.loaded_per_s,
            *(m.frames_per_s for m in models.values()),
        ]
        if not all(speed > 0 for speed in speeds):
            raise ValueError("a rate is not above 0")
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise DataError(f"{file}: not a complete file of measured rates: {error}") from None
    return rates
