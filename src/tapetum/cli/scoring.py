"""`tapetum embed` and `tapetum evaluate`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tapetum.cli._console import OUT, check_place, say
from tapetum.cli._devices import Device
from tapetum.cli._encoding import (
    BatchSize,
    Encoding,
    Flip,
    Precision,
    PrecisionOption,
    SamplingOption,
    Workers,
    read_for,
)
from tapetum.cli._score_table import score_table
from tapetum.cli._sources import (
    DataOfRunOption,
    DataOption,
    ProtocolOption,
    RootOption,
    RunArgument,
    SplitOption,
)
from tapetum.cli.robustness import (
    CellsOption,
    CorruptionRequest,
    CorruptOption,
    CorruptSideOption,
    ReportOption,
    ScoringRules,
    SeverityOption,
    evaluate_corrupted,
)
from tapetum.data.datasets import DataSpec
from tapetum.files import replace_text
from tapetum.types import Embeddings

if TYPE_CHECKING:
    from tapetum.evaluation import Evaluation


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(name="embed")(embed_command)
    app.command(name="evaluate")(evaluate_command)


def embed_command(
    run: RunArgument,
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder for the embeddings.")],
    split: SplitOption = "test",
    sampling: SamplingOption = None,
    flip: Flip = False,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace embeddings in OUT.")] = False,
) -> None:
    """Write the embeddings of a data set's tracklets, with all they need to be scored and searched."""
    from tapetum.embedding_files import refuse_to_replace, save_embeddings
    from tapetum.model import load

    refuse_to_replace(out, overwrite)
    DataSpec.parse(data)
    model = load(run, device=device)
    tracklets = read_for(model, data).split(split)
    embeddings = Encoding(sampling, batch_size, workers, precision, flip).embed(model, tracklets)
    save_embeddings(embeddings, out, method=model.name, overwrite=overwrite)
    say(f"{out}: {len(embeddings)} embeddings of {embeddings.vectors.shape[1]} dimensions")


def evaluate_command(
    sources: Annotated[list[Path], typer.Argument(help="Folders of finished runs, or of embeddings.")],
    data: DataOfRunOption = None,
    protocol: ProtocolOption = None,
    root: RootOption = None,
    seed: Annotated[int, typer.Option(help="Of protocols that draw their galleries, and of --corrupt.")] = 0,
    rerank: Annotated[bool, typer.Option("--rerank", help="Re-rank by k-reciprocal neighbours.")] = False,
    confidence: Annotated[int, typer.Option(help="Samples of people for intervals; 0: none.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the scores to this file.")] = None,
    per_query: Annotated[Path | None, typer.Option(help="Parquet file for what each query found.")] = None,
    corrupt: CorruptOption = None,
    severity: SeverityOption = None,
    corrupt_side: CorruptSideOption = None,
    report: ReportOption = None,
    out: CellsOption = None,
    sampling: SamplingOption = None,
    flip: Flip = False,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Score models or embeddings by a protocol, in all its directions; several are averaged.

    A model is scored on the division of the data set that it was trained for, so the models of a data set
    with ten divisions can be given all at once.
    """
    from tapetum.evaluation import combine

    for file in (json_file, per_query):
        check_place(file)
    if rerank and per_query is not None:
        raise ValueError("--per-query lists what embeddings find by themselves; it does not go with --rerank")
    encoding = Encoding(sampling, batch_size, workers, precision, flip)
    request = CorruptionRequest(corrupt, severity, corrupt_side, out, report)
    request.check(confidence=confidence, per_query=per_query)
    if request.corrupt is not None:
        how = ScoringRules(protocol, root, seed, rerank, encoding, device)
        evaluate_corrupted(sources, data, request, how, json_file)
        return
    rules = _Rules(protocol, seed, rerank, device)
    scored = [_score(open_source(source, data, root, encoding, device), data, rules) for source in sources]
    found = combine([evaluation for _, evaluation in scored])
    content = {**found.to_json(), **({"flip": True} if flip else {})}
    if confidence:
        _add_intervals(content, scored, confidence)
    OUT.print(score_table(content))
    if json_file is not None:
        replace_text(json_file, json.dumps(content, indent=2) + "\n")
    if per_query is not None:
        _save_per_query(per_query, scored, found)


@dataclass(frozen=True, slots=True)
class _Rules:
    """How embeddings are scored."""

    protocol: str | None
    seed: int
    rerank: bool
    device: str


@dataclass(frozen=True, slots=True)
class Source:
    """What is scored, and the data set's folder where that is known."""

    embeddings: Embeddings
    root: Path | None


def open_source(source: Path, data: str | None, root: Path | None, encoding: Encoding, device: str) -> Source:
    """Embeddings read from a folder, or made by a run of its data set's test part."""
    from tapetum.embedding_files import is_embeddings_folder, load_embeddings
    from tapetum.model import load

    if is_embeddings_folder(source):
        if encoding.flip:
            raise ValueError(f"{source} holds embeddings already; --flip acts where a run makes them")
        return Source(load_embeddings(source), root or (DataSpec.parse(data).root if data else None))
    if data is None and not source.exists():
        raise FileNotFoundError(f"{source}: no such folder or file")
    if data is None:
        raise ValueError("--data FORMAT:ROOT is needed to evaluate a run (embeddings need none)")
    DataSpec.parse(data)
    model = load(source, device=device)
    dataset = read_for(model, data)
    return Source(encoding.embed(model, dataset.test), root or dataset.root)


def usual_protocol(embeddings: Embeddings, data: str | None) -> str:
    """Name of the protocol of the data set that was named, or that the embeddings are of."""
    title = data.partition(":")[0] if data else embeddings.tracklets.name.partition("/")[0]
    return title.partition("?")[0]


def _score(source: Source, data: str | None, rules: _Rules) -> tuple[Embeddings, Evaluation]:
    from tapetum.evaluation import Reranking, evaluate

    embeddings = source.embeddings
    found = evaluate(
        embeddings,
        rules.protocol or usual_protocol(embeddings, data),
        seed=rules.seed,
        root=source.root,
        reranking=Reranking() if rules.rerank else None,
        device=rules.device,
    )
    return embeddings, found


def _add_intervals(
    content: dict[str, Any], scored: Sequence[tuple[Embeddings, Evaluation]], samples: int
) -> None:
    """Put intervals over the people searched for, and over trials, beside the means of each direction."""
    from tapetum.evaluation import bootstrap_trials, over_trials

    people = [[t.person_id for t in embeddings.tracklets] for embeddings, _ in scored]
    for name, direction in content["directions"].items():
        found = [
            (result.scores, [ids[int(row)] for row in result.trial.query])
            for (_, evaluation), ids in zip(scored, people, strict=True)
            for result in evaluation.by_direction()[name]
        ]
        scores, asked = [one for one, _ in found], [ids for _, ids in found]
        direction["intervals"] = bootstrap_trials(scores, asked, samples=samples).to_json()
        if len(scores) > 1:
            direction["intervals_over_trials"] = over_trials(scores).to_json()


def _save_per_query(path: Path, scored: Sequence[tuple[Embeddings, Evaluation]], found: Evaluation) -> None:
    from tapetum.evaluation.per_query import per_query_table, save_tables

    embeddings = [one for one, evaluation in scored for _ in evaluation.results]
    save_tables(path, map(per_query_table, embeddings, found.results))
