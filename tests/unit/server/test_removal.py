import time

import numpy as np
import pytest
from starlette.testclient import TestClient

from tapetum.search import Gallery, SearchEngine
from tapetum.server.app import create_app
from tapetum.server.audit import records_before
from tapetum.server.settings import ServerSettings
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

API = "/api/v1"


@pytest.fixture
def log(tmp_path):
    return tmp_path / "audit.jsonl"


@pytest.fixture
def client(serve, log):
    with serve(audit=log) as client:
        yield client


def actions(log):
    records, _ = records_before(log, None, 50)
    return [record["action"] for record in reversed(records)]


def total(client):
    return client.get(f"{API}/info").json()["count"]


def test_people_and_items_are_erased_and_both_ends_are_recorded(client, log):
    wish = {"person_ids": [0], "item_ids": ["green/1", "none"], "reason": "asked to"}
    counted = client.post(f"{API}/erase", json={**wish, "dry_run": True})
    assert counted.json() == {"count": 4, "done": False}
    assert total(client) == 12
    assert client.get(f"{API}/cameras").json()["cameras"][0]["tracklets"] == 4
    erased = client.post(f"{API}/erase", json=wish)
    assert erased.json() == {"count": 4, "done": True}
    assert total(client) == 8
    assert client.get(f"{API}/cameras").json()["cameras"][0]["tracklets"] == 3
    assert actions(log) == ["erase", "erase", "erase_done"]
    done, begun, _ = records_before(log, None, 3)[0]
    assert begun["ids"] == done["ids"] == ["green/1", "red/0", "red/1", "red/2"]
    assert (begun["reason"], done["count"]) == ("asked to", 4)


def test_one_item_is_erased(client, log):
    assert client.delete(f"{API}/items/red/0").json() == {"count": 1, "done": True}
    assert client.get(f"{API}/items/red/0").status_code == 404
    assert client.delete(f"{API}/items/red/0").status_code == 404
    assert client.post(f"{API}/search", json={"item_id": "red/0"}).status_code == 404


def test_what_is_old_is_purged(client, log):
    wish = {"before": 1_700_000_150.0, "by": "seen"}
    assert client.post(f"{API}/purge", json={**wish, "dry_run": True}).json() == {"count": 6, "done": False}
    assert client.post(f"{API}/purge", json=wish).json() == {"count": 6, "done": True}
    assert total(client) == 6
    assert client.post(f"{API}/purge", json={"before": 1_700_000_150.0, "by": "stored"}).json()["count"] == 0
    assert actions(log)[:3] == ["purge", "purge", "purge_done"]


def test_a_purge_of_the_future_is_a_slip(client):
    answer = client.post(f"{API}/purge", json={"before": time.time() + 3600})
    assert (answer.status_code, answer.json()["field"]) == (422, "before")
    assert total(client) == 12


def test_a_removal_that_fails_is_recorded_as_such(client, log, gallery, monkeypatch):
    def full(**chosen):
        raise OSError(28, "No space left on device", "/secret")

    monkeypatch.setattr(gallery, "erase", full)
    answer = client.post(f"{API}/erase", json={"item_ids": ["red/0"]})
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")
    assert "secret" not in answer.text
    assert actions(log) == ["erase", "erase_failed"]


def test_reasons_are_required_for_removals_too(serve):
    with serve(require_reason=True) as client:
        assert client.post(f"{API}/erase", json={"item_ids": ["red/0"]}).status_code == 422
        assert client.post(f"{API}/purge", json={"before": 1.0}).status_code == 422
        assert client.delete(f"{API}/items/red/0").status_code == 422
        assert client.delete(f"{API}/items/red/0", params={"reason": "asked to"}).status_code == 200


def test_erased_bytes_leave_the_disk(gallery, model, tmp_path):
    place = Gallery.open(f"numpy:{tmp_path}/gallery")
    place.upsert(gallery.get([t.tracklet_id for t in gallery.filter()]))
    marks = [place.get([name]).vectors.tobytes() for name in ("red/1", "blue/1")]

    def on_disk():
        written = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]
        return [any(mark in content for content in written) for mark in marks]

    app = create_app(ServerSettings(), SearchEngine(place, model))
    with TestClient(app, base_url="http://127.0.0.1") as client:
        assert on_disk() == [True, True]
        assert client.post(f"{API}/erase", json={"person_ids": ["0"]}).json()["count"] == 3
    assert on_disk() == [False, True]
    place.close()


def test_times_of_another_epoch_are_not_taken_for_old(client, gallery):
    gallery.erase(tracklet_ids=[t.tracklet_id for t in gallery.filter()])
    rows = TrackletSet("test", (Tracklet("a", (), Modality.VISIBLE, time=12.0),))
    gallery.upsert(Embeddings(np.array([[1, 0, 0]], np.float32), rows, "colours"))
    answer = client.post(f"{API}/purge", json={"before": 1_700_000_000.0})
    assert (answer.status_code, answer.json()["field"]) == (422, "by")
    assert total(client) == 1
    assert client.post(f"{API}/purge", json={"before": 1.0, "by": "stored"}).json()["count"] == 0
