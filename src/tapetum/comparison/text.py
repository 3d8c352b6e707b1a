"""A comparison's table as Markdown, and as a marked block of a page of documentation."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from tapetum.comparison.table import MEASURES
from tapetum.errors import DataError
from tapetum.files import replace_text

TITLES = {"rank1": "R1", "rank5": "R5", "rank10": "R10", "map": "mAP", "minp": "mINP"}

SYNTHETIC = (
    "**Synthetic walkers only.** These figures say how the rows compare on drawn people, at a small size and "
    "after few steps. They say nothing about real people, real cameras, or how methods rank on real data."
)

Table = Mapping[str, Any]


def markdown(table: Table) -> str:
    """The whole table: scores per data set and direction, costs per data set, what is missing.

    Scores are per cent, mean ± sample standard deviation over the seeds.
    """
    parts = [table["about"]] if table["about"] else []
    if any(block["synthetic"] for block in table["data"]):
        parts.append(SYNTHETIC)
    parts.append(describe_plan(table))
    for block in table["data"]:
        if any("scores" in row for row in block["rows"]):
            parts += [
                f"**{block['title']}** ({describe_data(block)}), per cent",
                _scores(block),
                _costs(block),
            ]
    parts += notes(table)
    return "\n\n".join(parts) + "\n"


def describe_plan(table: Table) -> str:
    """A sentence on how the rows were trained."""
    plan = table["plan"]
    length = {
        "max_steps": "at most {} steps a stage",
        "max_minutes": "{} minutes of training",
    }
    limits = [text.format(plan["training"][key]) for key, text in length.items() if key in plan["training"]]
    seeds = ", ".join(map(str, plan["seeds"]))
    said = "; ".join([f"Preset {plan['preset']}", *limits, f"seeds {seeds}", f"{plan['threads']} thread(s)"])
    return f"{said}. Mean ± sample standard deviation over the seeds, where there are several."


def describe_data(block: Mapping[str, Any]) -> str:
    """A data set in a few words.

    >>> describe_data({"format": "regdb", "synthetic": True, "people": [{"train": 20, "test": 10}]})
    'synthetic walkers in the format regdb, 20 training and 10 test people'
    """
    kind = f"synthetic walkers in the format {block['format']}" if block["synthetic"] else block["format"]
    people = [f"{one['train']} training and {one['test']} test people" for one in block["people"]]
    return ", ".join([kind, *people])


def direction_title(score: Mapping[str, Any], scores: Iterable[Mapping[str, Any]]) -> str:
    """Name of a direction; with its protocol where the data set is scored by several."""
    several = len({one["protocol"] for one in scores}) > 1
    return f"{score['direction']}, {score['protocol']}" if several else str(score["direction"])


def score_lines(block: Mapping[str, Any], place: int) -> list[list[str]]:
    """Rows of the table of one direction, as text: chance, then all rows that have scores.

    Args:
        block: A data set of the table.
        place: Of the direction among the data set's.
    """
    scored = [row for row in block["rows"] if "scores" in row]
    key = _key(scored[0]["scores"][place])
    levels = [level for level in block["chance"] if _key(level) == key]
    lines = [["chance", *(f"{100 * level[measure]:.1f}" for measure in MEASURES)] for level in levels]
    for row in scored:
        score = next(one for one in row["scores"] if _key(one) == key)
        lines.append([row_title(row), *(percent(score[measure]) for measure in MEASURES)])
    return lines


def cost_lines(block: Mapping[str, Any]) -> list[list[str]]:
    """Rows of the table of costs, as text; its columns are `COSTS`."""
    lines = []
    for row in block["rows"]:
        if "scores" not in row:
            continue
        costs, training = row["costs"], row["training"]
        lines.append(
            [
                row_title(row),
                f"{training['steps']['mean']:.0f}",
                seconds(training["seconds"]),
                seconds(training["cpu_seconds"]),
                f"{costs['embedding']:.0f}",
                millions(costs["parameters"]),
                millions(costs["trained"]),
                f"{costs['flops_per_tracklet'] / 1e9:.2f}",
            ]
        )
    return lines


COSTS = ("steps", "training, s", "CPU s", "embedding", "parameters, M", "trained, M", "GFLOP a tracklet")
"""Columns of the table of costs."""


def row_title(row: Mapping[str, Any]) -> str:
    """Name of a row, with its number of seeds where some are wanting."""
    done, wanted = len(row["seeds"]), len(row["seeds_wanted"])
    return str(row["title"]) if done == wanted else f"{row['title']} ({done} of {wanted} seeds)"


def percent(figure: Mapping[str, Any]) -> str:
    """Mean and deviation of a fraction, in per cent.

    >>> percent({"mean": 0.5, "sd": 0.0125}), percent({"mean": 0.5, "sd": None})
    ('50.0 ± 1.2', '50.0')
    """
    return _with_spread(figure, 100, 1)


def seconds(figure: Mapping[str, Any] | None) -> str:
    """Mean and deviation of a time; a question mark where a run was killed and its time is not known."""
    return "?" if figure is None else _with_spread(figure, 1, 0)


def millions(number: float) -> str:
    """A number in millions.

    >>> millions(2_954_720)
    '2.95'
    """
    return f"{number / 1e6:.2f}"


def notes(table: Table) -> list[str]:
    """Paragraphs on what the table lacks, and on what made it."""
    found = [
        f"{title}: {'; '.join(items)}."
        for title, items in (
            ("Failed", [f"{one['cell']} ({one['error']})" for one in table["failed"]]),
            ("Methods that do not exist", table["missing"]),
            ("Left out, for they were made by other settings", table["other_settings"]),
            ("Not finished yet", table["open"]),
        )
        if items
    ]
    for made in table["made_with"]:
        found.append(
            f"Made with tapetum {made['tapetum']}, torch {made['torch']} and Python {made['python']} on "
            f"{made['device']} ({made['machine']}, {made['processors']} cores)."
        )
    return found


def rewrite_block(page: Path, name: str, content: str) -> bool:
    """Put `content` between the marks `<!-- NAME:start -->` and `<!-- NAME:end -->` of a page.

    Returns:
        Whether the page changed.

    Raises:
        DataError: The page has no such marks, or has them twice.
    """
    text, new = page.read_text(encoding="utf-8"), with_block(page, name, content)
    if new != text:
        replace_text(page, new)
    return new != text


def with_block(page: Path, name: str, content: str) -> str:
    """Text of a page with `content` in its marked block; raises as `rewrite_block` does."""
    text = page.read_text(encoding="utf-8")
    start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
    if (text.count(start), text.count(end)) != (1, 1) or text.index(start) > text.index(end):
        raise DataError(f"{page}: expected one block between {start} and {end}")
    before, _, rest = text.partition(start)
    after = rest.partition(end)[2]
    return f"{before}{start}\n{content.strip()}\n{end}{after}"


def _scores(block: Mapping[str, Any]) -> str:
    scores = next(row["scores"] for row in block["rows"] if "scores" in row)
    tables = []
    for place, score in enumerate(scores):
        head = [direction_title(score, scores), *(TITLES[measure] for measure in MEASURES)]
        tables.append(_table(head, score_lines(block, place)))
    return "\n\n".join(tables)


def _costs(block: Mapping[str, Any]) -> str:
    return _table(["costs", *COSTS], cost_lines(block))


def _table(head: list[str], lines: Iterable[list[str]]) -> str:
    rows = [head, ["---", *["---:"] * (len(head) - 1)], *lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def _with_spread(figure: Mapping[str, Any], factor: float, digits: int) -> str:
    mean = f"{factor * figure['mean']:.{digits}f}"
    return mean if figure["sd"] is None else f"{mean} ± {factor * figure['sd']:.{digits}f}"


def _key(score: Mapping[str, Any]) -> tuple[str, str]:
    return score["protocol"], score["direction"]
