"""The files of the page: all are in the package, and none asks for anything elsewhere."""

import re
import tomllib
from fnmatch import fnmatch
from importlib.resources import files
from pathlib import Path, PurePosixPath

from starlette.applications import Starlette
from starlette.testclient import TestClient

from tapetum.server.page.files import StaticFolder, static_address, static_file

PAGE = files("tapetum.server.page")
ROOT = Path(__file__).parents[4]


def everything(folder, above=PurePosixPath()):
    for entry in folder.iterdir():
        if entry.is_dir():
            yield from everything(entry, above / entry.name)
        else:
            yield above / entry.name, entry


def test_every_file_goes_into_the_wheel():
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    patterns = declared["tool"]["setuptools"]["package-data"]["tapetum"]
    found = [
        f"server/page/{folder}/{name}"
        for folder in ("templates", "static")
        for name, _ in everything(PAGE / folder)
    ]
    assert len(found) > 25
    for name in found:
        assert any(
            fnmatch(name, pattern) and name.count("/") == pattern.count("/") for pattern in patterns
        ), name


def test_htmx_comes_with_its_licence():
    assert b"Zero-Clause BSD" in static_file("htmx/LICENSE")
    assert re.search(rb'version:"2\.\d+\.\d+"', static_file("htmx/htmx.min.js"))


def test_style_sheets_and_scripts_name_no_other_place():
    for name, entry in everything(PAGE / "static"):
        if "htmx" in name.parts:
            continue
        text = entry.read_text("utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?:|url\(|@import|\beval\(|new Function", text), name


def test_scripts_import_only_what_is_there():
    names = {name.name for name, _ in everything(PAGE / "static" / "js")}
    for name, entry in everything(PAGE / "static" / "js"):
        for imported in re.findall(r'from "\./([^"]+)"', entry.read_text("utf-8")):
            assert imported in names, f"{name} imports {imported}"


def test_files_are_kept_for_good_at_an_address_of_their_contents():
    address = static_address()
    assert re.fullmatch(r"/static/[0-9a-f]{12}", address)
    app = Starlette()
    app.mount(address, StaticFolder())
    client = TestClient(app)
    sheet = client.get(f"{address}/css/base.css")
    assert sheet.status_code == 200
    assert sheet.headers["content-type"].startswith("text/css")
    assert "immutable" in sheet.headers["cache-control"]
    assert client.get(f"{address}/css/none.css").status_code == 404
    assert client.get(f"{address}/../templates/base.html").status_code == 404
