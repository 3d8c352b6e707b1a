import json
from http.cookies import SimpleCookie

import pytest

from tapetum.errors import ConfigError, DataError
from tapetum.server.app import create_app
from tapetum.server.audit import records_before
from tapetum.server.settings import Limits, ServerSettings

SEARCH = {"item_id": "red/0"}


@pytest.fixture
def guarded(serve, tokens, tmp_path):
    file, headers = tokens
    with serve(tokens=file.path, audit=tmp_path / "audit.jsonl") as client:
        yield client, headers


@pytest.fixture
def page(guarded):
    """A browser that is signed in as operator, and the header that its pages send."""
    client, headers = guarded
    secret = headers["operator"]["Authorization"].removeprefix("Bearer ")
    answer = client.post("/api/v1/session", json={"token": secret})
    assert answer.status_code == 200, answer.text
    return client, {"X-CSRF-Token": answer.json()["csrf_token"]}


def test_strangers_see_nothing_but_health_and_the_description(guarded):
    client, _ = guarded
    opened = client.get("/api/v1/openapi.json").json()
    for path, methods in opened["paths"].items():
        for method in methods:
            answer = client.request(method, path.format(item_id="red/0", query_id="q", number=0))
            if path in ("/api/v1/health", "/api/v1/health/live"):
                assert answer.status_code == 200
            elif (path, method) == ("/api/v1/session", "post"):
                assert answer.status_code == 422
            else:
                assert answer.status_code == 401, (method, path)
                assert answer.headers["www-authenticate"] == "Bearer"
                assert answer.json()["error"] == "unauthorized"


@pytest.mark.parametrize(
    "shown", ["Bearer", "Bearer ", "Bearer wrong", "Basic YTpi", "Bearer \xe9", "x" * 4000]
)
def test_wrong_tokens_are_refused(guarded, shown):
    client, _ = guarded
    answer = client.get("/api/v1/info", headers={"Authorization": shown.encode("latin-1")})
    assert answer.status_code == 401


@pytest.mark.parametrize(
    ("method", "path", "body", "least"),
    [
        ("GET", "/info", None, "viewer"),
        ("GET", "/cameras", None, "viewer"),
        ("GET", "/metrics", None, "viewer"),
        ("GET", "/items", None, "viewer"),
        ("GET", "/items/red/0", None, "viewer"),
        ("GET", "/items/red/0/thumbnails/0", None, "viewer"),
        ("POST", "/search", SEARCH, "viewer"),
        ("POST", "/search", {**SEARCH, "right": ["red/1"]}, "operator"),
        ("POST", "/search", {"query_ids": ["q"]}, "operator"),
        ("POST", "/feedback", {**SEARCH, "wrong": ["blue/1"]}, "operator"),
        ("GET", "/queries/q", None, "operator"),
        ("POST", "/queries", None, "operator"),
        ("DELETE", "/items/none", None, "admin"),
        ("POST", "/erase", {"item_ids": ["none"], "dry_run": True}, "admin"),
        ("POST", "/purge", {"before": 1.0, "dry_run": True}, "admin"),
        ("GET", "/audit", None, "admin"),
    ],
)
def test_each_role_may_do_its_own(guarded, method, path, body, least):
    client, headers = guarded
    roles = list(headers)
    for role in roles:
        answer = client.request(method, f"/api/v1{path}", json=body, headers=headers[role])
        is_allowed = roles.index(role) >= roles.index(least)
        assert (answer.status_code != 403) == is_allowed, (role, answer.text)
        assert answer.status_code != 401


def test_a_revoked_token_ends_its_sessions_too(page, tokens):
    client, _ = page
    assert client.get("/api/v1/session").json()["name"] == "the operator"
    tokens[0].revoke("the operator")
    assert client.get("/api/v1/session").status_code == 401


def test_the_cookie_is_for_this_site_and_no_script(guarded):
    client, headers = guarded
    secret = headers["viewer"]["Authorization"].removeprefix("Bearer ")
    answer = client.post("/api/v1/session", json={"token": secret})
    [cookie] = SimpleCookie(answer.headers["set-cookie"]).values()
    assert cookie.key == "tapetum_session"
    assert cookie["httponly"]
    assert cookie["samesite"] == "strict"
    assert not cookie["secure"]  # loopback without TLS
    assert secret not in cookie.value


def test_over_tls_the_cookie_is_secure(serve, tokens):
    file, headers = tokens
    with serve(tokens=file.path, https=True) as client:
        secret = headers["viewer"]["Authorization"].removeprefix("Bearer ")
        answer = client.post("/api/v1/session", json={"token": secret})
        [cookie] = SimpleCookie(answer.headers["set-cookie"]).values()
        assert cookie.key == "__Host-tapetum_session"
        assert cookie["secure"]
        assert answer.headers["strict-transport-security"].startswith("max-age=")


def test_changes_by_cookie_need_the_pages_own_token(page):
    client, token = page
    assert client.post("/api/v1/search", json=SEARCH, headers=token).status_code == 200
    for headers in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": ""}):
        answer = client.post("/api/v1/search", json=SEARCH, headers=headers)
        assert answer.status_code == 403
        assert "X-CSRF-Token" in answer.json()["detail"]
    assert client.get("/api/v1/info").status_code == 200  # looking needs none


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:9999"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
)
def test_other_sites_make_nobody_change_anything(page, client, headers):
    signed_in, token = page
    answer = signed_in.post("/api/v1/search", json=SEARCH, headers={**token, **headers})
    assert answer.status_code == 403
    assert signed_in.post("/api/v1/session", json={"token": "x"}, headers=headers).status_code == 403
    local = client.post("/api/v1/erase", json={"item_ids": ["red/0"]}, headers=headers)  # without tokens, too
    assert local.status_code == 403
    assert client.get("/api/v1/items/red/0").status_code == 200


def test_without_tokens_programs_may_and_browsers_show_their_pages_token(client):
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/api/v1/search", json=SEARCH).status_code == 200
    assert client.post("/api/v1/search", json=SEARCH, headers=own).status_code == 403
    token = client.get("/api/v1/session").json()["csrf_token"]
    answer = client.post("/api/v1/search", json=SEARCH, headers={**own, "X-CSRF-Token": token})
    assert answer.status_code == 200


def test_signing_out_ends_the_session(page):
    client, token = page
    kept = dict(client.cookies)
    assert client.delete("/api/v1/session", headers=token).status_code == 204
    assert not client.cookies
    client.cookies.update(kept)
    assert client.get("/api/v1/session").status_code == 401


def test_signing_in_is_recorded_either_way(guarded, tmp_path):
    client, headers = guarded
    secret = headers["admin"]["Authorization"].removeprefix("Bearer ")
    client.post("/api/v1/session", json={"token": "wrong"})
    client.post("/api/v1/session", json={"token": secret})
    records, _ = records_before(tmp_path / "audit.jsonl", None, 10)
    assert [(r["action"], r["user"]) for r in records] == [("login", "the admin"), ("login_refused", "")]
    assert secret not in json.dumps(records)
    assert records[0]["address"] == "testclient"


def test_wrong_tokens_slow_their_address_down(serve, tokens):
    file, headers = tokens
    with serve(tokens=file.path, limits=Limits(logins_per_minute=3)) as client:
        wrong = {"Authorization": "Bearer wrong"}
        statuses = [client.get("/api/v1/info", headers=wrong).status_code for _ in range(4)]
        assert statuses == [401, 401, 401, 429]
        answer = client.post("/api/v1/session", json={"token": "wrong"})
        assert answer.status_code == 429
        assert (
            client.get("/api/v1/info", headers=headers["viewer"]).status_code == 200
        )  # right ones are heard
        assert int(answer.headers["retry-after"]) > 1


def test_who_asks_too_often_is_slowed_down_alone(serve, tokens):
    file, headers = tokens
    limits = Limits(requests_per_minute=1, requests_at_once=2)
    with serve(tokens=file.path, limits=limits) as client:
        statuses = [client.get("/api/v1/info", headers=headers["viewer"]).status_code for _ in range(3)]
        assert statuses == [200, 200, 429]
        assert client.get("/api/v1/info", headers=headers["admin"]).status_code == 200
        assert [client.get("/api/v1/health").status_code for _ in range(3)] == [200, 200, 429]


def test_an_unreadable_file_of_tokens_lets_nobody_in(guarded, tokens):
    client, headers = guarded
    tokens[0].path.chmod(0o644)
    tokens[0].path.write_text("{}")
    answer = client.get("/api/v1/info", headers=headers["admin"])
    assert (answer.status_code, answer.json()["error"]) == (503, "unavailable")


def test_other_machines_need_tokens(gallery, tmp_path, tokens):
    from tapetum.search import SearchEngine

    engine = SearchEngine(gallery)
    for host in ("0.0.0.0", "::", "192.168.1.7", "search.example"):
        with pytest.raises(ConfigError, match=r"--host .* --tokens FILE"):
            create_app(ServerSettings(host=host), engine)
        create_app(ServerSettings(host=host, tokens=tokens[0].path), engine)
    with pytest.raises(ConfigError, match="no token yet"):
        create_app(ServerSettings(tokens=tmp_path / "none.json"), engine)
    tokens[0].path.chmod(0o666)
    with pytest.raises(DataError, match="mode 666"):
        create_app(ServerSettings(tokens=tokens[0].path), engine)
