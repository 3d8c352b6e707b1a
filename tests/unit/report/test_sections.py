from dataclasses import replace

import numpy as np
import pytest

from tapetum.evaluation import Protocol, Trial, evaluate
from tapetum.report.sections import (
    describe_counts,
    describe_distances,
    describe_maps,
    direction,
    duration,
    heading,
    match_curves,
    row_legend,
    summary,
    tiles,
)
from tapetum.types import Modality


def test_the_summary_counts_tracklets_and_persons(make_data):
    assert summary(make_data()) == (
        "lsmrl on toy: trained on 8 tracklets of 2 persons, tested on 32 tracklets of 8 persons by the "
        "protocol hitsz-vcm."
    )


def test_tiles_show_the_method_beside_chance(make_data):
    data = make_data()
    found = tiles(data)
    assert [t.label for t in found] == [
        "mAP, infrared to visible", "rank-1, infrared to visible",
        "mAP, visible to infrared", "rank-1, visible to infrared",
    ]  # fmt: skip
    assert found[0].value == f"{100 * data.trials[0].scores.mean_ap:.1f} %"
    assert found[1].note == f"chance: {100 * data.trials[0].chance.rank(1):.1f} %"


def test_the_legend_names_every_row_once_in_table_order(make_data):
    assert [e.label for e in row_legend(make_data())] == ["chance", "untrained", "lsmrl", "x-reid"]


def test_counts_by_part(make_data):
    counts = dict(describe_counts(make_data(counts={"dropped": 3})))
    assert counts["test tracklets"] == "32 (16 visible, 16 infrared)"
    assert counts["training frames"] == "12"  # four persons and modalities with 1 + 2 frames
    assert (counts["test persons"], counts["test cameras"], counts["dropped"]) == ("8", "2", "3")


def test_one_modality_has_no_distances(make_tracklets, embed):
    visible = embed(make_tracklets((1, 2)).of_modality(Modality.VISIBLE))
    assert describe_distances(visible) is None
    assert describe_maps(visible) is None


def test_distances_of_one_person_say_that_nothing_can_be_compared(make_tracklets, embed):
    table = dict(describe_distances(embed(make_tracklets((1,)))).table)
    assert table["different persons"] == "0 pairs"
    assert table["separation"] == "–"


@pytest.mark.parametrize(
    ("seconds", "expected"), [(0.04, "0.0 s"), (119.9, "119.9 s"), (120, "2 min 0 s"), (7384, "2 h 3 min")]
)
def test_duration(seconds, expected):
    assert duration(seconds) == expected


def test_unknown_trials_keep_their_names():
    assert direction("all-search, draw 3") == "all-search, draw 3"


class Draws(Protocol):
    """Three draws of one direction, and another direction."""

    name = "draws"

    def trials(self, tracklets, seed=0, root=None):
        query, gallery = np.arange(0, 16), np.arange(16, 32)
        drawn = [Trial(f"I2V {n}", query, gallery[n:], direction="I2V") for n in (1, 2, 3)]
        return [*drawn, Trial("V2I 7", gallery, query, direction="V2I")]


def test_of_several_draws_the_first_is_shown_and_named(make_data):
    data = make_data()
    data = replace(data, results={"lsmrl": evaluate(data.test, Draws())})
    assert [r.name for r in data.trials] == ["I2V 1", "V2I 7"]
    first, second = (heading(data, result) for result in data.trials)
    assert first == "infrared to visible (I2V 1, the first of 3 trials)"
    assert second == "visible to infrared (V2I 7)"
    assert tiles(data)[0].label == f"mAP, {first}"
    assert tiles(data)[0].value == f"{100 * data.trials[0].scores.mean_ap:.1f} %"
    assert [p.title for p in match_curves(data)] == [first, second]
