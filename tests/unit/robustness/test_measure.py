from dataclasses import replace

import numpy as np
import pytest

from tapetum.data.corruptions import CorruptedFrames, find_corruption
from tapetum.data.frames import FrameFiles
from tapetum.embed import embed
from tapetum.evaluation import Reranking, evaluate, score_embeddings
from tapetum.robustness import RobustnessPlan, measure, measure_robustness
from tapetum.types import Modality, TrackletSet

NOISE, GAIN, FADED = (find_corruption(name) for name in ("gaussian-noise", "gain-noise", "saturation"))


def corrupted(model, tracklets, corruption, severity=5, seed=0):
    """Embeddings of every tracklet, all corrupted."""
    size = model.method.preprocessing
    files = FrameFiles(tracklets, size.height, size.width)
    frames = CorruptedFrames(files, tracklets, corruption, severity, seed=seed)
    return embed(model.method, tracklets, cache=frames)


def trial(measured, cell, direction):
    (found,) = (t for t in measured[cell]["trials"] if t["direction"] == direction)
    return found


def expected(query, gallery, rows):
    """mAP and rank-1 of a search between two sets of embeddings."""
    scores = score_embeddings(query.rows(rows[0]), gallery.rows(rows[1]), same_camera=False)
    return scores.mean_ap, scores.rank(1)


def figures(trial):
    return trial["mean_ap"], trial["cmc"][0]


def rows_of(tracklets, modality):
    return [row for row, t in enumerate(tracklets) if t.modality is modality]


@pytest.mark.parametrize("side", ["both", "query", "gallery", "visible", "infrared"])
def test_each_side_against_embeddings_put_together_by_hand(model, tracklets, side):
    plan = RobustnessPlan("manifest", (NOISE,), (5,), side=side)
    measured = measure_robustness(model, tracklets, plan)
    clean, noisy = embed(model.method, tracklets), corrupted(model, tracklets, NOISE)
    modalities = {m: rows_of(tracklets, m) for m in Modality}
    for direction, asking in (("I2V", Modality.INFRARED), ("V2I", Modality.VISIBLE)):
        rows = modalities[asking], modalities[asking.other]
        query = noisy if side in ("both", "query", asking.value) else clean
        gallery = noisy if side in ("both", "gallery", asking.other.value) else clean
        found = figures(trial(measured, ("gaussian-noise", 5), direction))
        assert found == pytest.approx(expected(query, gallery, rows))
        assert figures(trial(measured, ("clean", 0), direction)) == pytest.approx(
            expected(clean, clean, rows)
        )


def test_tracklets_of_another_modality_keep_their_embeddings(model, tracklets):
    measured = measure_robustness(model, tracklets, RobustnessPlan("manifest", (GAIN, FADED), (5,)))
    clean = embed(model.method, tracklets)
    visible, infrared = (rows_of(tracklets, m) for m in Modality)
    for corruption, changed in ((GAIN, infrared), (FADED, visible)):
        vectors = clean.vectors.copy()
        vectors[changed] = corrupted(model, tracklets, corruption).vectors[changed]
        mixed = replace(clean, vectors=vectors)
        found = trial(measured, (corruption.name, 5), "I2V")
        assert figures(found) == pytest.approx(expected(mixed, mixed, (infrared, visible)))


def test_galleries_that_differ_from_queries(model, make_tracklets):
    """market1501: the query part against the gallery part; only queries are embedded anew."""
    tracklets = make_tracklets(5, (Modality.VISIBLE,) * 3)
    plan = RobustnessPlan("market1501", (NOISE,), (5,), side="query")
    calls = []
    measured = measure_robustness(
        model, tracklets, plan, progress=lambda done, total: calls.append((done, total))
    )
    clean, noisy = embed(model.method, tracklets), corrupted(model, tracklets, NOISE)
    rows = tuple([i for i, t in enumerate(tracklets) if t.part == part] for part in ("query", "gallery"))
    found = measured["gaussian-noise", 5]["trials"][0]
    assert figures(found) == pytest.approx(expected(noisy, clean, rows))
    assert calls == [(15, 20), (20, 20)]


def test_clean_cells_are_the_usual_evaluation(model, tracklets):
    plan = RobustnessPlan("manifest", (NOISE,), (1,), seed=3, reranking=Reranking(k1=3, k2=2))
    measured = measure_robustness(model, tracklets, plan)
    embeddings = replace(embed(model.method, tracklets), model=model.fingerprint)
    usual = evaluate(embeddings, "manifest", seed=3, reranking=plan.reranking).to_json()
    found = measured["clean", 0]
    assert found["trials"] == usual["trials"]
    assert found["reranking"]["k1"] == 3
    assert found["seed"] == 3


def test_seed_severity_and_extraction_options_act(model, tracklets):
    plan = RobustnessPlan("manifest", (NOISE,), (5,))

    def found(**change):
        own = replace(plan, **change)
        return measure_robustness(model, tracklets, own)["gaussian-noise", own.severities[0]]["trials"]

    usual = found()
    assert found(batch_size=1) == usual
    for change in ({"seed": 1}, {"severities": (1,)}, {"flip": True}):
        assert found(**change) != usual, change


def test_stored_cells_are_not_measured_again(model, tracklets, tmp_path, monkeypatch):
    plan = RobustnessPlan("manifest", (NOISE, GAIN), (1, 5))
    first = measure_robustness(model, tracklets, plan, store=tmp_path / "new" / "cells")
    assert len(list((tmp_path / "new" / "cells").iterdir())) == 5
    monkeypatch.setattr("tapetum.embed.embed", None)
    calls = []
    again = measure_robustness(
        model, tracklets, plan, store=tmp_path / "new" / "cells", progress=lambda *call: calls.append(call)
    )
    assert again == first
    assert list(again) == plan.cells
    assert calls == []


def test_a_run_that_was_stopped_goes_on(model, tracklets, tmp_path, monkeypatch):
    plan = RobustnessPlan("manifest", (NOISE, GAIN), (1, 5))
    whole = measure_robustness(model, tracklets, plan)
    calls = []

    def stopping(*arguments, **options):
        calls.append(len(arguments[1]))
        if len(calls) == 4:
            raise KeyboardInterrupt
        return embed(*arguments, **options)

    monkeypatch.setattr("tapetum.embed.embed", stopping)
    with pytest.raises(KeyboardInterrupt):
        measure_robustness(model, tracklets, plan, store=tmp_path / "cells")
    kept = sorted(path.name.rpartition("-")[0] for path in (tmp_path / "cells").iterdir())
    assert kept == ["clean-0", "gaussian-noise-1", "gaussian-noise-5"]
    calls.clear()
    calls += [0] * 10  # no stop any more
    assert measure_robustness(model, tracklets, plan, store=tmp_path / "cells") == whole
    assert calls[10:] == [12, 6, 6]  # the clean embeddings, and infrared ones at two severities


def test_more_severities_add_their_cells_alone(model, tracklets, tmp_path):
    few = RobustnessPlan("manifest", (NOISE,), (1,))
    measure_robustness(model, tracklets, few, store=tmp_path)
    more = replace(few, severities=(1, 2))
    calls = []
    found = measure_robustness(
        model, tracklets, more, store=tmp_path, progress=lambda *call: calls.append(call)
    )
    assert calls == [(12, 12)]
    assert found == measure_robustness(model, tracklets, more)


def test_worker_processes_change_no_figure(model, tracklets):
    plan = RobustnessPlan("manifest", (find_corruption("rain"),), (5,))
    found = measure_robustness(model, tracklets, replace(plan, workers=1))
    assert found == measure_robustness(model, tracklets, plan)


def test_a_corruption_that_would_change_nothing_is_refused(model, tracklets, make_tracklets):
    with pytest.raises(ValueError, match=r"saturation happens to visible pictures only.*side: infrared"):
        measure_robustness(model, tracklets, RobustnessPlan("manifest", (FADED,), side="infrared"))
    visible = make_tracklets(3, (Modality.VISIBLE,) * 2)
    with pytest.raises(ValueError, match="gain-noise happens to infrared pictures only"):
        measure_robustness(model, visible, RobustnessPlan("market1501", (NOISE, GAIN)))


def test_unknown_protocols_and_missing_frames_are_named(model, tracklets):
    with pytest.raises(ValueError, match="unknown protocol 'manifst'; did you mean 'manifest'"):
        measure_robustness(model, tracklets, RobustnessPlan("manifst", (NOISE,)))
    broken = TrackletSet(
        "broken", (*tracklets, replace(tracklets[0], tracklet_id="x", frames=("/none.png",)))
    )
    with pytest.raises(ValueError, match=r"none\.png"):
        measure_robustness(model, broken, RobustnessPlan("manifest", (NOISE,)))


def test_vectors_stay_normalised(model, tracklets):
    subject = measure._Subject(model, tracklets, RobustnessPlan("manifest", (GAIN,)), None)
    vectors = subject._corrupted(("gain-noise", 5), None)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
