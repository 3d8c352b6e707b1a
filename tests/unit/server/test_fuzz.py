"""Odd questions drawn from the service's own description, and what is checked of the answers.

`benchmarks/fuzz_service.py` asks thousands; here are a few hundred, and checks of the checks.
"""

import asyncio
import importlib
import random
from pathlib import Path

import pytest

DESCRIPTION = {
    "components": {
        "schemas": {
            "Hit": {
                "type": "object",
                "properties": {
                    "rank": {"type": "integer", "minimum": 1},
                    "name": {"type": "string", "minLength": 1, "maxLength": 5, "pattern": "^[^\\x00]+$"},
                    "share": {"anyOf": [{"type": "number", "exclusiveMaximum": 1}, {"type": "null"}]},
                    "seen": {"enum": ["day", "night"]},
                    "tags": {"type": "array", "items": {"type": "string"}, "maxItems": 2},
                },
                "required": ["rank", "name"],
                "additionalProperties": False,
            }
        }
    }
}
HIT = {"$ref": "#/components/schemas/Hit"}


@pytest.fixture(scope="module")
def fuzzing():
    """The module that draws and checks, and the one with its values."""
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(Path(__file__).parents[3] / "benchmarks")
        yield importlib.import_module("fuzz_service"), importlib.import_module("openapi_values")


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"rank": 1, "name": "a"}, None),
        ({"rank": 1, "name": "a", "share": None, "seen": "day", "tags": ["x"]}, None),
        ({"rank": 0, "name": "a"}, ".rank: 0 is beyond minimum"),
        ({"rank": True, "name": "a"}, ".rank: 'True' is no integer"),
        ({"rank": 1.5, "name": "a"}, ".rank: '1.5' is no integer"),
        ({"rank": 1}, ".name is missing"),
        ({"rank": 1, "name": "abcdef"}, ".name: 6 is beyond minLength or maxLength"),
        ({"rank": 1, "name": "\x00"}, "is not like"),
        ({"rank": 1, "name": "a", "share": 1.0}, ".share: 1.0 is not below 1"),
        ({"rank": 1, "name": "a", "seen": "dusk"}, ".seen: 'dusk' is none of"),
        ({"rank": 1, "name": "a", "tags": ["x", 7]}, ".tags[1]: '7' is no string"),
        ({"rank": 1, "name": "a", "tags": ["x"] * 3}, ".tags: 3 is beyond"),
        ({"rank": 1, "name": "a", "more": 1}, ".more is not described"),
        ([], "'[]' is no object"),
    ],
)
def test_what_does_not_fit_a_schema_is_found(fuzzing, value, said):
    found = fuzzing[1].faults_of(DESCRIPTION, HIT, value)
    assert found == [] if said is None else said in found[0]


def test_drawn_values_fit_and_spoiled_ones_seldom_do(fuzzing):
    draw = fuzzing[1].Values(DESCRIPTION, random.Random(0))
    drawn = [draw.fitting(HIT) for _ in range(200)]
    assert [v for v in drawn if fuzzing[1].faults_of(DESCRIPTION, HIT, v)] == []
    spoiled = [draw.spoiled(value, HIT) for value in drawn]
    assert sum(bool(fuzzing[1].faults_of(DESCRIPTION, HIT, v)) for v in spoiled) > 120


@pytest.mark.parametrize("kind", ["open", "guarded", "bare"])
def test_no_request_of_the_description_is_too_odd(fuzzing, tmp_path, kind):
    """Every answer has a described status, and the shape that is described for it."""
    fuzz_service = fuzzing[0]

    async def ask():
        with fuzz_service.service(kind, tmp_path, 0, "memory:") as (app, told):
            async with fuzz_service.running(app):
                return await fuzz_service.fuzz(app, 120, 0, **told)

    report = asyncio.run(ask())
    assert report.faults == []
    assert report.statuses.total() == 120
    statuses = {status for _, status in report.statuses}
    assert {200, 404, 422} <= statuses
    assert (201 in statuses) is (kind != "bare")


def test_a_defect_would_be_reported(fuzzing, tmp_path, monkeypatch):
    fuzz_service = fuzzing[0]

    async def ask():
        with fuzz_service.service("open", tmp_path, 0, "memory:") as (app, told):
            async with fuzz_service.running(app):
                monkeypatch.setattr(app.state.service, "info", None)
                return await fuzz_service.fuzz(app, 100, 0, **told)

    report = asyncio.run(ask())
    assert report.faults
    assert {fault.rpartition(": ")[2] for fault in report.faults} == {"status 500"}
