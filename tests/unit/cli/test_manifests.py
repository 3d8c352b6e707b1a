"""`tapetum manifest` on the walkers' tree, and everything after it on what was written."""

import pytest

from tapetum.cli import main
from tapetum.data import read_dataset

PATTERN = "{split}/{person_id}/{modality}/D{camera_id}/{frame}.jpg"


@pytest.fixture(scope="session")
def manifest(walkers, tmp_path_factory):
    """A manifest of the walkers' pictures, away from them."""
    file = tmp_path_factory.mktemp("manifest") / "walkers.parquet"
    asked = ["manifest", str(walkers), "--pattern", PATTERN, "--folder-tracklets", "--out", str(file)]
    assert main(asked) == 0
    return file


def test_it_says_what_it_wrote_and_what_it_left_out(ask, walkers, tmp_path):
    (walkers / "Train" / "stray.jpg").write_bytes(b"")
    file = tmp_path / "list.csv"
    try:
        done = ask("manifest", walkers, "--pattern", PATTERN, "--folder-tracklets", "--out", file)
    finally:
        (walkers / "Train" / "stray.jpg").unlink()
    assert done.code == 0
    first, *rest = done.out.splitlines()
    assert first.startswith(f"{file}: ")
    assert " 6 people, " in first
    assert sum(int(line.split()[1]) for line in rest) == int(first.split(" tracklets")[0].split()[-1])
    assert "1 pictures are not of the pattern and are left out: Train/stray.jpg" in done.err
    assert "6 files are no pictures, or hidden, and are left out: info/query_IDX.txt, " in done.err
    assert "certainty" not in done.out


def test_it_says_how_sure_the_colours_are(ask, walkers, tmp_path):
    file = tmp_path / "list.csv"
    pattern = "*/{person_id}/*/D{camera_id}/*.jpg"
    done = ask("manifest", walkers, "--pattern", pattern, "--folder-tracklets", "--out", file)
    assert done.code == 0
    total = int(done.out.split(" tracklets")[0].split()[-1])
    assert f"modality by colours: {total} of {total} tracklets with a certainty of 0.9 or more" in done.out
    assert "least sure" not in done.err


def test_errors_are_told_and_nothing_is_written(ask, walkers, tmp_path):
    file = tmp_path / "list.csv"
    refused = ask("manifest", walkers, "--pattern", "{person}/*.jpg", "--out", file)
    assert (refused.code, "did you mean 'person_id'?" in refused.err) == (1, True)
    refused = ask("manifest", walkers, "--pattern", "{person_id}/{modality}/**/*.jpg", "--out", file)
    assert (refused.code, "unknown modality" in refused.err) == (1, True)
    file.write_text("mine")
    refused = ask("manifest", walkers, "--pattern", PATTERN, "--out", file)
    assert (refused.code, "--overwrite" in refused.err, file.read_text()) == (1, True, "mine")
    words = ["--visible", "rgb", "--infrared", "ir", "--overwrite"]
    assert ask("manifest", walkers, "--pattern", PATTERN, "--out", file, *words).code == 0


def test_a_manifest_is_trained_on_scored_indexed_and_searched(ask, manifest, small, tmp_path):
    data, run, embeddings = f"manifest:{manifest}", tmp_path / "run", tmp_path / "embeddings"
    trained = ask("train", "small-cnn", "--data", data, "--out", run, "--max-steps", 1, *small)
    assert trained.code == 0, trained.err
    assert ask("embed", run, "--data", data, "--out", embeddings).code == 0
    for source in ([embeddings], [run, "--data", data]):
        scored = ask("evaluate", *source, "--json", tmp_path / "scores.json")
        assert scored.code == 0, scored.err
        assert "I2V" in scored.out
        assert "V2I" in scored.out
    gallery = tmp_path / "gallery"
    indexed = ask("index", run, "--data", data, "--gallery", gallery)
    assert indexed.code == 0, indexed.err
    query = read_dataset(data).query[0]
    found = ask("search", gallery, query.tracklet_id, "--modality", "visible", "--json")
    assert found.code == 0, found.err
    assert {row["modality"] for row in found.json["hits"]} == {"visible"}


def test_doctor_is_content_with_a_manifest(ask, manifest):
    looked = ask("doctor", f"manifest:{manifest}")
    assert looked.code == 0
    assert "all frames can be read" in looked.out
    assert "lead out of the manifest's folder" in looked.out


def test_doctor_names_every_bad_row(ask, tmp_path):
    file = tmp_path / "manifest.csv"
    rows = "".join(f"{i}.jpg,m{i}\n" for i in range(30))
    file.write_text("path,modality\n" + rows)
    looked = ask("doctor", f"manifest:{file}")
    assert looked.code == 1
    assert [line.split(": ")[0] for line in looked.err.splitlines()] == [f"{file}:{i}" for i in range(2, 32)]
    assert "30 problem(s) with rows" in looked.out
    report = ask("doctor", f"manifest:{tmp_path}", "--json")
    assert (report.code, report.json["ok"], len(report.json["errors"])) == (1, False, 30)
    missing = ask("doctor", "manifest:none.csv", "--json")
    assert (missing.code, missing.json["errors"][0].startswith("none.csv: no such file")) == (1, True)
