"""What all stages of one sitting share: the method, the data, the clock, the log and the checkpoints."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, TypeVar

from torch import Tensor

from tapetum import processes
from tapetum.methods._base import Method
from tapetum.methods._checkpoint import all_tensors, rebuild_method
from tapetum.training.checkpoint import Position, TrainingState, save_state, write_state
from tapetum.training.company import check_in_step
from tapetum.training.config import TrainingConfig
from tapetum.training.interrupt import Interrupt
from tapetum.training.progress import TrainingProgress
from tapetum.training.run_folder import RunFolder
from tapetum.training.run_log import RunLog
from tapetum.training.sharding import Shards
from tapetum.training.source import TrainingSource

if TYPE_CHECKING:
    from lightning_fabric import Fabric

T = TypeVar("T")


@dataclass(slots=True)
class Session:
    """One sitting of a run.

    Attributes:
        method: What is trained, on the engine's device.
        source: Training data.
        config: How the run is carried out.
        folder: The run's files.
        fabric: The engine.
        log: Where lines go; None on all processes but the first.
        progress: Who is told.
        interrupt: Whether somebody asked to stop.
        header: Describes the method in checkpoints.
        position: Where the run is; the loop moves it.
        shards: The method's weights, where each process holds a share of them.
        earlier_s: Seconds of the sittings before.
        began: The clock at the start of this sitting.
        saved: The clock at the last checkpoint.
    """

    method: Method
    source: TrainingSource
    config: TrainingConfig
    folder: RunFolder
    fabric: Fabric
    log: RunLog | None
    progress: TrainingProgress
    interrupt: Interrupt
    header: Mapping[str, str]
    position: Position
    shards: Shards | None = None
    earlier_s: float = 0.0
    began: float = field(default_factory=time.monotonic)
    saved: float = field(default_factory=time.monotonic)

    @property
    def elapsed_s(self) -> float:
        """Seconds that the run has taken, all sittings together."""
        return self.earlier_s + time.monotonic() - self.began

    def write(self, record: Mapping[str, Any]) -> None:
        """Append a record to the log, on the first process."""
        if self.log is not None:
            self.log.write(record)

    def cut_weights(self) -> None:
        """Let each process keep a share of the weights from here on, where the run is told so."""
        if self.config.strategy == "fsdp2" and self.fabric.world_size > 1:
            self.shards = Shards(self.fabric, self.method)

    def inside(self, call: Callable[[], T]) -> T:
        """What `call` gives, which may use the method: its weights are whole meanwhile."""
        return call() if self.shards is None else self.shards.run(call)

    def whole_method(self) -> Method:
        """The method; where its weights are cut, a whole copy, for which all processes must ask."""
        if self.shards is None:
            return self.method
        copy = rebuild_method(self.header, _whole(all_tensors(self.method)), self.folder.root)
        copy.config, copy.camera_ids = self.method.config, self.method.camera_ids
        return copy

    def save(
        self,
        averaged: Mapping[str, Tensor],
        optimizer: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> None:
        """Write a checkpoint of the present position on the first process; the others wait until it is there.

        Raises:
            OSError: It could not be written; the one before is untouched.
            RuntimeError: Processes do not hold the same numbers; the tensors are named.
        """
        means = {f"average of {name}": tensor for name, tensor in averaged.items()}
        check_in_step({**all_tensors(self.method), **means, **state})
        model, averaged, optimizer = map(_whole, (all_tensors(self.method), averaged, optimizer))
        if self.log is not None:
            self.position.seconds = self.elapsed_s
            self.position.log_bytes = self.log.sync()
            tensors = TrainingState(self.position, model, averaged, optimizer, state)
            save_state(self.folder.checkpoints, tensors, self.header)
        self.fabric.barrier()
        self.saved = time.monotonic()

    def finish_stage(self, name: str, *, keep: bool) -> None:
        """Move on to the next stage and write a checkpoint of its start.

        Args:
            name: The stage that ends here.
            keep: Whether to leave the method's tensors in the run's folder, for runs that begin at the next
                stage.

        Raises:
            OSError: A file could not be written; the checkpoint before is untouched.
        """
        ended = self.position.stage
        self.position.stage, self.position.stage_step = ended + 1, 0
        tensors = _whole(all_tensors(self.method)) if keep else {}
        if keep and self.log is not None:
            self.folder.stages.mkdir(exist_ok=True)
            state = TrainingState(self.position, tensors)
            write_state(self.folder.stage_file(ended, name), state, self.header)
        self.save({}, {}, {})

    def settle_steps(self, planned: int) -> int:
        """The present stage's steps as the first process planned them; kept for a resumed run."""
        steps: int = self.fabric.broadcast(planned)
        if self.log is not None:
            self.folder.plan_steps(self.position.stage, steps)
        return steps

    def is_checkpoint_due(self, at_line: bool) -> bool:
        """Whether a checkpoint should follow the step just made.

        Args:
            at_line: Whether the step ended with a line of the log; several processes agree only there.
        """
        steps, minutes = self.config.checkpoint_every_steps, self.config.checkpoint_every_minutes
        by_steps = steps is not None and self.position.step % steps == 0
        by_time = minutes is not None and time.monotonic() - self.saved >= 60 * minutes
        return by_steps or self._any_process(by_time, at_line)

    def is_stop_due(self, at_line: bool) -> bool:
        """Whether somebody asked to stop; `at_line` as above."""
        return self._any_process(self.interrupt.requested, at_line)

    def _any_process(self, flag: bool, at_line: bool) -> bool:
        if self.fabric.world_size == 1:
            return flag
        return at_line and bool(self.fabric.strategy.reduce_boolean_decision(flag, all=False))


def _whole(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors themselves; where processes hold shares of them, all of them."""
    return {name: processes.whole(tensor) for name, tensor in tensors.items()}
