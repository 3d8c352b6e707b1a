"""The description of REST is complete, and what it says of bad input holds."""

import importlib
import itertools
import json
import re
from pathlib import Path

import pytest

API = "/api/v1"
ODD_TEXTS = ["", "\x00", "../../etc/passwd", "é\u202e\U0001f600", "x" * 3000, "%ff", "' OR 1=1 --"]
ODD_VALUES = [None, True, -1, 10**30, "", "\ud800", ["\x00"], {"a": 1}]
JSON = {"Content-Type": "application/json"}
ODD_BODIES = [
    b"",
    b"{",
    b"null",
    b"[]",
    b"NaN",
    b'"text"',
    b"\xff\xfe",
    b'{"top": NaN, "item_id": "red/0"}',
    b'{"top": Infinity, "item_id": "red/0"}',
    b'{"top": ' + b"9" * 5000 + b', "item_id": "red/0"}',
    b'{"top": 1e999, "item_id": "red/0"}',
    b'{"item_id": "\\ud800"}',
    b'{"\\ud800": 1}',
    b'{"item_id": "red/0", "item_id": 7}',
    b"[" * 100_000,
    b'{"a":' * 20_000,
]


@pytest.fixture(scope="module")
def schema():
    from tapetum.search import Gallery, SearchEngine
    from tapetum.server.app import create_app
    from tapetum.server.settings import ServerSettings

    return create_app(ServerSettings(), SearchEngine(Gallery.open("memory:"))).openapi()


def operations(schema):
    return [
        (path, method, what) for path, methods in schema["paths"].items() for method, what in methods.items()
    ]


def resolved(schema, part):
    while "$ref" in part:
        part = schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]
    return part


def test_every_route_is_described(schema):
    names = {(method, path.removeprefix(API)) for path, method, _ in operations(schema)}
    assert names == {
        ("get", "/health"),
        ("get", "/health/live"),
        ("get", "/metrics"),
        ("get", "/info"),
        ("get", "/cameras"),
        ("post", "/queries"),
        ("get", "/queries/{query_id}"),
        ("delete", "/queries/{query_id}"),
        ("get", "/queries/{query_id}/pictures/{number}"),
        ("post", "/search"),
        ("post", "/feedback"),
        ("get", "/items"),
        ("get", "/items/{item_id}"),
        ("delete", "/items/{item_id}"),
        ("get", "/items/{item_id}/thumbnails/{number}"),
        ("post", "/erase"),
        ("post", "/purge"),
        ("get", "/audit"),
        ("post", "/session"),
        ("get", "/session"),
        ("delete", "/session"),
    }
    for path, _, what in operations(schema):
        assert what["summary"], path
        assert len(what["description"]) > 20, path
        assert what["operationId"], path
        for parameter in what.get("parameters", []):
            assert parameter.get("description") or parameter["schema"].get("description"), (path, parameter)


def test_every_error_has_the_one_shape_and_a_meaning(schema):
    for path, method, what in operations(schema):
        for status, answer in what["responses"].items():
            if status < "400":
                continue
            assert answer["description"], (path, status)
            shown = resolved(schema, answer["content"]["application/json"]["schema"])
            expected = "HealthOut" if (path, status) == (f"{API}/health", "503") else "ErrorOut"
            assert shown["title"] == expected, (path, method, status)
        assert {"400", "422", "429", "500"} <= set(what["responses"])


def test_shapes_take_nothing_that_is_not_described(schema):
    for name, shape in schema["components"]["schemas"].items():
        if shape.get("type") == "object":
            assert shape["additionalProperties"] is False, name


def test_how_to_say_who_one_is_is_described(schema):
    schemes = schema["components"]["securitySchemes"]
    assert {scheme["type"] for scheme in schemes.values()} == {"http", "apiKey"}
    opened = {path for path, method, what in operations(schema) if not what.get("security")}
    assert opened == {f"{API}/health", f"{API}/health/live", f"{API}/session"}


def test_every_answer_and_question_has_an_example(schema):
    for path, method, what in operations(schema):
        bodies = [
            what.get("requestBody", {}),
            *(a for status, a in what["responses"].items() if status < "300"),
        ]
        for body in bodies:
            for kind, content in body.get("content", {}).items():
                if kind == "application/json":
                    assert resolved(schema, content["schema"]).get("examples"), (path, method)


def test_examples_fit_their_shapes():
    from tapetum.server.schemas import answered, asked, base

    found = 0
    for shape in itertools.chain(*(vars(module).values() for module in (answered, asked, base))):
        if isinstance(shape, type) and issubclass(shape, base.Shape):
            for example in (shape.model_config.get("json_schema_extra") or {}).get("examples", []):
                shape.model_validate(example)
                found += 1
    assert found >= 16


def parts_of(node):
    """A part of the description and all that lies below it."""
    yield node
    for below in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from parts_of(below)


def test_clients_can_be_made_from_it(schema):
    """References lead somewhere, names are unique and fit for programs, places and their parts agree."""
    assert schema["openapi"].startswith("3.1")
    assert {"title", "version"} <= set(schema["info"])
    for part in parts_of(schema):
        if isinstance(part, dict) and isinstance(part.get("$ref"), str):
            assert part["$ref"].rpartition("/")[2] in schema["components"]["schemas"]
    names = [what["operationId"] for _, _, what in operations(schema)]
    assert len(set(names)) == len(names)
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", name) for name in names), names
    for path, method, what in operations(schema):
        parameters = what.get("parameters", [])
        keys = [(parameter["in"], parameter["name"]) for parameter in parameters]
        assert len(set(keys)) == len(keys)
        in_path = {name for place, name in keys if place == "path"}
        assert in_path == set(re.findall(r"\{(\w+)\}", path)), path
        assert all(p["required"] for p in parameters if p["in"] == "path")
        assert method in ("get", "post", "delete")
        assert ("requestBody" in what) is (method == "post")
        for requirement in what.get("security", []):
            assert set(requirement) <= set(schema["components"]["securitySchemes"])
        assert "Retry-After" in what["responses"]["429"]["headers"]


def test_examples_and_defaults_fit_what_is_described(schema, monkeypatch):
    monkeypatch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
    faults_of = importlib.import_module("openapi_values").faults_of
    for part in parts_of(schema):
        if isinstance(part, dict) and "type" in part:
            for value in [*part.get("examples", []), *([part["default"]] if "default" in part else [])]:
                assert faults_of(schema, part, value) == [], part


def check(answer, what):
    """The status is a described one, and an error has the shape of errors."""
    status = answer.status_code
    assert status != 500, answer.text
    assert str(status) in what["responses"], (status, answer.text)
    if status >= 400:
        content = answer.json()
        assert set(content) <= {"error", "detail", "field"}
        assert content["error"]
        assert content["detail"]


def test_bad_bodies_are_refused_by_name(client, schema):
    for path, method, what in operations(schema):
        if method != "post":
            continue
        kinds = [(body, "application/json") for body in ODD_BODIES]
        for body, kind in [*kinds, (b"{}", "text/plain"), (b"{}", ""), (b"{}", "multipart/form-data")]:
            answer = client.request(method, path, content=body, headers={"Content-Type": kind})
            check(answer, what)
            assert answer.status_code >= 400


def test_bad_values_are_refused_by_name(client, schema):
    for path, method, what in operations(schema):
        if method != "post" or path.endswith("/queries"):
            continue
        shape = resolved(schema, what["requestBody"]["content"]["application/json"]["schema"])
        good = shape["examples"][0]
        for name, value in itertools.product(shape["properties"], ODD_VALUES):
            safe = {"dry_run": True} if "dry_run" in shape["properties"] else {}
            body = json.dumps({**good, name: value, **safe})
            check(client.request(method, path, content=body, headers=JSON), what)
        answer = client.request(method, path, json={**good, "unknown": 1})
        assert (answer.status_code, answer.json()["field"]) == (422, "unknown")


def test_bad_places_and_parameters_are_refused_by_name(client, schema):
    from urllib.parse import quote

    for path, method, what in operations(schema):
        if method == "post":
            continue
        places = [p["name"] for p in what.get("parameters", []) if p["in"] == "path"]
        asked = [p["name"] for p in what.get("parameters", []) if p["in"] == "query"]
        for text in ODD_TEXTS[1:] if places else []:
            filled = path.format(
                **{name: quote(text, safe="") if name != "number" else "0" for name in places}
            )
            check(client.request(method, filled), what)
        for name, text in itertools.product(asked, [*ODD_TEXTS, "nan", "inf", "-1", "1" * 400]):
            check(client.request(method, path.format(item_id="none"), params={name: text}), what)


def test_unknown_places_and_methods_have_the_shape_too(client):
    for method, path, status in (
        ("GET", "/none", 404),
        ("GET", "/items/", 422),
        ("PUT", "/search", 405),
        ("GET", "/search", 405),
        ("GET", "/queries", 405),
    ):
        answer = client.request(method, API + path)
        assert answer.status_code == status
        assert {"error", "detail"} <= set(answer.json()) <= {"error", "detail", "field"}
