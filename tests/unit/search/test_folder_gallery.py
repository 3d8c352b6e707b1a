import json
import shutil

import numpy as np
import pytest

from tapetum import embedding_files
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.errors import DataError, GalleryVersionError
from tapetum.search import Gallery, folder_gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def make(*numbers) -> Embeddings:
    vectors = np.eye(10, dtype=np.float32)[list(numbers)]
    rows = tuple(
        Tracklet(f"t{n}", (f"{n}.jpg",), Modality.INFRARED, person_id=n, camera_id="gate", time=n / 7)
        for n in numbers
    )
    return Embeddings(vectors, TrackletSet("test", rows), "m1")


def open_at(folder, **options) -> Gallery:
    return Gallery.open(f"numpy:{folder}", **options)


def ids(gallery) -> list[str]:
    return [t.tracklet_id for t in gallery.filter()]


def test_another_process_finds_what_was_stored(tmp_path):
    gallery = open_at(tmp_path / "deep" / "g")
    gallery.upsert(make(1, 2, 3))
    gallery.delete(["t2"])
    again = open_at(tmp_path / "deep" / "g", create=False)
    assert ids(again) == ["t1", "t3"]
    assert again.filter() == gallery.filter()
    np.testing.assert_array_equal(again.get(["t3"]).vectors, make(3).vectors)
    assert again.info() == gallery.info()
    assert again.info().storage == "numpy"


def test_an_emptied_gallery_keeps_model_and_dimension_on_disk(tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(1))
    gallery.delete(["t1"])
    info = open_at(tmp_path, create=False).info()
    assert (info.count, info.model, info.dimension) == (0, "m1", 10)


def test_files_are_as_documented(tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(1))
    gallery.upsert(make(2))
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gallery.json", "rows-2"]
    assert json.loads((tmp_path / "gallery.json").read_text()) == {
        "format": "tapetum-gallery",
        "format_version": 1,
        "storage": "numpy",
        "version": 2,
    }
    assert len(load_embeddings(tmp_path / "rows-2")) == 2


def test_opening_writes_nothing(tmp_path):
    open_at(tmp_path / "g").search([1.0])
    assert not (tmp_path / "g").exists()


@pytest.mark.parametrize("step", ["save_embeddings", "_save_beside", "write_summary"])
def test_a_failed_write_leaves_the_former_state(tmp_path, monkeypatch, step):
    gallery = open_at(tmp_path)
    gallery.upsert(make(1))

    def full(*_, **__):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(folder_gallery, step, full)
        with pytest.raises(OSError, match="No space left"):
            gallery.upsert(make(2))
    assert ids(gallery) == ids(open_at(tmp_path)) == ["t1"]
    gallery.upsert(make(3))
    assert ids(gallery) == ids(open_at(tmp_path)) == ["t1", "t3"]


def test_optimise_removes_what_interrupted_writes_left(tmp_path):
    gallery = open_at(tmp_path)
    gallery.upsert(make(1))
    save_embeddings(make(5), tmp_path / "rows-7")
    (tmp_path / ".rows-8.123.part").mkdir()
    gallery.optimise()
    assert sorted(p.name for p in tmp_path.iterdir()) == ["gallery.json", "rows-1"]
    assert ids(open_at(tmp_path)) == ["t1"]


def test_a_change_by_another_process_is_not_overwritten(tmp_path):
    mine = open_at(tmp_path)
    mine.upsert(make(1))
    open_at(tmp_path).upsert(make(2))
    with pytest.raises(RuntimeError, match="changed by another process"):
        mine.upsert(make(3))
    with pytest.raises(RuntimeError, match="changed by another process"):
        mine.optimise()
    assert ids(open_at(tmp_path)) == ["t1", "t2"]


def test_other_folders_are_refused(tmp_path):
    save_embeddings(make(1), tmp_path / "embeddings")
    with pytest.raises(DataError, match="holds embeddings, not a gallery"):
        open_at(tmp_path / "embeddings")
    (tmp_path / "work").mkdir()
    (tmp_path / "work" / "thesis.tex").touch()
    with pytest.raises(DataError, match=r"thesis\.tex"):
        open_at(tmp_path / "work")
    with pytest.raises(DataError, match="is a file"):
        open_at(tmp_path / "work" / "thesis.tex")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "not a gallery"),
        ('{"format": "tapetum-gallery", "format_version": 9}', "format_version is 9; this version reads 1"),
        (
            '{"format": "tapetum-gallery", "format_version": 1, "storage": "lancedb"}',
            "storage is 'lancedb'; expected 'numpy'",
        ),
        (
            '{"format": "tapetum-gallery", "format_version": 1, "storage": "numpy", "version": "1"}',
            "version is '1'; expected int",
        ),
    ],
)
def test_a_damaged_summary_is_refused(tmp_path, text, message):
    open_at(tmp_path).upsert(make(1))
    (tmp_path / "gallery.json").write_text(text)
    with pytest.raises(DataError, match=message):
        open_at(tmp_path)


def test_a_gallery_of_a_newer_version_is_not_touched(tmp_path):
    open_at(tmp_path).upsert(make(1))
    summary = tmp_path / "gallery.json"
    summary.write_text(summary.read_text().replace('"format_version": 1', '"format_version": 2'))
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(GalleryVersionError, match=r"gallery\.json: format_version is 2; .* newer version"):
        open_at(tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_a_folder_says_itself_what_it_is(tmp_path):
    open_at(tmp_path).upsert(make(1))
    assert Gallery.open(tmp_path).info().storage == "numpy"


def test_a_gallery_from_before_there_were_thumbnails_opens(tmp_path):
    open_at(tmp_path).upsert(make(1, 2), thumbnails=[[b"a"], []], contents=["x", "y"])
    assert open_at(tmp_path).thumbnails("t1") == [b"a"]
    (tmp_path / "rows-1" / "stored.parquet").unlink()
    gallery = open_at(tmp_path)
    assert (gallery.thumbnails("t1"), gallery.contents()) == ([], {})
    assert gallery.purge(1e12, by="stored") == 0  # nobody knows when


@pytest.mark.parametrize("content", [b"", b"PAR1 and nothing"])
def test_a_damaged_file_beside_the_rows_is_named(tmp_path, content):
    open_at(tmp_path).upsert(make(1))
    (tmp_path / "rows-1" / "stored.parquet").write_bytes(content)
    with pytest.raises(DataError, match=r"stored\.parquet"):
        open_at(tmp_path)


def test_rows_and_what_lies_beside_them_belong_together(tmp_path):
    open_at(tmp_path / "a").upsert(make(1, 2))
    open_at(tmp_path / "b").upsert(make(1))
    shutil.copy(tmp_path / "a" / "rows-1" / "stored.parquet", tmp_path / "b" / "rows-1")
    with pytest.raises(DataError, match="2 rows, and 1 embeddings"):
        open_at(tmp_path / "b")


def test_missing_rows_are_named(tmp_path):
    open_at(tmp_path).upsert(make(1))
    (tmp_path / "rows-1" / embedding_files.VECTORS).unlink()
    with pytest.raises(FileNotFoundError, match=r"embeddings\.safetensors"):
        open_at(tmp_path)
