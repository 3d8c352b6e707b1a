import io

import pytest
from PIL import Image

from tapetum.evaluation import evaluate
from tapetum.report.palette import light
from tapetum.report.pictures import draw_overview


def colours(png):
    with Image.open(io.BytesIO(png)) as picture:
        assert picture.format == "PNG"
        return picture.size, {c for _, c in picture.convert("RGB").getcolors(1 << 24)}


def near(colours, wanted):
    target = [int(wanted[i : i + 2], 16) for i in (1, 3, 5)]
    return any(max(abs(a - b) for a, b in zip(c, target, strict=True)) < 24 for c in colours)


def test_three_searches_with_right_and_wrong_marked(make_tracklets, embed):
    given = embed(make_tracklets(range(8)), noise=1.5)
    result = evaluate(given, "hitsz-vcm").results[1]
    png = draw_overview(given, result, title="$x <b>", hits=5)
    size, found = colours(png)
    assert near(found, light("right"))
    assert near(found, light("wrong"))
    wider, _ = colours(draw_overview(given, result, title="t", hits=6))
    assert wider[1] == size[1]
    assert wider[0] > size[0]
    assert draw_overview(given, result, title="$x <b>", hits=5) == png


def test_one_query_gives_one_search(make_tracklets, embed):
    given = embed(make_tracklets((1,), each=1))
    result = evaluate(given, "hitsz-vcm").results[0]
    (_, height), found = colours(draw_overview(given, result, title="t", hits=5))
    assert height < 400
    assert not near(found, light("wrong"))


def test_scores_of_another_ranking_are_refused(make_tracklets, embed):
    given = embed(make_tracklets(range(6)), noise=2.0)
    other = evaluate(embed(given.tracklets, noise=2.0, seed=5), "hitsz-vcm").results[1]
    with pytest.raises(ValueError, match="not of one ranking"):
        draw_overview(given, other, title="t")
