"""What a demo does: how many people, which cues, how long, and what is compared."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tapetum.data.synthetic import Cues, WalkerOptions

METHOD = "lsmrl"
"""The method that the demo is about."""

NOT_LEARNT = ("raw-pixels", "colour-histogram")
"""Rows that need no training."""

RIVALS = ("x-reid", "clip-baseline", "small-cnn")
"""Rows of a comparison; each gets the same wall time as the method."""

UNTRAINED = "untrained"
"""Row of the stand-in before any fine-tuning: the network of `clip-baseline` as it starts."""

_EPOCHS_PER_MINUTE = 60
"""More than any machine makes of the presets' epochs of 40 steps."""

_MOTION = {
    "frames": 8,
    "batches": {"identities": 8, "frame_sampling": "window"},
    "augment": {"erase": 0.0},
}


@dataclass(frozen=True, slots=True)
class DemoPlan:
    """Settings of a demo.

    Attributes:
        out: Folder for everything; must not exist or be empty.
        minutes: Wall time to train each learnt row, in minutes.
        compare: Train the rivals too.
        cues: What tells the walkers apart.
        difficulty: Of the walkers, as in `WalkerOptions`.
        train_identities: Training people.
        test_identities: Test people, none of them seen in training.
        seed: Of data and training.
        workers: Processes that draw the walkers.

    Raises:
        ValueError: Fewer people than a data set needs, no time, or walkers that cannot be drawn.
    """

    out: Path
    minutes: float = 2.5
    compare: bool = False
    cues: Cues = "appearance"
    difficulty: float | str = "medium"
    train_identities: int = 300
    test_identities: int = 60
    seed: int = 0
    workers: int = 1

    def __post_init__(self) -> None:
        WalkerOptions(difficulty=self.difficulty, cues=self.cues)  # refuses what cannot be drawn
        if self.workers < 1:
            raise ValueError(f"workers is {self.workers}; expected at least 1")
        if self.minutes <= 0:
            raise ValueError(f"minutes is {self.minutes}; expected more than 0")
        if self.train_identities < 8 or self.test_identities < 2:
            raise ValueError(
                f"{self.train_identities} training and {self.test_identities} test people; "
                "expected at least 8 and 2"
            )

    @property
    def walkers(self) -> WalkerOptions:
        """How the walkers are drawn."""
        return WalkerOptions(difficulty=self.difficulty, cues=self.cues)

    @property
    def settings(self) -> dict[str, Any]:
        """Changes to the methods' `tiny` presets, the same for all rows that learn.

        The clock ends training, so the schedules are longer than it allows. Where only motion tells people
        apart, clips are stretches of consecutive frames; two frames from anywhere hold no rhythm.
        """
        longest = {"schedule": {"epochs": math.ceil(self.minutes * _EPOCHS_PER_MINUTE)}}
        return {**longest, **_MOTION} if self.cues == "gait" else longest

    @property
    def learnt(self) -> tuple[str, ...]:
        """Rows that are trained, the demo's method first."""
        return (METHOD, *RIVALS) if self.compare else (METHOD,)

    @property
    def root(self) -> Path:
        """Where the data set is written."""
        return self.out / "data"

    @property
    def data(self) -> str:
        """The data set as FORMAT:ROOT."""
        return f"hitsz-vcm:{self.root}"
