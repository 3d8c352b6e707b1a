"""The card of an exported model: what it was made from, what it can do, and what it is not for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tapetum.export.facts import RunFacts
from tapetum.export.parity import Parity
from tapetum.onnx_metadata import CAMERAS, EMBEDDINGS, INFRARED, OnnxMetadata

_DATA_TERMS = {
    "hitsz-vcm": "HITSZ-VCM is given out by its authors for academic use and may not be passed on; models "
    "trained on it may be passed on for non-commercial use only.",
    "bupt-campus": "BUPTCampus is for academic use, not for commercial use, and may not be passed on.",
    "llcm": "LLCM is given out by its authors for academic research, on the terms that they send with it.",
    "regdb": "RegDB is given out for research, against a signed form and on its terms.",
    "sysu-mm01": "SYSU-MM01 is given out for scientific research, on the terms of a signed agreement.",
}
"""As their authors say; what this means for a model trained on them is for its user to find out."""

_DRAWN = "The training data are **synthetic**: walkers drawn by this package, under its licence, Apache-2.0."

_SCORE_HEAD = (
    "| direction | rank-1 | rank-5 | rank-10 | mAP | mINP | queries |\n|---|---|---|---|---|---|---|"
)
_RANKS = (1, 5, 10)

_USES = """\
To rank tracklets of pedestrians from cameras that see visible and near-infrared light by how alike they look:
for research, and to help a person who looks through footage that they may lawfully search.

Not to decide by itself who somebody is. A near embedding says that two people look alike to this network, not
that they are one person; every answer has to be looked at by somebody, and what follows from it is theirs to
answer for. It is not for tracking people at large, nor for telling anything about a person beyond their
looks."""

_LIMITS = """\
- Figures hold for people, cameras, light and clothes like those of the data they were measured on. Elsewhere
  they are lower, often much lower: measure on tracklets of your own cameras, and calibrate there, before you
  rely on any answer.
- People who are dressed alike are mixed up; a person who changes clothes is lost. Errors may fall unevenly on
  groups of people: this was not measured unless it is said above.
- It sees what it was trained to see: boxes around one upright person. Bad boxes, small pictures, blur and
  glare cost much."""


def model_card(file: Path, about: OnnxMetadata, parity: Parity, facts: RunFacts) -> str:
    """The card as Markdown."""
    title = "synthetic data" if facts.synthetic else (about.trained_on or "data that the run does not name")
    sections = {
        f"{file.name}: {about.method}, trained on {title}": _summary(about),
        "Data": _data(about, facts),
        "Figures": _figures(facts),
        "As exact as the run": _parity(parity),
        "Licence": _licence(about, facts),
        "Use": _USES,
        "Limits": _LIMITS,
        "Inputs and output": _inputs(about),
    }
    parts = [
        f"{'#' if i == 0 else '##'} {head}\n\n{text}\n" for i, (head, text) in enumerate(sections.items())
    ]
    return "\n".join(parts)


def _summary(about: OnnxMetadata) -> str:
    size = about.preprocessing
    return (
        f"Embeddings of {about.embedding_dim} numbers of pedestrian tracklets, by method `{about.method}` of "
        f"Tapetum {about.tapetum}: clips of {size.frames} frame{'s' if size.frames > 1 else ''}, "
        f"{size.height}x{size.width} pixels. Model `{about.fingerprint}`."
    )


def _data(about: OnnxMetadata, facts: RunFacts) -> str:
    lines = [f"Trained on: {about.trained_on or 'not known'}."]
    if facts.synthetic:
        lines.append(f"{_DRAWN} No figure on such data says anything about real pictures.")
    elif facts.synthetic is None:
        lines.append("Whether they were synthetic is not known: the run's data were not there to ask.")
    training = facts.settings.get("training")
    if isinstance(training, Mapping) and "seed" in training:
        lines.append(f"Preset {facts.settings.get('preset', '?')}, seed {training['seed']}.")
    return "\n".join(lines)


def _figures(facts: RunFacts) -> str:
    if facts.scores is None:
        return (
            "None: the run holds no scores. `tapetum evaluate RUN --data FORMAT:ROOT --json "
            "RUN/scores.json`, then another export, adds them."
        )
    scores = facts.scores
    where = f"Protocol `{scores['protocol']}`, data `{scores['data']}`, per cent"
    where += ", distances re-ranked" if scores.get("reranking") else ""
    where += ", with mirror images" if scores.get("flip") else ""
    rows = "\n".join(_score_rows(scores["directions"]))
    drawn = (
        "\n\n**Synthetic pictures: these figures say nothing about real ones.**" if facts.synthetic else ""
    )
    return f"{where}. They were measured with the run, before the export.\n\n{_SCORE_HEAD}\n{rows}{drawn}"


def _score_rows(directions: Mapping[str, Mapping[str, Any]]) -> Iterator[str]:
    for name, found in directions.items():
        for label, row in ((name, found), (f"{name}, chance", found.get("chance"))):
            if row is None:
                continue
            cmc = row["cmc"]
            shares = [*(cmc[min(rank, len(cmc)) - 1] for rank in _RANKS), row["mean_ap"], row["mean_inp"]]
            cells = (f"{100 * share:.1f}" for share in shares)
            yield f"| {label} | {' | '.join(cells)} | {row['queries']:g} |"


def _parity(parity: Parity) -> str:
    rows = [
        f"| {c.name} | {c.clips} | {', '.join(map(str, c.batch_sizes))} | {c.max_abs_difference:.1e} | "
        f"{c.min_cosine:.7f} |"
        for c in parity.comparisons
    ]
    head = "| clips | number | batch sizes | largest difference | least cosine |\n|---|---|---|---|---|"
    used = ", ".join(f"{name} {number}" for name, number in parity.versions.items())
    return f"Embeddings of the same clips by the run and by this file ({used}):\n\n{head}\n" + "\n".join(rows)


def _licence(about: OnnxMetadata, facts: RunFacts) -> str:
    lines = ["As far as is known; whether it covers what you do is for you to find out.", ""]
    data = _DATA_TERMS.get(about.trained_on.partition("?")[0].partition(":")[0])
    if facts.synthetic:
        lines.append(f"- Data: {_DRAWN}")
    else:
        lines.append(f"- Data: {data or 'those of whoever gave them to whoever trained the model.'}")
    lines.append(
        f"- Weights that training started from: {_weights(str(about.config.get('weights', 'none')))}"
    )
    lines.append(
        "- Code: Tapetum, Apache-2.0. Data and weights do not change their terms by being trained on."
    )
    return "\n".join(lines)


def _weights(name: str) -> str:
    if name == "none":
        return "none, it learnt from random ones."
    if name == "stand-in":
        return "the stand-in that Tapetum ships, made from synthetic pictures, Apache-2.0."
    return (
        f"`{name}`. OpenAI's and open_clip's CLIP weights are under MIT licence; weights trained on ImageNet "
        "follow its terms, research and teaching that is not commercial; for others ask where they come from."
    )


def _inputs(about: OnnxMetadata) -> str:
    size = about.preprocessing
    frames = "T" if about.is_frame_count_free else str(size.frames)
    told = {
        "clips": f"float32 `[B, {frames}, 3, {size.height}, {size.width}]`, RGB in 0..1 less "
        f"{_numbers(size.mean)}, over {_numbers(size.std)}",
        INFRARED: "bool `[B]`, whether the camera saw infrared",
        CAMERAS: f"int64 `[B]`, place in {list(about.camera_ids)}, or -1",
    }
    rows = "\n".join(f"- `{name}`: {told[name]}" for name in about.inputs)
    return f"{rows}\n- `{EMBEDDINGS}`, the output: float32 `[B, {about.embedding_dim}]`, of length 1"


def _numbers(values: tuple[float, ...]) -> str:
    return "(" + ", ".join(f"{value:g}" for value in values) + ")"
