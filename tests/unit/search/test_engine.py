from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError, ModelMismatchError
from tapetum.evaluation import Calibration, calibrate
from tapetum.evaluation.calibration.pair_counts import Pairing
from tapetum.search import Filter, Gallery, GalleryItem, SearchEngine, as_tracklet, gallery_folder
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


def test_without_a_model_items_can_be_asked_and_pictures_cannot(engine, tmp_path):
    alone = SearchEngine(engine.gallery)
    assert names(alone.search(GalleryItem("level 180"), top=1)) == ["level 240"]
    with pytest.raises(ValueError, match="pictures need a model"):
        alone.search(picture(tmp_path / "query.png", 0))


class Curve:
    """A calibration that tells which it is by its probability."""

    def __init__(self, model, answer):
        self.model, self.answer = model, answer
        self.curves = dict.fromkeys(Pairing, self)

    def probability(self, distance, *, prior=None):
        return self.answer

    def refuse_other_model(self, model):
        Calibration.refuse_other_model(self, model)


def test_the_stored_calibration_is_used_unless_another_is_given(engine):
    gallery, model, query = engine.gallery, engine.model, engine.gallery.filter()[3]
    assert engine.calibration is None
    assert engine.search(query)[0].probability is None
    gallery.set_calibration(Curve(model.fingerprint, 0.25))
    assert engine.search(query, min_probability=0.2)[0].probability == 0.25  # noticed while it runs
    assert engine.search(query, min_probability=0.3).is_unknown
    given = SearchEngine(gallery, model, Curve(model.fingerprint, 0.75))
    assert given.search(query)[0].probability == 0.75
    gallery.set_calibration(None)
    assert engine.search(query)[0].probability is None
    for which in (model, None):
        with pytest.raises(ModelMismatchError, match="this calibration is of model other"):
            SearchEngine(gallery, which, Curve("other", 0.5))


def test_a_stored_calibration_is_read_once_and_again_when_it_changed(tmp_path, crowd, monkeypatch):
    read = []
    load = gallery_folder.load_calibration
    monkeypatch.setattr(gallery_folder, "load_calibration", lambda path: read.append(path) or load(path))
    gallery = Gallery.open(tmp_path / "gallery")
    gallery.upsert(crowd)
    engine = SearchEngine(gallery)
    for prior in (0.1, 0.4):
        Gallery.open(tmp_path / "gallery").set_calibration(calibrate(crowd, prior=prior))  # somebody else
        found = [engine.search(GalleryItem("3.1"), top=3) for _ in range(3)]
        assert engine.calibration.curve().prior == prior
        assert found[0] == found[2]
    assert len(read) == 2
    Gallery.open(tmp_path / "gallery").set_calibration(None)
    assert engine.calibration is None
