import dataclasses

import numpy as np
import pytest

from tapetum.evaluation import score_distances
from tapetum.report.score_tables import measures, per_cent, row_order, score_table


@pytest.fixture
def scores():
    """One query whose true items stand at 2 and 3 of 4."""
    return score_distances([[1.0, 2.0, 3.0, 4.0]], [7], [3, 7, 7, 5], max_rank=3)


def test_cells_hold_the_scores_in_per_cent(scores):
    (row,) = score_table("I2V", {"lsmrl": scores}, "lsmrl").rows
    assert [cell.text for cell in row.cells] == ["0.0", "100.0", "100.0", "100.0", "58.3", "66.7"]
    assert [cell.share for cell in row.cells] == pytest.approx([0, 100, 100, 100, 58.33, 66.67])


def test_a_short_cmc_repeats_its_last_value(scores):
    assert measures(scores)[:4] == (0.0, 1.0, 1.0, 1.0)


def test_rows_stand_in_reading_order_and_one_stands_out(scores):
    table = score_table("I2V", dict.fromkeys(("b", "lsmrl", "a", "untrained", "chance"), scores), "a")
    assert [row.name for row in table.rows] == ["chance", "untrained", "lsmrl", "b", "a"]
    assert [row.name for row in table.rows if row.is_highlighted] == ["a"]
    assert row_order([]) == []


def test_the_note_says_how_many_queries_count(scores):
    assert score_table("t", {"a": scores}, "a").note == "1 query."
    skipping = dataclasses.replace(scores, queries=5, skipped=2)
    assert "5 queries; 2 more had no true match" in score_table("t", {"a": skipping}, "a").note
    assert score_table("t", {"a": scores, "b": skipping}, "a").note == (
        "The rows do not stand on the same queries: a 1 (skipped 0), b 5 (skipped 2)."
    )


def test_nan_is_a_dash_with_no_bar(scores):
    without = dataclasses.replace(scores, mean_ap=float("nan"))
    cell = score_table("t", {"a": without}, "a").rows[0].cells[4]
    assert (cell.text, cell.share) == ("–", 0.0)
    assert per_cent(np.float64(1)) == "100.0"
