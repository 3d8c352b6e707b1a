"""One stage under way: hooks, epochs, steps, validation, checkpoints."""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from tapetum.data import step_seed
from tapetum.methods._base import Stage, StageContext
from tapetum.methods._checkpoint import TRAINED_ON, save_method
from tapetum.training.checkpoint import TrainingState
from tapetum.training.learner import Learner
from tapetum.training.optim import MergedGroup, merge_groups, only_training
from tapetum.training.plan import affordable_steps, measure_step, share_of_time, undisturbed
from tapetum.training.schedule import stage_steps
from tapetum.training.session import Session
from tapetum.training.source import BatchSource, SeedBatches
from tapetum.training.stage_log import StageLog
from tapetum.training.timing import StepTimer
from tapetum.training.training_set import stage_seed
from tapetum.training.validation import mean_of_directions
from tapetum.types import Batch


def run_stage(session: Session, stages: Sequence[Stage], state: TrainingState | None) -> None:
    """Carry out the first of `stages`, from its start or from inside it.

    Args:
        session: The run.
        stages: The stage and those after it, which share what is left of the run's time.
        state: The checkpoint to go on from, where it lies inside this stage.

    Raises:
        KeyboardInterrupt: Somebody asked to stop; a checkpoint was written.
        FloatingPointError: A loss or a gradient is not finite.
    """
    stage = stages[0]
    groups = merge_groups(stage.parameter_groups(), stage.name)
    trained = [p for group in groups for p in group.parameters]
    with only_training(session.method, trained), _open_batches(session, stage) as batches:
        run = StageRun(session, stage, batches, groups)
        learner = run.begin(stages) if state is None else run.resume(state)
        run.train(learner)
        run.finish(learner, is_last=len(stages) == 1)


class StageRun:
    """What a stage needs from its first step to its last."""

    def __init__(
        self, session: Session, stage: Stage, batches: BatchSource, groups: Sequence[MergedGroup]
    ) -> None:
        self._session = session
        self._stage = stage
        self._batches = batches
        self._groups = groups
        self._seed = stage_seed(session.config.seed, session.position.stage)
        self._epoch_steps = stage.schedule.epoch_steps
        self._epoch = max(0, session.position.stage_step - 1) // self._epoch_steps
        self._is_silent = False
        self._log = StageLog(session, stage.name)
        self._context = StageContext(
            seed=session.config.seed,
            iterate_training_set=partial(session.source.iterate, session.fabric.device),
            label_ids=session.source.label_ids,
            record=self._record,
        )

    def begin(self, stages: Sequence[Stage]) -> Learner:
        """Call the stage's first hook and settle how many steps it makes, in view of the `stages` to come."""
        self._before_stage()
        return self._create_learner(self._planned_steps(stages))

    def resume(self, state: TrainingState) -> Learner:
        """Go on inside the stage as `state` left it; the method has its weights already."""
        device = self._session.fabric.device
        self._context.state = {name: tensor.to(device) for name, tensor in state.state.items()}
        self._context.resumed = True
        with self._silent():
            self._before_stage()
        learner = self._create_learner(self._planned_steps([self._stage]))
        learner.load(state.averaged, state.optimizer)
        return learner

    def train(self, learner: Learner) -> None:
        """Make all steps that are left."""
        position = self._session.position
        self._session.progress.stage(self._stage.name, learner.total, position.stage_step)
        self._log.restart_clock()
        while position.stage_step < learner.total:
            self._epoch, start = divmod(position.stage_step, self._epoch_steps)
            if start == 0:
                self._before_epoch(self._epoch)
                self._log.restart_clock()
            self._train_epoch(learner, self._epoch, start)

    def finish(self, learner: Learner, *, is_last: bool) -> None:
        """Make averaged weights the method's own, call the last hook, go to the next stage."""
        learner.settle()
        self._after_stage()
        self._session.finish_stage(self._stage.name, keep=not is_last)

    def _create_learner(self, steps: int) -> Learner:
        session = self._session
        return Learner(
            session.fabric,
            session.method,
            self._stage,
            self._groups,
            steps,
            ema=session.config.ema,
            shards=session.shards,
        )

    def _before_stage(self) -> None:
        torch.manual_seed(self._seed)
        self._session.method.train()
        self._session.inside(lambda: self._stage.before_stage(self._context))
        self._session.method.train()

    def _before_epoch(self, epoch: int) -> None:
        torch.manual_seed(step_seed(self._seed, epoch, self._epoch_steps))
        self._session.inside(lambda: self._stage.before_epoch(epoch, self._context))
        self._session.method.train()

    def _after_epoch(self, epoch: int) -> None:
        torch.manual_seed(step_seed(self._seed, epoch, self._epoch_steps + 1))
        self._session.inside(lambda: self._stage.after_epoch(epoch, self._context))
        self._session.method.train()
        self._log.restart_clock()

    def _after_stage(self) -> None:
        torch.manual_seed(step_seed(self._seed, self._epoch, self._epoch_steps + 2))
        self._session.inside(lambda: self._stage.after_stage(self._context))

    def _record(self, values: Mapping[str, float]) -> None:
        """What hooks record goes to the log, unless it stands there already or its cause is undone."""
        if not self._is_silent:
            self._log.record(self._epoch, values)

    @contextmanager
    def _silent(self) -> Iterator[None]:
        """Inside, what hooks record is not written."""
        self._is_silent = True
        try:
            yield
        finally:
            self._is_silent = False

    def _planned_steps(self, stages: Sequence[Stage]) -> int:
        """Steps of this stage: as declared, or as the run's time allows, which is found out once."""
        config, folder, index = self._session.config, self._session.folder, self._session.position.stage
        declared = stage_steps(self._stage.schedule, config.max_steps)
        if config.max_minutes is None:
            return declared
        planned = folder.planned_steps(index)
        if planned is None:
            left = max(0.0, 60 * config.max_minutes - self._session.elapsed_s)
            planned = self._measured_steps(declared, share_of_time(left, stages, config.max_steps))
            planned = self._session.settle_steps(planned)
            self._session.progress.note(f"{self._stage.name}: {planned} of {declared} steps fit the time")
        return planned

    def _measured_steps(self, declared: int, seconds: float) -> int:
        """Steps that fit into `seconds`, by trying some and undoing them."""
        with undisturbed(self._session.method, self._context), self._silent():
            began = time.perf_counter()
            self._before_epoch(0)
            per_epoch = time.perf_counter() - began
            learner, timer = self._create_learner(declared), StepTimer()

            def step(batch: Batch, number: int) -> Tensor:
                return learner.step(batch, number, timer, with_norm=False)[1]

            per_step = measure_step(step, self._stream(0, 0))
            began = time.perf_counter()
            self._after_epoch(0)
            per_epoch += time.perf_counter() - began
        return affordable_steps(declared, seconds, per_step, per_epoch, self._epoch_steps)

    def _stream(self, epoch: int, start: int) -> Generator[Batch, None, None]:
        """Batches of `epoch` from step `start` on; closing it stops what reads ahead."""
        yield from self._batches.batches(epoch, start)

    def _train_epoch(self, learner: Learner, epoch: int, start: int) -> None:
        stop = min(self._epoch_steps, learner.total - epoch * self._epoch_steps)
        with closing(self._stream(epoch, start)) as batches:
            for _, batch in zip(range(start, stop), batches, strict=False):
                self._log.timer.mark("data")
                self._advance(learner, batch)
                self._after_step(learner, epoch)

    def _advance(self, learner: Learner, batch: Batch) -> None:
        position = self._session.position
        with_norm = self._is_line(learner, position.stage_step + 1)
        losses, total = learner.step(batch, position.stage_step, self._log.timer, with_norm=with_norm)
        self._log.add(batch, losses, total)
        position.step += 1
        position.stage_step += 1

    def _after_step(self, learner: Learner, epoch: int) -> None:
        session, done = self._session, self._session.position.stage_step
        is_line = self._is_line(learner, done)
        if is_line:
            with torch.no_grad():
                monitors = self._session.inside(self._stage.monitors)
            self._log.write(epoch, learner, monitors)
        if self._ends_epoch(learner, done):
            self._after_epoch(epoch)
            if self._is_validation_due(learner, epoch):
                self._validate(learner, epoch)
        stop = session.is_stop_due(is_line)
        if stop or session.is_checkpoint_due(is_line):
            self._save(learner)
        if stop:
            where = f"step {session.position.step}; to go on, resume the run in {session.folder.root}"
            session.progress.note(f"stopped after {where}")
            raise KeyboardInterrupt(f"stopped after {where}")

    def _ends_epoch(self, learner: Learner, done: int) -> bool:
        return done % self._epoch_steps == 0 or done == learner.total

    def _is_line(self, learner: Learner, done: int) -> bool:
        """Whether a line of the log follows once `done` steps of the stage are made."""
        return done % self._session.config.log_every == 0 or self._ends_epoch(learner, done)

    def _save(self, learner: Learner) -> None:
        self._log.fetch()
        if not learner.are_weights_finite():
            step = self._session.position.step
            raise FloatingPointError(
                f"stage {self._stage.name!r}, step {step}: a weight is not a finite number"
            )
        self._session.save(learner.averaged, learner.optimizer, self._context.state)
        self._log.timer.skip()

    def _is_validation_due(self, learner: Learner, epoch: int) -> bool:
        every = self._session.config.validate_every
        is_last = self._session.position.stage_step == learner.total
        return every > 0 and (is_last or (epoch + 1) % every == 0)

    def _validate(self, learner: Learner, epoch: int) -> None:
        session = self._session
        with self._as_result(learner):
            scores = session.inside(lambda: session.source.validate(session.method))
            self._keep_best(mean_of_directions(scores))
        place = {"stage": self._stage.name, "epoch": epoch, "step": session.position.step}
        session.write({"kind": "validation", **place, "validation": scores})
        shown = ", ".join(f"{way} mAP {100 * found['mAP']:.2f} %" for way, found in scores.items())
        session.progress.note(f"step {session.position.step}: {shown}")
        self._log.restart_clock()

    def _keep_best(self, figure: float) -> None:
        session, best = self._session, self._session.position.best
        if session.config.keep != "best" or (best is not None and figure <= best):
            return
        session.position.best = figure
        method = session.whole_method()
        if session.log is not None:
            save_method(method, session.folder.best, extra={TRAINED_ON: session.source.title})

    @contextmanager
    def _as_result(self, learner: Learner) -> Iterator[None]:
        """Inside, the method is as it would be if the stage ended here; on leaving, as it was."""
        with undisturbed(self._session.method, self._context), learner.result_weights():
            with self._silent():
                self._after_stage()
            self._session.method.eval()
            yield
        self._session.method.train()


def _open_batches(session: Session, stage: Stage) -> AbstractContextManager[BatchSource]:
    """The stage's batches; for a stage that reads no frames, seeds alone."""
    index = session.position.stage
    if stage.reads_frames:
        return session.source.open_stage(stage, index)
    seed = stage_seed(session.config.seed, index)
    steps = stage.schedule.epoch_steps
    return nullcontext(SeedBatches(steps, session.method.preprocessing, seed))
