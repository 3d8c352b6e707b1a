import numpy as np
import pytest

from tapetum.ingest.items import Draft
from tapetum.scale.cutting import Names, cut


def drafts(names):
    return [Draft(name, ()) for name in names]


def pieces(names, size):
    return [[d.name for d in piece] for piece in cut(drafts(names), size)]


@pytest.mark.parametrize("size", [1, 2, 7, 50])
def test_pieces_are_the_whole_in_order_and_of_bounded_size(size):
    names = [f"person-{n}" for n in range(1000)]
    found = pieces(names, size)
    assert [name for piece in found for name in piece] == names
    lengths = np.array([len(piece) for piece in found])
    assert lengths.max() <= 2 * size
    assert (lengths[:-1] >= max(1, size // 2)).all()
    assert size / 2 <= lengths.mean() <= size * 1.2


def test_one_more_tracklet_changes_few_pieces():
    names = [f"person-{n}" for n in range(1000)]
    before = {tuple(piece) for piece in pieces(names, 20)}
    after = {tuple(piece) for piece in pieces([*names[:300], "new", *names[300:]], 20)}
    assert len(before - after) <= 3
    assert len(before) > 40


def test_nothing_gives_no_piece_and_a_size_of_nothing_is_refused():
    assert list(cut([], 5)) == []
    with pytest.raises(ValueError, match="shard size is 0"):
        list(cut(drafts(["a"]), 0))


def test_the_first_name_that_occurs_twice_is_found():
    names = Names()
    assert names.twice() is None
    names.add(["a", "b", "c"])
    names.add([])
    names.add(["d", "e"])
    assert names.twice() is None
    names.add(["f", "b", "a"])
    (piece, place), (other, again) = names.twice()
    assert (piece, place, other) == (0, 0, 3) or (piece, place, other) == (0, 1, 3)
    assert [["f", "b", "a"][again]] == [["a", "b", "c"][place]]
