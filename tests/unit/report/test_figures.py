import re
from xml.etree import ElementTree

import numpy as np
import pytest

from tapetum.report.distances import DistanceHistogram
from tapetum.report.figures import (
    cmc_plot,
    distance_plot,
    learning_plot,
    modality_map,
    person_map,
    row_styles,
)
from tapetum.report.projection import Projection
from tapetum.report.training_log import Curve


def texts(svg):
    return [e.text for e in ElementTree.fromstring(svg).iter("text")]


def test_each_row_differs_from_the_others_in_colour_or_dash():
    styles = row_styles([f"row {i}" for i in range(6)] + ["chance", "lsmrl"], "lsmrl")
    assert len({(s.colour, s.dashes) for s in styles.values()}) == 8
    assert styles["lsmrl"].width > max(s.width for name, s in styles.items() if name != "lsmrl")
    assert styles["chance"].colour == "muted"


def test_a_match_curve_draws_every_row_at_its_heights():
    cmc = {"chance": np.linspace(0.05, 0.5, 20), "lsmrl": np.linspace(0.5, 1.0, 20)}
    svg = cmc_plot(cmc, row_styles(list(cmc), "lsmrl"), name="cmc", title="t")
    assert {"1", "5", "10", "20", "rank k"} <= set(texts(svg))
    line = re.search(r'd="(M [^"]+)"[^>]*style="[^"]*var\(--accent\)', svg)[1]
    heights = [float(y) for _, y in re.findall(r"[ML] ([\d.]+) ([\d.]+)", line)]
    assert len(heights) == 20
    assert heights == sorted(heights, reverse=True)  # SVG counts from the top


def test_a_short_list_has_few_ticks():
    svg = cmc_plot({"a": np.ones(3)}, row_styles(["a"], "a"), name="cmc", title="t")
    assert "5" not in texts(svg)


@pytest.mark.parametrize("points", [1, 10, 5000])
def test_a_learning_plot_of_any_length_is_small(points):
    curve = Curve("a", np.arange(points), np.linspace(3, 1, points))
    svg = learning_plot(curve, [("one", 0), ("two", points // 2)], name="a")
    assert len(svg) < 40_000
    assert "step" in texts(svg)


def test_a_histogram_of_one_kind_of_pair():
    counts = np.zeros(400, dtype=np.int64)
    counts[100:120] = 3
    svg = distance_plot(
        DistanceHistogram(np.linspace(0, 2, 401), counts, np.zeros_like(counts)), bins=20, name="d", title="t"
    )
    assert "cosine distance (lower is nearer)" in texts(svg)
    assert "pattern" in svg  # hatching: same and different are not told apart by colour alone


def test_maps_number_people_and_mark_modalities():
    points = np.random.default_rng(0).normal(size=(8, 2))
    projection = Projection(points, np.arange(8) // 2, np.arange(8) % 2 == 1, (3, "x$y", 5, 6))
    assert {"3", "x$y", "5", "6"} <= set(texts(person_map(projection, name="p")))
    by_modality = modality_map(projection, name="m")
    assert "var(--visible)" in by_modality
    assert "var(--infrared)" in by_modality


def test_a_person_of_one_modality_is_on_the_map():
    projection = Projection(np.eye(2), np.array([0, 1]), np.array([True, True]), (1, 2))
    assert {"1", "2"} <= set(texts(person_map(projection, name="p")))
