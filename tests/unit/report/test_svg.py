import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from tapetum.errors import MissingExtraError
from tapetum.report.palette import COLOURS, css_variables, light
from tapetum.report.svg import svg_plot

HOSTILE = '<script>alert("x")</script> & $\\frac{a}{b}$ _y'


def hostile_plot(name="one"):
    def draw(axes):
        axes.plot([0, 1], [0, 1], color=light("accent"), marker="o")
        axes.plot([0, 1], [0, 2], color="#123456")
        axes.set_xlabel(HOSTILE)

    return svg_plot(draw, name=name, title=HOSTILE)


def test_a_plot_names_nothing_outside_itself():
    text = hostile_plot()
    assert "http" not in text
    assert "<!DOCTYPE" not in text
    assert "font-family" not in text
    assert "<style" not in text


def test_ids_are_unique_on_a_page_and_every_link_has_its_target():
    texts = [hostile_plot("one"), hostile_plot("two")]
    ids = re.findall(r'\bid="([^"]+)"', "".join(texts))
    assert len(ids) == len(set(ids))
    links = re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', "".join(texts))
    assert links
    assert {a or b for a, b in links} <= set(ids)


def test_palette_colours_follow_the_theme_and_others_stay():
    text = hostile_plot()
    assert "var(--accent)" in text
    assert light("accent") not in text
    assert "#123456" in text


def test_foreign_text_stays_text():
    text = hostile_plot()
    root = ElementTree.fromstring(text)
    assert root.get("aria-label") == HOSTILE
    assert HOSTILE in [e.text for e in root.iter("text")]
    seen = []
    parser = HTMLParser()
    parser.handle_starttag = lambda tag, attrs: seen.append(tag)
    parser.feed(text)
    assert "script" not in seen


def test_equal_plots_are_equal_text():
    assert hostile_plot() == hostile_plot()


def test_light_colours_differ_so_that_each_maps_to_one_variable():
    assert len({day for day, _ in COLOURS.values()}) == len(COLOURS)
    assert all(f"--{name}:{night};" in css_variables() for name, (_, night) in COLOURS.items())


def test_a_missing_package_is_named_with_its_extra(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    with pytest.raises(MissingExtraError, match=r"'matplotlib' is not installed.*tapetum\[report\]"):
        hostile_plot()
