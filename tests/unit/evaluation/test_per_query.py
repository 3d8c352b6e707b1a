import numpy as np
import pyarrow as pa
import pytest

from tapetum.errors import DataError
from tapetum.evaluation import Evaluation, Trial, TrialResult, ranked_lists, score_distances
from tapetum.evaluation.per_query import per_query_table, read_per_query, save_per_query, save_tables
from tapetum.id_columns import column_values
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

HIDDEN = ((1, 2),)


def make(count=120, people=9, seed=0, ids=None) -> Embeddings:
    rng = np.random.default_rng(seed)
    vectors = rng.standard_normal((count, 16)).astype(np.float32)
    vectors[count // 2 : count // 2 + 5] = vectors[-5:]  # ties
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    persons = rng.integers(0, people, count).tolist() if ids is None else ids
    kinds = (Modality.VISIBLE, Modality.INFRARED)
    rows = tuple(
        Tracklet(f"t{n}", (), kinds[n % 2], None if p == 0 else p, int(rng.integers(1, 4)))
        for n, p in enumerate(persons)
    )
    return Embeddings(vectors, TrackletSet("test", rows), "model-1")


def left_out(embeddings, trial, query, item) -> bool:
    """The rules of a trial, for one pair of rows."""
    a, b = embeddings.tracklets[query], embeddings.tracklets[item]
    same = a.person_id is not None and a.person_id == b.person_id and a.camera_id == b.camera_id
    return (same and not trial.same_camera) or (a.camera_id, b.camera_id) in trial.hidden_cameras


def scored(embeddings, trial) -> TrialResult:
    """Scores of a trial from its whole matrix of distances."""
    query, gallery = embeddings.rows(trial.query), embeddings.rows(trial.gallery)
    mask = [[left_out(embeddings, trial, q, g) for g in trial.gallery] for q in trial.query]
    scores = score_distances(
        -query.vectors @ gallery.vectors.T,
        [t.person_id for t in query.tracklets],
        [t.person_id for t in gallery.tracklets],
        leave_out=np.array(mask),
        count=trial.count,
    )
    return TrialResult(trial, scores, None)


def trial_of(name="I2V 1", **rules) -> Trial:
    return Trial(name, np.arange(40), np.arange(40, 120), **{"direction": "I2V", **rules})


@pytest.mark.parametrize(
    "rules", [{}, {"same_camera": True}, {"hidden_cameras": HIDDEN}, {"count": "identities"}]
)
def test_rows_equal_a_plain_ranking(rules):
    embeddings, trial = make(), trial_of(**rules)
    result = scored(embeddings, trial)
    rows = per_query_table(embeddings, result, top=70).to_pylist()
    assert len(rows) == 40
    for query, row in zip(trial.query, rows, strict=True):
        own = embeddings.tracklets[int(query)]
        kept = [int(g) for g in trial.gallery if not left_out(embeddings, trial, int(query), int(g))]
        distance = {g: 1 - float(embeddings.vectors[query] @ embeddings.vectors[g]) for g in kept}
        order = sorted(kept, key=lambda g: round(distance[g], 5))[:70]
        match = [embeddings.tracklets[g].person_id == own.person_id is not None for g in order]
        assert (row["tracklet_id"], row["person_id"], row["camera_id"]) == (
            own.tracklet_id,
            own.person_id,
            own.camera_id,
        )
        assert row["gallery"] == [embeddings.tracklets[g].tracklet_id for g in order]
        assert row["distances"] == pytest.approx([distance[g] for g in order], abs=1e-6)
        assert row["is_match"] == match
        matches = [g for g in kept if own.person_id is not None]
        matches = [g for g in matches if embeddings.tracklets[g].person_id == own.person_id]
        assert row["matches"] == len(matches)
        assert row["skipped"] == (not matches)
        if rules.get("count") != "identities" and any(match):
            assert row["first_rank"] == match.index(True) + 1


def test_scores_are_those_of_the_result_and_null_where_skipped():
    embeddings = make()
    result = scored(embeddings, trial_of())
    table = per_query_table(embeddings, result)
    skipped = np.array(table["skipped"])
    assert 0 < skipped.sum() == result.scores.skipped
    for name in ("first_rank", "average_precision", "inp"):
        assert table[name].null_count == skipped.sum()
        kept = table[name].to_numpy()[~skipped]
        np.testing.assert_array_equal(kept, getattr(result.scores, name)[~skipped])


def test_lists_are_those_of_pictures():
    embeddings, trial = make(), trial_of(hidden_cameras=HIDDEN)
    table = per_query_table(embeddings, scored(embeddings, trial), top=7)
    lists = ranked_lists(embeddings, trial, trial.query.tolist(), top=7)
    for row, ranked in zip(table.to_pylist(), lists, strict=True):
        assert row["gallery"] == [embeddings.tracklets[int(g)].tracklet_id for g in ranked.gallery]
        assert row["distances"] == [1 + float(d) for d in ranked.distances]
        assert all(left_out(embeddings, trial, ranked.query, int(g)) for g in ranked.left_out)
        total = sum(left_out(embeddings, trial, ranked.query, int(g)) for g in trial.gallery)
        assert len(ranked.left_out) == total


def test_file_gives_back_every_trial(tmp_path):
    embeddings = make()
    results = tuple(scored(embeddings, t) for t in (trial_of(), trial_of("I2V 2", same_camera=True)))
    evaluation = Evaluation("own", "test", "model-1", 0, results)
    path = save_per_query(tmp_path / "queries.parquet", embeddings, evaluation, top=5)
    table = read_per_query(path)
    assert table.num_rows == 80
    parts = pa.concat_tables([per_query_table(embeddings, r, top=5) for r in results])
    assert table.to_pylist() == parts.to_pylist()
    assert set(table["direction"].to_pylist()) == {"I2V"}
    assert set(table["trial"].to_pylist()) == {"I2V 1", "I2V 2"}
    assert set(table["model"].to_pylist()) == {"model-1"}


def test_identifiers_of_any_kind_come_back(tmp_path):
    ids = [("7", 7, "anna")[n % 3] for n in range(120)]
    embeddings = make(ids=ids)
    evaluation = Evaluation("own", "test", "", 0, (scored(embeddings, trial_of()),))
    table = read_per_query(save_per_query(tmp_path / "q.parquet", embeddings, evaluation))
    assert column_values(table, "person_id") == ids[:40]


def test_list_is_short_where_the_rules_leave_fewer_items():
    embeddings = make(count=120)
    trial = Trial("t", np.arange(40), np.arange(40, 120), hidden_cameras=((1, 1), (1, 2)))
    lengths = [
        len(row["gallery"])
        for row in per_query_table(embeddings, scored(embeddings, trial), top=80).to_pylist()
    ]
    cameras = [embeddings.tracklets[int(q)].camera_id for q in trial.query]
    third = sum(embeddings.tracklets[int(g)].camera_id == 3 for g in trial.gallery)
    assert all(length == third for length, c in zip(lengths, cameras, strict=True) if c == 1)
    assert all(length > third for length, c in zip(lengths, cameras, strict=True) if c != 1)


def test_refusals(tmp_path):
    embeddings = make()
    result = scored(embeddings, trial_of())
    with pytest.raises(ValueError, match="top is 0"):
        per_query_table(embeddings, result, top=0)
    other = TrialResult(Trial("t", np.arange(39), np.arange(40, 120)), result.scores, None)
    with pytest.raises(ValueError, match="trial t has 39 queries, its scores 40"):
        per_query_table(embeddings, other)
    with pytest.raises(ValueError, match="there is no trial"):
        save_tables(tmp_path / "q.parquet", [])
    assert list(tmp_path.iterdir()) == []


def test_files_that_are_something_else_are_named(tmp_path):
    path = tmp_path / "q.parquet"
    with pytest.raises(FileNotFoundError, match=r"q\.parquet: no such file"):
        read_per_query(path)
    path.write_bytes(b"PAR1 half a file")
    with pytest.raises(DataError, match=r"q\.parquet: not a complete Parquet file"):
        read_per_query(path)
    pa.parquet.write_table(pa.table({"a": [1]}), path)
    with pytest.raises(
        DataError, match=r"q\.parquet: format 'unknown'; this version reads 'tapetum-per-query 1'"
    ):
        read_per_query(path)


def test_interrupted_writing_leaves_the_former_file(tmp_path):
    path = tmp_path / "q.parquet"
    path.write_text("former")

    def failing():
        yield per_query_table(make(), scored(make(), trial_of()))
        raise OSError(28, "no space left")

    with pytest.raises(OSError, match=r"q\.parquet"):
        save_tables(path, failing())
    assert path.read_text() == "former"
