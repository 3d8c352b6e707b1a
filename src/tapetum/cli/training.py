"""`tapetum train` and `tapetum pretrain`."""

from __future__ import annotations

import os
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from tapetum.cli._console import ERR, note, progress_bar, say
from tapetum.cli._devices import Device
from tapetum.cli._sources import DataOption
from tapetum.config import build_config, merge, parse_overrides, read_yaml
from tapetum.errors import ConfigError

Overrides = Annotated[list[str] | None, typer.Option("--set", help="Change a setting: a.b=value.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module to `app`."""
    app.command()(train)
    app.command()(pretrain)


def train(
    method: Annotated[str, typer.Argument(help="A name from `tapetum methods`.")],
    data: DataOption,
    out: Annotated[Path, typer.Option(help="Folder of the run.")],
    preset: Annotated[str | None, typer.Option(help="paper or tiny.")] = None,
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    set_: Overrides = None,
    weights: Annotated[
        str | None, typer.Option(help="none, stand-in, or a weight file; with --from-stage, a run's folder.")
    ] = None,
    from_stage: Annotated[
        str | None,
        typer.Option(
            help="Begin at this stage, a number from 1 or a name, with what the run in --weights learnt."
        ),
    ] = None,
    max_steps: Annotated[int | None, typer.Option(help="Most steps of each stage.")] = None,
    minutes: Annotated[float | None, typer.Option(help="Time for training; stages are cut to fit.")] = None,
    devices: Annotated[
        int | None,
        typer.Option(help="Processes on each machine, one per device; of torchrun, as many as it started."),
    ] = None,
    nodes: Annotated[int | None, typer.Option(help="Machines that train together.")] = None,
    strategy: Annotated[
        str | None, typer.Option(help="ddp: each process holds all weights; fsdp2: a share of them.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Train a method on a data set; everything about the run is kept in OUT."""
    from tapetum.training import ProgressBar, Silent, leads, resolve_run
    from tapetum.training import train as run_training

    overrides: dict[str, Any] = parse_overrides(set_ or [])
    asked: dict[str, Any] = {"max_steps": max_steps, "max_minutes": minutes}
    asked |= {"devices": devices, "nodes": nodes, "strategy": strategy}
    told = {key: value for key, value in asked.items() if value is not None}
    overrides = merge(overrides, {"training": told} if told else {})
    if from_stage is not None:
        overrides = merge(overrides, {"start": _start(from_stage, weights)})
    elif weights is not None:
        overrides = merge(overrides, {"config": {"weights": weights}})
    run = resolve_run(method, data, preset=preset, file=config, overrides=overrides)
    with ProgressBar(ERR) if leads() else nullcontext(Silent()) as progress:
        result = run_training(run, out, resume=resume, progress=progress)
    if not leads():
        return
    if result.was_finished:
        say(f"{result.folder} was finished already: {result.steps} steps")
    else:
        took = f"{result.steps} steps in {result.seconds:.0f} s"
        say(f"{result.folder}: {took}; model {result.fingerprint}")


def _start(stage: str, weights: str | None) -> dict[str, Any]:
    """The block of a run's configuration that lets it begin at `stage` with what another run learnt."""
    if weights is None:
        raise ConfigError(
            "--from-stage needs --weights RUN, the folder of the run that learnt what comes before"
        )
    return {"stage": int(stage) if stage.isdecimal() else stage, "weights": str(Path(weights).absolute())}


def pretrain(
    out: Annotated[Path, typer.Option(help="Folder for the weights, their card and the state to resume.")],
    config: Annotated[Path | None, typer.Option(help="YAML file with settings.")] = None,
    set_: Overrides = None,
    device: Device = "cpu",
    workers: Annotated[int | None, typer.Option(help="Processes that draw people.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with an interrupted run.")] = False,
) -> None:
    """Make the stand-in for CLIP's weights: a tiny CLIP from visible walkers and captions of them."""
    from tapetum.training.pretraining import PretrainConfig
    from tapetum.training.stand_in import run_pretraining

    layers = [read_yaml(config)] if config is not None else []
    settings = build_config(PretrainConfig, *layers, parse_overrides(set_ or []))
    with progress_bar("people, then steps") as progress:
        card = run_pretraining(
            settings,
            out,
            device=device,
            workers=workers or os.cpu_count() or 1,
            resume=resume,
            progress=progress,
            note=note,
        )
    say(f"{card.weights}, described in {card.text}")
