"""From walkers to a report through the public calls, each stage fed by the files of the one before."""

from pathlib import Path

import numpy as np
import pytest

import tapetum
from tapetum.config import read_yaml
from tapetum.data import read_dataset
from tapetum.data.synthetic import WalkerOptions, write_hitsz_vcm
from tapetum.embed import embed, load_embeddings, save_embeddings
from tapetum.evaluation import evaluate
from tapetum.evaluation.ranking.lists import ranked_lists
from tapetum.report import ReportData, build_report
from tapetum.search import Filter, Gallery, SearchEngine
from tapetum.training import resolve_run, train
from tapetum.training.run_folder import RunFolder
from tapetum.types import Modality

SETTINGS = {
    "weights": "none",
    "height": 32,
    "width": 16,
    "frames": 2,
    "vision": {
        "width": 64,
        "layers": 3,
        "heads": 1,
        "patch_size": 16,
        "image_size": [32, 16],
        "output_dim": 32,
    },
    "text": {"vocab_size": 54, "context_length": 40, "width": 64, "layers": 1, "heads": 1},
    "stfl_split": [1, 1, 1],
    "stg_groups": 2,
    "batches": {"identities": 2, "tracklets": 2},
    "training": {
        "max_steps": 3,
        "tensorboard": False,
        "device": "cpu",
        "precision": "32-true",
        "log_every": 1,
    },
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the walkers and a finished run on them."""
    folder = tmp_path_factory.mktemp("pipeline")
    options = WalkerOptions(frame_size=(32, 16), tracklet_length=(12, 12), tracklets_per_modality=(2, 2))
    write_hitsz_vcm(folder / "data", identities=8, test_identities=4, seed=0, options=options, workers=1)
    run = resolve_run("lsmrl", f"hitsz-vcm:{folder / 'data'}", preset="tiny", overrides=SETTINGS)
    assert train(run, folder / "run").steps == 3
    return folder


@pytest.fixture(scope="module")
def dataset(place):
    return read_dataset(f"hitsz-vcm:{place / 'data'}")


@pytest.fixture(scope="module")
def model(place):
    return tapetum.load(place / "run")


@pytest.fixture(scope="module")
def stored(place, dataset, model):
    """Embeddings as they came back from the disk."""
    save_embeddings(embed(model.method, dataset.test), place / "embeddings", method="lsmrl")
    return load_embeddings(place / "embeddings")


def test_what_is_stored_is_what_the_model_says(stored, dataset, model):
    assert stored.model == model.fingerprint
    np.testing.assert_array_equal(stored.vectors, embed(model.method, dataset.test).vectors)
    np.testing.assert_allclose(model.encode(dataset.test, batch_size=3), stored.vectors, atol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(stored.vectors, axis=1), 1, atol=1e-6)


def test_scores_from_the_disk_are_those_of_the_run(stored, dataset, model):
    fresh = evaluate(embed(model.method, dataset.test), "hitsz-vcm")
    found = evaluate(stored, "hitsz-vcm")
    assert found.to_json() == fresh.to_json()
    assert list(found.scores) == ["I2V", "V2I"]
    for scores in found.scores.values():
        assert scores.skipped == 0
        assert 0 < scores.mean_ap < 1  # three steps teach nothing much


def test_search_finds_what_evaluate_ranks(place, stored, dataset, model):
    gallery = Gallery.open(place / "gallery")
    assert gallery.upsert(stored) == len(stored)
    engine = SearchEngine(Gallery.open(place / "gallery", create=False), model)
    trial = next(r.trial for r in evaluate(stored, "hitsz-vcm").results if r.name == "I2V")
    for row in trial.query[:3].tolist():
        query = stored.tracklets[row]
        ranked = ranked_lists(stored, trial, [row], top=None)[0]
        expected = [stored.tracklets[int(i)].tracklet_id for i in ranked.gallery]
        where = Filter(modality=Modality.VISIBLE)
        answers = (
            engine.search(query, top=len(expected), where=where),
            gallery.search(stored.rows([row]), top=len(expected), where=where),
            gallery.similar_to(query.tracklet_id, top=len(expected), where=where),
        )
        for answer in answers:
            assert answer.exact
            assert answer[0].tracklet.tracklet_id == expected[0]
            assert answer[0].similarity == pytest.approx(-float(ranked.distances[0]), abs=1e-5)
        # from its own frames, without the data set's word for it
        frames = engine.search(list(query.frames), modality=query.modality, top=1, where=where)
        assert frames[0].tracklet.tracklet_id == expected[0]


def test_a_report_of_all_of_it(place, stored, dataset):
    run = RunFolder(place / "run")
    data = ReportData(
        dataset="walkers",
        is_synthetic=True,
        method="lsmrl",
        train=dataset.train,
        test=stored,
        results={"lsmrl": evaluate(stored, "hitsz-vcm")},
        log=run.log,
        config=read_yaml(run.config),
        environment={"python": "3"},
        timings_s={"training": 1.0},
    )
    page: Path = build_report(place / "report.html", title="All of it", data=data)
    text = page.read_text(encoding="utf-8")
    assert "All of it" in text
    assert "lsmrl" in text
    assert "http://" not in text.replace("http://www.w3.org", "")  # nothing is fetched
