"""What stages ask for, checked and settled before the first of them begins."""

from __future__ import annotations

from collections.abc import Sequence

from tapetum.errors import ConfigError
from tapetum.methods._base import Stage
from tapetum.training.source import TrainingSource


def check_batches(stages: Sequence[Stage]) -> None:
    """Do nothing if every stage can take the batches it asks for.

    Raises:
        ConfigError: Its losses cannot; stage and setting are named.
    """
    for stage in stages:
        _check_batches(stage)


def check_shares(stages: Sequence[Stage], processes: int) -> None:
    """Do nothing if so many processes can share the batches of every stage, whole people each.

    Raises:
        ConfigError: They cannot; stage and setting are named, and what would do.
    """
    for stage in stages:
        people = stage.batches.identities
        if stage.reads_frames and people % processes:
            near = [n for n in (people - people % processes, people + -people % processes) if n]
            raise ConfigError(
                f"stage {stage.name!r}: batches.identities = {people} people cannot be shared by {processes} "
                f"processes, for each takes whole people: set {' or '.join(map(str, near))}"
            )


def settle_epochs(stages: Sequence[Stage], source: TrainingSource) -> list[str]:
    """Give epochs that follow from the data their number of steps; a note for each such stage."""
    return [_settle_epoch(stage, source) for stage in stages if stage.schedule.steps_per_epoch == "from-data"]


def _check_batches(stage: Stage) -> None:
    modality, allowed = stage.batches.modality, stage.takes_modalities
    if not stage.reads_frames:
        return
    if modality not in allowed:
        raise ConfigError(
            f"stage {stage.name!r}: batches.modality = {modality!r}, but its losses take "
            f"{' or '.join(allowed)}"
        )
    if stage.augment.exchanged_view and modality != "infrared" and not stage.takes_views:
        raise ConfigError(
            f"stage {stage.name!r}: augment.exchanged_view = True, but its losses pair the rows of two "
            "halves and take no third; augment.channels exchanges channels of the rows that are there"
        )


def _settle_epoch(stage: Stage, source: TrainingSource) -> str:
    steps = source.steps_per_epoch(stage)
    stage.schedule = stage.schedule.model_copy(update={"steps_per_epoch": steps})
    return f"{stage.name}: {steps} steps an epoch, {stage.schedule.epochs} epochs, as the data are"
