import numpy as np
import pytest

from tapetum.search import _vector_cache
from tapetum.search._nearest import candidate_rows, ranked
from tapetum.search._vector_cache import ByteBlock, FloatBlock, VectorCache


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch):
    monkeypatch.setattr(_vector_cache, "BLOCK_ROWS", 16)


class Table:
    """Rows by sequence and revision, their vectors given out in shuffled parts; counts what it is asked."""

    def __init__(self, count, dimension=24):
        self.rng = np.random.default_rng(count)
        self.sequence = np.arange(count) * 3
        self.revision = np.ones(count, dtype=np.int64)
        self.vectors = self.unit(count, dimension)
        self.asked = 0

    def unit(self, count, dimension):
        found = self.rng.standard_normal((count, dimension))
        return (found / np.linalg.norm(found, axis=1, keepdims=True)).astype(np.float32)

    def fetch(self, rows):
        self.asked += len(rows)
        order = self.rng.permutation(len(rows))
        for part in np.array_split(order, 3):
            yield part, self.vectors[rows[part]]

    def held(self, cache):
        return cache.update(self.sequence, self.revision, self.fetch)

    def keep(self, rows):
        self.sequence, self.revision, self.vectors = (
            column[rows] for column in (self.sequence, self.revision, self.vectors)
        )


def check(table, held, kept):
    """True products lie within the bounds, and what is asked by them is found."""
    query = table.unit(1, table.vectors.shape[1])[0]
    found = held.scan(query, kept)
    true = table.vectors.astype(np.float64) @ query.astype(np.float64)
    assert (np.abs(found.products - true)[kept] <= found.errors[kept]).all()
    assert (found.products[~kept] == -np.inf).all()
    rows = candidate_rows(found.products, found.errors, 5)
    best = ranked(rows, table.vectors[rows], query, 5)[0]
    order = np.argsort(-np.where(kept, true, -np.inf), kind="stable")[:5]
    assert best.tolist() == order[: kept.sum()].tolist()


@pytest.mark.parametrize("kind", [FloatBlock, ByteBlock])
@pytest.mark.parametrize("share", [1.0, 0.5, 0.05])
def test_bounds_hold_whatever_is_kept(kind, share):
    table = Table(100)
    held = table.held(VectorCache(24, kind))
    for seed in range(5):
        check(table, held, np.random.default_rng(seed).random(100) < share)


@pytest.mark.parametrize("kind", [FloatBlock, ByteBlock])
def test_only_what_is_new_or_changed_is_fetched(kind):
    table, cache = Table(40), VectorCache(24, kind)
    table.held(cache)
    table.held(cache)
    assert table.asked == 40
    table.keep(np.arange(40) % 5 != 0)  # 8 rows are deleted
    changed = table.unit(2, 24)
    table.vectors[[3, 9]], table.revision[[3, 9]] = changed, 7
    added = Table(5)
    table.sequence = np.concatenate([table.sequence, 1000 + added.sequence])
    table.revision = np.concatenate([table.revision, added.revision])
    table.vectors = np.concatenate([table.vectors, added.vectors])
    held = table.held(cache)
    assert table.asked == 40 + 2 + 5
    check(table, held, np.ones(37, dtype=bool))


def test_what_a_search_holds_stays_as_it_was():
    table, cache = Table(20), VectorCache(24, FloatBlock)
    held, before = table.held(cache), table.vectors.copy()
    table.vectors, table.revision = table.unit(20, 24), table.revision + 1
    table.held(cache)
    np.testing.assert_array_equal(held.vectors(np.arange(20)), before)


def test_room_of_what_is_gone_is_used_again():
    table, cache = Table(50), VectorCache(24, FloatBlock)
    for _ in range(10):
        table.revision = table.revision + 1
        table.vectors = table.unit(50, 24)
        held = table.held(cache)
        assert len(held.blocks) * 16 <= 2 * 50 + 3 * 16
    np.testing.assert_array_equal(held.vectors(np.arange(50)), table.vectors)


def test_a_fetch_that_fails_is_made_up_for():
    table, cache = Table(30), VectorCache(24, FloatBlock)

    def fails(rows):
        yield np.arange(3), table.vectors[rows[:3]]
        raise FileNotFoundError("gone")

    with pytest.raises(FileNotFoundError):
        cache.update(table.sequence, table.revision, fails)
    held = table.held(cache)
    np.testing.assert_array_equal(held.vectors(np.arange(30)), table.vectors)


def test_bytes_give_no_vectors_and_no_rows_no_products():
    table = Table(20)
    assert table.held(VectorCache(24, ByteBlock)).vectors(np.arange(2)) is None
    table.keep(np.zeros(20, dtype=bool))
    held = table.held(VectorCache(24, FloatBlock))
    assert len(held.scan(np.ones(24, np.float32), np.zeros(0, dtype=bool)).products) == 0
