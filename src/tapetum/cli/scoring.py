"""`tapetum embed` and `tapetum evaluate`."""

from __future__ import annotations

import json
from dataclasses import replace
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from tapetum.cli._console import OUT, check_place, progress_bar, say
from tapetum.cli._devices import Device
from tapetum.files import replace_text
from tapetum.types import Embeddings, TrackletSet

BatchSize = Annotated[int, typer.Option(help="Clips in a batch.")]
Workers = Annotated[int, typer.Option(help="Processes that read frames; 0: one thread.")]


class Precision(StrEnum):
    """Number type inside the network."""

    FLOAT32 = "32"
    BFLOAT16 = "bf16"


class Sampling(StrEnum):
    """How frames of a tracklet are chosen for a clip."""

    CHUNK_FIRST = "chunk-first"
    UNIFORM = "uniform"
    DENSE = "dense"


PrecisionOption = Annotated[Precision, typer.Option(help="Inside the network; embeddings are float32.")]
SamplingOption = Annotated[Sampling | None, typer.Option(help="Test frames; default: the method's.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(name="embed")(embed_command)
    app.command(name="evaluate")(evaluate_command)


def embed_command(
    run: Annotated[Path, typer.Argument(help="Folder of a finished run, or a model file.")],
    data: Annotated[str, typer.Option(help="FORMAT:ROOT")],
    out: Annotated[Path, typer.Option(help="Folder for the embeddings.")],
    split: Annotated[str, typer.Option(help="train, query, gallery or test.")] = "test",
    sampling: SamplingOption = None,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace embeddings in OUT.")] = False,
) -> None:
    """Write the embeddings of a data set's tracklets, with all they need to be scored and searched."""
    from tapetum.data.datasets import read_dataset
    from tapetum.embedding_files import refuse_to_replace, save_embeddings
    from tapetum.model import load

    refuse_to_replace(out, overwrite)
    tracklets = read_dataset(data).split(split)
    model = load(run, device=device)
    embeddings = _embed(model, tracklets, sampling, batch_size, workers, precision)
    save_embeddings(embeddings, out, method=model.method.name, overwrite=overwrite)
    say(f"{out}: {len(embeddings)} embeddings of {embeddings.vectors.shape[1]} dimensions")


def evaluate_command(
    source: Annotated[Path, typer.Argument(help="Folder of a finished run, or of embeddings.")],
    data: Annotated[str | None, typer.Option(help="FORMAT:ROOT; not needed for embeddings.")] = None,
    protocol: Annotated[str | None, typer.Option(help="A name from `tapetum protocols`.")] = None,
    seed: Annotated[int, typer.Option(help="Of protocols that draw their galleries.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    sampling: SamplingOption = None,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Score a model or embeddings by a protocol, in all its directions; chance is printed beside."""
    from tapetum.embedding_files import is_embeddings_folder, load_embeddings
    from tapetum.evaluation import evaluate

    check_place(json_file)
    if is_embeddings_folder(source):
        embeddings = load_embeddings(source)
    else:
        embeddings = _embed_test(source, data, sampling, batch_size, workers, device, precision)
    name = protocol or (data.partition(":")[0] if data else embeddings.tracklets.name.partition("/")[0])
    found = evaluate(embeddings, name, seed=seed, device=device)
    OUT.print(score_table(found.to_json()))
    if json_file is not None:
        replace_text(json_file, json.dumps(found.to_json(), indent=2) + "\n")


def score_table(found: dict[str, Any]) -> Table:
    """Rank-1/5/10/20, mAP and mINP of each trial in per cent, with the level of chance."""
    title = f"{found['protocol']}, {found['data']}"
    table = Table("", "R1", "R5", "R10", "R20", "mAP", "mINP", "queries", "skipped", box=None, title=title)
    for trial in found["trials"]:
        _add_row(table, f"[bold]{trial['trial']}[/]", trial, str(trial["queries"]), str(trial["skipped"]))
        if trial["chance"] is not None:
            _add_row(table, "[dim]chance[/]", trial["chance"], "", "")
    return table


def _add_row(table: Table, name: str, scores: dict[str, Any], queries: str, skipped: str) -> None:
    cmc = scores["cmc"]
    ranks = [cmc[min(rank, len(cmc)) - 1] for rank in (1, 5, 10, 20)]
    values = [*ranks, scores["mean_ap"], scores["mean_inp"]]
    table.add_row(name, *(f"{100 * value:.1f}" for value in values), queries, skipped)


def _embed_test(
    run: Path,
    data: str | None,
    sampling: Sampling | None,
    batch_size: int,
    workers: int,
    device: str,
    precision: Precision,
) -> Embeddings:
    from tapetum.data.datasets import read_dataset
    from tapetum.model import load

    if data is None and not run.exists():
        raise FileNotFoundError(f"{run}: no such folder or file")
    if data is None:
        raise ValueError("--data FORMAT:ROOT is needed to evaluate a run (embeddings need none)")
    tracklets = read_dataset(data).test
    return _embed(load(run, device=device), tracklets, sampling, batch_size, workers, precision)


def _embed(
    model: Any,
    tracklets: TrackletSet,
    sampling: Sampling | None,
    batch_size: int,
    workers: int,
    precision: Precision,
) -> Embeddings:
    from tapetum.embed import embed

    with progress_bar("tracklets") as progress:
        embeddings = embed(
            model.method,
            tracklets,
            batch_size=batch_size,
            sampling=sampling.value if sampling else None,
            workers=workers,
            precision=precision.value,
            progress=progress,
        )
    return replace(embeddings, model=model.fingerprint)
