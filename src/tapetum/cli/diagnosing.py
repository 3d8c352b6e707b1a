"""`tapetum calibrate` and `tapetum diagnose`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table
from rich.text import Text

from tapetum.cli._console import OUT, check_place, note, say
from tapetum.cli._devices import Device
from tapetum.cli._diagnosis_tables import (
    camera_table,
    error_table,
    modality_table,
    open_set_table,
    pair_table,
    pairing_table,
)
from tapetum.cli._encoding import (
    BatchSize,
    Encoding,
    Flip,
    Precision,
    PrecisionOption,
    SamplingOption,
    Workers,
)
from tapetum.cli._sources import DataOfRunOption, ProtocolOption, RootOption, SourceArgument
from tapetum.cli.scoring import Source, open_source, usual_protocol
from tapetum.errors import CalibrationError
from tapetum.files import replace_text
from tapetum.search import Gallery
from tapetum.search.storing import refuse_other_model

if TYPE_CHECKING:
    from tapetum.evaluation import Calibration, Diagnosis, OpenSetScores


class Fit(StrEnum):
    """How evidence depends on distance."""

    LOGISTIC = "logistic"
    ISOTONIC = "isotonic"


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command(name="calibrate")(calibrate_command)
    app.command(name="diagnose")(diagnose_command)


def calibrate_command(
    source: SourceArgument,
    out: Annotated[Path | None, typer.Option(help="JSON file for the calibration.")] = None,
    gallery: Annotated[
        str | None, typer.Option(help="Gallery of the same model to keep it in, for all its answers.")
    ] = None,
    data: DataOfRunOption = None,
    learn_from: Annotated[
        Path | None, typer.Option(help="Embeddings of other people to learn from; default: half of these.")
    ] = None,
    kind: Annotated[Fit, typer.Option(help="A line in the log odds, or any falling steps.")] = Fit.LOGISTIC,
    prior: Annotated[
        float | None, typer.Option(help="Probability of one person, beforehand; default: as learnt from.")
    ] = None,
    protocol: ProtocolOption = None,
    root: RootOption = None,
    seed: Annotated[int, typer.Option(help="Of the halves.")] = 0,
    sampling: SamplingOption = None,
    flip: Flip = False,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Learn what distances mean from some people, and say on others how well that holds.

    One half of the people, drawn by the seed, is learnt from, the other half judged on, unless embeddings of
    other people are given to learn from. The protocol says which pairs of cameras count. Kept in a gallery,
    the calibration is used by every search of it.
    """
    from tapetum.embedding_files import load_embeddings
    from tapetum.evaluation import calibrate, save_calibration

    if out is None and gallery is None:
        raise ValueError("nothing would be kept: give --out FILE or --gallery URI")
    check_place(out)
    place = None if gallery is None else _bound_gallery(gallery)
    encoding = Encoding(sampling, batch_size, workers, precision, flip)
    opened = open_source(source, data, root, encoding, device)
    if place is not None:
        refuse_other_model(opened.embeddings.model, place.info().model)
    found = calibrate(
        opened.embeddings,
        learn_from=None if learn_from is None else load_embeddings(learn_from),
        kind="logistic" if kind is Fit.LOGISTIC else "isotonic",
        prior=prior,
        seed=seed,
        **_camera_rules(opened, protocol, data),
    )
    if out is not None:
        save_calibration(out, found)
    if place is not None:
        place.set_calibration(found)
        place.close()
    _show_calibration(found)
    for kept in filter(None, (out, gallery)):
        say(f"{kept}: calibration of model {found.model or '(unknown)'}")


def _bound_gallery(uri: str) -> Gallery:
    """A gallery that has a model, so that a calibration can be kept in it.

    Raises:
        ValueError: Nothing was stored in it yet.
    """
    place = Gallery.open(uri, create=False)
    if place.info().model is None:
        place.close()
        raise ValueError(f"{uri}: nothing was stored in this gallery yet, so there is nothing to calibrate")
    return place


def diagnose_command(
    source: SourceArgument,
    data: DataOfRunOption = None,
    protocol: ProtocolOption = None,
    root: RootOption = None,
    samples: Annotated[int, typer.Option(help="Draws of people for the intervals.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the protocol, halves and draws.")] = 0,
    json_file: Annotated[Path | None, typer.Option("--json", help="Write the figures to this file.")] = None,
    out: Annotated[Path | None, typer.Option(help="HTML file for tables and plots.")] = None,
    sampling: SamplingOption = None,
    flip: Flip = False,
    batch_size: BatchSize = 32,
    workers: Workers = 0,
    device: Device = "cpu",
    precision: PrecisionOption = Precision.FLOAT32,
) -> None:
    """Say which cameras fail, how well a threshold parts people, and how strangers are told."""
    from tapetum.evaluation import diagnose, evaluate

    for file in (json_file, out):
        check_place(file)
    encoding = Encoding(sampling, batch_size, workers, precision, flip)
    opened = open_source(source, data, root, encoding, device)
    name = protocol or usual_protocol(opened.embeddings, data)
    evaluation = evaluate(opened.embeddings, name, seed=seed, root=opened.root, device=device)
    found = diagnose(opened.embeddings, evaluation, samples=samples, seed=seed)
    trials = [results[0].trial for results in evaluation.by_direction().values()]
    calibration = _calibration(opened, name, data, seed)
    open_set = _open_set(opened, trials, seed)
    _show_diagnosis(found)
    if calibration is not None:
        _show_calibration(calibration)
    if open_set:
        OUT.print(open_set_table(open_set))
    if json_file is not None:
        content = _content(found, calibration, open_set)
        replace_text(json_file, json.dumps(content, indent=2, allow_nan=False) + "\n")
    if out is not None:
        from tapetum.report.diagnosis_page import build_diagnosis

        build_diagnosis(out, found, calibration=calibration, open_set=open_set)
        say(f"{out}: page of the diagnosis")


def _camera_rules(source: Source, protocol: str | None, data: str | None) -> dict[str, Any]:
    """Which pairs of cameras count: by the protocol, or by the usual rule where there is none that fits."""
    from tapetum.evaluation import create_protocol, protocol_names

    name = protocol or usual_protocol(source.embeddings, data)
    if protocol is None and name not in protocol_names():
        return {}
    try:
        trials = create_protocol(name).trials(source.embeddings.tracklets, 0, source.root)
    except ValueError as error:
        if protocol is not None:
            raise
        note(f"pairs of one person in one camera do not count; other camera rules are unknown: {error}")
        return {}
    return {
        "same_camera": all(trial.same_camera for trial in trials),
        "hidden_cameras": tuple({pair: None for trial in trials for pair in trial.hidden_cameras}),
    }


def _calibration(source: Source, protocol: str, data: str | None, seed: int) -> Calibration | None:
    """A calibration on the halves of the people, or a note why there is none."""
    from tapetum.evaluation import calibrate

    try:
        return calibrate(source.embeddings, seed=seed, **_camera_rules(source, protocol, data))
    except CalibrationError as error:
        note(f"no calibration: {error}")
        return None


def _open_set(source: Source, trials: Sequence[Any], seed: int) -> list[OpenSetScores]:
    """Open-set scores of the first trial of each direction, or a note why there are none."""
    from tapetum.evaluation import open_set_scores

    found = []
    for trial in trials:
        try:
            found.append(open_set_scores(source.embeddings, trial, seed=seed))
        except CalibrationError as error:
            note(f"no open-set figures: {error}")
    return found


def _content(
    diagnosis: Diagnosis, calibration: Calibration | None, open_set: Sequence[OpenSetScores]
) -> dict[str, object]:
    curves = [curve.to_json() for curve in calibration.curves.values()] if calibration else []
    return {
        **diagnosis.to_json(),
        "calibration": curves,
        "open_set": [scores.to_json() for scores in open_set],
    }


def _show_diagnosis(found: Diagnosis) -> None:
    if not found.can_compare:
        say("No camera has enough to be compared: 20 queries of 10 people are needed.")
    else:
        say("What stands out:" if found.findings else "No camera stands out.")
    for number, finding in enumerate(found.findings, start=1):
        OUT.print(Text(f"{number}. {finding.text}"))
    for direction in found.directions:
        _show(camera_table(found, direction))
        _show(pair_table(found, direction))
        _show(error_table(found, direction))
    _show(modality_table(found))
    if any(not row.is_enough for row in found.cameras if row.queries):
        note("dim figures stand on fewer than 20 queries of 10 people: read nothing into them")


def _show(table: Table | None) -> None:
    if table is not None:
        OUT.print()
        OUT.print(table)


def _show_calibration(found: Calibration) -> None:
    for curve in found.curves.values():
        _show(pairing_table(curve))
    for pairing, reason in found.missing.items():
        note(f"{pairing} pairs are not calibrated: {reason}")
    if any(curve.has_few_people for curve in found.curves.values()):
        note("fewer than 20 people on one side: take the figures as an example, not as a measurement")
