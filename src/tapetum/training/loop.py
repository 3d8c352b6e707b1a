"""Train a method: enter the run's folder, go through the stages, write the result."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from tapetum.data import read_dataset
from tapetum.methods._base import Method, create_method
from tapetum.methods._checkpoint import (
    TRAINED_ON,
    all_tensors,
    assign_tensors,
    describe_method,
    load_method,
    read_header,
    save_method,
    stored_tensors,
)
from tapetum.models.backbones.linear import onednn_products
from tapetum.training.checkpoint import Position, TrainingState, list_states, load_state
from tapetum.training.company import check_agreement, check_shared, told_of_losses
from tapetum.training.config import RunConfig, StartConfig, TrainingConfig
from tapetum.training.devices import choose_onednn_products, create_fabric
from tapetum.training.earlier_run import Loan, take_loan
from tapetum.training.interrupt import polite_signals
from tapetum.training.progress import Silent, TrainingProgress
from tapetum.training.run_folder import RunFolder, package_versions
from tapetum.training.run_log import RunLog
from tapetum.training.session import Session
from tapetum.training.source import TrainingSource
from tapetum.training.stage_run import run_stage
from tapetum.training.stage_settings import check_batches, settle_epochs
from tapetum.training.training_set import TrainingSet, divide

if TYPE_CHECKING:
    from lightning_fabric import Fabric


@dataclass(frozen=True, slots=True)
class RunResult:
    """A finished run.

    Attributes:
        folder: The run's folder; `tapetum.load` reads it.
        model: The file of the trained method.
        fingerprint: Names the trained method; embeddings carry it.
        steps: Steps made in all stages.
        seconds: Time taken, all sittings together.
        was_finished: True where there was nothing left to do.
    """

    folder: Path
    model: Path
    fingerprint: str
    steps: int
    seconds: float
    was_finished: bool = False


def train(
    run: RunConfig, out: Path | str, *, resume: bool = False, progress: TrainingProgress | None = None
) -> RunResult:
    """Train a method on a data set and leave everything in the folder `out`.

    A resumed run goes on from its last checkpoint as if it had never stopped; in an empty folder it starts.
    The caller's random generators are left alone.

    Args:
        run: What to do; see `resolve_run`.
        out: The run's folder; made where there is none.
        resume: Go on with the run in `out`.
        progress: Who is told how far it is; None: nobody.

    Raises:
        FileExistsError: `out` is not empty, and the run was not to be resumed.
        ConfigError: The run in `out` had other settings; the differing keys are named.
        CheckpointError: The run in `out` had other data, or its checkpoint does not fit.
        KeyboardInterrupt: Ctrl-C or a termination signal; a checkpoint was written first.
        FloatingPointError: A loss or a gradient is not a finite number; step and losses are named.
        ProcessLostError: Another process of the run ended or fell silent; see docs/distributed.md.
        MissingExtraError: The training engine is not installed.
        OSError: A file could not be written; the last checkpoint is untouched.
    """
    settings = run.model_dump(mode="json")
    folder = RunFolder(Path(out))
    folder.check(settings, resume)
    if folder.is_finished:
        return _finished(folder, progress)
    fabric, config = create_fabric(run.training), run.training
    with told_of_losses(config.timeout_s, _advice(folder)):
        division = divide(read_dataset(run.data), config.validation_identities, config.seed)
        method = build_method(run, len(division.learnt.label_ids), len(division.learnt.camera_ids))
        source = TrainingSet(
            division,
            config,
            method,
            rank=fabric.global_rank,
            world_size=fabric.world_size,
            pin=fabric.device.type == "cuda",
        )
        return train_method(
            method,
            source,
            config,
            out,
            settings=settings,
            resume=resume,
            progress=progress,
            fabric=fabric,
            start=run.start,
        )


def build_method(run: RunConfig, num_identities: int, num_cameras: int) -> Method:
    """The method of a run before its first step, its random weights drawn from the run's seed."""
    with _own_randomness(torch.device("cpu"), run.training.seed):
        return create_method(
            run.method,
            num_identities=num_identities,
            num_cameras=num_cameras,
            preset=run.preset,
            **run.config,
        )


def train_method(
    method: Method,
    source: TrainingSource,
    config: TrainingConfig,
    out: Path | str,
    *,
    settings: Mapping[str, Any] | None = None,
    resume: bool = False,
    progress: TrainingProgress | None = None,
    fabric: Fabric | None = None,
    start: StartConfig | None = None,
) -> RunResult:
    """Train a method that is built already, on any source of batches; arguments and errors as `train`.

    Args:
        method: What to train, as it is before the first step (also when resuming); its weights stay cut where
            `training.strategy` cuts them (the result is whole).
        source: Where batches come from.
        config: How the run is carried out.
        out: The run's folder.
        settings: What `config.yaml` keeps and a resumed run compares; None: see `describe_run`.
        resume: Go on with the run in `out`.
        progress: Who is told how far it is.
        fabric: The engine; None: made from `config`.
        start: Where to begin, if not at the first stage.

    Raises:
        ValueError: The method reads cameras, and has been built for another number of them.
        ConfigError: A stage asks for batches that its losses cannot take.
    """
    folder = RunFolder(Path(out))
    settings = settings if settings is not None else describe_run(method, config, start)
    fabric = fabric or create_fabric(config)
    with told_of_losses(config.timeout_s, _advice(folder)):
        progress = progress if fabric.global_rank == 0 else None
        _adopt_cameras(method, source)
        check_batches(method.stages())
        if fabric.world_size > 1:
            check_agreement({**settings, "data_fingerprint": source.fingerprint, **package_versions()})
        has_begun = folder.is_finished or bool(list_states(folder.checkpoints))
        loan = None if start is None or has_begun else take_loan(start, method, source)
        if fabric.global_rank == 0:
            products = () if folder.config.is_file() else choose_onednn_products(fabric, config)
            origin = loan.describe() if loan is not None else None
            folder.enter(settings, source.fingerprint, resume, onednn_products=products, started_from=origin)
        fabric.barrier()
        check_shared(folder.config)
        if folder.is_finished:
            return _finished(folder, progress)
        return _sit(method, source, config, folder, fabric, progress, loan)


def _sit(
    method: Method,
    source: TrainingSource,
    config: TrainingConfig,
    folder: RunFolder,
    fabric: Fabric,
    progress: TrainingProgress | None,
    loan: Loan | None,
) -> RunResult:
    """One sitting: from where the run is to its result."""
    method.to(fabric.device)
    with (
        onednn_products(folder.onednn_products),
        _own_randomness(fabric.device, config.seed),
        _open_session(method, source, config, folder, fabric, progress or Silent()) as (session, state),
    ):
        if loan is not None:
            _begin_with(loan, session)
        _run_stages(session, state)
        return _write_result(session)


def _advice(folder: RunFolder) -> str:
    """What to do where other processes are gone."""
    return f"What was learnt until the last checkpoint in {folder.checkpoints} is kept: resume the run"


def _adopt_cameras(method: Method, source: TrainingSource) -> None:
    """Tell the method which cameras its indices stand for."""
    if method.reads_cameras and len(source.camera_ids) != method.num_cameras:
        raise ValueError(
            f"{method.name} was built for {method.num_cameras} cameras, but {source.title} was seen by "
            f"{len(source.camera_ids)}: {', '.join(map(str, source.camera_ids))}"
        )
    method.camera_ids = tuple(source.camera_ids)


def describe_run(method: Method, config: TrainingConfig, start: StartConfig | None = None) -> dict[str, Any]:
    """Settings of a run that was not made from a `RunConfig`."""
    return {
        "method": method.name,
        "config": method.config.model_dump(mode="json"),
        "training": config.model_dump(mode="json"),
        **({} if start is None else {"start": start.model_dump(mode="json")}),
    }


def _begin_with(loan: Loan, session: Session) -> None:
    """Go to the stage that a loan leads to, and leave a checkpoint: the lender is not needed again."""
    session.position.stage = loan.stage
    place = {"stage": loan.name, "epoch": 0, "step": 0}
    session.write({"kind": "start", **place, "started_from": loan.describe()})
    session.progress.note(f"begins at stage {loan.stage + 1}, {loan.name}, with {loan.file}")
    session.save({}, {}, {})


@contextmanager
def _open_session(
    method: Method,
    source: TrainingSource,
    config: TrainingConfig,
    folder: RunFolder,
    fabric: Fabric,
    progress: TrainingProgress,
) -> Iterator[tuple[Session, TrainingState | None]]:
    """A sitting and the checkpoint it goes on from, if any."""
    files = list_states(folder.checkpoints)
    last: str = fabric.broadcast(files[-1].name if files else "")
    state = load_state(folder.checkpoints / last) if last else None
    position = state.position if state is not None else Position()
    if state is not None:
        progress.note(f"resumed after step {position.step} from {folder.checkpoints / last}")
    is_first = fabric.global_rank == 0
    board = folder.board if config.tensorboard else None
    log = (
        RunLog(folder.log, position.log_bytes, tensorboard=board, step=position.step + 1)
        if is_first
        else None
    )
    with log or nullcontext(), polite_signals() as interrupt:
        yield (
            Session(
                method=method,
                source=source,
                config=config,
                folder=folder,
                fabric=fabric,
                log=log,
                progress=progress,
                interrupt=interrupt,
                header=describe_method(
                    method, source.label_ids, source.camera_ids, {TRAINED_ON: source.title}
                ),
                position=position,
                earlier_s=position.seconds,
            ),
            state,
        )


def _run_stages(session: Session, state: TrainingState | None) -> None:
    """Carry out all stages from the session's position on."""
    method, position = session.method, session.position
    stages = method.stages()
    for note in settle_epochs(stages, session.source):
        session.progress.note(note)
    if state is not None:
        assign_tensors(all_tensors(method), state.model, session.folder.checkpoints)
    session.cut_weights()
    while position.stage < len(stages):
        inside = state if position.stage_step else None
        run_stage(session, stages[position.stage :], inside)


def _write_result(session: Session) -> RunResult:
    """Write the trained method: the last weights, or the best by validation where those are kept."""
    folder, position, source = session.folder, session.position, session.source
    method = session.whole_method().eval()
    if folder.best.is_file():
        best = load_method(folder.best)
        assign_tensors(stored_tensors(method), stored_tensors(best.method), folder.best)
    extra = {
        "steps": position.step,
        "seconds": round(session.elapsed_s, 3),
        "data": source.fingerprint,
        TRAINED_ON: source.title,
    }
    if session.log is not None:
        session.log.sync()
        save_method(
            method, folder.model, label_ids=source.label_ids, camera_ids=source.camera_ids, extra=extra
        )
    session.fabric.barrier()
    return _read_result(folder, was_finished=False)


def _finished(folder: RunFolder, progress: TrainingProgress | None) -> RunResult:
    result = _read_result(folder, was_finished=True)
    (progress or Silent()).note(f"{folder.root} is finished: {result.steps} steps, {result.model}")
    return result


def _read_result(folder: RunFolder, *, was_finished: bool) -> RunResult:
    header = read_header(folder.model)
    extra = json.loads(header["extra"])
    return RunResult(
        folder.root, folder.model, header["fingerprint"], extra["steps"], extra["seconds"], was_finished
    )


@contextmanager
def _own_randomness(device: torch.device, seed: int) -> Iterator[None]:
    """Inside, torch's generators start from `seed`; on leaving, they are as they were."""
    devices = [device] if device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
