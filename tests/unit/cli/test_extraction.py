"""`tapetum extract`, `collect` and `plan`; the parts are in tests/unit/scale."""

import numpy as np
import pytest

from tapetum.embedding_files import load_embeddings
from tapetum.search import Gallery


@pytest.fixture
def extracted(ask, run, data, tmp_path):
    """Place of a finished extraction of the test tracklets, in several shards."""
    out = tmp_path / "out"
    answer = ask("extract", run, "--data", data, "--out", out, "--shard-size", "2")
    assert answer.code == 0, answer.err
    return out, answer


def test_what_is_extracted_is_what_is_embedded(ask, extracted, embeddings, run, tmp_path):
    out, answer = extracted
    expected = load_embeddings(embeddings)
    planned, done = answer.out.splitlines()
    assert planned.startswith(f"{out}: planned {len(expected)} tracklets in ")
    assert f"{len(expected)} embeddings, {len(expected)} of them new" in done
    again = ask("extract", run, "--out", out)
    assert (again.code, "0 of them new" in again.out) == (0, True)
    assert ask("collect", out, "--to", tmp_path / "e", "--gallery", tmp_path / "g").code == 0
    found = load_embeddings(tmp_path / "e")
    np.testing.assert_allclose(found.vectors, expected.vectors, atol=1e-6)
    assert found.tracklets.name == expected.tracklets.name
    assert (found.model, found.trained_on) == (expected.model, expected.trained_on)
    assert Gallery.open(tmp_path / "g").count() == len(expected)
    loaded = ask("collect", out, "--gallery", tmp_path / "g")
    assert f"0 new of {len(expected)} tracklets, {len(expected)} unchanged" in loaded.out
    scores = ask("evaluate", tmp_path / "e")
    assert scores.code == 0, scores.err


def test_workers_of_an_array_share_a_plan(ask, run, data, tmp_path, monkeypatch):
    out = tmp_path / "out"
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    refused = ask("extract", run, "--data", data, "--out", out)
    assert (refused.code, "plan once with --data and --plan-only" in refused.err) == (1, True)
    made = ask(
        "extract", run, "--data", data, "--out", out, "--shard-of", "all", "--plan-only", "--shard-size", 2
    )
    assert (made.code, "planned" in made.out, "embeddings" in made.out) == (0, True, False)
    first = ask("extract", run, "--out", out)
    missing = ask("collect", out, "--to", tmp_path / "e")
    assert (missing.code, "shards are not finished" in missing.err) == (1, True)
    second = ask("extract", run, "--out", out, "--shard-of", "1/2")
    assert (first.code, second.code, ask("collect", out, "--to", tmp_path / "e").code) == (0, 0, 0)


def test_what_failed_is_listed_and_strict_makes_it_an_error(ask, run, tmp_path):
    folder, out = tmp_path / "crops", tmp_path / "out"
    (folder / "bad").mkdir(parents=True)
    (folder / "bad/1.jpg").write_bytes(b"")
    command = ("extract", run, "--data", f"crops:{folder}?modality=visible", "--out", out)
    made = ask(*command)
    assert (made.code, f"failed: {folder}/bad: {folder}/bad/1.jpg" in made.err) == (0, True)
    strict = ask(*command, "--strict")
    assert (strict.code, "1 could not be embedded (--strict)" in strict.err) == (1, True)
    assert ask("collect", out, "--failures", tmp_path / "f.csv").code == 0
    header, row = (tmp_path / "f.csv").read_text().splitlines()
    assert (header, row.startswith(f"{folder}/bad,failed,")) == ("item,kind,reason", True)
    assert "nothing to do" in ask("collect", out).err
    assert "no embeddings in it" in ask("collect", out, "--to", tmp_path / "e").err
    assert "would end with this command" in ask("collect", out, "--gallery", "memory:").err
    (folder / "bad/1.jpg").write_bytes(b"changed")
    anew = ask(*command)
    assert (anew.code, "cannot read a picture" in anew.err, "0 of them finished before" in anew.out) == (
        0,
        True,
        True,
    )


def test_an_extraction_is_planned_on_paper_and_compared(ask, run, extracted, tmp_path):
    out, _ = extracted
    rates = tmp_path / "rates.json"
    made = ask("plan", "--model", run, "--measure", rates, "--seconds", "0", "--tracklets", "100M", "--json")
    assert made.code == 0, made.err
    quick = ("plan", "--rates", rates, "--model", "small-cnn")
    found = ask(*quick, "--tracklets", "100M", "--gpus", "8", "--json")
    figures = {line["what"]: line for line in found.json}
    assert figures["shards"]["value"] == 48829
    assert figures["encoding speed"]["formula"].startswith("ASSUMED")
    table = ask(*quick, "--tracklets", "20k")
    assert ("frames encoded" in table.out, "rates of:" in table.err) == (True, True)
    compared = ask(*quick, "--check", out)
    assert (compared.code, "workers, together: estimated" in compared.out) == (0, True)
    assert len(ask(*quick, "--check", out, "--json").json) == 2
    for bad, words in (((), "nothing to do"), (("--tracklets", "5"), "--model says what is measured")):
        refused = ask("plan", *bad)
        assert (refused.code, words in refused.err) == (1, True)
