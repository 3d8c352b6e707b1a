"""What an on-disk format says to the options of the walkers: which act on it, and why others do not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from tapetum.data.synthetic._writing import WALKERS_VERSION, SetPlan
from tapetum.data.synthetic.cast import Cast
from tapetum.data.synthetic.options import WalkerOptions

Plan = Callable[[int, int, int | None, WalkerOptions], SetPlan[Any]]

#: Seed branches of what a format draws: for the whole set, and for one person.
SET_KEY, PERSON_KEY = 14, 12

#: Options of tracklets, and why they do not act on formats of single pictures.
ONLY_TRACKLETS = {
    "tracklet_length": "it holds single pictures",
    "tracklets_per_modality": "it holds single pictures",
    "short_tracklet_share": "it holds single pictures",
    "group_size": "it holds single pictures",
}


@dataclass(frozen=True, slots=True)
class Format:
    """An on-disk format that walkers can be written in.

    Attributes:
        name: Of the format.
        plan: What is written, from seed, people in all, people for testing (None for the format's own
            choice) and options.
        refused: Options that do not act on it, and why.
        holds: What a tracklet is called in it: "tracklets" or "images".
        pack: Adds a second packaging, in LMDB databases, to a folder of the format; None: it has none.
        avoid: A text that the authors' scripts stumble over where it stands in the path of the set.
    """

    name: str
    plan: Plan
    refused: Mapping[str, str]
    holds: str
    pack: Callable[[Path], None] | None = None
    avoid: str = ""

    def refuse(self, names: Collection[str]) -> None:
        """Check that the options with these names act.

        Raises:
            ValueError: if one does not; the message says why.
        """
        for name, reason in self.refused.items():
            if name in names:
                raise ValueError(f"{name} does not act on {self.name}: {reason}")

    def check(self, options: WalkerOptions) -> None:
        """Check that all options that differ from their defaults act.

        Raises:
            ValueError: if one does not.
        """
        if options.cues == "gait" and self.holds == "images":
            raise ValueError(
                f"cues is 'gait'; {self.name} holds single pictures, which show no motion: "
                "expected appearance or shape"
            )
        usual = WalkerOptions()
        changed = [f.name for f in fields(options) if getattr(options, f.name) != getattr(usual, f.name)]
        self.refuse(changed)

    def card(self, cast: Cast, **facts: object) -> dict[str, object]:
        """What `walkers.json` says of every format: how the set was made, and `facts` about it."""
        acting = {name: value for name, value in asdict(cast.options).items() if name not in self.refused}
        return {
            "maker": "tapetum synthetic walkers",
            "version": WALKERS_VERSION,
            "seed": cast.seed,
            **facts,
            "options": acting,
        }
