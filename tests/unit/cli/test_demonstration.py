import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from tapetum.cli.demonstration import free_folder
from tapetum.data.datasets import read_dataset
from tapetum.embedding_files import load_embeddings
from tapetum.evaluation import evaluate
from tapetum.search import Gallery

ROWS = [
    "chance",
    "raw-pixels",
    "colour-histogram",
    "untrained",
    "lsmrl",
    "x-reid",
    "clip-baseline",
    "small-cnn",
]


def test_free_folder(tmp_path):
    wanted = tmp_path / "demo"
    assert free_folder(wanted) == wanted
    wanted.mkdir()
    assert free_folder(wanted) == wanted
    (wanted / "x").touch()
    assert free_folder(wanted) == tmp_path / "demo-2"
    (tmp_path / "demo-2").mkdir()
    (tmp_path / "demo-2" / "x").touch()
    assert free_folder(wanted) == tmp_path / "demo-3"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--minutes", "0"], "minutes is 0"),
        (["--identities", "3"], "3 training and 60 test people"),
        (["--difficulty", "harsh"], "difficulty is 'harsh'"),
        (["--json", "none/t.json"], "none/t.json: its folder does not exist"),
    ],
)
def test_a_demo_refuses_before_it_begins(ask, tmp_path, options, message):
    refused = ask("demo", "--out", tmp_path / "demo", *options)
    assert (refused.code, message in refused.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_the_whole_demo_in_miniature(ask, tmp_path):
    (tmp_path / "demo").mkdir()
    (tmp_path / "demo" / "mine.txt").write_text("mine")
    made = ask(
        *("demo", "--out", tmp_path / "demo", "--identities", 8, "--test-identities", 4),
        *("--minutes", 0.005, "--compare", "--json", tmp_path / "t.json"),
    )
    assert made.code == 0, made.err
    out = tmp_path / "demo-2"
    places = {line.split(": ")[0]: line.split()[-1] for line in made.out.splitlines()[-4:]}
    assert places["table"] == str(out / "table.json")
    assert places["report"] == str(out / "report.html")
    assert places["gallery"] == str(out / "gallery")
    assert f"tapetum serve --gallery {out / 'gallery'} --model {out / 'runs' / 'lsmrl'}" in made.out
    table = json.loads((out / "table.json").read_text())
    assert table == json.loads((tmp_path / "t.json").read_text())
    assert [row["name"] for row in table["rows"]] == ROWS
    for row in table["rows"]:
        assert list(row) == ["name", "i2v", "v2i"]
        for direction in ("i2v", "v2i"):
            figures = row[direction]
            assert list(figures) == ["rank1", "rank5", "map", "minp"]
            assert all(0 <= value <= 1 for value in figures.values())
            assert figures["rank1"] <= figures["rank5"]
        shown = next(line.split() for line in made.out.splitlines() if line.strip().startswith(row["name"]))
        assert shown[1:4] == [f"{100 * row['i2v'][name]:.1f}" for name in ("rank1", "rank5", "map")]
    check_folder(out, table)


def check_folder(out: Path, table) -> None:
    """What the demo leaves belongs together and can be used on."""
    dataset = read_dataset(f"hitsz-vcm:{out / 'data'}")
    assert (len(dataset.label_ids), len(dataset.test.person_ids)) == (8, 4)
    embeddings = load_embeddings(out / "embeddings" / "lsmrl")
    scores = evaluate(embeddings, "hitsz-vcm").scores["I2V"]
    row = next(row for row in table["rows"] if row["name"] == "lsmrl")
    assert (row["i2v"]["rank1"], row["i2v"]["map"]) == (scores.rank(1), scores.mean_ap)
    gallery = Gallery.open(out / "gallery", create=False)
    info = gallery.info()
    assert (info.model, info.storage) == (embeddings.model, "lancedb")
    counted = Counter(t.modality.value for t in embeddings.tracklets)
    assert info.modalities == counted
    stored = gallery.get([t.tracklet_id for t in embeddings.tracklets])
    np.testing.assert_allclose(stored.vectors, embeddings.vectors, atol=1e-3)
    assert gallery.thumbnails(embeddings.tracklets[0].tracklet_id)
    page = (out / "report.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>") or page.startswith("<!DOCTYPE html>")
    assert all(name in page for name in ROWS)
