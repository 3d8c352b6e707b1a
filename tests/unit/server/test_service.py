from concurrent.futures import ThreadPoolExecutor
from time import monotonic, sleep

import pytest

from tapetum.errors import GalleryVersionError, ModelMismatchError
from tapetum.server.audit import records_before, verify
from tapetum.server.settings import Limits

API = "/api/v1"


def ids(answer):
    assert answer.status_code == 200, answer.text
    return [hit["item"]["item_id"] for hit in answer.json()["hits"]]


def test_an_uploaded_picture_finds_its_person(client, upload):
    query_id = upload(client, "blue")
    answer = client.post(f"{API}/search", json={"query_ids": [query_id], "top": 3})
    assert ids(answer)[0] == "blue/0"
    assert {name.split("/")[0] for name in ids(answer)} == {"blue"}
    content = answer.json()
    assert (content["manner"], content["exact"], content["searched"]) == ("exact", True, 12)
    assert content["seen"] == "visible"
    assert [hit["rank"] for hit in content["hits"]] == [1, 2, 3]
    assert content["hits"][0]["similarity"] == pytest.approx(1, abs=1e-3)


def test_paths_are_never_shown(client, upload):
    upload(client, "red")
    answers = [
        client.post(f"{API}/search", json={"item_id": "red/0"}),
        client.get(f"{API}/items"),
        client.get(f"{API}/items/red/0"),
        client.get(f"{API}/info"),
        client.get(f"{API}/cameras"),
    ]
    for answer in answers:
        assert answer.status_code == 200
        assert "secret" not in answer.text
    assert client.get(f"{API}/items/red/0").json()["item"]["frames"] == 3


def test_a_query_is_embedded_once_and_searched_often(client, upload, model):
    query_id = upload(client, "red", "red")
    for _ in range(3):
        client.post(f"{API}/search", json={"query_ids": [query_id]})
    assert sum(model.batches) == 2


def test_several_uploads_are_one_person(client, upload):
    both = [upload(client, "red"), upload(client, "green")]  # in the middle: yellow
    answer = client.post(f"{API}/search", json={"query_ids": both, "top": 1})
    assert ids(answer)[0].startswith("yellow")


def test_a_tracklet_is_asked_as_one(client, upload, model):
    query_id = upload(client, "red", "red", "red", kind="tracklet", modality="infrared")
    answer = client.post(f"{API}/search", json={"query_ids": [query_id], "top": 1})
    assert answer.json()["seen"] == "infrared"
    assert sum(model.batches) == 1


def test_an_item_is_left_out_of_its_own_answer(client):
    found = ids(client.post(f"{API}/search", json={"item_id": "green/1", "top": 2}))
    assert set(found) == {"green/0", "green/2"}


def test_filters_hold(client):
    wish = {"item_id": "green/0", "top": 12}
    night = {**wish, "filters": {"modality": "infrared", "cameras": ["roof"]}}
    assert all(name.endswith("/2") for name in ids(client.post(f"{API}/search", json=night)))
    late = {**wish, "filters": {"after": 1_700_000_300.0, "exclude_cameras": [1]}}
    assert sorted(ids(client.post(f"{API}/search", json=late))) == ["yellow/1", "yellow/2"]


def test_answers_may_be_grouped_and_ranked_anew(client):
    wish = {"item_id": "green/0", "top": 12, "group": "person", "rerank_head": 5}
    content = client.post(f"{API}/search", json=wish).json()
    assert len(content["hits"]) == 4
    assert content["reranked"] is True
    assert content["hits"][0]["group"] == {"key": 1, "size": 2}


def test_marks_improve_the_answer(client, upload):
    query_id = upload(client, "red")
    wish = {"query_ids": [query_id], "right": ["yellow/0"], "wrong": ["red/1"], "top": 12}
    answer = client.post(f"{API}/feedback", json=wish)
    assert "red/1" not in ids(answer)
    marked = {h["item"]["item_id"]: h["marked"] for h in answer.json()["hits"]}
    assert marked["yellow/0"] == "right"
    assert marked["red/0"] is None


def test_many_at_once_share_batches_and_get_their_own(serve, upload, model):
    colours = ["red", "green", "blue", "yellow"] * 4
    with serve(batch_wait_ms=50) as client:
        names = [upload(client, colour) for colour in colours]

        def ask(name):
            return ids(client.post(f"{API}/search", json={"query_ids": [name], "top": 1}))[0]

        with ThreadPoolExecutor(16) as pool:
            found = list(pool.map(ask, names))
    assert found == [f"{colour}/0" for colour in colours]
    assert len(model.batches) < 16


def test_what_does_not_fit_into_the_queue_is_told_to_wait(serve, upload, model):
    with serve(queue=1, batch_size=1) as client:
        names = [upload(client, "red") for _ in range(3)]
        model.go.clear()

        def ask(name):
            return client.post(f"{API}/search", json={"query_ids": [name]})

        with ThreadPoolExecutor(3) as pool:
            asked = [pool.submit(ask, names[0])]
            until(lambda: model.busy)
            asked += [pool.submit(ask, name) for name in names[1:]]
            until(lambda: any(one.done() for one in asked))
            model.go.set()
            answers = [one.result(20) for one in asked]
    statuses = sorted(answer.status_code for answer in answers)
    assert statuses[:1] == [200]
    assert statuses[-1] == 429
    [busy] = [answer for answer in answers if answer.status_code == 429][:1]
    assert busy.json()["error"] == "busy"
    assert int(busy.headers["retry-after"]) >= 1


def waiting(client):
    return client.app.state.service.waiting_clips


def until(condition, timeout_s=20):
    end = monotonic() + timeout_s
    while not condition():
        assert monotonic() < end
        sleep(0.005)


def test_uploads_are_given_back_small_and_forgotten(client, upload):
    query_id = upload(client, "blue", "red")
    told = client.get(f"{API}/queries/{query_id}").json()
    assert (told["pictures"], told["kind"]) == (2, "images")
    answer = client.get(f"{API}/queries/{query_id}/pictures/1")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    assert client.get(f"{API}/queries/{query_id}/pictures/2").status_code == 404
    assert client.delete(f"{API}/queries/{query_id}").status_code == 204
    assert client.get(f"{API}/queries/{query_id}").status_code == 404
    assert client.post(f"{API}/search", json={"query_ids": [query_id]}).status_code == 404


def test_uploads_are_seen_by_their_owner_alone(serve, tokens, upload):
    file, headers = tokens
    with serve(tokens=file.path) as client:
        query_id = upload(client, "red", headers=headers["operator"])
        assert client.get(f"{API}/queries/{query_id}", headers=headers["operator"]).status_code == 200
        assert client.get(f"{API}/queries/{query_id}", headers=headers["admin"]).status_code == 404
        wish = {"query_ids": [query_id]}
        assert client.post(f"{API}/search", json=wish, headers=headers["admin"]).status_code == 404


def test_without_a_model_items_can_be_asked(serve, picture):
    with serve(has_model=False) as client:
        assert client.get(f"{API}/info").json()["takes_pictures"] is False
        assert ids(client.post(f"{API}/search", json={"item_id": "red/0", "top": 1}))[0].startswith("red")
        answer = client.post(f"{API}/queries", files=[("files", ("a", picture(), "image/jpeg"))])
        assert (answer.status_code, answer.json()["error"]) == (409, "no_model")
        assert client.get(f"{API}/health").status_code == 200


def test_items_are_given_page_by_page(client):
    first = client.get(f"{API}/items", params={"limit": 5}).json()
    last = client.get(f"{API}/items", params={"limit": 5, "offset": 10}).json()
    assert [i["item_id"] for i in first["items"]][:2] == ["red/0", "red/1"]
    assert (first["total"], len(last["items"]), last["offset"]) == (12, 2, 10)
    some = client.get(f"{API}/items", params={"camera": ["1", "roof"], "person": "2"}).json()
    assert [i["item_id"] for i in some["items"]] == ["blue/0", "blue/2"]


def test_items_have_pictures(client):
    assert client.get(f"{API}/items/red/0").json()["thumbnails"] == 2
    answer = client.get(f"{API}/items/red%2F0/thumbnails/1")
    assert answer.headers["content-type"] == "image/jpeg"
    assert answer.content.startswith(b"\xff\xd8")
    assert client.get(f"{API}/items/red/0/thumbnails/2").status_code == 404
    assert client.get(f"{API}/items/none/thumbnails/0").status_code == 404


def test_cameras_and_info(client):
    cameras = client.get(f"{API}/cameras").json()["cameras"]
    assert cameras == [{"camera_id": c, "tracklets": 4} for c in (1, 2, "roof")]
    info = client.get(f"{API}/info").json()
    assert (info["count"], info["model"], info["trained_on"]) == (12, "colours", "crayons")
    assert info["modalities"] == {"visible": 4, "infrared": 8}
    assert (info["first_time"], info["last_time"]) == (1_700_000_000.0, 1_700_000_302.0)
    assert (info["calibrated"], info["audited"]) == (False, False)


def test_health_tells_what_is_not_well(client, gallery, monkeypatch):
    assert client.get(f"{API}/health").json()["status"] == "ok"
    client.app.state.service.forget_counts()

    def broken():
        raise OSError(5, "Input/output error")

    monkeypatch.setattr(gallery, "info", broken)
    answer = client.get(f"{API}/health")
    assert answer.status_code == 503
    assert answer.json()["checks"] == {"gallery": False, "encoder": True, "audit": True}
    assert client.get(f"{API}/health/live").status_code == 200


def test_metrics_tell_of_queue_batches_and_gallery(client, upload):
    query_id = upload(client, "red")
    client.post(f"{API}/search", json={"query_ids": [query_id]})
    text = client.get(f"{API}/metrics").text
    for line in (
        "tapetum_waiting_clips 0.0",
        "tapetum_gallery_tracklets 12.0",
        "tapetum_batch_clips_count 1.0",
        "tapetum_batch_clips_sum 1.0",
        'tapetum_requests_total{method="POST",route="/api/v1/search",status="200"} 1.0',
        'tapetum_request_seconds_count{route="/api/v1/search"} 1.0',
    ):
        assert line in text.splitlines()


def test_reasons_can_be_required(serve):
    with serve(require_reason=True) as client:
        for body in ({"item_id": "red/0"}, {"item_id": "red/0", "reason": " \t"}):
            answer = client.post(f"{API}/search", json=body)
            assert (answer.status_code, answer.json()["error"]) == (422, "reason_required")
            assert answer.json()["field"] == "reason"
        assert client.post(f"{API}/search", json={"item_id": "red/0", "reason": "case 1"}).status_code == 200


def test_searches_and_looks_are_recorded_with_what_they_gave(serve, upload, tmp_path):
    log = tmp_path / "audit.jsonl"
    with serve(audit=log) as client:
        query_id = upload(client, "red")
        digests = client.get(f"{API}/queries/{query_id}").json()["sha256"]
        filters = {"modality": "infrared", "cameras": [2]}
        wish = {"query_ids": [query_id], "filters": filters, "top": 2, "reason": "case 7"}
        answer = client.post(f"{API}/search", json=wish)
        client.get(f"{API}/items/red/0")
        client.get(f"{API}/items", params={"limit": 2})
        records, _ = records_before(log, None, 10)
        shown = client.get(f"{API}/audit", params={"limit": 2}).json()
    listing, look, search = records
    assert search["action"] == "search"
    assert search["pictures"] == digests
    assert search["ids"] == ids(answer)
    assert search["hits"] == 2
    assert search["filters"] == {"modality": "infrared", "cameras": ["2"]}
    assert (search["user"], search["reason"]) == ("local", "case 7")
    assert search["request_id"] == answer.headers["x-request-id"]
    assert (look["action"], look["ids"]) == ("look", ["red/0"])
    assert (listing["action"], listing["ids"]) == ("list", ["red/0", "red/1"])
    assert shown["records"] == records[:2]
    assert shown["next"] is not None
    assert not verify(log).faults


def test_what_cannot_be_recorded_is_not_answered(serve, tmp_path, monkeypatch):
    with serve(audit=tmp_path / "audit.jsonl") as client:

        def full(self, record):
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("tapetum.server.audit.AuditLog.append", full)
        for method, path, body in (
            ("POST", "/search", {"item_id": "red/0"}),
            ("GET", "/items/red/0", None),
            ("GET", "/items", None),
            ("POST", "/erase", {"item_ids": ["red/0"]}),
            ("DELETE", "/items/red/0", None),
        ):
            answer = client.request(method, API + path, json=body)
            assert (answer.status_code, answer.json()["error"]) == (503, "audit_failed")
            assert "red/" not in answer.text
        monkeypatch.undo()
        assert client.get(f"{API}/items/red/0").status_code == 200  # nothing was erased


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [
        (ModelMismatchError("/secret/gallery: of another model"), 409, "other_model"),
        (GalleryVersionError("/secret/gallery: newer"), 503, "unavailable"),
        (OSError(5, "broken", "/secret/gallery"), 503, "unavailable"),
        (MemoryError(), 503, "unavailable"),
        (RuntimeError("/secret/gallery/1.lance"), 503, "unavailable"),
    ],
)
def test_errors_of_the_gallery_are_told_without_paths(client, gallery, monkeypatch, error, status, code):
    def broken(*args, **options):
        raise error

    monkeypatch.setattr(gallery, "search", broken)
    answer = client.post(f"{API}/search", json={"item_id": "red/0"})
    assert (answer.status_code, answer.json()["error"]) == (status, code)
    assert "secret" not in answer.text


def test_slow_reads_end(serve, gallery, monkeypatch):
    monkeypatch.setattr(gallery, "thumbnails", lambda item_id: sleep(0.5))
    with serve(search_timeout_s=0.05) as client:
        answer = client.get(f"{API}/items/red/0/thumbnails/0")
    assert (answer.status_code, answer.json()["error"]) == (504, "timed_out")


def test_too_many_reads_are_told_to_wait(serve, gallery, model, monkeypatch):
    monkeypatch.setattr(gallery, "thumbnails", lambda item_id: model.go.wait(20) and [b"\xff\xd8"])
    model.go.clear()
    with serve(threads=1, searches=1) as client, ThreadPoolExecutor(2) as pool:
        path = f"{API}/items/red/0/thumbnails/0"
        asked = [pool.submit(client.get, path) for _ in range(2)]
        until(lambda: client.app.state.service.reads.open == 2)
        assert client.get(path).status_code == 429
        model.go.set()
        assert [one.result(20).status_code for one in asked] == [200, 200]


def test_the_service_bounds_what_is_asked_of_it(serve, picture):
    with serve(limits=Limits(top=5, page=3, files=2)) as client:
        assert client.post(f"{API}/search", json={"item_id": "red/0", "top": 6}).status_code == 422
        assert len(client.get(f"{API}/items", params={"limit": 100}).json()["items"]) == 3
        files = [("files", (str(n), picture(), "image/jpeg")) for n in range(3)]
        assert client.post(f"{API}/queries", files=files).status_code == 413
