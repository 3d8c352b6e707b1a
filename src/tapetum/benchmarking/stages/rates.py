"""What this machine does a second, with each model, for `tapetum plan`; kept in a file of rates."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path

from tapetum.benchmarking.config import BenchConfig
from tapetum.benchmarking.rows import Row
from tapetum.benchmarking.stages._registry import Part
from tapetum.methods import create_method
from tapetum.model import Model
from tapetum.scale.planner import Rates, load_rates, measure_rates, save_rates

RATES = "rates.json"
"""Name of the file, in the folder of results."""

_MEGA = 1e6


def parts(config: BenchConfig, folder: Path) -> Mapping[str, Part]:
    """The parts of this stage; see `parts_of`."""
    return {method: partial(measure_method, config, folder, method) for method in config.rates.methods}


def measure_method(config: BenchConfig, folder: Path, name: str) -> list[Row]:
    """Rates with one method, random weights; the file keeps those of the other methods."""
    sizes = config.rates
    method = create_method(name, num_identities=1, num_cameras=1, preset=sizes.preset, weights="none")
    model = Model(method.eval().to(config.device), "measured", Path())
    found = measure_rates(
        model,
        device=config.device,
        precision=sizes.precision,
        batch_size=sizes.batch_size,
        seconds=sizes.seconds,
        folder=folder,
    )
    save_rates(_with_known(found, folder / RATES), folder / RATES)
    own = found.of(name)
    return [
        Row("frames encoded", own.frames_per_s, "frames/s", facts={"precision": own.precision}),
        Row("pictures read by one thread", found.pictures_per_s, "pictures/s"),
        Row("written to the disk", found.written_per_s / _MEGA, "MB/s"),
        Row("vectors compared with a question", found.scanned_per_s / _MEGA, "MB/s"),
        Row("rows that a gallery takes", found.loaded_per_s, "rows/s"),
    ]


def _with_known(found: Rates, file: Path) -> Rates:
    """The rates with the models that the file knows besides, where it is of this machine."""
    if not file.is_file():
        return found
    known = load_rates(file)
    if (known.machine, known.processors) != (found.machine, found.processors):
        return found
    return replace(found, models={**known.models, **found.models})
