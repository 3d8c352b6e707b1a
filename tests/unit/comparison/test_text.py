import copy

import pytest

from tapetum.comparison.table import MEASURES, spread
from tapetum.comparison.text import cost_lines, markdown, rewrite_block, score_lines
from tapetum.errors import DataError

MADE = {"tapetum": "0.1", "torch": "2.13", "python": "3.12", "device": "processor"}


def scores(direction, *values, protocol="regdb"):
    return {"protocol": protocol, "direction": direction, **{m: spread(values) for m in MEASURES}}


def row(name, *found, wanted=(0, 1)):
    costs = {"embedding": 512, "parameters": 1_234_567, "trained": 0, "flops_per_tracklet": 2.5e9}
    training = {"steps": spread([240, 240]), "seconds": spread([100.0, 102.0]), "cpu_seconds": None}
    seeds = [0, 1][: len(found[0]["map"]["values"])]
    head = {"name": name, "title": name.upper(), "seeds": seeds, "seeds_wanted": list(wanted)}
    return {**head, "scores": list(found), "training": training, "costs": costs}


@pytest.fixture
def table():
    """Two rows, two directions; one seed of the second row is wanting."""
    rows = [
        row("a", scores("V2I", 0.5, 0.7), scores("I2V", 0.25, 0.25)),
        row("b", scores("V2I", 0.125), scores("I2V", 1.0)),
        {"name": "c", "title": "C", "seeds": [], "seeds_wanted": [0, 1]},
    ]
    chance = {"protocol": "regdb", "direction": "V2I", **dict.fromkeys(MEASURES, 0.1)}
    block = {
        **{"name": "red", "title": "Red", "format": "regdb", "synthetic": True, "rows": rows},
        **{"people": [{"train": 20, "test": 20}], "chance": [chance]},
    }
    plan = {"preset": "tiny", "seeds": [0, 1], "threads": 1, "training": {"max_steps": 240}}
    return {
        **{"title": "T", "about": "About it.", "plan": plan, "data": [block]},
        **{"failed": [{"cell": "red/c/seed-0", "error": "no"}], "missing": ["d: unknown method 'd'"]},
        **{
            "other_settings": ["red/b/seed-1"],
            "open": [],
            "made_with": [{**MADE, "machine": "x", "processors": 2}],
        },
    }


def test_lines_of_scores_by_hand(table):
    block = table["data"][0]
    assert score_lines(block, 0) == [
        ["chance", *["10.0"] * 5],
        ["A", *["60.0 ± 14.1"] * 5],
        ["B (1 of 2 seeds)", *["12.5"] * 5],
    ]
    assert score_lines(block, 1)[0] == ["A", *["25.0 ± 0.0"] * 5]


def test_lines_of_costs_by_hand(table):
    first = cost_lines(table["data"][0])[0]
    assert first == ["A", "240", "101 ± 1", "?", "512", "1.23", "0.00", "2.50"]


def test_markdown(table):
    text = markdown(table)
    assert text.startswith("About it.\n\n**Synthetic walkers only.**")
    assert (
        "| V2I | R1 | R5 | R10 | mAP | mINP |\n| --- | ---: | ---: | ---: | ---: | ---: |\n| chance |" in text
    )
    assert "\nFailed: red/c/seed-0 (no).\n" in text
    assert "\nMethods that do not exist: d: unknown method 'd'.\n" in text
    assert "\nLeft out, for they were made by other settings: red/b/seed-1.\n" in text
    assert "Not finished" not in text
    assert "at most 240 steps a stage; seeds 0, 1; 1 thread(s)" in text


def test_markdown_of_true_data_and_several_protocols(table):
    block = table["data"][0]
    block["synthetic"] = False
    block["rows"] = [
        row("a", scores("I2V", 0.5, protocol="one"), scores("I2V", 0.75, protocol="two"), wanted=[0])
    ]
    text = markdown(table)
    assert "Synthetic" not in text
    assert "| I2V, one | R1 |" in text
    assert "| A | 75.0 |" in text.partition("| I2V, two | R1 |")[2]


def test_a_marked_block_is_rewritten(tmp_path):
    page = tmp_path / "p.md"
    page.write_text("a\n<!-- x:start -->\nold\n<!-- x:end -->\nb\n")
    assert rewrite_block(page, "x", "new\nlines\n")
    assert page.read_text() == "a\n<!-- x:start -->\nnew\nlines\n<!-- x:end -->\nb\n"
    assert not rewrite_block(page, "x", "new\nlines\n")


@pytest.mark.parametrize(
    "text",
    ["", "<!-- x:start -->", "<!-- x:end --><!-- x:start -->", "<!-- x:start --><!-- x:end -->" * 2],
)
def test_a_page_without_the_block_is_named(tmp_path, text):
    page = tmp_path / "p.md"
    page.write_text(text)
    with pytest.raises(DataError, match=r"p\.md: expected one block between <!-- x:start --> and"):
        rewrite_block(page, "x", "new")
    assert page.read_text() == text


def test_the_page(table, tmp_path):
    from tapetum.comparison.page import write_page

    page = write_page(tmp_path / "t.html", table).read_text(encoding="utf-8")
    assert "Synthetic walkers: no figure here says anything about real data" in page
    assert page.count("<svg") == 1
    assert page.count("60.0 ± 14.1") == 5
    assert "http://" not in page
    assert "https://" not in page
    again = write_page(tmp_path / "u.html", copy.deepcopy(table)).read_text(encoding="utf-8")
    assert again == page


def test_the_page_of_nothing(table, tmp_path):
    from tapetum.comparison.page import write_page

    table["data"][0]["rows"] = table["data"][0]["rows"][2:]
    assert "No cell is finished yet" in write_page(tmp_path / "t.html", table).read_text(encoding="utf-8")
