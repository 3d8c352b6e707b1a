"""The one table: as lines of cells, JSON, Markdown, and a page."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tapetum.benchmarking.ledger import Result
from tapetum.benchmarking.rows import Row
from tapetum.benchmarking.stages import STAGES
from tapetum.files import replace_text
from tapetum.report.rendering import render

COLUMNS = (
    "",
    "value",
    "unit",
    "limit",
    "of it",
    "of it, processor time",
    "spread",
    "times the usual way",
    "MiB",
    "the limit is",
)

_MISSING = "-"


def cells(row: Row) -> tuple[str, ...]:
    """A line of the table: a text for each of `COLUMNS`."""
    return (
        row.what,
        rounded(row.value),
        row.unit,
        rounded(row.limit),
        _share(row.ratio),
        _share(row.cpu_ratio),
        _share(row.spread),
        rounded(row.gain),
        rounded(row.memory_mib),
        row.limit_of or _MISSING,
    )


def rounded(value: float | None) -> str:
    """A figure with three digits that count, or a whole number; a dash where there is none.

    >>> rounded(12345.6), rounded(1.2345), rounded(0.012345), rounded(None)
    ('12,346', '1.23', '0.0123', '-')
    """
    if value is None:
        return _MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def facts(row: Row) -> str:
    """Further figures of a row in words; "" where there are none.

    >>> facts(Row("step", 1.0, "s", facts={"frames": 32, "by oneDNN": "nothing"}))
    'frames 32, by oneDNN nothing'
    """
    shown = {k: v if isinstance(v, str) else _exact(k, v) for k, v in row.facts.items()}
    return ", ".join(f"{name} {value}" for name, value in shown.items())


def machine_lines(results: Sequence[Result]) -> list[str]:
    """What the figures were measured on, each way once."""
    made: dict[str, None] = {}
    for result in results:
        s = result.settings
        place = s.get("accelerator") or s["processor"]
        made[f"{place}; {s['device']}, {s['threads']} threads, {s['rounds']} rounds, torch {s['torch']}"] = (
            None
        )
    return list(made)


def table_json(results: Sequence[Result]) -> dict[str, Any]:
    """The table with all that is known of it, ready for `json.dumps`."""
    return {"format": "tapetum-bench", "format_version": 1, "results": [r.to_json() for r in results]}


def write_table(path: Path, results: Sequence[Result]) -> Path:
    """Write the table as Markdown, whole or not at all, and return `path`."""
    lines = [*machine_lines(results), ""]
    lines += [_line(COLUMNS), _line("---" for _ in COLUMNS)]
    for stage, found in by_stage(results).items():
        lines.append(_line((f"**{stage}**", *("" for _ in COLUMNS[1:]))))
        for result, row in found:
            first, *others = cells(row)
            lines.append(_line((f"{result.part}: {first}", *others)))
    lines += ["", *(f"- {r.part}: {row.what}: {told}" for r, row in _rows(results) if (told := facts(row)))]
    return replace_text(path, "\n".join(lines) + "\n")


def write_page(path: Path, results: Sequence[Result]) -> Path:
    """Write the table as one HTML page, whole or not at all, and return `path`.

    Raises:
        MissingExtraError: jinja2 is not installed.
    """
    blocks = [
        {
            "title": stage,
            "about": STAGES[stage],
            "lines": [(f"{result.part}: {row.what}", *cells(row)[1:], facts(row)) for result, row in found],
        }
        for stage, found in by_stage(results).items()
    ]
    content = {
        "title": "What the machine can do, and how much of it is reached",
        "summary": "",
        "machines": machine_lines(results),
        "columns": (*COLUMNS, "besides"),
        "blocks": blocks,
    }
    return replace_text(path, render("bench.html", content))


def by_stage(results: Sequence[Result]) -> Mapping[str, list[tuple[Result, Row]]]:
    """Rows by their stage, in the order of the results."""
    found: dict[str, list[tuple[Result, Row]]] = {}
    for result, row in _rows(results):
        found.setdefault(result.stage, []).append((result, row))
    return found


def _rows(results: Sequence[Result]) -> list[tuple[Result, Row]]:
    return [(result, row) for result in results for row in result.rows]


def _line(texts: Any) -> str:
    return "| " + " | ".join(str(text).replace("|", "\\|") for text in texts) + " |"


def _share(value: float | None) -> str:
    return _MISSING if value is None else f"{100 * value:.0f} %"


def _exact(name: str, value: float) -> str:
    """Cosines lie so near 1 that three digits say nothing."""
    return f"{value:.6f}" if "cosine" in name else rounded(value)
