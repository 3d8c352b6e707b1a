import pytest

from tapetum.server.edge import allowed_hosts
from tapetum.server.settings import Limits, ServerSettings, is_loopback


def test_every_answer_has_secure_headers(client):
    for path in ("/api/v1/info", "/api/v1/none", "/api/v1/items/none"):
        headers = client.get(path).headers
        policy = headers["content-security-policy"]
        assert "default-src 'self'" in policy
        assert "unsafe" not in policy
        assert headers["x-content-type-options"] == "nosniff"
        assert headers["x-frame-options"] == "DENY"
        assert headers["cache-control"] == "no-store"
        assert "access-control-allow-origin" not in headers
        assert "strict-transport-security" not in headers


def test_every_answer_has_a_name_of_its_own(client):
    names = {client.get("/api/v1/info").headers["x-request-id"] for _ in range(3)}
    assert len(names) == 3


def test_no_other_origin_may_read_answers(client):
    headers = {"Origin": "https://evil.example", "Access-Control-Request-Method": "POST"}
    answer = client.options("/api/v1/search", headers=headers)
    assert answer.status_code == 405
    assert "access-control-allow-origin" not in answer.headers


@pytest.mark.parametrize("host", ["evil.example", "evil.example:8000", "127.0.0.1.evil.example", "", "[::2]"])
def test_on_loopback_other_names_are_refused(client, host):
    answer = client.get("/api/v1/info", headers={"Host": host})
    assert answer.status_code == 400
    assert answer.json()["field"] == "Host"
    assert answer.headers["x-frame-options"] == "DENY"


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost:8000", "LOCALHOST", "[::1]:9"])
def test_on_loopback_its_own_names_are_taken(client, host):
    assert client.get("/api/v1/info", headers={"Host": host}).status_code == 200


def test_names_are_told_for_services_that_others_can_reach():
    assert allowed_hosts(ServerSettings(host="0.0.0.0")) == set()
    assert allowed_hosts(ServerSettings(host="0.0.0.0", hosts=("Search.Example",))) == {"search.example"}
    assert "search.example" in allowed_hosts(ServerSettings(hosts=("search.example",)))
    assert is_loopback("127.8.8.8")
    assert not is_loopback("")


def test_long_bodies_are_refused_whether_they_say_so_or_not(serve):
    with serve(limits=Limits(body_bytes=1000)) as client:
        body = b'{"item_id": "' + b"x" * 1000 + b'"}'
        kind = {"Content-Type": "application/json"}
        assert client.post("/api/v1/search", content=body, headers=kind).status_code == 413
        pieces = (body[start : start + 100] for start in range(0, len(body), 100))
        answer = client.post("/api/v1/search", content=pieces, headers=kind)
        assert (answer.status_code, answer.json()["error"]) == (413, "too_large")
        assert client.post("/api/v1/search", json={"item_id": "red/0"}).status_code == 200


@pytest.mark.parametrize("length", ["-1", "x", "9" * 50, "1e3"])
def test_odd_lengths_are_refused(client, length):
    answer = client.post("/api/v1/search", content=b"", headers={"Content-Length": length})
    assert answer.status_code in (400, 413)


def test_requests_are_counted_by_the_name_of_their_route(client):
    client.get("/api/v1/items/red/0")
    client.get("/api/v1/items/secret/name")
    client.get("/api/v1/none/secret")
    client.request("BREW", "/api/v1/info")
    text = client.get("/api/v1/metrics").text
    assert (
        'tapetum_requests_total{method="GET",route="/api/v1/items/{item_id:path}",status="200"} 1.0' in text
    )
    assert (
        'tapetum_requests_total{method="GET",route="/api/v1/items/{item_id:path}",status="404"} 1.0' in text
    )
    assert 'route="none",status="404"' in text
    assert 'method="other"' in text
    assert "secret" not in text


def test_a_defect_is_told_without_its_text(client, gallery, monkeypatch, caplog):
    def broken(self):
        raise RuntimeError("a secret text")

    monkeypatch.setattr("tapetum.server.service.SearchService.info", broken)
    answer = client.get("/api/v1/info")
    assert answer.status_code == 500
    assert answer.json() == {"error": "internal", "detail": "a defect of the service; its log says more"}
    assert answer.headers["x-frame-options"] == "DENY"
    assert "a secret text" in caplog.text
