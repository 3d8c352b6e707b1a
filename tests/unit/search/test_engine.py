from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError, ModelMismatchError
from tapetum.search import Filter, Gallery, SearchEngine, as_tracklet
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


class BrightnessModel:
    """Embeds a tracklet as (mean, 1) of its first frame's brightness, in place of a trained model."""

    fingerprint = "brightness"

    def encode(self, items):
        means = [np.asarray(Image.open(t.frames[0]), dtype=np.float32).mean() / 255 for t in items]
        vectors = np.stack([[mean, 1.0] for mean in means]).astype(np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


def picture(path: Path, colour) -> Path:
    path.parent.mkdir(exist_ok=True)
    Image.new("RGB", (4, 8), colour).save(path)
    return path


@pytest.fixture
def engine(tmp_path):
    model = BrightnessModel()
    rows = []
    for level in (0, 60, 120, 180, 240):
        path = picture(tmp_path / f"{level}.png", (level, level, level))
        rows.append(Tracklet(f"level {level}", (str(path),), Modality.INFRARED, camera_id=level))
    tracklets = TrackletSet("levels", tuple(rows))
    gallery = Gallery.open("memory:")
    gallery.upsert(Embeddings(model.encode(rows), tracklets, model.fingerprint))
    return SearchEngine(gallery, model)


def names(found):
    return [hit.tracklet.tracklet_id for hit in found]


def test_a_tracklet_of_the_gallery_finds_itself(engine):
    query = engine.gallery.filter()[3]
    found = engine.search(query, top=1)
    assert names(found) == ["level 180"]
    assert found[0].similarity == pytest.approx(1, abs=1e-6)


def test_files_and_folders_are_queries(engine, tmp_path):
    file = picture(tmp_path / "query" / "2.png", (110, 110, 110))
    picture(tmp_path / "query" / "10.png", (0, 0, 0))
    for query in (file, str(file), tmp_path / "query", [file, tmp_path / "0.png"]):
        assert names(engine.search(query, top=1)) == ["level 120"]
    assert names(engine.search(file, top=1, where=Filter(exclude_cameras=120))) == ["level 60"]


def test_a_model_of_another_fingerprint_is_refused(engine):
    other = BrightnessModel()
    other.fingerprint = "other"
    with pytest.raises(ModelMismatchError, match=r"other.*brightness"):
        SearchEngine(engine.gallery, other)
    SearchEngine(Gallery.open("memory:"), other)  # an empty gallery is of no model yet


def test_modality_is_guessed_from_colour_unless_told(tmp_path):
    grey = picture(tmp_path / "grey.jpg", (90, 90, 90))
    red = picture(tmp_path / "red.jpg", (200, 40, 40))
    assert as_tracklet(grey).modality is Modality.INFRARED
    assert as_tracklet([grey, red, red]).modality is Modality.VISIBLE  # all are looked at
    assert as_tracklet(red, "infrared").modality is Modality.INFRARED
    assert as_tracklet([red], Modality.INFRARED).modality is Modality.INFRARED
    assert as_tracklet(red).part == as_tracklet([red]).part == "query"


def test_bad_queries_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.png"):
        as_tracklet([picture(tmp_path / "there.png", 0), tmp_path / "gone.png"])
    with pytest.raises(FileNotFoundError, match="nowhere"):
        as_tracklet(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="no files"):
        as_tracklet([])
    (tmp_path / "text").mkdir()
    (tmp_path / "text" / "a.txt").touch()
    with pytest.raises(DataError, match="no image"):
        as_tracklet(tmp_path / "text")
