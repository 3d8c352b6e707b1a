"""A case as files: it says who asked what, when, why and how, and needs nothing from elsewhere."""

import csv
import io
import json
import re
import zipfile

import pytest


@pytest.fixture(scope="module")
def case(client, drawn, hostile):
    """An answer to an upload with filters, a mark and a reason that is markup."""
    sent = client.post("/upload", files=[("files", ("a.jpg", drawn(0)))], headers={"HX-Request": "true"})
    query = re.search(r'name="query_id" value="([^"]+)"', sent.text).group(1)
    fields = {
        "query_id": query,
        "exclude_cameras": "9",
        "after": "1771990000",
        "right": "walker/0-0",
        "reason": f"case 7 {hostile[0]}",
        "top": "5",
    }
    return client.post("/search", data=fields, headers={"HX-Request": "true"}).headers["HX-Push-Url"]


def test_the_page_states_the_case(client, case):
    answer = client.get(f"{case}/case.html")
    assert answer.headers["content-disposition"].startswith('attachment; filename="tapetum-case-')
    text = answer.text
    for stated in (
        "local (admin)",
        "case 7 &lt;script&gt;",
        "model-of-brightness",
        "Not cameras</th><td>9",
        "2026-02-25 03:26:40 UTC",
        "exact; ",
        "walker/0-0",
        "no identification",
        "similarities, which are no probabilities",
    ):
        assert stated in text
    assert re.search(r"Asked at</th><td>20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC", text)
    assert re.search(r"SHA-256 [0-9a-f]{64}", text)


def test_the_page_holds_its_pictures_and_fetches_nothing(client, case):
    text = client.get(f"{case}/case.html").text
    sources = re.findall(r'src="([^"]*)"', text)
    assert len(sources) > 5
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not re.search(r"<script|https?://|url\(", text)


def test_the_table_has_a_line_for_each_hit(client, case, hostile):
    table = client.get(f"{case}/hits.csv")
    rows = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["rank"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert {row["tracklet_id"] for row in rows} >= {"walker/0-0", hostile[0]}
    marks = {row["tracklet_id"]: row["mark"] for row in rows}
    assert marks["walker/0-0"] == "right"
    assert rows[0]["time_utc"].startswith("2026-02-25T")
    assert float(rows[0]["similarity"]) > 0.9


def test_the_archive_holds_both_and_the_facts(client, case):
    archive = zipfile.ZipFile(io.BytesIO(client.get(f"{case}/case.zip").content))
    assert archive.namelist() == ["case.html", "hits.csv", "case.json"]
    facts = json.loads(archive.read("case.json"))
    assert facts["Model"] == "model-of-brightness"
    assert facts["Reason"].startswith("case 7")
    assert b"data:image/jpeg" in archive.read("case.html")


def test_what_was_erased_is_not_exported(fresh):
    client, gallery = fresh
    asked = {"item_id": "walker/1-0", "right": "walker/0-0", "group": "person"}
    case = client.post("/search", data=asked, headers={"HX-Request": "true"}).headers["HX-Push-Url"]
    assert "walker/0-0" in client.get(f"{case}/case.html").text
    gallery.erase(person_ids="p0")
    assert "walker/0-0" not in client.get(f"{case}/case.html").text
    assert "walker/0-0" not in client.get(f"{case}/hits.csv").text


def test_another_case_is_not_found(client):
    for name in ("case.html", "hits.csv", "case.zip"):
        assert client.get(f"/cases/none/{name}").status_code == 404
