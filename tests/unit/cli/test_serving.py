"""A real process that serves a gallery, and what is refused before it starts."""

import re
import signal
import socket
import subprocess
import sys
import threading
from queue import Queue

import httpx
import numpy as np
import pytest

from tapetum.search import Gallery
from tapetum.server.audit import records_before, verify
from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

PROGRAM = "import sys; from tapetum.cli import main; sys.exit(main())"


@pytest.fixture(scope="module")
def gallery(tmp_path_factory):
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


def test_it_serves_until_it_is_told_to_stop(gallery, start, tmp_path):
    log = tmp_path / "audit.jsonl"
    process, line = start("--gallery", gallery, "--audit", log)
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


def test_other_machines_are_not_let_in_without_tokens(ask, gallery, tmp_path):
    found = ask("serve", "--gallery", gallery, "--host", "0.0.0.0")
    assert found.code == 1
    assert "--host 0.0.0.0 can be reached from other machines" in found.err
    assert "--tokens FILE" in found.err
    found = ask("serve", "--gallery", gallery, "--tokens", tmp_path / "none.json")
    assert (found.code, "no token yet" in found.err) == (1, True)


def test_a_port_that_is_taken_is_named(ask, gallery):
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        found = ask("serve", "--gallery", gallery, "--port", port)
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
        (["--gallery", "{gallery}", "--model", "{}/none"], "none"),
        (["--gallery", "{gallery}", "--port", "70000"], "port"),
    ],
)
def test_what_does_not_fit_is_named(ask, gallery, tmp_path, options, said):
    found = ask("serve", *(option.format(tmp_path, gallery=gallery) for option in options))
    assert found.code == 1
    assert said in found.err


def test_tokens_decide_who_is_let_in(gallery, start, tmp_path):
    file = TokenFile(tmp_path / "tokens.json")
    secret = file.create("ada", Role.VIEWER)
    process, line = start("--gallery", gallery, "--tokens", file.path, "--host", "0.0.0.0")
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
