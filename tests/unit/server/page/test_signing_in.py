"""Tokens in a browser: signing in and out, what roles may do, and forms that other sites cannot send."""

import json
import re

import pytest


def token_of(text):
    """What a page sends with changes."""
    return re.search(r'name="csrf-token" content="([^"]+)"', text).group(1)


def sign_in(client, secret):
    return client.post("/login", data={"token": secret, "next": "/gallery"})


@pytest.fixture
def operator(guarded):
    client, secrets = guarded
    sign_in(client, secrets["operator"])
    return client


def test_strangers_are_sent_to_the_form_and_back(guarded):
    client, secrets = guarded
    moved = client.get("/gallery?page=2")
    assert (moved.status_code, moved.headers["location"]) == (303, "/login?next=%2Fgallery%3Fpage%3D2")
    form = client.get(moved.headers["location"])
    assert 'name="next" value="/gallery?page=2"' in form.text
    assert "Sign out" not in form.text
    signed = sign_in(client, secrets["viewer"])
    assert (signed.status_code, signed.headers["location"]) == (303, "/gallery")
    assert client.get("/gallery").status_code == 200


def test_scripts_of_strangers_are_told_where_to_go(guarded):
    client, _ = guarded
    told = client.post("/search", data={}, headers={"HX-Request": "true"})
    assert (told.status_code, told.headers["HX-Redirect"]) == (401, "/login")


def test_a_wrong_token_is_refused(guarded):
    client, _ = guarded
    refused = sign_in(client, "tpt_wrong")
    assert refused.status_code == 401
    assert "No such token" in refused.text
    assert "tpt_wrong" not in refused.text


@pytest.mark.parametrize("elsewhere", ["https://evil.example", "//evil.example", "/\\evil.example"])
def test_nobody_is_sent_elsewhere(guarded, elsewhere):
    client, secrets = guarded
    signed = client.post("/login", data={"token": secrets["viewer"], "next": elsewhere})
    assert signed.headers["location"] == "/"


def test_leaving_ends_the_session(operator):
    text = operator.get("/").text
    address = re.search(r'action="(/logout[^"]*)"', text).group(1)
    assert operator.post("/logout").status_code == 403
    assert operator.post(address).headers["location"] == "/login"
    assert operator.get("/").status_code == 303


def test_forms_carry_what_other_sites_cannot_know(operator):
    fields = {"item_id": "walker/1-0", "reason": "case 7"}
    assert operator.post("/search", data=fields).status_code == 403
    address = re.search(r'action="(/search[^"]*)"', operator.get("/").text).group(1)
    assert operator.post(address, data=fields).status_code == 303
    header = {"X-CSRF-Token": token_of(operator.get("/").text), "HX-Request": "true"}
    assert operator.post("/search", data=fields, headers=header).status_code == 200
    assert operator.post("/search?csrf_token=0", data=fields).status_code == 403


def test_a_missing_reason_is_asked_for(operator):
    text = operator.get("/").text
    assert re.search(r'name="reason"[^>]* required', text)
    header = {"X-CSRF-Token": token_of(text), "HX-Request": "true"}
    refused = operator.post("/search", data={"item_id": "walker/1-0"}, headers=header)
    assert refused.status_code == 422
    assert "reason" in refused.text


def test_viewers_search_by_the_gallery_alone(guarded):
    client, secrets = guarded
    sign_in(client, secrets["viewer"])
    text = client.get("/").text
    assert "data-drop" not in text
    header = {"X-CSRF-Token": token_of(text), "HX-Request": "true"}
    fields = {"item_id": "walker/1-0", "reason": "case 7"}
    answer = client.post("/search", data=fields, headers=header)
    assert answer.status_code == 200
    assert 'name="right"' not in answer.text
    marked = client.post("/search", data={**fields, "right": "walker/1-1"}, headers=header)
    assert marked.status_code == 403
    assert client.get("/upload").status_code == 403


def test_cases_are_their_owners(guarded):
    client, secrets = guarded
    sign_in(client, secrets["operator"])
    header = {"X-CSRF-Token": token_of(client.get("/").text), "HX-Request": "true"}
    fields = {"item_id": "walker/1-0", "reason": "case 7"}
    case = client.post("/search", data=fields, headers=header).headers["HX-Push-Url"]
    assert client.get(case).status_code == 200
    client.cookies.clear()
    sign_in(client, secrets["viewer"])
    assert client.get(case).status_code == 404
    assert client.get(f"{case}/case.zip").status_code == 404


def test_searches_and_exports_are_recorded(operator, tmp_path):
    header = {"X-CSRF-Token": token_of(operator.get("/").text), "HX-Request": "true"}
    fields = {"item_id": "walker/1-0", "reason": "case 7"}
    case = operator.post("/search", data=fields, headers=header).headers["HX-Push-Url"]
    operator.get(f"{case}/hits.csv")
    lines = (tmp_path / "audit.jsonl").read_text("utf-8").splitlines()
    done = [json.loads(line) for line in lines]
    exports = [each for each in done if each.get("action") == "export"]
    assert [(each["user"], each["reason"], each["kind"]) for each in exports] == [
        ("operator", "case 7", "csv")
    ]
    assert len(exports[0]["ids"]) == 20
