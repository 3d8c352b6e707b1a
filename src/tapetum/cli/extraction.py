"""`tapetum extract` and `tapetum collect`."""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tapetum.cli._console import check_place, note, progress_bar, say
from tapetum.cli._encoding import BatchSize, Precision, PrecisionOption, read_for
from tapetum.cli._sources import RunArgument, SplitOption
from tapetum.errors import DataError
from tapetum.files import replace_text

if TYPE_CHECKING:
    from tapetum.ingest import Problem
    from tapetum.scale import Collection, ExtractionReport, Store

_SHOWN = 20
"""Failures that are listed; `tapetum collect --failures` writes all."""


class Files(StrEnum):
    """What of a source's files counts."""

    STAT = "stat"
    NAMES = "names"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(extract)
    app.command()(collect)


def extract(
    run: RunArgument,
    out: Annotated[str, typer.Option(help="A folder, or s3://BUCKET/PREFIX; an extraction there goes on.")],
    data: Annotated[
        list[str] | None,
        typer.Option(
            help="FORMAT:ROOT, manifest:FILE, crops:PLACE, video:FILE?tracks=FILE or webdataset:FILES; may "
            "be repeated. Without it the plan in OUT is worked on."
        ),
    ] = None,
    split: SplitOption = "test",
    shard_size: Annotated[int, typer.Option(min=1, help="Tracklets of a shard, on average.")] = 2048,
    precision: PrecisionOption = Precision.FLOAT32,
    files: Annotated[
        Files, typer.Option(help="stat: changed pictures are noticed; names: they are not looked at.")
    ] = Files.STAT,
    thumbnails: Annotated[bool, typer.Option("--thumbnails", help="Keep thumbnails for galleries.")] = False,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Cut the data into shards, and stop.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=0, help="Processes; 0: this one. With --ray: tasks at a time, 0: all it has.")
    ] = 0,
    ray: Annotated[
        str | None, typer.Option(help="Address of a Ray cluster: local, auto or HOST:PORT.")
    ] = None,
    shard_of: Annotated[
        str | None,
        typer.Option(help="RANK/WORLD: do this part; default: as torchrun or Slurm says; all: everything."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, ...; several workers share the devices.")] = "cpu",
    batch_size: BatchSize = 32,
    threads: Annotated[
        int, typer.Option(min=0, help="Threads of a worker that read; 0: one for each core, at most 4.")
    ] = 0,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Make shards again of which something failed.")
    ] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Fail if anything cannot be embedded.")] = False,
) -> None:
    """Embed data of any size, shard by shard; what is finished is verified and passed over."""
    from tapetum.scale import device_of, extract, open_store, part_of

    part = part_of(shard_of, os.environ)
    store = open_store(out)
    if data:
        if part[1] > 1:
            raise ValueError(
                f"this is one of {part[1]} workers: plan once with --data and --plan-only, then run them "
                "without --data"
            )
        _plan(run, data, store, split, shard_size, precision, files, thumbnails=thumbnails)
    if plan_only:
        return
    with progress_bar("shards") as progress:
        report = extract(
            out,
            str(run),
            part=part,
            workers=workers,
            ray=ray,
            device=device_of(device, os.environ),
            batch_size=batch_size,
            threads=threads,
            retry_failed=retry_failed,
            progress=lambda r: progress(r.done + r.skipped + len(r.failed), r.shards),
        )
    _tell(report, out, strict=strict)


def _plan(
    run: Path,
    data: Sequence[str],
    store: Store,
    split: str,
    shard_size: int,
    precision: Precision,
    files: Files,
    *,
    thumbnails: bool,
) -> None:
    from tapetum.model import load
    from tapetum.scale import plan_extraction

    model = load(run)
    plan = plan_extraction(
        data,
        model,
        store,
        split=split,
        shard_size=shard_size,
        precision=precision.value,
        thumbnails=thumbnails,
        files=files.value,
        read_data=lambda address: read_for(model, address),
    )
    for problem in plan.problems[:_SHOWN]:
        note(f"{problem.kind}: {problem.item}: {problem.reason}")
    whole = sum(shard.rows is None for shard in plan.shards)
    also = f" and {whole} videos or archives" if whole else ""
    say(f"{store.address}: planned {plan.rows} tracklets{also} in {len(plan.shards)} shards")


def _tell(report: ExtractionReport, out: str, *, strict: bool) -> None:
    """What was done, what failed by name, and an error where something is missing."""
    _list(report.problems)
    for shard, reason in list(report.failed.items())[:_SHOWN]:
        note(f"failed: shard {shard}: {reason}")
    if len(report.failed) > _SHOWN:
        note(f"and {len(report.failed) - _SHOWN} more shards")
    rate = f", {report.new_rows / report.seconds:.1f}/s" if report.new_rows and report.seconds else ""
    finished = report.done + report.skipped
    say(
        f"{out}: {finished} of {report.shards} shards, {report.skipped} of them finished before; "
        f"{report.rows} embeddings, {report.new_rows} of them new{rate}"
    )
    if report.stopped:
        raise DataError(f"{out}: stopped: {report.stopped}; what is finished is kept, run it again to go on")
    if report.failed:
        raise DataError(f"{out}: {len(report.failed)} shards failed; run it again to try them anew")
    lost = sum(problem.kind == "failed" for problem in report.problems)
    if strict and lost:
        raise DataError(f"{out}: {lost} could not be embedded (--strict)")


def _list(problems: Sequence[Problem]) -> None:
    for problem in problems[:_SHOWN]:
        note(f"{problem.kind}: {problem.item}: {problem.reason}")
    if len(problems) > _SHOWN:
        note(f"and {len(problems) - _SHOWN} more; all by tapetum collect --failures FILE")


def collect(
    out: Annotated[str, typer.Argument(help="Place of an extraction: a folder, or s3://BUCKET/PREFIX.")],
    to: Annotated[Path | None, typer.Option(help="Folder for one set of embeddings.")] = None,
    gallery: Annotated[str | None, typer.Option(help="Address of a gallery to load.")] = None,
    failures: Annotated[
        Path | None, typer.Option(help="CSV file for everything that could not be embedded.")
    ] = None,
    partial: Annotated[
        bool, typer.Option("--partial", help="Take what is finished; otherwise all must be.")
    ] = False,
    commit: Annotated[int, typer.Option(min=1, help="Rows given to a gallery at a time.")] = 16_384,
    rate: Annotated[
        float | None, typer.Option(help="Rows a second at most; default: as fast as it goes.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace embeddings in TO.")] = False,
) -> None:
    """Bring finished shards together: into a gallery, or into one folder of embeddings."""
    from tapetum.scale import collect_embeddings, open_store, problems_of

    if to is None and gallery is None and failures is None:
        raise ValueError("nothing to do: give --to, --gallery or --failures")
    check_place(failures)
    store = open_store(out)
    if failures is not None:
        _write_failures(failures, problems_of(store))
    if to is not None:
        with progress_bar("shards") as progress:
            found = collect_embeddings(store, to, partial=partial, overwrite=overwrite, progress=progress)
        _tell_collected(found)
        say(f"{to}: {found.rows} embeddings")
    if gallery is not None:
        _load_gallery(store, gallery, partial, commit, rate)


def _load_gallery(store: Store, address: str, partial: bool, commit: int, rate: float | None) -> None:
    from tapetum.scale import collect_into_gallery
    from tapetum.search import Gallery

    if address == "memory:":
        raise ValueError("gallery 'memory:' would end with this command; give a folder")
    place = Gallery.open(address)
    with progress_bar("shards") as progress:
        found = collect_into_gallery(
            store, place, partial=partial, commit=commit, at_most=rate, progress=progress
        )
    _tell_collected(found)
    speed = f" at {found.rate:.0f} rows/s" if found.rate else ""
    say(
        f"{address}: {found.new} new of {found.rows} tracklets{speed}, {found.unchanged} unchanged, "
        f"{place.info().count} in all"
    )
    place.close()


def _tell_collected(found: Collection) -> None:
    if found.missing:
        note(f"{len(found.missing)} shards are not finished and were left out")
    if found.problems:
        note(
            f"{len(found.problems)} tracklets or files could not be embedded, or not wholly (--failures FILE)"
        )


def _write_failures(file: Path, problems: Sequence[Problem]) -> None:
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["item", "kind", "reason"])
    writer.writerows([problem.item, problem.kind, problem.reason] for problem in problems)
    replace_text(file, table.getvalue())
    say(f"{file}: {len(problems)} failures")
