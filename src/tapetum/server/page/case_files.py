"""What the files of a case hold: its facts, its table, its pictures as addresses, and the archive of all."""

from __future__ import annotations

import base64
import csv
import io
import json
import time
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass

from tapetum.search.query import Hit
from tapetum.server.asking import QueryHandle
from tapetum.server.page.cases import Case
from tapetum.server.page.scores import percent
from tapetum.server.page.times import is_date, iso_time, time_text
from tapetum.server.recording import filter_facts
from tapetum.server.users import User

_COLUMNS = (
    "rank",
    "tracklet_id",
    "person_id",
    "camera_id",
    "modality",
    "time_s",
    "time_utc",
    "similarity",
    "probability",
    "mark",
)
_FORMULAS = ("=", "+", "-", "@", "\t", "\r")
"""What spreadsheets take for the start of a formula."""

_FACTS = {
    "modality": "Only seen in",
    "cameras": "Only cameras",
    "exclude_cameras": "Not cameras",
    "persons": "Only persons",
    "after": "From",
    "before": "Until, not included",
}


@dataclass(frozen=True, slots=True)
class CasePictures:
    """Pictures of a case, JPEG files' bytes.

    Attributes:
        query: Of what was searched by.
        hits: Of each hit.
    """

    query: Sequence[bytes]
    hits: Sequence[Sequence[bytes]]

    @property
    def of_query(self) -> list[str]:
        """The query's pictures as addresses that hold them."""
        return [_address(content) for content in self.query]

    @property
    def of_hits(self) -> list[list[str]]:
        """The hits' pictures, likewise."""
        return [[_address(content) for content in contents] for contents in self.hits]


def case_facts(case: Case, *, by: User, at: float) -> list[tuple[str, str]]:
    """Who asked what, when and why, and how it was answered: name and value of each.

    Args:
        case: The case.
        by: Who exports it.
        at: When, in Unix seconds.
    """
    return [
        ("Asked by", f"{case.by.name} ({case.by.role})"),
        ("Asked at", time_text(case.asked_at)),
        ("Reason", case.form.reason or "none given"),
        ("Searched by", _query_text(case)),
        *_filters(case),
        *_manner(case),
        *_source(case),
        ("Exported by", f"{by.name} ({by.role})"),
        ("Exported at", time_text(at)),
    ]


def case_table(case: Case) -> bytes:
    """The hits as CSV in UTF-8, one line each, nearest first; no cell is taken for a formula."""
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(_COLUMNS)
    for hit in case.answer.result:
        writer.writerow(_cells(hit, case))
    return text.getvalue().encode("utf-8", "replace")


def case_archive(case: Case, page: bytes, *, by: User, at: float) -> bytes:
    """A ZIP file with the page, the table, and the facts as JSON.

    Args:
        case: The case.
        page: Its HTML file.
        by: Who exports it.
        at: When, in Unix seconds.
    """
    facts = json.dumps(dict(case_facts(case, by=by, at=at)), indent=2)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in (
            ("case.html", page),
            ("hits.csv", case_table(case)),
            ("case.json", facts.encode()),
        ):
            entry = zipfile.ZipInfo(name, time.gmtime(at)[:6])
            entry.external_attr = 0o600 << 16
            archive.writestr(entry, content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def _query_text(case: Case) -> str:
    if not case.queries:
        return f"tracklet {case.form.item_id} of the gallery"
    counts = [f"{query.pictures} uploaded picture(s), {_seen(query)}" for query in case.queries]
    digests = [digest for query in case.queries for digest in query.digests]
    return f"{'; '.join(counts)}; SHA-256 {', '.join(digests)}"


def _filters(case: Case) -> list[tuple[str, str]]:
    facts = filter_facts(case.ask.filters)
    if not facts:
        return [("Filters", "none: all tracklets of the gallery")]
    return [(_FACTS[name], _fact_text(value)) for name, value in facts.items()]


def _fact_text(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return time_text(value) if isinstance(value, float | int) else str(value)


def _manner(case: Case) -> list[tuple[str, str]]:
    form, result = case.form, case.answer.result
    cut, prior = result.min_probability, form.prior
    return [
        ("Manner", f"{result.manner}; {result.searched} tracklets searched, at most {form.top} hits wished"),
        ("Re-ranked", "yes" if result.reranked else "no"),
        ("Grouped", f"by {form.group}" if form.group else "no"),
        ("Marked right", ", ".join(form.right) or "none"),
        ("Marked wrong", ", ".join(form.wrong) or "none"),
        ("Cut", "none" if cut is None else f"unknown below {percent(cut)}"),
        ("Prior", "as calibrated" if prior is None else percent(prior)),
        ("Answer", "unknown: no hit is probable enough" if result.is_unknown else f"{len(result)} hits"),
    ]


def _source(case: Case) -> list[tuple[str, str]]:
    info = case.info
    meaning = "calibrated probabilities" if info.calibrated else "similarities, which are no probabilities"
    return [
        ("Model", info.model or "none"),
        ("Trained on", info.trained_on or "unknown"),
        ("Gallery", f"{info.count} tracklets, {info.storage}"),
        ("Figures", meaning),
        ("Software", f"Tapetum {info.version}"),
    ]


def _cells(hit: Hit, case: Case) -> list[object]:
    found = hit.tracklet
    mark = "right" if found.tracklet_id in case.form.right else ""
    return [
        hit.rank,
        _cell(found.tracklet_id),
        _cell(found.person_id),
        _cell(found.camera_id),
        found.modality.value,
        "" if found.time is None else repr(float(found.time)),
        iso_time(found.time) if found.time is not None and is_date(found.time) else "",
        f"{hit.similarity:.6f}",
        "" if hit.probability is None else f"{hit.probability:.6g}",
        "wrong" if found.tracklet_id in case.form.wrong else mark,
    ]


def _cell(value: object) -> str:
    """A text that no spreadsheet computes.

    >>> _cell("=1+1"), _cell(-3), _cell(None)
    ("'=1+1", '-3', '')
    """
    text = "" if value is None else str(value)
    return f"'{text}" if isinstance(value, str) and text.startswith(_FORMULAS) else text


def _address(content: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(content).decode('ascii')}"


def _seen(query: QueryHandle) -> str:
    """How the pictures of an upload were seen, each manner once."""
    return ", ".join(dict.fromkeys(query.modalities))
