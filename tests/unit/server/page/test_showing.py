"""Pictures: as sheets, to whoever may see them."""

import io
import re

import pytest
from PIL import Image


def size(response):
    return Image.open(io.BytesIO(response.content)).size


def test_a_sheet_holds_the_pictures_of_a_tracklet(client):
    sheet = client.get("/sheets/item", params={"id": "walker/3-2"})
    assert sheet.headers["content-type"] == "image/jpeg"
    assert sheet.headers["cache-control"] == "private, max-age=300"
    assert size(sheet) == (3 * 32, 64)
    assert size(client.get("/sheets/item", params={"id": "walker/3-2", "most": 1})) == (32, 64)


def test_hostile_names_are_names(client, hostile):
    for name in hostile:
        assert client.get("/sheets/item", params={"id": name}).headers["content-type"] == "image/jpeg"


def test_a_tracklet_without_pictures_has_a_drawing(client):
    drawing = client.get("/sheets/item", params={"id": "walker/5-3"})
    assert (drawing.status_code, drawing.headers["content-type"]) == (200, "image/svg+xml")


@pytest.mark.parametrize("address", ["/sheets/item?id=none", "/sheets/query?id=none"])
def test_what_is_not_there_is_not_found(client, address):
    assert client.get(address).status_code == 404


def test_a_query_is_shown(client, drawn):
    files = [("files", (f"{n}.jpg", drawn(n))) for n in range(5)]
    sent = client.post("/upload", files=files, data={"kind": "tracklet"}, headers={"HX-Request": "true"})
    query = re.search(r'name="query_id" value="([^"]+)"', sent.text).group(1)
    assert size(client.get("/sheets/query", params={"id": query})) == (5 * 32, 64)
