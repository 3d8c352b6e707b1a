import json
from dataclasses import replace

import numpy as np
import pytest

from tapetum.embedding_files import save_embeddings
from tapetum.evaluation import load_calibration
from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def walkers(people=40, bad=(), seed=0, name="hitsz-vcm/test", model="model-1", first=0) -> Embeddings:
    """Everybody twice in each of four cameras; the last two are infrared and ask."""
    rng = np.random.default_rng(seed)
    middles = rng.standard_normal((people, 16))
    rows, vectors = [], []
    for place in range(8):
        camera = ("1", "2", "gate [b]", "4")[place % 4]
        kind, part = (Modality.VISIBLE, "gallery") if place % 4 < 2 else (Modality.INFRARED, "query")
        for person in range(people):
            rows.append(Tracklet(f"{place}-{person}", (), kind, first + person, camera, None, part))
            noise = (2.4 if camera in bad else 0.8) * rng.standard_normal(16)
            vectors.append(middles[person] + noise)
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet(name, tuple(rows)), model)


@pytest.fixture(scope="module")
def stored(tmp_path_factory):
    """Folder of embeddings in which camera "gate [b]" is bad."""
    return save_embeddings(walkers(bad=("gate [b]",)), tmp_path_factory.mktemp("stored") / "embeddings")


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Folder of embeddings of four people."""
    return save_embeddings(walkers(people=4), tmp_path_factory.mktemp("few") / "embeddings")


@pytest.fixture
def wide(monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")


def test_diagnose_names_the_camera_that_fails(ask, stored, tmp_path, wide):
    found = ask(
        "diagnose", stored, "--samples", 50, "--json", tmp_path / "d.json", "--out", tmp_path / "d.html"
    )
    assert found.code == 0, found.err
    assert "What stands out:" in found.out
    assert "I2V: queries of camera gate [b] find less: mAP" in found.out
    assert "V2I: people are found less well in camera gate [b]: separation" in found.out
    for heading in (
        "queries by camera",
        "separation by camera",
        "wrong first answers",
        "visible-infrared pairs",
    ):
        assert heading in found.out
    assert "open set" in found.out
    content = json.loads((tmp_path / "d.json").read_text())
    first = content["findings"][0]
    assert (first["kind"], first["query"], first["direction"]) == ("query camera", "gate [b]", "I2V")
    assert {c["pairing"] for c in content["calibration"]} == {
        "visible-infrared",
        "visible-visible",
        "infrared-infrared",
    }
    assert [scores["trial"] for scores in content["open_set"]] == ["I2V", "V2I"]
    page = (tmp_path / "d.html").read_text()
    assert page.startswith("<!doctype html>")
    assert "queries of camera gate [b] find less" in page


def test_diagnose_says_where_there_is_too_little(ask, few, wide):
    found = ask("diagnose", few, "--samples", 20)
    assert found.code == 0, found.err
    assert "No camera has enough to be compared: 20 queries of 10 people are needed." in found.out
    assert "dim figures stand on fewer than 20 queries of 10 people" in found.err
    assert "fewer than 20 people on one side" in found.err


def test_diagnose_of_a_run(ask, run, data, tmp_path):
    refused = ask("diagnose", run)
    assert (refused.code, "--data FORMAT:ROOT is needed" in refused.err) == (1, True)
    found = ask("diagnose", run, "--data", data, "--samples", 10, "--json", tmp_path / "d.json")
    assert found.code == 0, found.err
    assert "no calibration: hitsz-vcm/test cannot be calibrated" in found.err
    content = json.loads((tmp_path / "d.json").read_text())
    assert content["calibration"] == []
    assert content["protocol"] == "hitsz-vcm"


def test_calibrate_writes_what_search_reads(ask, stored, tmp_path, wide):
    file = tmp_path / "c.json"
    found = ask("calibrate", stored, "--out", file)
    assert found.code == 0, found.err
    assert "visible-infrared pairs: learnt from 20 people, judged on 20" in " ".join(found.out.split())
    assert f"{file}: calibration of model model-1" in found.out
    calibration = load_calibration(file, model="model-1")
    gallery = tmp_path / "gallery"
    Gallery.open(gallery).upsert(walkers(bad=("gate [b]",)))
    hits = ask("search", gallery, "0-3", "--calibration", file, "--top", 200, "--json").json["hits"]
    for hit in hits:
        pairing = "visible-visible" if hit["modality"] == "visible" else "visible-infrared"
        expected = float(calibration.curve(pairing).probability(hit["distance"]))
        assert hit["probability"] == pytest.approx(expected)
    shown = ask("search", gallery, "0-3", "--calibration", file, "--min-probability", 0.01)
    assert "probability" in shown.out
    assert "unknown" not in shown.out
    question = ("search", gallery, "0-3", "--calibration", file, "--min-probability", 0.9999)
    assert "unknown: no hit has a probability of 0.9999 or more" in ask(*question).out
    assert ask(*question, "--json").json["answer"] == "unknown"
    assert ask(*question, "--prior", 0.9999, "--json").json["answer"] == "found"


def test_a_calibration_kept_in_a_gallery_is_used_by_every_search(ask, stored, tmp_path, wide):
    gallery, file = tmp_path / "gallery", tmp_path / "c.json"
    Gallery.open(gallery).upsert(walkers(bad=("gate [b]",)))
    question = ("search", gallery, "0-3", "--top", 200, "--json")
    assert all(hit["probability"] is None for hit in ask(*question).json["hits"])
    made = ask("calibrate", stored, "--gallery", gallery)
    assert (made.code, f"{gallery}: calibration of model model-1" in made.out) == (0, True)
    assert ask("calibrate", stored, "--out", file, "--prior", 0.3).code == 0
    kept, given = ask(*question).json["hits"], ask(*question, "--calibration", file).json["hits"]
    curve = Gallery.open(gallery).calibration().curve("visible-infrared")
    for hit, other in zip(kept, given, strict=True):
        assert hit["probability"] < other["probability"]  # what is given wins
        if hit["modality"] == "infrared":
            assert hit["probability"] == pytest.approx(float(curve.probability(hit["distance"])))
    assert ask(*question, "--min-probability", 0.9999).json["answer"] == "unknown"
    both = ask("calibrate", stored, "--gallery", gallery, "--out", file)
    assert both.out.count("calibration of model") == 2


def test_calibrate_refuses_galleries_that_it_does_not_fit(ask, stored, tmp_path):
    refused = ask("calibrate", stored)
    assert (refused.code, "give --out FILE or --gallery URI" in refused.err) == (1, True)
    refused = ask("calibrate", stored, "--gallery", tmp_path / "none")
    assert (refused.code, "there is no gallery" in refused.err) == (1, True)
    refused = ask("calibrate", stored, "--gallery", "memory:")
    assert (refused.code, "nothing was stored in this gallery yet" in refused.err) == (1, True)
    gallery, file = tmp_path / "gallery", tmp_path / "c.json"
    Gallery.open(gallery).upsert(walkers(model="model-2"))
    refused = ask("calibrate", stored, "--gallery", gallery, "--out", file)
    assert (refused.code, "those of the gallery of model model-2" in refused.err) == (1, True)
    assert Gallery.open(gallery).calibration() is None
    assert not file.exists()


def test_search_refuses_what_calibration_cannot_answer(ask, stored, tmp_path):
    file, gallery = tmp_path / "c.json", tmp_path / "gallery"
    Gallery.open(gallery).upsert(walkers(model="model-2"))
    assert ask("calibrate", stored, "--out", file).code == 0
    refused = ask("search", gallery, "0-3", "--calibration", file)
    assert (refused.code, "this calibration is of model model-1" in refused.err) == (1, True)
    refused = ask("search", gallery, "0-3", "--min-probability", 0.5)
    assert (refused.code, "--min-probability and --prior need --calibration" in refused.err) == (1, True)
    refused = ask("search", gallery, "0-3", "--calibration", tmp_path / "none.json")
    assert (refused.code, "none.json: no such file" in refused.err) == (1, True)


def test_calibrate_options_act(ask, stored, tmp_path):
    def fitted(*options):
        assert ask("calibrate", stored, "--out", tmp_path / "c.json", *options).code == 0
        return load_calibration(tmp_path / "c.json").curve()

    usual = fitted()
    assert fitted("--seed", 1).log_ratio != usual.log_ratio
    assert fitted("--kind", "isotonic").log_ratio.to_json()["kind"] == "isotonic"
    assert fitted("--prior", 0.2).prior == 0.2
    other = save_embeddings(walkers(seed=5, first=100), tmp_path / "other")
    assert fitted("--learn-from", other).learnt.people == 40


def test_camera_rules_are_those_of_the_protocol(ask, stored, few, tmp_path):
    """BUPTCampus keeps pairs of one camera; an unknown data set leaves them out."""
    embeddings = walkers()
    counts = {}
    for name in ("bupt-campus/test", "own/test"):
        rows = tuple(
            replace(t, part="query" if t.tracklet_id < "4" else "gallery") for t in embeddings.tracklets
        )
        renamed = Embeddings(embeddings.vectors, TrackletSet(name, rows), "m")
        folder = save_embeddings(renamed, tmp_path / name.partition("/")[0])
        assert ask("calibrate", folder, "--out", tmp_path / "c.json").code == 0
        counts[name] = int(load_calibration(tmp_path / "c.json").curve("visible-visible").judged.same.sum())
    assert counts["bupt-campus/test"] == 20 * 6
    assert counts["own/test"] == 20 * 4
    refused = ask("calibrate", stored, "--out", tmp_path / "c.json", "--protocol", "hitz-vcm")
    assert (refused.code, "unknown protocol 'hitz-vcm'" in refused.err) == (1, True)


def test_embeddings_that_a_protocol_does_not_fit_are_calibrated_with_a_note(ask, tmp_path):
    train = walkers(name="hitsz-vcm/train")
    rows = tuple(Tracklet(t.tracklet_id, (), t.modality, t.person_id, t.camera_id) for t in train.tracklets)
    folder = save_embeddings(
        Embeddings(train.vectors, TrackletSet("hitsz-vcm/train", rows), "m"), tmp_path / "e"
    )
    found = ask("calibrate", folder, "--out", tmp_path / "c.json")
    assert (found.code, "other camera rules are unknown: hitsz-vcm needs query" in found.err) == (0, True)
    refused = ask("calibrate", folder, "--out", tmp_path / "c.json", "--protocol", "hitsz-vcm")
    assert (refused.code, "hitsz-vcm needs query" in refused.err) == (1, True)


def test_nothing_is_written_on_refusal(ask, few, stored, tmp_path):
    refused = ask("calibrate", stored, "--out", tmp_path / "none" / "c.json")
    assert (refused.code, "its folder does not exist" in refused.err) == (1, True)
    for option in ("--json", "--out"):
        refused = ask("diagnose", stored, option, tmp_path / "none" / "file")
        assert (refused.code, "its folder does not exist" in refused.err) == (1, True)
    alone = save_embeddings(walkers(people=1), tmp_path / "alone")
    refused = ask("calibrate", alone, "--out", tmp_path / "c.json")
    assert (refused.code, "has 1 known people: too few" in refused.err) == (1, True)
    assert not (tmp_path / "c.json").exists()
