"""The gallery, leafed through."""

import pytest

from tapetum.server.page import browsing


@pytest.fixture
def small_pages(monkeypatch):
    monkeypatch.setattr(browsing, "PAGE", 10)


def test_pages_follow_each_other(client, small_pages):
    first = client.get("/gallery").text
    assert first.count("data-hit=") == 10
    assert 'href="/gallery?page=2"' in first
    assert 'rel="prev"' not in first
    last = client.get("/gallery?page=3").text
    assert last.count("data-hit=") == 4
    assert 'rel="next"' not in last
    assert "3 of 3" in last


def test_filters_stay_on_the_way(client, small_pages):
    text = client.get("/gallery", params={"modality": "infrared", "cameras": "", "after": ""}).text
    assert "12 tracklets" in text
    assert 'href="/gallery?modality=infrared&amp;page=2"' in text
    assert 'value="infrared" checked' in text


def test_each_can_be_searched_by(client):
    assert 'href="/?item=walker%2F1-0"' in client.get("/gallery").text


def test_nothing_to_show_is_said(client):
    assert "Nothing passes these filters" in client.get("/gallery?cameras=99").text
    assert "Nothing on this page" in client.get("/gallery?page=9").text
    assert client.get("/gallery?page=0").status_code == 422
    assert client.get("/gallery?page=x").status_code == 422
