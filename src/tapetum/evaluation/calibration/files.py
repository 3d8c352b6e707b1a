"""A calibration as a JSON file: the curves with the counts they stand on, and whose distances they read.

Counts are lists over levels of distance (see `pair_counts`), from the first to the last level that has any.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from tapetum.errors import DataError, ModelMismatchError
from tapetum.evaluation._identities import IntArray
from tapetum.evaluation.calibration._log_ratios import check_prior, log_ratio_from_json
from tapetum.evaluation.calibration.calibration import Calibration
from tapetum.evaluation.calibration.pair_counts import LEVELS, LEVELS_PER_UNIT, PairCounts, Pairing
from tapetum.evaluation.calibration.pair_curves import PairCurve
from tapetum.files import replace_text
from tapetum.json_files import json_of

FORMAT = "tapetum-calibration"
FORMAT_VERSION = 1


def save_calibration(path: Path | str, calibration: Calibration) -> Path:
    """Write a calibration as JSON, whole or not at all, and return the path.

    Raises:
        OSError: The file could not be written; what was there before is untouched.
    """
    return replace_text(Path(path), calibration_to_json(calibration) + "\n")


def calibration_to_json(calibration: Calibration) -> str:
    """A calibration as the text that its file holds."""
    content = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "model": calibration.model,
        "data": calibration.data,
        "levels_per_unit": LEVELS_PER_UNIT,
        "curves": {pairing.value: _curve_to_json(curve) for pairing, curve in calibration.curves.items()},
        "missing": {pairing.value: reason for pairing, reason in calibration.missing.items()},
    }
    return json.dumps(content)


def load_calibration(path: Path | str, *, model: str | None = None) -> Calibration:
    """The calibration in a file.

    Args:
        path: What `save_calibration` wrote.
        model: Fingerprint of the model whose distances are to be read; None: not checked.

    Raises:
        FileNotFoundError: There is no such file.
        DataError: It is damaged, something else, or of another format version.
        ModelMismatchError: It is the calibration of another model.
    """
    place = Path(path)
    if not place.is_file():
        raise FileNotFoundError(f"{place}: no such file")
    found = calibration_from_json(place.read_bytes(), str(place))
    if model is not None:
        try:
            found.refuse_other_model(model)
        except ModelMismatchError as error:
            raise ModelMismatchError(f"{place}: {error}") from None
    return found


def calibration_from_json(text: str | bytes, where: str) -> Calibration:
    """The calibration that `calibration_to_json` made a text of.

    Args:
        text: The text.
        where: Where it was found, for messages.

    Raises:
        DataError: It is damaged, something else, or of another format version.
    """
    content = json_of(text, FORMAT, where, "a calibration")
    for key, expected in (("format_version", FORMAT_VERSION), ("levels_per_unit", LEVELS_PER_UNIT)):
        if content.get(key) != expected:
            raise DataError(f"{where}: {key} is {content.get(key)!r}; this version reads {expected}")
    try:
        return Calibration(
            model=_text(content["model"]),
            data=_text(content["data"]),
            curves={Pairing(name): _curve_from_json(name, c) for name, c in content["curves"].items()},
            missing={Pairing(name): _text(reason) for name, reason in content["missing"].items()},
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(f"{where}: not a complete calibration: {error!r}") from None


def _curve_to_json(curve: PairCurve) -> dict[str, Any]:
    return {
        "prior": curve.prior,
        "log_ratio": curve.log_ratio.to_json(),
        "learnt": _counts_to_json(curve.learnt),
        "judged": _counts_to_json(curve.judged),
    }


def _curve_from_json(name: str, content: dict[str, Any]) -> PairCurve:
    prior = float(content["prior"])
    check_prior(prior)
    return PairCurve(
        pairing=Pairing(name),
        log_ratio=log_ratio_from_json(content["log_ratio"]),
        prior=prior,
        learnt=_counts_from_json(content["learnt"]),
        judged=_counts_from_json(content["judged"]),
    )


def _counts_to_json(counts: PairCounts) -> dict[str, Any]:
    filled = np.flatnonzero(counts.same + counts.different)
    used = slice(int(filled[0]), int(filled[-1]) + 1)
    return {
        "people": counts.people,
        "first_level": used.start,
        "same": counts.same[used].tolist(),
        "different": counts.different[used].tolist(),
    }


def _counts_from_json(content: dict[str, Any]) -> PairCounts:
    first = int(content["first_level"])
    same, different = (_levels(content[name], first) for name in ("same", "different"))
    return PairCounts(same, different, int(content["people"]))


def _levels(values: list[int], first: int) -> IntArray:
    """Counts at all levels from those from `first` on."""
    if first < 0 or first + len(values) > LEVELS:
        raise ValueError(f"{len(values)} counts from level {first} on; there are {LEVELS} levels")
    found = np.zeros(LEVELS, dtype=np.int64)
    found[first : first + len(values)] = values
    if (found < 0).any() or not found.any():
        raise ValueError("counts must not be negative, nor all zero")
    return found


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r} is no text")
    return value
