"""A real process that serves a gallery, and what is refused before it starts."""

import re
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from queue import Queue
from time import monotonic, sleep

import httpx
import numpy as np
import pytest
from starlette.testclient import TestClient

from tapetum.model import load
from tapetum.search import Gallery, SearchEngine, Several
from tapetum.server.app import create_app
from tapetum.server.audit import records_before, verify
from tapetum.server.settings import ServerSettings
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

PROGRAM = "import sys; from tapetum.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def few(tmp_path_factory):
    """Address of a gallery of four tracklets."""
    uri = f"numpy:{tmp_path_factory.mktemp('serving') / 'gallery'}"
    rows = tuple(Tracklet(f"t{n}", (), Modality.VISIBLE, n // 2, n % 2) for n in range(4))
    vectors = np.array([[1, 0], [1, 0.1], [0, 1], [0.1, 1]], dtype=np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    place = Gallery.open(uri)
    place.upsert(Embeddings(vectors, TrackletSet("test", rows), "m1"))
    place.close()
    return uri


@pytest.fixture
def start():
    """Starts a service and gives its process and its first line; every process is ended."""
    started = []

    def starting(*options):
        words = [sys.executable, "-c", PROGRAM, "serve", *map(str, options), "--port", "0"]
        process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        started.append(process)
        lines = Queue()
        threading.Thread(target=lambda: lines.put(process.stdout.readline()), daemon=True).start()
        return process, lines.get(timeout=50)

    yield starting
    for process in started:
        process.kill()
        process.communicate(timeout=20)


def test_it_serves_until_it_is_told_to_stop(few, start, tmp_path):
    log = tmp_path / "audit.jsonl"
    process, line = start("--gallery", few, "--audit", log)
    found = re.fullmatch(r"(http://127\.0\.0\.1:\d+) serves (\S+) with 4 tracklets\n", line)
    assert found, (line, process.poll())
    with httpx.Client(base_url=found[1], timeout=20) as client:
        assert client.get("/api/v1/health").json()["status"] == "ok"
        answer = client.post("/api/v1/search", json={"item_id": "t0", "top": 1})
        assert answer.json()["hits"][0]["item"]["item_id"] == "t1"
        assert client.get("/api/v1/info", headers={"Host": "evil.example"}).status_code == 400
        assert "server" not in client.get("/api/v1/info").headers
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=30)
    assert process.returncode == 0, errors
    assert "stopped" in errors
    assert "Traceback" not in errors
    assert [r["action"] for r in records_before(log, None, 9)[0]] == ["search"]
    assert not verify(log).faults


def test_a_killed_service_has_recorded_every_answer_and_starts_again(few, start, tmp_path):
    log, answered = tmp_path / "audit.jsonl", []

    def ask(client):
        with suppress(httpx.HTTPError):
            while True:
                answer = client.post("/api/v1/search", json={"item_id": "t0"})
                answered.append(answer.headers["X-Request-Id"])

    process, line = start("--gallery", few, "--audit", log)
    with httpx.Client(base_url=line.split()[0], timeout=20) as client:
        threads = [threading.Thread(target=ask, args=(client,), daemon=True) for _ in range(4)]
        for thread in threads:
            thread.start()
        end = monotonic() + 50
        while len(answered) < 40 and monotonic() < end:
            sleep(0.005)
        process.kill()
        for thread in threads:
            thread.join(20)
    assert process.wait(20) == -signal.SIGKILL
    assert len(answered) >= 40
    assert not verify(log).faults
    recorded = {record["request_id"] for record in records_before(log, None, 10**6)[0]}
    assert set(answered) <= recorded
    _, line = start("--gallery", few, "--audit", log)
    with httpx.Client(base_url=line.split()[0], timeout=20) as client:
        hits = client.post("/api/v1/search", json={"item_id": "t0", "top": 1}).json()["hits"]
        assert hits[0]["item"]["item_id"] == "t1"
        assert client.get("/api/v1/health").json()["status"] == "ok"
    found = verify(log)
    assert not found.faults
    assert found.lines > len(answered)


def test_other_machines_are_not_let_in_without_tokens(ask, few, tmp_path):
    found = ask("serve", "--gallery", few, "--host", "0.0.0.0")
    assert found.code == 1
    assert "--host 0.0.0.0 can be reached from other machines" in found.err
    assert "--tokens FILE" in found.err
    found = ask("serve", "--gallery", few, "--tokens", tmp_path / "none.json")
    assert (found.code, "no token yet" in found.err) == (1, True)


def test_a_port_that_is_taken_is_named(ask, few):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = ask("serve", "--gallery", few, "--port", port)
    assert found.code == 1
    assert f"127.0.0.1:{port}" in found.err


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--gallery", "{}/none"], "none"),
        (["--gallery", "{gallery}", "--limit", "files"], "NAME=NUMBER"),
        (["--gallery", "{gallery}", "--limit", "file=3"], "files"),
        (["--gallery", "{gallery}", "--limit", "files=0"], "files"),
        (["--gallery", "{gallery}", "--audit", "{}/none/audit.jsonl"], "folder does not exist"),
        (["--gallery", "{gallery}", "--calibration", "{}/none.json"], "none.json"),
        (["--gallery", "{gallery}", "--port", "70000"], "port"),
    ],
)
def test_what_does_not_fit_is_named(ask, few, tmp_path, options, said):
    found = ask("serve", *(option.format(tmp_path, gallery=few) for option in options))
    assert found.code == 1
    assert said in found.err


def test_tokens_decide_who_is_let_in(few, start, tmp_path):
    file = TokenFile(tmp_path / "tokens.json")
    secret = file.create("ada", Role.VIEWER)
    process, line = start("--gallery", few, "--tokens", file.path, "--host", "0.0.0.0")
    port = re.search(r":(\d+) serves", line)[1]
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=20) as client:
        assert client.get("/api/v1/info").status_code == 401
        headers = {"Authorization": f"Bearer {secret}"}
        assert client.get("/api/v1/info", headers=headers).json()["count"] == 4
        file.revoke("ada")
        assert client.get("/api/v1/info", headers=headers).status_code == 401
    process.terminate()
    _, errors = process.communicate(timeout=30)
    assert "unencrypted" in errors
    assert "no audit log" in errors


@pytest.mark.parametrize("kind", ["tracklet", "images"])
def test_uploads_are_embedded_as_files_are(run, gallery, kind):
    engine = SearchEngine(Gallery.open(gallery, create=False), load(run))
    frames = [Path(frame) for frame in engine.gallery.filter()[0].frames]
    asked = frames if kind == "tracklet" else Several(tuple(frames[:3]))
    expected = engine.search(asked, modality="visible", top=3)
    files = [("files", (f.name, f.read_bytes())) for f in (frames if kind == "tracklet" else frames[:3])]
    app = create_app(ServerSettings(), engine)
    with TestClient(app, base_url="http://localhost") as client:
        fields = {"kind": kind, "modality": "visible"}
        query_id = client.post("/api/v1/queries", files=files, data=fields).json()["query_id"]
        answer = client.post("/api/v1/search", json={"query_ids": [query_id], "top": 3}).json()
    found = [(hit["item"]["item_id"], pytest.approx(hit["similarity"], abs=1e-5)) for hit in answer["hits"]]
    assert [(hit.tracklet.tracklet_id, hit.similarity) for hit in expected] == found
    assert answer["seen"] == "visible"
