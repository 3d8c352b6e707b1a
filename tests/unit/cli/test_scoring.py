import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from tapetum.data.datasets import read_dataset
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.evaluation import evaluate
from tapetum.methods._checkpoint import read_header
from tapetum.types import TrackletSet


def test_embed_writes_the_split_that_was_asked_for(ask, embeddings, run, data, tmp_path):
    found = load_embeddings(embeddings)
    ids = [t.tracklet_id for t in read_dataset(data).test]
    assert [t.tracklet_id for t in found.tracklets] == ids
    assert found.model == read_header(run / "model.safetensors")["fingerprint"]
    made = ask("embed", run, "--data", data, "--out", tmp_path / "q", "--split", "query", "--batch-size", 3)
    query = load_embeddings(tmp_path / "q")
    assert made.out == f"{tmp_path / 'q'}: {len(query)} embeddings of 512 dimensions\n"
    np.testing.assert_allclose(query.vectors, found.vectors[: len(query)], atol=1e-6)
    file = run / "model.safetensors"
    options = ["--sampling", "dense", "--precision", "bf16", "--workers", 1, "--split", "query"]
    assert ask("embed", file, "--data", data, "--out", tmp_path / "f", *options).code == 0
    other = load_embeddings(tmp_path / "f").vectors
    assert not np.array_equal(other, query.vectors)  # the options act
    assert (other * query.vectors).sum(1).min() > 0.9


def test_embed_replaces_only_when_told_to(ask, run, data, tmp_path):
    command = ["embed", run, "--data", data, "--out", tmp_path / "e", "--split", "query"]
    assert ask(*command).code == 0
    refused = ask(*command)
    assert (refused.code, f"{tmp_path / 'e'} holds embeddings already" in refused.err) == (1, True)
    assert "--overwrite" in refused.err
    assert ask(*command, "--overwrite").code == 0
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes.txt").write_text("mine")
    refused = ask(*command[:-3], tmp_path / "mine", "--overwrite")
    assert (refused.code, str(tmp_path / "mine") in refused.err) == (1, True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["notes.txt"]


def test_a_run_and_its_embeddings_get_the_same_scores(ask, run, embeddings, data, tmp_path):
    by_run = ask("evaluate", run, "--data", data, "--json", tmp_path / "run.json")
    by_file = ask("evaluate", embeddings, "--json", tmp_path / "file.json")
    named = ask("evaluate", embeddings, "--protocol", "hitsz-vcm", "--seed", 0)
    assert (by_run.code, by_file.code, named.code) == (0, 0, 0)
    assert by_run.out == by_file.out == named.out
    scores = json.loads((tmp_path / "run.json").read_text())
    assert scores == json.loads((tmp_path / "file.json").read_text())
    assert scores == json.loads(json.dumps(evaluate(load_embeddings(embeddings), "hitsz-vcm").to_json()))
    rows = {line.split()[0]: line.split()[1:] for line in by_run.out.splitlines()[2:]}
    for trial in scores["trials"]:
        expected = [trial["cmc"][0], trial["cmc"][4], trial["cmc"][9], trial["cmc"][19]]
        expected += [trial["mean_ap"], trial["mean_inp"]]
        shown = [*(f"{100 * value:.1f}" for value in expected), str(trial["queries"]), "0"]
        assert rows[trial["trial"]] == shown
    assert rows["chance"][0] == f"{100 * scores['trials'][1]['chance']['cmc'][0]:.1f}"


def test_what_evaluate_refuses(ask, run, embeddings, data, tmp_path):
    refused = ask("evaluate", run)
    assert (refused.code, "--data FORMAT:ROOT is needed" in refused.err) == (1, True)
    refused = ask("evaluate", tmp_path / "none")
    assert (refused.code, f"{tmp_path / 'none'}: no such folder or file" in refused.err) == (1, True)
    refused = ask("evaluate", run.parent, "--data", data)
    assert (refused.code, "no run was finished here" in refused.err) == (1, True)
    refused = ask("evaluate", embeddings, "--protocol", "hitsz")
    assert (refused.code, "'hitsz-vcm'" in refused.err) == (1, True)
    assert ask("evaluate", run, "--data", data, "--sampling", "all").code == 2
    refused = ask("evaluate", embeddings, "--json", tmp_path / "none" / "s.json")
    assert (refused.code, str(tmp_path / "none" / "s.json") in refused.err) == (1, True)
    refused = ask("embed", run, "--data", data, "--out", tmp_path / "e", "--split", "probe")
    assert (refused.code, "unknown split 'probe'; known: train, query" in refused.err) == (1, True)
    refused = ask("evaluate", run, "--data", data, "--batch-size", 0)
    assert (refused.code, "batch" in refused.err) == (1, True)
    assert list(tmp_path.iterdir()) == []


def test_nobody_to_find(ask, embeddings, tmp_path):
    found = load_embeddings(embeddings)
    keep = [i for i, t in enumerate(found.tracklets) if t.part == "query" or t.person_id is None]
    alone = found.rows(keep[:1] + [i for i, t in enumerate(found.tracklets) if t.part == "gallery"])
    strangers = tuple(
        t for t in alone.tracklets if t.part == "query" or t.person_id != alone.tracklets[0].person_id
    )
    rows = [alone.tracklets.tracklets.index(t) for t in strangers]
    save_embeddings(alone.rows(rows), tmp_path / "e")
    refused = ask("evaluate", tmp_path / "e")
    assert (refused.code, "I2V" in refused.err) == (1, True)


def test_a_broken_frame_is_named_and_nothing_is_written(ask, run, broken, tmp_path):
    frame = broken / read_dataset(f"hitsz-vcm:{broken}").test[0].frames[0]
    frame.write_bytes(frame.read_bytes()[:-60])
    refused = ask("embed", run, "--data", f"hitsz-vcm:{broken}", "--out", tmp_path / "e")
    assert refused.code == 1
    assert f"{frame}: cannot read a picture: OSError: image file is truncated" in refused.err
    frame.unlink()
    refused = ask("embed", run, "--data", f"hitsz-vcm:{broken}", "--out", tmp_path / "e")
    assert (refused.code, f"{frame}: cannot read a picture: no such file" in refused.err) == (1, True)
    assert not (tmp_path / "e").exists()


@pytest.fixture
def spoilt(run, tmp_path):
    """A function that writes the run's model with other tensors or header, and gives its path."""

    def write(tensors=(), **header):
        file = run / "model.safetensors"
        content = {name: t.clone() for name, t in load_file(file).items()}
        path = tmp_path / "spoilt.safetensors"
        save_file({**content, **dict(tensors)}, path, {**read_header(file), **header})
        return path

    return write


def test_checkpoints_that_do_not_fit_are_refused_by_name(ask, spoilt, run, data, tmp_path):
    weight = load_file(run / "model.safetensors")["backbone.0.0.weight"]
    config = json.loads(read_header(run / "model.safetensors")["config"])
    for path, messages in (
        (lambda: spoilt({"head.extra": weight}), ["unexpected: head.extra"]),
        (
            lambda: spoilt({"backbone.0.0.weight": weight[:4].clone()}),
            ["backbone.0.0.weight is [4, 3, 3, 3]"],
        ),
        (lambda: spoilt({"backbone.0.0.weight": weight + 1}), ["does not match its fingerprint"]),
        (lambda: spoilt(method="colour-histogram"), ["stripes"]),
        (lambda: spoilt(config=json.dumps({**config, "stripes": 2})), ["unexpected: necks.2"]),
        (lambda: spoilt(method="small-cmn"), ["unknown method 'small-cmn'; did you mean 'small-cnn'?"]),
        (lambda: spoilt(format="other-1"), ["not a method of this package (format 'other-1'"]),
    ):
        file = path()
        refused = ask("embed", file, "--data", data, "--out", tmp_path / "e")
        assert refused.code == 1
        assert all(message in refused.err for message in [str(file), *messages]), refused.err
    file.write_bytes(file.read_bytes()[:-100])
    refused = ask("embed", file, "--data", data, "--out", tmp_path / "e")
    assert (refused.code, f"{file}: not a complete safetensors file" in refused.err) == (1, True)
    assert not (tmp_path / "e").exists()


def test_embeddings_of_nothing(ask, embeddings, tmp_path):
    none = load_embeddings(embeddings).rows([])
    assert none.tracklets == TrackletSet("hitsz-vcm/test", ())
    save_embeddings(none, tmp_path / "none")
    assert ask("evaluate", tmp_path / "none").code == 1
