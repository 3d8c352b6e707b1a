from dataclasses import replace

import numpy as np
import pytest

from tapetum.embedding_files import save_embeddings
from tapetum.search import Gallery
from tapetum.search.memory_gallery import MemoryGallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def drawn(people=4, times=(None, None), cameras=4):
    rng = np.random.default_rng(0)
    rows, vectors = [], []
    for number in range(8 * people):
        kind = list(Modality)[number % 2]
        time = times[min(number, 1)]
        rows.append(Tracklet(f"t{number}", (), kind, number // 8, f"gate {number % cameras}", time))
        vectors.append(np.eye(people)[number // 8] + 0.2 * rng.standard_normal(people))
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("own/test", tuple(rows)), "model-1")


def test_it_says_what_is_there(ask, tmp_path, monkeypatch):
    monkeypatch.setenv("COLUMNS", "180")
    embeddings, uri = drawn(times=(1_777_852_800.0, 1_777_939_200.0)), tmp_path / "gallery"
    Gallery.open(uri).upsert(embeddings)
    lines = ask("info", uri).out.splitlines()
    assert lines == [
        f"gallery     {uri} (lancedb)",
        "model       model-1, 4 dimensions",
        "tracklets   32: 16 visible, 16 infrared",
        "cameras     4: gate 0, gate 1, gate 2, gate 3",
        "times       2026-05-04 00:00 UTC to 2026-05-05 00:00 UTC",
        "search      exact",
        "calibration none",
    ]
    stored = save_embeddings(embeddings, tmp_path / "embeddings")
    assert ask("calibrate", stored, "--gallery", uri).code == 0
    last = ask("info", uri).out.splitlines()[-1]
    assert last == "calibration visible-infrared, visible-visible, infrared-infrared; judged on own/test"
    found = ask("info", uri, "--json").json
    assert (found["count"], found["model"], found["exact"]) == (32, "model-1", True)
    assert found["modalities"] == {"visible": 16, "infrared": 16}
    assert found["calibration"]["data"] == "own/test"
    assert 0 < found["calibration"]["priors"]["visible-infrared"] < 1


def test_times_that_are_no_dates_and_many_cameras(ask, tmp_path):
    uri = f"numpy:{tmp_path / 'gallery'}"
    Gallery.open(uri).upsert(drawn(times=(72_000.0, 90_000.5), cameras=30))
    lines = ask("info", uri).out.splitlines()
    assert lines[4] == "times       72000.0 s to 90000.5 s"
    assert lines[3].startswith("cameras     30: gate 0, gate 1, gate 10")
    assert lines[3].endswith(", and 10 more")
    assert len(ask("info", uri, "--json").json["cameras"]) == 30


def test_an_empty_gallery_and_none(ask, tmp_path):
    empty = ask("info", "memory:").out.splitlines()
    assert empty[1:] == [
        "model       none yet",
        "tracklets   0: 0 visible, 0 infrared",
        "cameras     none known",
        "times       none known",
        "search      exact",
        "calibration none",
    ]
    assert ask("info", "memory:", "--json").json["calibration"] is None
    refused = ask("info", tmp_path / "none")
    assert (refused.code, "there is no gallery" in refused.err) == (1, True)


@pytest.mark.parametrize("recall", [None, 0.934])
def test_an_approximate_gallery_says_so(ask, monkeypatch, recall):
    info = MemoryGallery.info
    monkeypatch.setattr(MemoryGallery, "info", lambda self: replace(info(self), exact=False, recall=recall))
    line = ask("info", "memory:").out.splitlines()[5]
    assert line == "search      approximate" + ("" if recall is None else ", recall 0.93")
