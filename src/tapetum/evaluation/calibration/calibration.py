"""From a distance to the probability that two tracklets show one person, and to "unknown".

A calibration is learnt from pairs of known people, and what it is worth is stated on *other* people: on those
that it was learnt from it would look better than it is. By default half of the people, drawn with a seed,
are for learning and the other half for judging.

A probability depends on how likely one person was before the distance was seen: the same distance means less
in a gallery of ten thousand people than in one of ten. That is the `prior`, the share of pairs of one person
among the pairs that are asked about; the calibration keeps the evidence of a distance apart from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from tapetum.errors import CalibrationError, ModelMismatchError
from tapetum.evaluation.calibration._log_ratios import Kind, fit_log_ratio
from tapetum.evaluation.calibration.pair_counts import Pairing, count_pairs, refuse_bad_vectors
from tapetum.evaluation.calibration.pair_curves import PairCurve
from tapetum.types import Embeddings, Id, TrackletSet


@dataclass(frozen=True, slots=True)
class Decision:
    """The answer for one distance.

    Attributes:
        is_same: Whether one person is likely enough; if not, the answer is "unknown".
        probability: Of one person.
    """

    is_same: bool
    probability: float

    @property
    def answer(self) -> str:
        """In a word: "same" or "unknown"."""
        return "same" if self.is_same else "unknown"


@dataclass(frozen=True, slots=True, eq=False)
class Calibration:
    """What distances of one model's embeddings mean, for each pairing that there were pairs of.

    Attributes:
        model: Fingerprint of the model; other models' distances mean something else.
        data: Name of the tracklets that it was judged on.
        curves: By pairing.
        missing: Pairings without a curve, and why.
    """

    model: str
    data: str
    curves: Mapping[Pairing, PairCurve]
    missing: Mapping[Pairing, str] = field(default_factory=dict)

    def curve(self, pairing: Pairing | str = Pairing.CROSS) -> PairCurve:
        """The curve of a pairing.

        Raises:
            CalibrationError: There is none; the message says why.
        """
        wanted = Pairing(pairing)
        if wanted not in self.curves:
            reason = self.missing.get(wanted, "it was not asked for")
            raise CalibrationError(f"no calibration of {wanted} pairs: {reason}")
        return self.curves[wanted]

    def decide(
        self,
        distance: float,
        *,
        pairing: Pairing | str = Pairing.CROSS,
        min_probability: float = 0.5,
        prior: float | None = None,
    ) -> Decision:
        """Whether a pair at this distance is one person, or the answer is "unknown".

        Args:
            distance: 1 - cosine similarity.
            pairing: Which modalities.
            min_probability: Probability from which on the answer is "same".
            prior: Probability of one person before the distance is seen; None: the curve's own.

        Raises:
            ValueError: A number out of range.
            CalibrationError: There is no curve of that pairing.
        """
        check_probability(min_probability)
        found = float(self.curve(pairing).probability(distance, prior=prior))
        return Decision(found >= min_probability, found)

    def refuse_other_model(self, model: str) -> None:
        """Nothing, or an error where distances of `model` would be read by another model's calibration.

        Raises:
            ModelMismatchError: The fingerprints differ.
        """
        if model != self.model:
            raise ModelMismatchError(
                f"this calibration is of model {self.model or '(unknown)'}, the embeddings are of model "
                f"{model or '(unknown)'}: calibrate that model anew"
            )


def calibrate(
    embeddings: Embeddings,
    *,
    learn_from: Embeddings | None = None,
    kind: Kind = "logistic",
    prior: float | None = None,
    pairings: Sequence[Pairing | str] = tuple(Pairing),
    same_camera: bool = False,
    hidden_cameras: Sequence[tuple[Id, Id]] = (),
    seed: int = 0,
) -> Calibration:
    """A calibration, learnt from some people and judged on others.

    Args:
        embeddings: Rows L2-normalised; tracklets of unknown people are not used.
        learn_from: Embeddings of other people by the same model; None: one half of the people of
            `embeddings`, the other half being judged on. People whom the model was trained on are nearer to
            themselves than others: a calibration learnt from them promises too much.
        kind: "logistic", a line in the log odds, or "isotonic", any falling steps.
        prior: Probability of one person before the distance is seen, fitted for, and used where none is
            given; None: the share of pairs of one person among those learnt from.
        pairings: Which modalities.
        same_camera: Whether pairs of one person in one camera count.
        hidden_cameras: Pairs of cameras, in either order, between which nothing counts.
        seed: Of the halves.

    Raises:
        CalibrationError: No pairing can be calibrated, or learning and judging share people; the message says
            why.
        ModelMismatchError: The embeddings are of two models.
        ValueError: A row is not finite or not of length 1, or an argument is out of range.
    """
    for given in (embeddings, learn_from):
        if given is not None:
            refuse_bad_vectors(given)
    learnt, judged = _sides(embeddings, learn_from, seed)
    curves, missing = {}, {}
    rules: dict[str, Any] = {"same_camera": same_camera, "hidden_cameras": hidden_cameras}
    for pairing in map(Pairing, pairings):
        try:
            curves[pairing] = _curve(learnt, judged, pairing, kind, prior, rules)
        except CalibrationError as error:
            missing[pairing] = str(error)
    if not curves:
        reasons = "; ".join(f"{pairing}: {reason}" for pairing, reason in missing.items())
        raise CalibrationError(f"{embeddings.tracklets.name} cannot be calibrated: {reasons}")
    return Calibration(embeddings.model, embeddings.tracklets.name, curves, missing)


def split_people(tracklets: TrackletSet, *, share: float = 0.5, seed: int = 0) -> tuple[set[Id], set[Id]]:
    """The known people of some tracklets in two parts: a seeded draw of `share` of them, and the others.

    Raises:
        ValueError: `share` is not strictly between 0 and 1.
        CalibrationError: There are too few people for two parts.
    """
    if not 0 < share < 1:
        raise ValueError(f"share is {share}; expected a number strictly between 0 and 1")
    people = tracklets.person_ids
    first = round(share * len(people))
    if not 0 < first < len(people):
        raise CalibrationError(f"{tracklets.name} has {len(people)} known people: too few for two parts")
    order = np.random.default_rng(seed).permutation(len(people))
    drawn = {people[int(place)] for place in order[:first]}
    return drawn, set(people) - drawn


def of_people(embeddings: Embeddings, people: set[Id]) -> Embeddings:
    """The embeddings of some people, in their order."""
    return embeddings.rows([row for row, t in enumerate(embeddings.tracklets) if t.person_id in people])


def check_probability(value: float) -> None:
    """Nothing, or an error where a probability to be reached is not between 0 and 1.

    Raises:
        ValueError: It is not.
    """
    if not 0 <= value <= 1:
        raise ValueError(f"the wished probability is {value}; expected 0..1")


def _sides(embeddings: Embeddings, learn_from: Embeddings | None, seed: int) -> tuple[Embeddings, Embeddings]:
    """Embeddings to learn from and to judge on, of different people."""
    if learn_from is None:
        learnt, judged = split_people(embeddings.tracklets, seed=seed)
        return of_people(embeddings, learnt), of_people(embeddings, judged)
    if learn_from.model != embeddings.model:
        raise ModelMismatchError(
            f"learnt from embeddings of model {learn_from.model or '(unknown)'}, judged on embeddings of "
            f"model {embeddings.model or '(unknown)'}; expected one model"
        )
    sets = [e.tracklets.name.partition("/")[0] for e in (learn_from, embeddings)]
    both = set(learn_from.tracklets.person_ids) & set(embeddings.tracklets.person_ids)
    if sets[0] == sets[1] and both:
        raise CalibrationError(
            f"{len(both)} people of {sets[0]} (person {sorted(both, key=str)[0]!r}, for one) are both learnt "
            "from and judged on; give embeddings of other people"
        )
    return learn_from, embeddings


def _curve(
    learnt: Embeddings,
    judged: Embeddings,
    pairing: Pairing,
    kind: Kind,
    prior: float | None,
    rules: dict[str, Any],
) -> PairCurve:
    counts = [count_pairs(side, pairing, **rules) for side in (learnt, judged)]
    for what, found in zip(("learn from", "judge on"), counts, strict=True):
        for number, name in ((found.same.sum(), "one person"), (found.different.sum(), "two people")):
            if not number:
                raise CalibrationError(f"there is no pair of {name} to {what}")
    chosen = counts[0].same.sum() / (counts[0].same.sum() + counts[0].different.sum())
    chosen = float(chosen) if prior is None else prior
    return PairCurve(pairing, fit_log_ratio(counts[0], kind, chosen), chosen, counts[0], counts[1])
