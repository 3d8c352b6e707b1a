import re

from tapetum.comparison.figure import directions, spread_plot
from tapetum.comparison.table import MEASURES, spread


def block(*values):
    row = {
        **{
            "name": "a",
            "title": "row A",
            "seeds": list(range(len(values))),
            "seeds_wanted": list(range(len(values))),
        },
        "scores": [
            {"protocol": "p", "direction": way, **{m: spread(values) for m in MEASURES}}
            for way in ("I2V", "V2I")
        ],
    }
    chance = [{"protocol": "p", "direction": "I2V", "map": 0.05}]
    return {"title": "walk", "rows": [row, {"name": "b", "title": "B", "seeds": []}], "chance": chance}


def test_a_dot_per_direction_and_a_stroke_per_seed():
    found = spread_plot(block(0.1, 0.2, 0.6), name="p")
    assert 'aria-label="mAP of each row on walk"' in found
    assert "row A" in found
    assert ">B<" not in found
    one, two = (spread_plot(block(*values), name="p") for values in ([0.1], [0.1, 0.2]))
    uses = [len(re.findall(r"<use ", text)) for text in (one, two)]
    assert uses[1] - uses[0] >= 2  # one more stroke in each direction


def test_names_and_colours_of_directions():
    assert directions(block(0.5)) == [("I2V", "row-1", "●"), ("V2I", "row-2", "▲")]
