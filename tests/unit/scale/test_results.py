import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tapetum.errors import DataError
from tapetum.ingest.items import Problem
from tapetum.scale.results import ShardResult, from_bytes, to_bytes
from tapetum.types import Modality, Tracklet


def result(count=5, dimension=4):
    rng = np.random.default_rng(0)
    tracklets = tuple(
        Tracklet(f"t{n}", (f"/d/{n}.jpg",) * (n % 3), list(Modality)[n % 2], *ids, part="query")
        for n, ids in enumerate([(1, 2, 3), ("a", None, None), (None, "x", 0.5), (2, 3, 1e9), (3, 4, -1.5)])
    )[:count]
    return ShardResult(
        key="k" * 32,
        model="m",
        vectors=rng.standard_normal((count, dimension), dtype=np.float32),
        tracklets=tracklets,
        contents=tuple(f"c{n}" for n in range(count)),
        thumbnails=tuple((b"\xff%d" % n,) * (n % 2) for n in range(count)),
        problems=(Problem("t9", "failed", "no such file"),),
        facts={"seconds": 1.5, "clips": 7},
    )


def test_a_result_comes_back_as_it_was():
    given = result()
    found = from_bytes(to_bytes(given), given.key, "here")
    np.testing.assert_array_equal(found.vectors, given.vectors)
    assert found.tracklets == given.tracklets
    assert (found.contents, found.thumbnails, found.problems) == (
        given.contents,
        given.thumbnails,
        given.problems,
    )
    assert (found.model, dict(found.facts), found.failed, len(found)) == ("m", dict(given.facts), 1, 5)


def test_a_result_without_rows_comes_back():
    given = ShardResult("k", "m", np.zeros((0, 1), np.float32), (), (), ())
    assert len(from_bytes(to_bytes(given), "k", "here")) == 0


def test_every_flipped_or_missing_byte_is_found():
    given = result()
    content = to_bytes(given)
    for place in range(0, len(content), max(1, len(content) // 150)):
        spoiled = bytearray(content)
        spoiled[place] ^= 0x55
        try:
            found = from_bytes(bytes(spoiled), given.key, "here")
        except DataError:
            continue
        else:
            np.testing.assert_array_equal(found.vectors, given.vectors)
            assert found.tracklets == given.tracklets
    for end in (0, 3, len(content) // 2, len(content) - 1):
        with pytest.raises(DataError, match="here: not the complete result"):
            from_bytes(content[:end], given.key, "here")


def test_an_edited_result_and_one_of_another_shard_are_refused():
    given = result()
    table = pq.read_table(pa.BufferReader(to_bytes(given)))
    edited = table.set_column(
        table.schema.get_field_index("tracklet_id"), "tracklet_id", [["t0", "t1", "t2", "t3", "other"]]
    ).replace_schema_metadata(table.schema.metadata)
    sink = pa.BufferOutputStream()
    pq.write_table(edited, sink)
    with pytest.raises(DataError, match="was changed or damaged"):
        from_bytes(sink.getvalue().to_pybytes(), given.key, "here")
    with pytest.raises(DataError, match=r"is of shard k+; expected other"):
        from_bytes(to_bytes(given), "other", "here")
    sink = pa.BufferOutputStream()
    pq.write_table(pa.table({"a": [1]}), sink)
    with pytest.raises(DataError, match="no result of a shard"):
        from_bytes(sink.getvalue().to_pybytes(), given.key, "here")
