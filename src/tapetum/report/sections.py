"""What the page says besides pictures: headline figures, legends, counts, plots with their notes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np

from tapetum.evaluation.evaluate import TrialResult
from tapetum.report.data import ReportData
from tapetum.report.distances import DistanceHistogram, cross_modal_distances
from tapetum.report.figures import (
    RowStyle,
    cmc_plot,
    distance_plot,
    modality_map,
    person_map,
    row_styles,
)
from tapetum.report.projection import project
from tapetum.report.score_tables import row_order, with_unit
from tapetum.types import Embeddings, Modality, TrackletSet

PairTable = list[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Tile:
    """A headline figure."""

    label: str
    value: str
    note: str


@dataclass(frozen=True, slots=True)
class LegendEntry:
    """A line sample with its name; `dashes` as SVG writes them, empty for a solid line."""

    label: str
    colour: str
    width: float = 2.0
    dashes: str = ""


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot as `<svg>` text with heading and a note."""

    title: str
    svg: str
    note: str


@dataclass(frozen=True, slots=True)
class DistancePanel:
    """The distance histogram and its figures."""

    svg: str
    legend: tuple[LegendEntry, ...]
    table: PairTable


@dataclass(frozen=True, slots=True)
class MapPanels:
    """One map of the embedding space in two colourings, as `<svg>` texts, and how much is on it."""

    by_person: str
    by_modality: str
    points: int
    persons: int


def direction(name: str) -> str:
    """A direction's name in words, where it is one of the usual abbreviations.

    >>> direction("I2V"), direction("query to gallery")
    ('infrared to visible', 'query to gallery')
    """
    return {
        "I2V": "infrared to visible",
        "V2I": "visible to infrared",
        "V2V": "visible to visible",
        "I2I": "infrared to infrared",
    }.get(name, name)


def heading(data: ReportData, result: TrialResult) -> str:
    """The direction of a result in words; which trial it is, where that says more."""
    words, trials = direction(result.direction), data.trial_count(result)
    if trials > 1:
        return f"{words} ({result.name}, the first of {trials} trials)"
    return words if result.name == result.direction else f"{words} ({result.name})"


def summary(data: ReportData) -> str:
    """One sentence: what was trained on what, and tested how."""
    train, test = data.train, data.test.tracklets
    return (
        f"{data.method} on {data.dataset}: trained on {len(train):,} tracklets of {len(train.person_ids):,} "
        f"persons, tested on {len(test):,} tracklets of {len(test.person_ids):,} persons by the protocol "
        f"{data.protocol}."
    )


def tiles(data: ReportData) -> list[Tile]:
    """Mean average precision and rank-1 of the method in each direction, beside chance where it is known."""
    found = []
    for result in data.trials:
        own, chance = result.scores, result.chance
        for label, value, base in (
            ("mAP", own.mean_ap, chance.mean_ap if chance else None),
            ("rank-1", own.rank(1), chance.rank(1) if chance else None),
        ):
            note = "" if base is None else f"chance: {with_unit(base)}"
            found.append(Tile(f"{label}, {heading(data, result)}", with_unit(value), note))
    return found


def row_legend(data: ReportData) -> list[LegendEntry]:
    """One entry per row of the tables, in their order and in the style of its curves."""
    return legend_of(_styles(data))


def legend_of(styles: Mapping[str, RowStyle]) -> list[LegendEntry]:
    """An entry for each style, in their order."""
    return [
        LegendEntry(name, style.colour, style.width, " ".join(f"{d:g}" for d in style.dashes))
        for name, style in styles.items()
    ]


def match_curves(data: ReportData) -> list[Panel]:
    """A cumulative match plot per direction."""
    return [_match_curve(data, number, result) for number, result in enumerate(data.trials)]


def _match_curve(data: ReportData, number: int, result: TrialResult) -> Panel:
    scores, styles, title = data.scores(result), _styles(data), heading(data, result)
    curves = {name: scores[name].cmc for name in styles if name in scores}
    svg = cmc_plot(curves, styles, name=f"cmc-{number}", title=f"cumulative match curves, {title}")
    first, last = with_unit(result.scores.rank(1)), with_unit(float(result.scores.cmc[-1]))
    note = f"{data.method}: {first} at the first answer, {last} within {len(result.scores.cmc)}."
    return Panel(title, svg, note)


def _styles(data: ReportData) -> dict[str, RowStyle]:
    order = row_order(dict.fromkeys(name for result in data.trials for name in data.scores(result)))
    styles = row_styles(order, data.method)
    return {name: styles[name] for name in order}


def describe_distances(embeddings: Embeddings) -> DistancePanel | None:
    """The histogram of cross-modal distances with its figures; None without such a pair.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    histogram = cross_modal_distances(embeddings)
    if not histogram.same.sum() + histogram.different.sum():
        return None
    svg = distance_plot(
        histogram,
        bins=_bar_count(histogram),
        name="distances",
        title="distances of same-person and different-person pairs",
    )
    legend = (LegendEntry("same person (hatched)", "accent"), LegendEntry("different persons", "other"))
    return DistancePanel(svg, legend, _distance_table(histogram))


def _bar_count(histogram: DistanceHistogram) -> int:
    """Bars by Rice's rule for the rarer kind, doubled as its pairs fill about half of the range; 12 to 60."""
    rarer = min(histogram.same.sum(), histogram.different.sum())
    return int(np.clip(4 * np.cbrt(rarer), 12, 60))


def _distance_table(histogram: DistanceHistogram) -> PairTable:
    table = []
    for name, counts in (("same person", histogram.same), ("different persons", histogram.different)):
        total = int(counts.sum())
        mean = f", mean distance {histogram.mean(counts):.3f}" if total else ""
        table.append((name, f"{total:,} pairs{mean}"))
    return [*table, ("separation", with_unit(histogram.separation))]


def describe_maps(embeddings: Embeddings) -> MapPanels | None:
    """The t-SNE map by identity and by modality; None where there is nothing to see.

    Raises:
        MissingExtraError: matplotlib or scikit-learn is not installed.
    """
    projection = project(embeddings)
    if projection is None:
        return None
    return MapPanels(
        by_person=person_map(projection, name="map-person"),
        by_modality=modality_map(projection, name="map-modality"),
        points=len(projection.points),
        persons=len(projection.person_ids),
    )


def describe_counts(data: ReportData) -> PairTable:
    """Tracklets, frames, persons and cameras of both parts, then the counts that came with the data."""
    rows = [*_set_counts("training", data.train), *_set_counts("test", data.test.tracklets)]
    return [*rows, *((name, str(value)) for name, value in data.counts.items())]


def describe_timings(timings_s: Mapping[str, float]) -> PairTable:
    """Each part with its time in seconds, or in minutes and seconds from two minutes on."""
    return [(name, duration(seconds)) for name, seconds in timings_s.items()]


def duration(seconds: float) -> str:
    """A time in words.

    >>> duration(3.14159), duration(200), duration(7384)
    ('3.1 s', '3 min 20 s', '2 h 3 min')
    """
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{int(seconds) // 60} min {int(seconds) % 60} s"
    return f"{int(seconds) // 3600} h {int(seconds) % 3600 // 60} min"


def _set_counts(name: str, tracklets: TrackletSet) -> Iterable[tuple[str, str]]:
    by_modality = ", ".join(f"{len(tracklets.of_modality(m)):,} {m.value}" for m in Modality)
    cameras = {t.camera_id for t in tracklets if t.camera_id is not None}
    yield f"{name} tracklets", f"{len(tracklets):,} ({by_modality})"
    yield f"{name} frames", f"{sum(len(t.frames) for t in tracklets):,}"
    yield f"{name} persons", f"{len(tracklets.person_ids):,}"
    yield f"{name} cameras", f"{len(cameras):,}"
