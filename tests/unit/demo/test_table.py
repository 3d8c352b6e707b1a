import json

import numpy as np
import pytest

from tapetum.demo.table import score_rows, to_json
from tapetum.evaluation import evaluate
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def evaluation(vectors):
    """Two people, each with an infrared query and a visible gallery tracklet."""
    sides = [(Modality.INFRARED, "query", 1), (Modality.VISIBLE, "gallery", 2)]
    tracklets = tuple(
        Tracklet(f"{side[0]}{person}", ("f",), side[0], person, side[2], None, side[1])
        for side in sides
        for person in (1, 2)
    )
    return evaluate(Embeddings(np.float32(vectors), TrackletSet("two", tracklets)), "hitsz-vcm")


def test_rows_in_order_with_chance_first():
    right = evaluation([[1, 0], [0, 1], [1, 0], [0, 1]])
    wrong = evaluation([[1, 0], [0, 1], [0, 1], [1, 0]])
    rows = score_rows({"right": right, "wrong": wrong})
    assert list(rows) == ["chance", "right", "wrong"]
    table = json.loads(json.dumps(to_json(rows)))
    assert list(table) == ["rows"]
    assert [list(row) for row in table["rows"]] == [["name", "i2v", "v2i"]] * 3
    perfect = {"rank1": 1, "rank5": 1, "map": 1, "minp": 1}
    last = {"rank1": 0, "rank5": 1, "map": 0.5, "minp": 0.5}
    half = {"rank1": 0.5, "rank5": 1, "map": 0.75, "minp": 0.75}  # first or second of two
    for row, expected in zip(table["rows"], (half, perfect, last), strict=True):
        assert row["i2v"] == pytest.approx(expected)
        assert row["v2i"] == pytest.approx(expected)
