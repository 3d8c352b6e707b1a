import json
import shutil

import numpy as np
import pytest

from tapetum.embedding_files import load_embeddings
from tapetum.evaluation import rerank
from tapetum.search import Gallery


@pytest.fixture(scope="module")
def known(embeddings):
    return load_embeddings(embeddings)


def test_index_counts_and_a_second_time_replaces(ask, run, data, known, tmp_path):
    place = tmp_path / "[gallery]"
    made = ask("index", run, "--data", data, "--gallery", place)
    count = len(known)
    assert (made.code, made.out) == (0, f"{place}: {count} new of {count} tracklets, {count} in all\n")
    again = ask("index", run, "--data", data, "--gallery", place, "--split", "train")
    assert again.out.startswith(f"{place}: 16 new of 16 tracklets, {count + 16} in all")
    again = ask("index", run, "--data", data, "--gallery", place)
    assert again.out == f"{place}: 0 new of {count} tracklets, {count + 16} in all\n"


def test_search_by_identifier_is_ordered_by_similarity_and_leaves_itself_out(ask, gallery, known):
    query = known.tracklets[0].tracklet_id
    found = ask("search", gallery, query, "--json").json
    similarity = known.vectors @ known.vectors[0]
    order = [i for i in np.argsort(-similarity, kind="stable") if i != 0]
    assert [hit["tracklet_id"] for hit in found["hits"]] == [known.tracklets[i].tracklet_id for i in order]
    np.testing.assert_allclose([h["similarity"] for h in found["hits"]], similarity[order], atol=1e-5)
    assert [hit["rank"] for hit in found["hits"]] == list(range(1, len(known)))
    assert (found["manner"], found["searched"]) == ("exact", len(known) - 1)
    first, expected = found["hits"][0], known.tracklets[order[0]]
    assert first["frames"] == list(expected.frames)
    assert (first["person_id"], first["camera_id"]) == (expected.person_id, expected.camera_id)
    assert (first["modality"], first["time"]) == (expected.modality.value, expected.time)


def test_filters_act(ask, gallery, known):
    query = known.tracklets[0].tracklet_id

    def ids(*options):
        return {hit["tracklet_id"] for hit in ask("search", gallery, query, *options, "--json").json["hits"]}

    others = known.tracklets.tracklets[1:]
    camera, time = others[-1].camera_id, sorted(t.time for t in others)[3]
    for options, keep in (
        (["--modality", "infrared"], lambda t: t.modality.value == "infrared"),
        (["--camera", camera], lambda t: t.camera_id == camera),
        (
            ["--camera", camera, "--camera", others[0].camera_id],
            lambda t: t.camera_id in (camera, others[0].camera_id),
        ),
        (["--exclude-camera", camera], lambda t: t.camera_id != camera),
        (["--after", time], lambda t: t.time >= time),
        (["--before", time], lambda t: t.time < time),
    ):
        expected = {t.tracklet_id for t in others if keep(t)}
        assert ids(*options) == expected, options
        assert 0 < len(expected) < len(others), options
    assert len(ids("--top", 2)) == 2


def test_search_by_pictures(ask, gallery, run, known, tmp_path):
    tracklet = known.tracklets[-1]
    folder = tmp_path / "frames"
    folder.mkdir()
    for frame in tracklet.frames:
        shutil.copy(frame, folder)
    found = ask("search", gallery, folder, "--model", run, "--top", 3, "--json").json["hits"]
    assert found[0]["tracklet_id"] == tracklet.tracklet_id
    assert found[0]["similarity"] == pytest.approx(1, abs=1e-5)
    one = ask("search", gallery, tracklet.frames[0], "--model", run, "--query-modality", "visible")
    assert one.code == 0
    assert (tracklet.tracklet_id in one.out, f"exact; {len(known)} tracklets searched" in one.err) == (
        True,
        True,
    )


def test_the_table_shows_whole_identifiers(ask, gallery, known):
    shown = ask("search", gallery, known.tracklets[0].tracklet_id, "--top", 2)
    hit = json.loads(ask("search", gallery, known.tracklets[0].tracklet_id, "--top", 1, "--json").out)[
        "hits"
    ][0]
    assert f" {hit['person_id']} " in shown.out
    assert f" {hit['tracklet_id']} " in shown.out


def test_what_search_refuses(ask, gallery, run, other_run, data, known, tmp_path):
    query = known.tracklets[0]
    refused = ask("search", gallery, "test/9999M1D1T1")
    assert refused.code == 1
    assert f"'test/9999M1D1T1' is neither a file or folder nor a tracklet of {gallery}" in refused.err
    refused = ask("search", gallery, query.frames[0])
    assert (refused.code, "pictures need --model RUN" in refused.err) == (1, True)
    refused = ask("search", tmp_path / "none", query.tracklet_id)
    assert (refused.code, f"{tmp_path / 'none'}: there is no gallery" in refused.err) == (1, True)
    assert not (tmp_path / "none").exists()
    refused = ask("search", gallery, query.tracklet_id, "--modality", "thermal")
    assert (refused.code, "unknown modality 'thermal'; known: visible, infrared" in refused.err) == (1, True)
    refused = ask("search", gallery, query.tracklet_id, "--after", 9, "--before", 3)
    assert (refused.code, "before=3.0 is earlier than after=9.0" in refused.err) == (1, True)
    for question in ([query.tracklet_id], [query.frames[0], "--model", run]):
        refused = ask("search", gallery, *question, "--top", 0)
        assert (refused.code, "top is 0; expected at least 1" in refused.err) == (1, True)
    (tmp_path / "notes.txt").write_text("no picture")
    refused = ask("search", gallery, tmp_path / "notes.txt", "--model", run)
    assert (refused.code, str(tmp_path / "notes.txt") in refused.err) == (1, True)
    refused = ask("search", gallery, query.frames[0], "--model", other_run)
    assert (refused.code, "of model" in refused.err) == (1, True)


def test_a_gallery_keeps_to_its_model_and_its_folder(
    ask, gallery, run, other_run, data, embeddings, tmp_path
):
    before = Gallery.open(gallery).info()
    copy = shutil.copytree(gallery, tmp_path / "copy")
    refused = ask("index", other_run, "--data", data, "--gallery", copy)
    assert (refused.code, "they cannot be compared" in refused.err) == (1, True)
    after = Gallery.open(copy).info()
    assert (after.model, after.count) == (before.model, before.count)
    refused = ask("index", run, "--data", data, "--gallery", "memory:")
    assert (refused.code, "'memory:' would end with this command" in refused.err) == (1, True)
    refused = ask("index", run, "--data", data, "--gallery", "redis://host:6333/x")
    assert (refused.code, "there is no store 'redis' in this version" in refused.err) == (1, True)
    refused = ask("index", run, "--data", data, "--gallery", embeddings)
    assert (refused.code, f"{embeddings} holds embeddings, not a gallery" in refused.err) == (1, True)


def ids(answer):
    return [hit["tracklet_id"] for hit in answer["hits"]]


def test_several_queries_are_asked_as_one(ask, gallery, run, known):
    first, last = known.tracklets[0], known.tracklets[-1]
    found = ask("search", gallery, first.tracklet_id, last.tracklet_id, "--json").json
    similarity = known.vectors @ (known.vectors[0] + known.vectors[-1])
    order = [i for i in np.argsort(-similarity, kind="stable") if i not in (0, len(known) - 1)]
    assert ids(found) == [known.tracklets[i].tracklet_id for i in order]
    assert found["searched"] == len(known) - 2
    mixed = ask("search", gallery, first.tracklet_id, last.frames[0], "--model", run, "--json").json
    assert (first.tracklet_id in ids(mixed), last.tracklet_id in ids(mixed)) == (False, True)
    refused = ask("search", gallery, first.tracklet_id, last.frames[0])
    assert (refused.code, f"{last.frames[0]}: pictures need --model RUN" in refused.err) == (1, True)


def test_answers_by_person_or_camera(ask, gallery, known):
    query = known.tracklets[0].tracklet_id
    everything = ask("search", gallery, query, "--json").json["hits"]
    for by in ("person", "camera"):
        found = ask("search", gallery, query, "--group", by, "--json").json
        firsts = {hit[f"{by}_id"]: hit["tracklet_id"] for hit in reversed(everything)}
        assert {hit["group"]: hit["tracklet_id"] for hit in found["hits"]} == firsts
        assert sum(hit["group_size"] for hit in found["hits"]) == found["searched"] == len(known) - 1
    shown = ask("search", gallery, query, "--group", "person").out.splitlines()
    assert shown[0].split()[-2:] == ["time", "of"]
    assert len(shown) == 1 + len({hit["person_id"] for hit in everything})
    refused = ask("search", gallery, query, "--group", "tracklet")
    assert (refused.code, "'tracklet' is not one of" in refused.err) == (2, True)


def test_the_head_is_reranked(ask, gallery, known):
    query = known.tracklets[0].tracklet_id
    plain = ask("search", gallery, query, "--json").json
    found = ask("search", gallery, query, "--rerank", 4, "--json").json
    order = np.argsort(rerank(known.vectors[:1], Gallery.open(gallery).get(ids(plain)[:4]).vectors)[0])
    assert ids(found) == [ids(plain)[i] for i in order] + ids(plain)[4:]
    assert (plain["reranked"], found["reranked"]) == (False, True)
    assert "; the first 4 re-ranked" in ask("search", gallery, query, "--rerank", 4).err
    refused = ask("search", gallery, query, "--rerank", 0)
    assert (refused.code, "rerank_head is 0; expected at least 1" in refused.err) == (1, True)


def test_marks_improve_the_query(ask, gallery, known):
    query, right, wrong, other = (t.tracklet_id for t in known.tracklets[:4])
    found = ask("search", gallery, query, "--right", right, "--right", other, "--wrong", wrong, "--json").json
    assert {hit["tracklet_id"]: hit["marked"] for hit in found["hits"] if hit["marked"]} == {
        right: "right",
        other: "right",
    }
    assert wrong not in ids(found)
    plain = ask("search", gallery, query, "--json").json["hits"]
    similarity = {hit["tracklet_id"]: hit["similarity"] for hit in plain}
    assert all(hit["similarity"] > similarity[hit["tracklet_id"]] for hit in found["hits"] if hit["marked"])
    shown = ask("search", gallery, query, "--right", right).out.splitlines()
    assert shown[0].split()[-1] == "marked"
    assert [line.split()[2] for line in shown if line.split()[-1] == "right"] == [right]
    for option in ("--right", "--wrong"):
        refused = ask("search", gallery, query, option, "nobody")
        assert (refused.code, f"{option} nobody: no such tracklet in {gallery}" in refused.err) == (1, True)
    refused = ask("search", gallery, query, "--right", right, "--wrong", right)
    assert (refused.code, "is marked both right and wrong" in refused.err) == (1, True)
    refused = ask("search", gallery, query, "--wrong", query)
    assert (refused.code, "is the query, and it is marked wrong" in refused.err) == (1, True)
