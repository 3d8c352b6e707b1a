"""What is said of a hit's nearness: its probability where the gallery is calibrated, else its similarity."""

from __future__ import annotations

from dataclasses import dataclass

from tapetum.search.query import Group, Hit
from tapetum.server.page.cases import Case


@dataclass(frozen=True, slots=True)
class Shown:
    """A hit as the page shows it.

    Attributes:
        hit: What was found.
        group: Its person or camera, where the answer is grouped.
        is_below: Whether a probability was wished that it does not reach.
        is_wrong: Whether it was marked as somebody else.
    """

    hit: Hit
    group: Group | None
    is_below: bool
    is_wrong: bool

    @property
    def share(self) -> float:
        """Length of its bar, 0..1; a negative similarity has none."""
        if self.hit.probability is not None:
            return self.hit.probability
        return min(max(self.hit.similarity, 0.0), 1.0)

    @property
    def score_name(self) -> str:
        """What the bar shows."""
        return "Similarity" if self.hit.probability is None else "Probability"

    @property
    def score_text(self) -> str:
        """What the bar shows, in figures."""
        if self.hit.probability is None:
            return f"{self.hit.similarity:.3f}"
        return percent(self.hit.probability)


def shown_hits(case: Case) -> list[Shown]:
    """The hits of a case, nearest first."""
    result = case.answer.result
    groups = result.groups or (None,) * len(result)
    least, wrong = result.min_probability, set(case.form.wrong)
    return [
        Shown(
            hit,
            group,
            is_below=least is not None and (hit.probability is None or hit.probability < least),
            is_wrong=hit.tracklet.tracklet_id in wrong,
        )
        for hit, group in zip(result, groups, strict=True)
    ]


def percent(share: float) -> str:
    """A probability for people; never a rounded 0 or 100 that it is not.

    >>> percent(0.934), percent(0.9996), percent(0.0002), percent(1.0), percent(0.25)
    ('93.4 %', '> 99.9 %', '< 0.1 %', '100 %', '25 %')
    """
    if 0.9995 <= share < 1:
        return "> 99.9 %"
    if 0 < share < 0.001:
        return "< 0.1 %"
    return f"{round(share * 100, 1):g} %"
