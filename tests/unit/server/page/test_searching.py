"""The search page as a program sees it: plain forms, fragments for scripts, marks, comparing."""

import html
import re
from html.parser import HTMLParser

import pytest


def hit_ids(text):
    """Tracklets of an answer in its order."""
    return [
        html.unescape(found)
        for found in re.findall(
            r'name="compare" value="\d+"[^>]*>.*?name="from_hit" value="([^"]*)"', text, re.S
        )
    ]


@pytest.fixture
def query(client, drawn):
    """An upload of person 3."""
    sent = client.post("/upload", files=[("files", ("a.jpg", drawn(3)))], headers={"HX-Request": "true"})
    assert sent.status_code == 200
    return re.search(r'name="query_id" value="([^"]+)"', sent.text).group(1)


def search(client, script=True, **fields):
    return client.post("/search", data=fields, headers={"HX-Request": "true"} if script else {})


def test_the_page_shows_what_can_be_filled_in(client):
    text = client.get("/").text
    for name in (
        "modality",
        "cameras",
        "exclude_cameras",
        "after",
        "before",
        "top",
        "rerank",
        "group",
        "reason",
    ):
        assert f'name="{name}"' in text
    assert "Who are you looking for?" in text
    assert 'aria-current="page"' in text


class Tags(HTMLParser):
    """Collects the tags of a page."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))


def test_nothing_is_inline_and_nothing_comes_from_elsewhere(client):
    for address in ("/", "/gallery", "/?item=walker/0-0", "/upload"):
        for tag, attributes in Tags(client.get(address).text).found:
            assert tag != "style"
            assert tag != "script" or attributes["src"].startswith("/static/")
            for name, value in attributes.items():
                assert name != "style"
                assert not name.startswith(("on", "hx-on"))
                assert name not in ("src", "href", "action") or re.match(r"/(?!/)|#", value)


def test_an_upload_is_searched_by(client, query):
    answer = search(client, query_id=query)
    assert answer.status_code == 200
    assert hit_ids(answer.text)[:4] == [f"walker/3-{n}" for n in range(4)]
    assert "<html" not in answer.text
    assert "exact" in answer.text
    assert "24 searched" in answer.text


def test_a_search_without_scripts_leads_to_a_page_that_can_be_read_again(client, query):
    moved = search(client, script=False, query_id=query, top="2", reason="case 7")
    assert moved.status_code == 303
    page = client.get(moved.headers["location"])
    assert hit_ids(page.text) == ["walker/3-0", "walker/3-1"]
    assert 'value="case 7"' in page.text
    assert f'name="query_id" value="{query}"' in page.text


def test_scripts_are_told_the_same_address(client, query):
    pushed = search(client, query_id=query).headers["HX-Push-Url"]
    assert hit_ids(client.get(pushed).text)[0] == "walker/3-0"


def test_an_item_of_the_gallery_is_searched_by_and_not_found(client):
    start = client.get("/", params={"item": "walker/2-0"})
    assert 'name="item_id" value="walker/2-0"' in start.text
    found = hit_ids(search(client, item_id="walker/2-0").text)
    assert found[:3] == ["walker/2-1", "walker/2-2", "walker/2-3"]
    assert "walker/2-0" not in found


def test_from_a_hit_on_marks_and_uploads_are_left_behind(client, query):
    answer = search(client, query_id=query, right="walker/3-0", from_hit="walker/4-0")
    assert hit_ids(answer.text)[0] == "walker/4-1"
    assert "improved by" not in answer.text


def test_filters_hold(client, query):
    infrared = search(client, query_id=query, modality="infrared").text
    assert "12 searched" in infrared
    some = search(client, query_id=query, cameras=["1", "2"], exclude_cameras="2").text
    assert "6 searched" in some
    window = search(client, query_id=query, after="2026-02-25T06:30:00", before="2026-02-25T07:30:00").text
    assert "6 searched" in window
    assert "No tracklet passes" in search(client, query_id=query, after="1", before="2").text


def test_wrong_ones_are_left_out_and_their_marks_stay(client, query):
    answer = search(client, query_id=query, wrong="walker/3-0", right="walker/3-2").text
    assert "walker/3-0" not in hit_ids(answer)
    assert re.search(r'name="wrong" value="walker/3-0" checked', answer)
    assert re.search(r'name="right" value="walker/3-2"[^>]* checked', answer)
    assert "improved by <strong>2 marks" in answer


def test_contradicting_marks_are_refused(client, query):
    answer = search(client, query_id=query, wrong="walker/3-0", right="walker/3-0")
    assert answer.status_code == 422
    assert "both right and wrong" in answer.text
    assert 'role="alert"' in answer.text


def test_groups_show_the_nearest_of_each_person(client, query):
    answer = search(client, query_id=query, group="person").text
    assert hit_ids(answer)[0] == "walker/3-0"
    assert len(hit_ids(answer)) == 6
    assert "1 of 4" in answer


def test_reranking_is_said(client, query):
    assert "re-ranked" in search(client, query_id=query, rerank="1").text


@pytest.mark.parametrize(
    "fields",
    [
        {"item_id": ""},
        {"top": "many"},
        {"top": "0"},
        {"after": "soon"},
        {"after": "9", "before": "1"},
        {"modality": "thermal"},
        {"min_probability": "150"},
        {"min_probability": "50"},
        {"query_id": "unknown"},
        {"item_id": "unknown"},
    ],
)
def test_what_does_not_fit_is_said_in_the_page(client, fields):
    given = {"item_id": "walker/0-0", **fields}
    fragment = search(client, **given)
    assert fragment.status_code in (404, 422)
    assert 'role="alert"' in fragment.text
    assert "<html" not in fragment.text
    whole = search(client, script=False, **given)
    assert whole.status_code == fragment.status_code
    assert "<html" in whole.text


def test_names_that_are_markup_are_shown_as_text(client, hostile):
    script, quoted = hostile
    texts = [
        client.get("/gallery").text,
        client.get("/", params={"item": script}).text,
        search(client, item_id=quoted).text,
        search(client, item_id="walker/0-0", right=script, wrong=quoted, reason=script).text,
    ]
    case = search(client, item_id=script, reason=quoted).headers["HX-Push-Url"]
    texts += [client.get(case).text, client.get(f"{case}/compare?compare=1").text]
    for text in texts:
        assert "<script>alert" not in text
        assert "<img src=x" not in text
        assert "<b>yard" not in text
    assert html.escape(script) in texts[0]


def test_hits_are_compared_with_the_query(client, query):
    case = search(client, query_id=query).headers["HX-Push-Url"]
    both = client.post(f"{case}/compare", data={"compare": ["1", "3"]}, headers={"HX-Request": "true"})
    assert both.text.count("<figure") == 3
    assert "<html" not in both.text
    assert "<html" in client.get(f"{case}/compare?compare=1").text
    assert client.get(f"{case}/compare").status_code == 422
    assert client.get(f"{case}/compare?compare=99").status_code == 404


def test_an_answer_that_is_not_kept_is_not_found(client):
    gone = client.get("/cases/none")
    assert gone.status_code == 404
    assert "search again" in gone.text


def test_what_was_erased_is_not_shown_again(fresh):
    client, gallery = fresh
    case = search(client, item_id="walker/3-0").headers["HX-Push-Url"]
    assert "walker/3-1" in client.get(case).text
    gallery.erase(tracklet_ids="walker/3-1")
    assert "walker/3-1" not in client.get(case).text


def test_uploads_without_scripts_lead_on_to_the_search(client, drawn):
    moved = client.post(
        "/upload", files=[("files", ("a.jpg", drawn(1)))], data={"kind": "images", "modality": "auto"}
    )
    assert moved.status_code == 303
    assert 'name="query_id"' in client.get(moved.headers["location"]).text


def test_what_is_no_picture_is_refused_with_a_reason(client):
    sent = client.post("/upload", files=[("files", ("a.jpg", b"MZ..."))], headers={"HX-Request": "true"})
    assert sent.status_code == 415
    assert "JPEG" in sent.text


def test_forms_of_other_kinds_are_refused(client):
    sent = client.post("/search", files=[("files", ("a.jpg", b"x"))])
    assert sent.status_code == 415
