"""`tapetum export`: a run as a file that runs without torch."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from tapetum.cli._console import OUT, check_place, say
from tapetum.cli._encoding import read_for
from tapetum.cli._sources import RunArgument, SplitOption

if TYPE_CHECKING:
    from tapetum.export import Parity


class Form(StrEnum):
    """Kinds of files."""

    ONNX = "onnx"


class Weights(StrEnum):
    """Number types of weights."""

    FLOAT32 = "32"


def register(app: typer.Typer) -> None:
    """Add the command of this module to `app`."""
    app.command()(export)


def export(
    run: RunArgument,
    out: Annotated[Path, typer.Option(help="File to write, NAME.onnx; a report and a card come beside it.")],
    form: Annotated[Form, typer.Option("--format", help="Kind of file.")] = Form.ONNX,
    precision: Annotated[Weights, typer.Option(help="Of the weights.")] = Weights.FLOAT32,
    opset: Annotated[int, typer.Option(help="Version of ONNX's operators, 18 or more.")] = 18,
    data: Annotated[str | None, typer.Option(help="FORMAT:ROOT to compare on, beside drawn clips.")] = None,
    split: SplitOption = "test",
    scores: Annotated[
        Path | None,
        typer.Option(help="What `evaluate --json` wrote, for the card; default: RUN/scores.json."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write a trained model as a file that needs no torch, once it gives the run's embeddings."""
    from tapetum.export import export_onnx
    from tapetum.model import Model, load

    check_place(out)
    model = load(run)
    if not isinstance(model, Model):
        raise ValueError(f"{run} is exported already; give the run it came from")
    tracklets = None if data is None else read_for(model, data).split(split)
    found = export_onnx(model, out, opset=opset, data=tracklets, scores=scores, overwrite=overwrite)
    OUT.print(_parity_table(found.parity))
    say(f"{found.path}: {found.about.method}, model {found.about.fingerprint}")
    say(f"{found.report}")
    say(f"{found.card}")


def _parity_table(parity: Parity) -> Table:
    """How near the file is to the run, a row for each sample of clips."""
    table = Table("clips", "number", "batch sizes", "largest difference", "least cosine", box=None)
    for one in parity.comparisons:
        sizes = ", ".join(map(str, one.batch_sizes))
        figures = (f"{one.max_abs_difference:.1e}", f"{one.min_cosine:.7f}")
        table.add_row(one.name, str(one.clips), sizes, *figures)
    return table
