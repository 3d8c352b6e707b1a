"""`tapetum plan`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Column, Table

from tapetum.cli._console import OUT, check_place, note, print_json, say
from tapetum.cli._devices import Device
from tapetum.cli._encoding import BatchSize, Precision, PrecisionOption

if TYPE_CHECKING:
    from tapetum.model import TrainedModel
    from tapetum.scale.planner import Check, Estimate, Rates


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(plan)


def plan(
    tracklets: Annotated[str | None, typer.Option(help="How many, such as 20k or 100M.")] = None,
    frames: Annotated[int, typer.Option(min=1, help="Frames of a tracklet.")] = 8,
    model: Annotated[
        str | None, typer.Option(help="A run, a model file, or the name of a method at its paper's size.")
    ] = None,
    gpus: Annotated[int, typer.Option(min=0, help="Accelerators; 0: this machine's processors.")] = 0,
    processors: Annotated[int, typer.Option(min=0, help="That read pictures; 0: as measured.")] = 0,
    picture_bytes: Annotated[int, typer.Option(min=1, help="Of a picture, on average.")] = 20_000,
    replicas: Annotated[int, typer.Option(min=1, help="Copies of a gallery's rows.")] = 1,
    nodes: Annotated[int, typer.Option(min=1, help="Machines of a gallery.")] = 1,
    shard_size: Annotated[int, typer.Option(min=1, help="Tracklets of a shard.")] = 2048,
    rates: Annotated[Path | None, typer.Option(help="File of rates; default: they are measured now.")] = None,
    measure: Annotated[Path | None, typer.Option(help="Measure, and write the rates to this file.")] = None,
    check: Annotated[
        str | None, typer.Option(help="Place of an extraction to compare the rates with.")
    ] = None,
    seconds: Annotated[float, typer.Option(min=0.0, help="Of measuring, for each kind of work.")] = 3.0,
    device: Device = "cpu",
    batch_size: BatchSize = 32,
    precision: PrecisionOption = Precision.FLOAT32,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Estimate hours, storage, memory, network and search of an extraction, with the formula of each."""
    from tapetum.scale import open_store
    from tapetum.scale.planner import (
        Workload,
        check_extraction,
        estimate,
        load_rates,
        measure_rates,
        parse_count,
        save_rates,
    )

    check_place(measure)
    if tracklets is None and measure is None and check is None:
        raise ValueError("nothing to do: give --tracklets, --measure or --check")
    count = None if tracklets is None else parse_count(tracklets)
    loaded = None if model is None else _load(model, device, known=rates is not None)
    if rates is not None:
        found, name = load_rates(rates), _name(model, loaded)
    elif loaded is None:
        raise ValueError("--model says what is measured; or give --rates FILE")
    else:
        note("measuring this machine ...")
        found = measure_rates(
            loaded, device=device, precision=precision.value, batch_size=batch_size, seconds=seconds
        )
        name = loaded.name
    if measure is not None:
        say(f"{save_rates(found, measure)}: rates of {', '.join(found.models)}")
    if check is not None:
        _show_checks(check_extraction(open_store(check), found), as_json=as_json)
    if count is not None:
        workload = Workload(count, frames, gpus, processors, shard_size, picture_bytes, replicas, nodes)
        _show(estimate(workload, found, name or next(iter(found.models))), found, as_json=as_json)


def _load(model: str, device: str, *, known: bool) -> TrainedModel | None:
    """The model to measure, or of which the name is needed; a method by name is made with random weights."""
    from tapetum.methods import create_method, method_names
    from tapetum.model import Model, load

    if model not in method_names():
        return load(model, device="cpu" if known else device)
    if known:
        return None
    method = create_method(model, num_identities=1, num_cameras=1, weights="none").eval().to(device)
    return Model(method, "measured", Path())


def _name(model: str | None, loaded: TrainedModel | None) -> str | None:
    return model if loaded is None else loaded.name


def _show(figures: list[Estimate], rates: Rates, *, as_json: bool) -> None:
    if as_json:
        print_json(
            [{"what": f.what, "value": f.value, "unit": f.unit, "formula": f.formula} for f in figures]
        )
        return
    table = Table(Column("what"), Column("figure", justify="right"), Column("unit"), Column("from"), box=None)
    for figure in figures:
        table.add_row(figure.what, _rounded(figure.value), figure.unit, figure.formula)
    OUT.print(table)
    note(f"rates of: {rates.machine}, {rates.processors} processors")


def _show_checks(checks: list[Check], *, as_json: bool) -> None:
    if as_json:
        print_json(
            [
                {"what": c.what, "unit": c.unit, "estimated": c.estimated, "found": c.found, "ratio": c.ratio}
                for c in checks
            ]
        )
        return
    for one in checks:
        say(
            f"{one.what}: estimated {one.estimated:.1f} {one.unit} ({one.formula}), found "
            f"{one.found:.1f} {one.unit}, {one.ratio:.2f} of it"
        )


def _rounded(value: float) -> str:
    """A figure with three digits that count, or a whole number.

    >>> _rounded(12345.6), _rounded(1.2345), _rounded(0.012345)
    ('12,346', '1.23', '0.0123')
    """
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
