from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest

from tapetum.evaluation import calibrate, diagnose, evaluate, open_set_scores
from tapetum.report import build_report
from tapetum.report.cameras import describe_cameras, describe_modalities
from tapetum.report.diagnosis_page import build_diagnosis
from tapetum.report.thresholds import describe_thresholds
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

HOSTILE = "<b>3</b>"


def walkers(people=40, cameras=(1, 2, HOSTILE, 4), bad=(HOSTILE,), frames=()) -> Embeddings:
    rng = np.random.default_rng(0)
    middles = rng.standard_normal((people, 16))
    rows, vectors = [], []
    for place, camera in enumerate(cameras * 2):
        infrared = place % len(cameras) >= len(cameras) / 2
        kind, part = (Modality.INFRARED, "query") if infrared else (Modality.VISIBLE, "gallery")
        for person in range(people):
            rows.append(Tracklet(f"{place}-{person}", frames, kind, person, camera, None, part))
            noise = (2.4 if camera in bad else 0.8) * rng.standard_normal(16)
            vectors.append(middles[person] + noise)
    array = np.array(vectors, dtype=np.float32)
    array /= np.linalg.norm(array, axis=1, keepdims=True)
    return Embeddings(array, TrackletSet("hitsz-vcm/test", tuple(rows)), "model-1")


@pytest.fixture(scope="module")
def embeddings():
    return walkers()


@pytest.fixture(scope="module")
def diagnosis(embeddings):
    return diagnose(embeddings, evaluate(embeddings, "hitsz-vcm"), samples=50)


def test_grids_are_deepest_where_it_is_worst(diagnosis):
    section = describe_cameras(diagnosis)
    assert [d.title for d in section.directions] == ["infrared to visible", "visible to infrared"]
    separation, precision, wrong = section.directions[1].heat_maps
    for grid in (separation, precision):
        assert grid.columns == ("camera 4", f"camera {HOSTILE}")
        depths = {
            (name, column): cell.depth
            for name, cells in grid.rows
            for column, cell in zip(grid.columns, cells, strict=True)
        }
        assert max(depths.values()) == 55
        assert min(depths.values()) == 0
        assert all(depth > 25 for (_, column), depth in depths.items() if HOSTILE in column)
        assert all(depth < 15 for (_, column), depth in depths.items() if HOSTILE not in column)
    shares = {row.query: row for row in diagnosis.wrong_answers if row.direction == "V2I"}
    assert len(wrong.rows) == len(shares) == 2
    assert section.can_compare
    assert not section.has_few


def test_table_says_what_the_diagnosis_says(diagnosis):
    table = describe_cameras(diagnosis).directions[0].table
    assert [name for name, _, _ in table.rows] == ["all cameras", "camera 4", f"camera {HOSTILE}"]
    row = diagnosis.of("I2V")[0]
    cells = table.rows[0][1]
    assert cells[:2] == ("160", "40")
    assert cells[3] == (
        f"{100 * row.mean_ap.value:.1f} ({100 * row.mean_ap.low:.1f}–{100 * row.mean_ap.high:.1f})"
    )


def test_few_figures_are_marked_and_have_no_colour():
    few = walkers(people=8)
    section = describe_cameras(diagnose(few, evaluate(few, "hitsz-vcm"), samples=10))
    assert section.has_few
    assert not section.can_compare
    for direction in section.directions:
        for grid in direction.heat_maps:
            for _, cells in grid.rows:
                assert all(cell.depth == 0 for cell in cells)
                assert all(cell.is_few for cell in cells if cell.text)


def test_no_section_without_two_cameras_and_no_grid_with_too_many(diagnosis):
    one = walkers(cameras=(1, 2))
    assert describe_cameras(diagnose(one, evaluate(one, "hitsz-vcm"), samples=5)) is None
    assert describe_modalities(diagnosis) is None
    row = diagnosis.cameras[0]
    rows = [replace(row, query=query, gallery=g) for query in (None, *range(41)) for g in (None, 1, 2)]
    section = describe_cameras(replace(diagnosis, cameras=tuple(rows)))
    assert section.directions[0].heat_maps == ()
    assert len(section.directions[0].table.rows) == 42


class Tags(HTMLParser):
    """Refuses tags that do not close in order, and collects what is seen."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.words, self.links = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        self.ids += [found["id"]] if "id" in found else []
        self.links += [v for k, v in found.items() if k in ("src", "href")]
        if tag not in {"meta", "img", "br"}:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def test_page_holds_everything_and_asks_for_nothing(embeddings, diagnosis, tmp_path):
    trials = [r.trial for r in evaluate(embeddings, "hitsz-vcm").results]
    open_set = [open_set_scores(embeddings, trial) for trial in trials]
    out = build_diagnosis(
        tmp_path / "new" / "d.html", diagnosis, calibration=calibrate(embeddings), open_set=open_set
    )
    text = out.read_text(encoding="utf-8")
    page = Tags(text)
    assert {"cameras", "thresholds", "open-set"} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert all(link.startswith("#") for link in page.links)
    assert "http://" not in text
    assert "https://" not in text
    assert HOSTILE not in text
    for finding in diagnosis.findings:
        assert " ".join(finding.text.split()) in page.text
    for expected in (
        "visible-infrared pairs", "Learnt from 20 people, judged on 20 others", "Equal error rate",
        "Expected calibration error", "FAR 0.1 %", "no threshold", "80 queries with a mate",
    ):  # fmt: skip
        assert expected in page.text, expected
    again = build_diagnosis(
        tmp_path / "again.html", diagnosis, calibration=calibrate(embeddings), open_set=open_set
    )
    assert again.read_text(encoding="utf-8") == text


def test_page_says_what_is_missing(diagnosis, tmp_path):
    silent = replace(diagnosis, findings=())
    page = Tags(build_diagnosis(tmp_path / "d.html", silent).read_text(encoding="utf-8"))
    for expected in ("Nothing beyond chance", "No calibration", "No open-set figures"):
        assert expected in page.text
    few = walkers(people=8)
    diagnosed = diagnose(few, evaluate(few, "hitsz-vcm"), samples=5)
    out = build_diagnosis(tmp_path / "few.html", diagnosed, calibration=calibrate(few))
    page = Tags(out.read_text(encoding="utf-8"))
    for expected in ("No camera has enough queries", "Fewer than 20 people on one side"):
        assert expected in page.text


def test_thresholds_are_those_of_the_curve(embeddings):
    calibration = calibrate(embeddings, pairings=["visible-infrared"])
    section = describe_thresholds(calibration, [])
    (panels,) = section.pairings
    curve = calibration.curve()
    assert [(o.false_match_rate, o.threshold) for o in panels.operations] == [
        (f"{100 * p.wished:g} %", f"{p.threshold:.4f}") for p in curve.operating_points()
    ]
    assert [o.is_few for o in panels.operations] == [True, True, False, False]
    assert section.missing == ()
    assert describe_thresholds(None, []) is None


def test_modalities_are_shown_where_both_are_searched(embeddings):
    from tapetum.evaluation import Evaluation, Trial, TrialResult, score_embeddings

    every = np.arange(len(embeddings))
    scores = score_embeddings(embeddings, embeddings)
    result = TrialResult(Trial("all", every, every), scores, None)
    evaluation = Evaluation("own", "hitsz-vcm/test", "model-1", 0, (result,))
    table = describe_modalities(diagnose(embeddings, evaluation, samples=5))
    assert [name for name, _, _ in table.rows] == [
        f"all: {a} in {b}" for a in ("infrared", "visible") for b in ("infrared", "visible")
    ]


def test_report_has_the_section_where_there_are_several_cameras(make_data, frame_paths, tmp_path):
    several = walkers(people=6, cameras=(1, 2, 3, 4), bad=(), frames=frame_paths[:1])
    data = make_data(several.tracklets)
    text = build_report(tmp_path / "several.html", title="A run", data=data).read_text(encoding="utf-8")
    page = Tags(text)
    assert "cameras" in page.ids
    assert "Queries by camera, infrared to visible" in page.text
    page = Tags(
        build_report(tmp_path / "one.html", title="A run", data=make_data()).read_text(encoding="utf-8")
    )
    assert "cameras" not in page.ids
