import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

from tapetum import files
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.errors import DataError
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


def make(ids=(1, 2, None), cameras=("a", None, "b"), model="abc") -> Embeddings:
    vectors = np.random.default_rng(0).standard_normal((len(ids), 4)).astype(np.float32)
    rows = tuple(
        Tracklet(
            f"t{n}",
            tuple(f"dir/{n}-{f}.jpg" for f in range(n)),
            list(Modality)[n % 2],
            person_id=i,
            camera_id=c,
            time=None if n == 1 else n / 3,
            part=("query", "gallery")[n % 2],
        )
        for n, (i, c) in enumerate(zip(ids, cameras, strict=True))
    )
    return Embeddings(vectors, TrackletSet("some data", rows), model, "regdb?trial=3")


def assert_same(one: Embeddings, two: Embeddings) -> None:
    np.testing.assert_array_equal(one.vectors, two.vectors)
    assert one.tracklets == two.tracklets
    assert (one.model, one.trained_on) == (two.model, two.trained_on)


def test_what_is_written_comes_back(tmp_path):
    original = make()
    assert save_embeddings(original, tmp_path / "new" / "out", method="mun") == tmp_path / "new" / "out"
    assert_same(load_embeddings(tmp_path / "new" / "out"), original)
    assert sorted(p.name for p in (tmp_path / "new").iterdir()) == ["out"]


def test_files_are_as_documented(tmp_path):
    original = make()
    save_embeddings(original, tmp_path / "out", method="mun")
    np.testing.assert_array_equal(
        load_file(tmp_path / "out" / "embeddings.safetensors")["vectors"], original.vectors
    )
    table = pq.read_table(tmp_path / "out" / "tracklets.parquet")
    assert [(f.name, str(f.type)) for f in table.schema] == [
        ("tracklet_id", "string"),
        ("person_id", "int64"),
        ("camera_id", "string"),
        ("modality", "string"),
        ("time", "double"),
        ("part", "string"),
        ("source", "string"),
        ("frames", "list<element: string>"),
    ]
    assert table.column("source").to_pylist() == [None, "dir/1-0.jpg", "dir/2-0.jpg"]
    assert json.loads((tmp_path / "out" / "embeddings.json").read_text()) == {
        "format": "tapetum-embeddings",
        "format_version": 1,
        "method": "mun",
        "model": "abc",
        "trained_on": "regdb?trial=3",
        "data": "some data",
        "count": 3,
        "dimension": 4,
    }


identifiers = st.one_of(
    st.lists(st.integers(), min_size=3, max_size=3),
    st.lists(st.text(st.characters(codec="utf-8"), max_size=3), min_size=3, max_size=3),
    st.lists(st.one_of(st.none(), st.integers(), st.sampled_from(["1", "x"])), min_size=3, max_size=3),
)


@settings(max_examples=25, deadline=None)
@given(ids=identifiers, cameras=identifiers)
def test_identifiers_come_back_exactly(tmp_path_factory, ids, cameras):
    folder = tmp_path_factory.mktemp("ids") / "out"
    original = make(ids, cameras)
    save_embeddings(original, folder)
    assert_same(load_embeddings(folder), original)


def test_a_file_that_does_not_say_what_a_model_was_trained_on_is_read(tmp_path):
    save_embeddings(make(), tmp_path / "out")
    file = tmp_path / "out" / "embeddings.json"
    summary = json.loads(file.read_text())
    del summary["trained_on"]
    file.write_text(json.dumps(summary))
    assert load_embeddings(tmp_path / "out").trained_on == ""
    file.write_text(json.dumps({**summary, "trained_on": 3}))
    with pytest.raises(DataError, match="trained_on is 3; expected str"):
        load_embeddings(tmp_path / "out")


def test_numpy_integers_are_integers(tmp_path):
    save_embeddings(make(np.arange(3), [np.int64(1), "x", None]), tmp_path / "out")
    assert_same(load_embeddings(tmp_path / "out"), make([0, 1, 2], [1, "x", None]))


def test_no_rows_come_back(tmp_path):
    empty = Embeddings(np.zeros((0, 7), np.float32), TrackletSet("none", ()))
    save_embeddings(empty, tmp_path / "out")
    assert load_embeddings(tmp_path / "out").vectors.shape == (0, 7)


def test_an_empty_folder_is_filled(tmp_path):
    save_embeddings(make(), tmp_path)
    assert len(load_embeddings(tmp_path)) == 3


def test_nothing_is_replaced_silently(tmp_path):
    save_embeddings(make(), tmp_path / "out")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        save_embeddings(make(model="other"), tmp_path / "out")
    assert load_embeddings(tmp_path / "out").model == "abc"
    save_embeddings(make(model="other"), tmp_path / "out", overwrite=True)
    assert load_embeddings(tmp_path / "out").model == "other"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_other_files_are_never_replaced(tmp_path):
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(FileExistsError, match="other files than embeddings"):
        save_embeddings(make(), tmp_path, overwrite=True)
    save_embeddings(make(), tmp_path / "out")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match=r"notes\.txt"):
        save_embeddings(make(), tmp_path / "out", overwrite=True)
    with pytest.raises(FileExistsError, match="is a file"):
        save_embeddings(make(), tmp_path / "thesis.tex", overwrite=True)


def test_a_failed_write_leaves_what_was_there(tmp_path, monkeypatch):
    save_embeddings(make(), tmp_path / "out")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(files, "_flush", full)
    with pytest.raises(OSError, match=r"No space left.*out"):
        save_embeddings(make(model="other"), tmp_path / "out", overwrite=True)
    assert load_embeddings(tmp_path / "out").model == "abc"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_failed_replacement_puts_back_what_was_there(tmp_path, monkeypatch):
    save_embeddings(make(), tmp_path / "out")
    rename = Path.rename

    def refuse(self, target):
        if self.name.endswith(".part"):
            raise OSError(13, "Permission denied")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", refuse)
    with pytest.raises(OSError, match=r"Permission denied.*out"):
        save_embeddings(make(model="other"), tmp_path / "out", overwrite=True)
    assert load_embeddings(tmp_path / "out").model == "abc"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


@pytest.mark.parametrize("name", ["embeddings.json", "embeddings.safetensors", "tracklets.parquet"])
def test_a_missing_file_is_named(tmp_path, name):
    save_embeddings(make(), tmp_path / "out")
    (tmp_path / "out" / name).unlink()
    with pytest.raises(FileNotFoundError, match=name):
        load_embeddings(tmp_path / "out")


@pytest.mark.parametrize("name", ["embeddings.json", "embeddings.safetensors", "tracklets.parquet"])
@pytest.mark.parametrize("kept", [0, 0.5, 0.95])
def test_a_truncated_file_is_named(tmp_path, name, kept):
    save_embeddings(make(), tmp_path / "out")
    path = tmp_path / "out" / name
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * kept)])
    with pytest.raises(DataError, match=name):
        load_embeddings(tmp_path / "out")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format_version": 2}, "format version 2; this version reads 1"),
        ({"format": "else"}, "not a summary of embeddings"),
        ({"count": "3"}, "count is '3'; expected int"),
        ({"count": 4}, "says 4 rows of 4.*holds 3 x 4.*3 rows"),
    ],
)
def test_a_summary_that_does_not_fit_is_refused(tmp_path, change, message):
    save_embeddings(make(), tmp_path / "out")
    path = tmp_path / "out" / "embeddings.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **change}))
    with pytest.raises(DataError, match=message):
        load_embeddings(tmp_path / "out")


def test_vectors_of_another_type_are_refused(tmp_path):
    save_embeddings(make(), tmp_path / "out")
    save_file({"vectors": np.zeros((3, 4))}, tmp_path / "out" / "embeddings.safetensors")
    with pytest.raises(DataError, match="float64"):
        load_embeddings(tmp_path / "out")
