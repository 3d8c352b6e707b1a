import re
from html import unescape
from html.parser import HTMLParser

import pytest

from tapetum.data.corruptions import CORRUPTIONS, corruption_names
from tapetum.evaluation.robustness import Figures, Robustness
from tapetum.report.corruption_examples import ExampleFrames
from tapetum.report.robustness_page import build_robustness


def figures(mean_ap):
    return Figures(mean_ap, mean_ap / 4, mean_ap / 2, 0.6, 0.7, 0.8)


@pytest.fixture
def found():
    """Two directions; every corruption costs 5 per cent a severity, rain gains."""
    cells = {}
    for name in corruption_names():
        for severity in (1, 3, 5):
            factor = 1.2 if name == "rain" else 1 - 0.05 * severity
            cells[name, severity] = {"I2V": figures(0.8 * factor), "V2I": figures(0.4 * factor)}
    clean = {"I2V": figures(0.8), "V2I": figures(0.4)}
    return Robustness("manifest", "toy/test", "a fingerprint", 3, "query", clean, cells)


@pytest.fixture
def page(found, make_tracklets, tmp_path):
    """Text of the page; also with other figures."""

    def make(found=found, **options):
        examples = ExampleFrames(make_tracklets((1, 2)), 24, 12)
        out = build_robustness(tmp_path / "new" / "page.html", found, examples, title="A < B", **options)
        return out.read_text()

    return make


class Tags(HTMLParser):
    """Ids, sources and unclosed elements of a page."""

    def __init__(self):
        super().__init__()
        self.ids, self.sources, self.open = [], [], []

    def handle_starttag(self, tag, attributes):
        names = dict(attributes)
        self.ids += [names["id"]] if "id" in names else []
        self.sources += [names["src"]] if "src" in names else []
        if tag not in ("meta", "img", "path", "use", "rect", "line"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        if tag in self.open:
            while self.open.pop() != tag:
                pass


def test_the_page_needs_nothing_beside_it(page):
    text = page()
    tags = Tags()
    tags.feed(text)
    assert all(source.startswith("data:image/jpeg;base64,") for source in tags.sources)
    assert len(tags.sources) == sum(len(c.modalities) for c in CORRUPTIONS)
    assert len(set(tags.ids)) == len(tags.ids)
    assert tags.open == []
    assert "://" not in text
    assert "A &lt; B" in text


def test_tables_hold_means_and_losses(page):
    text = page()

    def row(title, table):
        """Figures of a line of the first or the second table."""
        lines = re.findall(rf'<th scope="row">{title}</th>(.*?)</tr>', text, re.DOTALL)
        return re.findall(r">([^<]+)</td>", lines[table])

    assert row("clean", 0) == ["80.0", "0.0", "40.0", "0.0"]
    assert row("fog", 0) == ["68.0", "15.0", "34.0", "15.0"]
    assert row("rain", 1) == ["48.0", "-20.0", "24.0", "-20.0"]
    mean = (24 * 0.85 + 1.2) / 25
    assert row("all corruptions", 1)[:2] == [f"{40 * mean:.1f}", f"{100 * (1 - mean):.1f}"]
    assert row("fog", 2) == ["76.0", "68.0", "60.0", "68.0"]  # the heat map of the first direction


def test_colours_deepen_with_the_loss(page):
    text = page()
    (cells,) = re.findall(r'<th scope="row">jpeg</th>((?:<td[^>]*title.*?)+)</tr>', text)[:1]
    depths = [float(depth) for depth in re.findall(r"--depth:([\d.]+)%", cells)]
    assert depths[0] < depths[1] < depths[2]
    assert depths[2] == pytest.approx(60 * 0.25, abs=0.1)
    assert depths[3] == pytest.approx(depths[1], abs=0.1)  # the mean
    (gains,) = re.findall(r'<th scope="row">rain</th>((?:<td[^>]*title.*?)+)</tr>', text)[:1]
    assert set(re.findall(r"--depth:([\d.]+)%", gains)) == {"0.0"}


def test_what_was_corrupted_and_how_is_said(page, found):
    text = unescape(page(is_synthetic=True))
    assert "Only the pictures that are searched for are corrupted." in text
    assert "25 corruptions at severity 1, 3, 5, seed 3" in text
    assert "no figure here says anything about real data" in text
    assert "no figure here says anything about real data" not in page()
    for corruption in CORRUPTIONS:
        assert corruption.about in text


def test_curves_of_each_family_in_a_style_of_its_own(page):
    text = page()
    families = [*dict.fromkeys(c.family for c in CORRUPTIONS), "all corruptions"]
    (legend,) = re.findall(r'<ul class="legend">(.*?)</ul>', text, re.DOTALL)
    assert re.findall(r"</svg>([^<]+)</li>", legend) == families
    styles = re.findall(r"<path [^>]*?>", legend)
    assert len(set(styles)) == len(families)
    assert text.count('class="plot"') == 2


def test_one_corruption_with_nothing_to_lose(page):
    """A clean mAP of 0: there is no relative loss."""
    nothing = {"all to all": figures(0.0)}
    text = page(Robustness("toy", "d", "", 0, "both", nothing, {("fog", 2): nothing}))
    assert "Model (unknown) on d" in text
    assert "–" in text
    assert ">nan" not in text
