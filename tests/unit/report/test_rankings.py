import dataclasses

import numpy as np
import pytest

from tapetum.evaluation import evaluate
from tapetum.report.rankings import choose_lists, choose_queries, list_average_precision, ranked_strips
from tapetum.types import TrackletSet

NAN = float("nan")


@pytest.mark.parametrize("number", [0, 1])
def test_strips_and_scores_are_of_one_ranking(make_tracklets, embed, number):
    given = embed(make_tracklets(range(12), each=3), noise=2.0)
    result = evaluate(given, "hitsz-vcm").results[number]
    scores, trial = result.scores, result.trial
    chosen = choose_lists(given, trial, scores, each=20)
    assert len(chosen) == len(trial.query)
    for found in chosen:
        place = trial.query.tolist().index(found.ranked.query)
        own = given.tracklets[found.ranked.query].person_id
        flags = [given.tracklets[int(row)].person_id == own for row in found.ranked.gallery]
        hits = [sum(flags[: k + 1]) / (k + 1) for k in range(len(flags)) if flags[k]]
        assert len(flags) == len(trial.gallery)
        assert sum(hits) / len(hits) == pytest.approx(scores.average_precision[place], abs=1e-12)
        assert found.average_precision == scores.average_precision[place]
        assert found.first_match == scores.first_rank[place] == flags.index(True) + 1


def test_strips_print_what_they_show(make_tracklets, embed):
    given = embed(make_tracklets(range(9), each=2), noise=2.5)
    result = evaluate(given, "hitsz-vcm").results[0]
    strips = ranked_strips(given, result.trial, result.scores)
    assert [s.kind for s in strips] == ["best"] * 3 + ["median"] * 3 + ["worst"] * 3
    for strip in strips:
        flags = [hit.is_match for hit in strip.hits if not hit.is_later]
        assert [hit.rank for hit in strip.hits][: len(flags)] == list(range(1, len(flags) + 1))
        assert len(flags) == 10
        assert [hit.is_match for hit in strip.hits] == [
            h.card.person == strip.query.person for h in strip.hits
        ]
        assert next(hit.rank for hit in strip.hits if hit.is_match) == strip.first_match
        assert (strip.matches, strip.length) == (2, 18)
        assert all(0 <= float(hit.distance) <= 2 for hit in strip.hits)
    shown = [float(s.average_precision.removesuffix(" %")) for s in strips]
    assert shown == sorted(shown, reverse=True)
    assert shown[0] == round(100 * np.max(result.scores.average_precision), 1)
    assert shown[-1] == round(100 * np.min(result.scores.average_precision), 1)


def test_a_late_first_match_closes_the_strip(make_tracklets, embed):
    given = embed(make_tracklets(range(30), each=1), noise=50.0)
    result = evaluate(given, "hitsz-vcm").results[0]
    worst = ranked_strips(given, result.trial, result.scores)[-1]
    assert worst.first_match > 10
    assert [hit.is_later for hit in worst.hits] == [False] * 10 + [True]
    assert worst.hits[-1].rank == worst.first_match
    assert worst.hits[-1].is_match


def test_scores_of_another_ranking_are_refused(make_tracklets, embed):
    given = embed(make_tracklets(range(6)), noise=2.0)
    other = evaluate(embed(given.tracklets, noise=2.0, seed=5), "hitsz-vcm").results[0]
    with pytest.raises(ValueError, match="not of one ranking"):
        ranked_strips(given, other.trial, other.scores)
    shorter = dataclasses.replace(other.trial, query=other.trial.query[:-1])
    with pytest.raises(ValueError, match="has 11 queries, its scores 12"):
        ranked_strips(given, shorter, other.scores)


def test_a_skipped_query_has_no_strip(make_tracklets, embed):
    tracklets = make_tracklets(range(4), each=1)
    without = TrackletSet(
        "toy", tuple(t for t in tracklets if not (t.person_id == 2 and t.modality == "visible"))
    )
    given = embed(without, noise=0.1)
    result = evaluate(given, "hitsz-vcm").results[0]
    strips = ranked_strips(given, result.trial, result.scores)
    assert sorted(s.query.person for s in strips) == ["person 0", "person 1", "person 3"]


def test_choice_of_queries_worked_example():
    scores = np.array([0.5, NAN, 1.0, 0.1, 1.0, 0.3, 0.9])
    people = [1, 2, 3, 4, 3, 5, 6]
    assert choose_queries(scores, people, each=1) == [("best", 2), ("median", 0), ("worst", 3)]
    # the second best is not again person 3
    assert choose_queries(scores, people, each=2) == [
        ("best", 2),
        ("best", 6),
        ("median", 4),
        ("median", 0),
        ("worst", 5),
        ("worst", 3),
    ]


@pytest.mark.parametrize(("scores", "expected"), [([0.5], [("best", 0)]), ([NAN], []), ([], [])])
def test_few_queries(scores, expected):
    assert choose_queries(np.array(scores), [7] * len(scores), each=3) == expected


def test_average_precision_of_a_list():
    assert list_average_precision(np.array([False, True, True, False])) == pytest.approx(7 / 12)
    assert np.isnan(list_average_precision(np.array([False, False])))
