import dataclasses
import re
import sys
from html.parser import HTMLParser

import pytest

from tapetum.errors import MissingExtraError
from tapetum.evaluation import evaluate
from tapetum.report import build_report
from tapetum.types import TrackletSet

VOID = {"meta", "img", "br", "hr", "link", "input"}
SECTIONS = {"overview", "samples", "learning", "retrieval", "space", "run"}
HOSTILE = '"><script>alert(1)</script>&lt;{{ 7*7 }}'
LOG = [
    {"step": i, "losses": {"identity": 3.0 / (i + 1)}, "lr": 1e-3, "validation": {"mAP": 0.1}}
    for i in range(5)
]


class Page(HTMLParser):
    """Checks that tags close in order, and collects ids, references, tags and visible text."""

    def __init__(self, text):
        super().__init__()
        self.open, self.ids, self.references, self.tags, self.words, self.images = [], [], [], set(), [], 0
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        if tag not in VOID:
            self.open.append(tag)
        self._look(tag, attrs)

    def handle_startendtag(self, tag, attrs):
        self._look(tag, attrs)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.words.append(data)

    def _look(self, tag, attrs):
        self.tags.add(tag)
        found = dict(attrs)
        self.images += tag == "img"
        assert tag != "img" or found["alt"]
        self.ids += [found["id"]] if "id" in found else []
        self.references += [
            v for k, v in found.items() if k in ("src", "href", "xlink:href", "data", "srcset")
        ]

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def build(tmp_path, data, title="A run"):
    text = build_report(tmp_path / "out" / "report.html", title=title, data=data).read_text(encoding="utf-8")
    return Page(text), text


def test_a_whole_report(tmp_path, make_data):
    data = make_data(
        log=LOG,
        config={"stages": [{"lr": 1e-4}]},
        environment={"torch": "2.13"},
        timings_s={"training": 200.0},
        counts={"dropped": 3},
    )
    page, text = build(tmp_path, data)
    assert set(page.ids) >= SECTIONS
    assert len(page.ids) == len(set(page.ids))
    for expected in (
        "untrained", "chance", "x-reid", "R-20", "mINP", "infrared to visible", "visible to infrared",
        "identity", "mAP", "separation", "best", "median", "worst", "query", "t-SNE", "3 min 20 s", "dropped",
        "2.13",         "lr: 0.0001", "✓", "✗",
    ):  # fmt: skip
        assert expected in page.text
    assert "Synthetic" not in page.text
    assert page.text.count("first match at rank") == 18
    assert len(text) < 2_000_000


def test_nothing_is_fetched(tmp_path, make_data):
    page, text = build(tmp_path, make_data(log=LOG))
    assert "http://" not in text
    assert "https://" not in text
    assert page.references
    assert all(r.startswith(("data:image/jpeg;base64,", "#")) for r in page.references)
    assert not page.tags & {"script", "link", "iframe", "object", "embed", "base"}
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)
    links = {r[1:] for r in page.references if r.startswith("#")} | set(re.findall(r"url\(#([^)]+)\)", text))
    assert links <= set(page.ids)


def test_figures_on_the_page_are_those_of_the_scores(tmp_path, make_data):
    data = make_data()
    page, _ = build(tmp_path, data)
    for result in data.trials:
        shares = [
            *(result.scores.rank(r) for r in (1, 5, 10, 20)),
            result.scores.mean_ap,
            result.scores.mean_inp,
        ]
        assert " ".join(["lsmrl", *(f"{100 * share:.1f}" for share in shares)]) in re.sub(
            r"\s+", " ", page.text
        )


def test_synthetic_data_are_called_so_at_the_top(tmp_path, make_data):
    page, text = build(tmp_path, make_data(is_synthetic=True))
    assert "Synthetic walkers: no figure here says anything about real data." in page.text
    assert text.index("Synthetic walkers") < text.index('id="overview"')


def test_hostile_names_stay_text(tmp_path, make_data, make_tracklets, embed):
    test = make_tracklets([HOSTILE, "b", "c", "$x_1$"])
    test = TrackletSet(
        "toy", tuple(dataclasses.replace(t, tracklet_id=t.tracklet_id + HOSTILE) for t in test)
    )
    data = make_data(test)
    data = dataclasses.replace(
        data,
        dataset=HOSTILE,
        method=HOSTILE,
        results={HOSTILE: data.results["lsmrl"], "_hidden": data.results["x-reid"]},
        log=[{"step": 0, "stage": HOSTILE, "losses": {HOSTILE: 1.0, "$a_b$": 2.0}}],
        config={HOSTILE: HOSTILE},
        environment={HOSTILE: HOSTILE},
        counts={HOSTILE: HOSTILE},
    )
    page, text = build(tmp_path, data, title=HOSTILE)
    assert "script" not in page.tags
    assert "<script" not in text
    assert "49" not in re.findall(r"&lt;(\d+)", text)
    assert page.text.count(HOSTILE) > 10
    assert "$a_b$" in page.text
    assert "_hidden" in page.text


def test_one_query(tmp_path, make_data, make_tracklets):
    page, _ = build(tmp_path, make_data(make_tracklets((5,), each=1)))
    assert set(page.ids) >= SECTIONS
    assert page.text.count("first match at rank 1 ") == 2
    assert "No map" in page.text


def test_skipped_queries_are_counted(tmp_path, make_data, make_tracklets):
    kept = [t for t in make_tracklets(range(5)) if not (t.person_id == 3 and t.modality == "visible")]
    page, _ = build(tmp_path, make_data(TrackletSet("toy", tuple(kept))))
    assert "8 queries; 2 more had no true match in the gallery" in page.text


def test_without_a_log_the_page_says_so(tmp_path, make_data):
    assert "without a training log" in build(tmp_path, make_data())[0].text


def test_equal_data_give_an_equal_page(tmp_path, make_data):
    assert build(tmp_path / "a", make_data(log=LOG))[1] == build(tmp_path / "b", make_data(log=LOG))[1]


def test_a_failed_report_leaves_the_former_one(tmp_path, make_data):
    data = make_data()
    out = build_report(tmp_path / "report.html", title="A", data=data)
    before = out.read_bytes()
    wrong = dataclasses.replace(data, results={**data.results, "lsmrl": data.results["untrained"]})
    with pytest.raises(ValueError, match="not of one ranking"):
        build_report(out, title="B", data=wrong)
    assert out.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]


@pytest.mark.parametrize("package", ["jinja2", "matplotlib", "sklearn.manifold"])
def test_a_missing_package_is_named(tmp_path, make_data, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    named = package.partition(".")[0]
    with pytest.raises(MissingExtraError, match=rf"'{named}' is not installed.*tapetum\[report\]"):
        build_report(tmp_path / "report.html", title="A", data=make_data())


def test_rows_that_do_not_compare_are_refused(make_data, make_tracklets, embed):
    data = make_data()
    with pytest.raises(ValueError, match="no results of method 'agw'; rows: lsmrl, untrained, x-reid"):
        dataclasses.replace(data, method="agw")
    other = dataclasses.replace(evaluate(data.test, "hitsz-vcm"), protocol="regdb")
    with pytest.raises(ValueError, match=r"protocol hitsz-vcm, other rows by \{'other': 'regdb'\}"):
        dataclasses.replace(data, results={**data.results, "other": other})
