import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file
from scipy.io import savemat

from tapetum.cli import main
from tapetum.data.datasets import read_dataset
from tapetum.data.synthetic import WalkerOptions, write_walkers
from tapetum.embedding_files import load_embeddings, save_embeddings
from tapetum.evaluation import Reranking, bootstrap_trials, evaluate, over_trials, read_per_query
from tapetum.methods._checkpoint import read_header
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


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


@pytest.fixture(scope="module")
def regdb(tmp_path_factory):
    """Root of a small RegDB, and runs on its trials 3 and 7."""
    root = tmp_path_factory.mktemp("regdb") / "data"
    options = WalkerOptions(frame_size=(32, 16), difficulty="easy")
    write_walkers(root, "regdb", identities=4, seed=0, options=options, workers=1)
    runs = {trial: root.parent / f"run-{trial}" for trial in (3, 7)}
    small = "height=32 width=16 frames=1 batches.identities=2 batches.tracklets=2 training.tensorboard=false"
    settings = [part for setting in small.split() for part in ("--set", setting)]
    for trial, run in runs.items():
        data = f"regdb:{root}?trial={trial}"
        assert (
            main(["train", "small-cnn", "--data", data, "--out", str(run), "--max-steps", "1", *settings])
            == 0
        )
    return root, runs


def test_models_are_scored_on_the_trials_they_were_trained_for(ask, regdb, tmp_path):
    root, runs = regdb
    found = ask("evaluate", *runs.values(), "--data", f"regdb:{root}", "--json", tmp_path / "both.json")
    assert found.code == 0
    for trial, run in runs.items():
        assert f"{run / 'model.safetensors'}: trial={trial}, as it was trained on" in found.err
    both = json.loads((tmp_path / "both.json").read_text())
    assert [t["trial"] for t in both["trials"]] == ["V2I 3", "I2V 3", "V2I 7", "I2V 7"]
    assert both["data"] == "regdb?trial=3/test, regdb?trial=7/test"
    assert [d["trials"] for d in both["directions"].values()] == [2, 2]
    one = ask("evaluate", runs[7], "--data", f"regdb:{root}?trial=7", "--json", tmp_path / "one.json")
    assert (one.code, one.err) == (0, "")
    alone = json.loads((tmp_path / "one.json").read_text())
    assert alone["trials"] == both["trials"][2:]
    lines = [line.split() for line in found.out.splitlines()]
    means = both["directions"]["V2I"]
    assert lines[2][0] == "V2I"
    assert lines[2][5] == f"{100 * means['mean_ap']:.1f}"
    assert lines[3][:3] == ["±", "2", "trials"]
    assert lines[3][7] == f"{100 * means['deviations']['mean_ap']:.1f}"
    assert "±" not in one.out


def test_a_model_is_not_scored_on_another_trial(ask, regdb, tmp_path):
    root, runs = regdb
    refused = ask("evaluate", runs[3], "--data", f"regdb:{root}?trial=7")
    assert (refused.code, "the model was trained on regdb?trial=3" in refused.err) == (1, True)
    refused = ask("evaluate", *runs.values(), "--data", f"regdb:{root}?trial=7")
    assert (refused.code, "the model was trained on regdb?trial=3" in refused.err) == (1, True)
    options = ["--data", f"regdb:{root}?trial=7", "--out", tmp_path / "e"]
    assert ask("embed", runs[3], *options).code == 0
    assert load_embeddings(tmp_path / "e").trained_on == "regdb?trial=3"
    refused = ask("evaluate", tmp_path / "e")
    assert (refused.code, "the model was trained on regdb?trial=3" in refused.err) == (1, True)


def test_embeddings_go_by_their_own_trial_and_variant(ask, regdb, tmp_path):
    root, runs = regdb
    made = ask("embed", runs[7], "--data", f"regdb:{root}", "--out", tmp_path / "e")
    assert (made.code, "trial=7, as it was trained on" in made.err) == (0, True)
    found = load_embeddings(tmp_path / "e")
    assert (found.tracklets.name, found.trained_on) == ("regdb?trial=7/test", "regdb?trial=7")
    usual = ask("evaluate", tmp_path / "e")
    assert usual.out.splitlines()[0].strip() == "regdb, regdb?trial=7/test"
    by_person = ask("evaluate", tmp_path / "e", "--protocol", "regdb/by-person")
    assert by_person.out.splitlines()[0].strip() == "regdb/by-person, regdb?trial=7/test"
    assert "chance" not in by_person.out
    refused = ask("evaluate", tmp_path / "e", "--protocol", "regdb/by-people")
    assert (refused.code, "'regdb/by-person'" in refused.err) == (1, True)


def test_two_runs_of_one_data_set_are_averaged(ask, run, other_run, data, tmp_path):
    found = ask("evaluate", run, other_run, "--data", data, "--json", tmp_path / "s.json")
    assert found.code == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert [t["trial"] for t in scores["trials"]] == ["I2V, run 1", "V2I, run 1", "I2V, run 2", "V2I, run 2"]
    each = [t["mean_ap"] for t in scores["trials"] if t["direction"] == "I2V"]
    assert scores["directions"]["I2V"]["mean_ap"] == pytest.approx(sum(each) / 2, abs=1e-15)


def test_mirror_images(ask, run, data, embeddings, tmp_path):
    plain = load_embeddings(embeddings).vectors
    assert ask("embed", run, "--data", data, "--flip", "--out", tmp_path / "e").code == 0
    vectors = load_embeddings(tmp_path / "e").vectors
    assert not np.allclose(vectors, plain, atol=1e-4)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
    found = ask("evaluate", run, "--data", data, "--flip", "--json", tmp_path / "flip.json")
    scores = json.loads((tmp_path / "flip.json").read_text())
    assert (found.code, scores.pop("flip")) == (0, True)
    expected = json.loads(json.dumps(evaluate(load_embeddings(tmp_path / "e"), "hitsz-vcm").to_json()))
    assert scores == expected
    refused = ask("evaluate", embeddings, "--flip")
    assert (refused.code, "--flip acts where a run makes them" in refused.err) == (1, True)


def test_reranking(ask, embeddings, tmp_path):
    assert ask("evaluate", embeddings, "--rerank", "--json", tmp_path / "r.json").code == 0
    scores = json.loads((tmp_path / "r.json").read_text())
    assert scores["reranking"]["k1"] == 20
    expected = evaluate(load_embeddings(embeddings), "hitsz-vcm", reranking=Reranking())
    assert scores == json.loads(json.dumps(expected.to_json()))
    refused = ask("evaluate", embeddings, "--rerank", "--per-query", tmp_path / "q.parquet")
    assert (refused.code, "does not go with --rerank" in refused.err) == (1, True)


def test_intervals_and_what_each_query_found(ask, run, other_run, data, embeddings, tmp_path):
    files = ["--json", tmp_path / "s.json", "--per-query", tmp_path / "q.parquet"]
    found = ask("evaluate", run, other_run, "--data", data, "--confidence", 50, *files)
    assert found.code == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    both = [evaluate(load_embeddings(embeddings), "hitsz-vcm")]
    assert ask("embed", other_run, "--data", data, "--out", tmp_path / "other").code == 0
    both.append(evaluate(load_embeddings(tmp_path / "other"), "hitsz-vcm"))
    people = [t.person_id for t in load_embeddings(embeddings).tracklets]
    for direction in ("I2V", "V2I"):
        results = [e.by_direction()[direction][0] for e in both]
        ids = [[people[row] for row in r.trial.query] for r in results]
        expected = bootstrap_trials([r.scores for r in results], ids, samples=50).to_json()
        assert scores["directions"][direction]["intervals"] == json.loads(json.dumps(expected))
        spread = over_trials([r.scores for r in results]).to_json()
        assert scores["directions"][direction]["intervals_over_trials"] == json.loads(json.dumps(spread))
    low, high = scores["directions"]["V2I"]["intervals"]["mean_ap"]
    rows = [line.split() for line in found.out.splitlines() if line.split()[:2] == ["95", "%"]]
    assert [row[2] for row in rows] == ["from", "to"] * 2
    assert [row[7] for row in rows[2:]] == [f"{100 * low:.1f}", f"{100 * high:.1f}"]
    rows = read_per_query(tmp_path / "q.parquet").to_pylist()
    assert list(dict.fromkeys(row["trial"] for row in rows)) == [t["trial"] for t in scores["trials"]]
    for trial in scores["trials"]:
        own = [row["average_precision"] for row in rows if row["trial"] == trial["trial"]]
        assert sum(own) / len(own) == pytest.approx(trial["mean_ap"], abs=1e-12)
    for option in ("--per-query", "--json"):
        refused = ask("evaluate", embeddings, option, tmp_path / "none" / "file")
        assert (refused.code, str(tmp_path / "none" / "file") in refused.err) == (1, True)


@pytest.fixture
def sysu(tmp_path):
    """Folders of embeddings of a few people of SYSU-MM01, and of its permutations."""
    rng = np.random.default_rng(0)
    rows = tuple(
        Tracklet(
            f"cam{c}/{p:04d}/{n:04d}.jpg", (), Modality.INFRARED if c in (3, 6) else Modality.VISIBLE, p, c
        )
        for p in (1, 2, 3)
        for c in range(1, 7)
        for n in range(1, 6)
    )
    vectors = rng.standard_normal((len(rows), 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    save_embeddings(Embeddings(vectors, TrackletSet("sysu-mm01/test", rows)), tmp_path / "e")
    cells = np.empty((6, 1), dtype=object)
    for c in range(6):
        cells[c, 0] = np.empty((3, 1), dtype=object)
        for p in range(3):
            cells[c, 0][p, 0] = np.stack([rng.permutation(5) + 1 for _ in range(10)]).astype(np.uint8)
    (tmp_path / "data" / "exp").mkdir(parents=True)
    savemat(tmp_path / "data" / "exp" / "rand_perm_cam.mat", {"rand_perm_cam": cells})
    return tmp_path / "e", tmp_path / "data"


def test_ten_draws_are_averaged_and_official_ones_need_the_folder(ask, sysu, tmp_path):
    folder, root = sysu
    for options in ([], ["--protocol", "sysu-mm01/indoor-single-drawn", "--seed", 2]):
        found = ask("evaluate", folder, "--json", tmp_path / "s.json", *options)
        assert (found.code, found.out.count("± 10 trials")) == (0, 1)
    assert json.loads((tmp_path / "s.json").read_text())["seed"] == 2
    official = ["--protocol", "sysu-mm01/all-single-official"]
    refused = ask("evaluate", folder, *official)
    assert (refused.code, "needs the data set's folder (root=, --root)" in refused.err) == (1, True)
    assert ask("evaluate", folder, *official, "--root", root, "--json", tmp_path / "o.json").code == 0
    expected = evaluate(load_embeddings(folder), official[1], root=root).to_json()
    assert json.loads((tmp_path / "o.json").read_text()) == json.loads(json.dumps(expected))
    assert ask("evaluate", folder, *official, "--data", f"sysu-mm01:{root}").code == 0
    refused = ask("evaluate", folder, "--protocol", "sysu-mm01/all-multi-drawn")
    assert (refused.code, "has 5 images in camera 1; expected 10" in refused.err) == (1, True)
