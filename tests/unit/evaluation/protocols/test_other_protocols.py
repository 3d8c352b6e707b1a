"""RegDB, LLCM, BUPTCampus, Market-1501 style and manifests: lists and refusals of each."""

import pytest

from tapetum.evaluation import create_protocol
from tapetum.types import Modality, Tracklet, TrackletSet

VIS, IR = Modality.VISIBLE, Modality.INFRARED


def make(*rows, name="toy") -> TrackletSet:
    """Rows of (modality, part, person, camera); the last two may be left out."""
    filled = [(*row, *(1, 1)[len(row) - 2 :]) for row in rows]
    return TrackletSet(
        name, tuple(Tracklet(f"t{n}", (), m, p, c, part=part) for n, (m, part, p, c) in enumerate(filled))
    )


def lists(name, tracklets):
    return [(t.name, t.query.tolist(), t.gallery.tolist()) for t in create_protocol(name).trials(tracklets)]


def rules(name, tracklets):
    trials = create_protocol(name).trials(tracklets)
    return {(t.direction, t.same_camera, t.count, t.hidden_cameras) for t in trials}


BOTH = ((VIS, "query"), (IR, "query"), (VIS, "gallery"), (IR, "gallery"), (IR, "train"), (VIS, "gallery"))


@pytest.mark.parametrize(
    ("title", "suffix"),
    [("regdb?trial=3/test", " 3"), ("regdb?strict=true&trial=10/test", " 10"), ("regdb", "")],
)
def test_regdb_names_its_trial(title, suffix):
    tracklets = make(*BOTH, name=title)
    assert lists("regdb", tracklets) == [
        (f"V2I{suffix}", [0, 2, 5], [1, 3]),
        (f"I2V{suffix}", [1, 3], [0, 2, 5]),
    ]
    assert rules("regdb", tracklets) == {("V2I", True, "images", ()), ("I2V", True, "images", ())}
    assert {r[2] for r in rules("regdb/by-person", tracklets)} == {"identities"}


def test_llcm_has_a_camera_rule_and_says_when_it_is_swapped():
    tracklets = make((VIS, "gallery", 1, 3), (IR, "query", 1, 4), (VIS, "gallery", 2, 4))
    assert rules("llcm", tracklets) == {("I2V", False, "identities", ()), ("V2I", False, "identities", ())}
    assert rules("llcm/swapped", tracklets) == {("V2I swapped", False, "identities", ())}
    found = lists("llcm", tracklets)
    assert [name for name, *_ in found] == [f"{d} {n}" for d in ("I2V", "V2I") for n in range(1, 11)]
    assert found[0][1:] == ([1], [0, 2])
    assert found[10][1:] == ([0, 2], [1])
    assert lists("llcm/swapped", tracklets)[9] == ("V2I swapped 10", [1], [0, 2])
    with pytest.raises(ValueError, match=r"llcm: infrared tracklet t1 .* camera 3"):
        lists("llcm", make((VIS, "gallery"), (IR, "query", 1, 3)))


def test_bupt_campus_has_queries_of_its_own_in_each_direction():
    tracklets = make(*BOTH)
    assert lists("bupt-campus", tracklets) == [("V2I", [0], [3]), ("I2V", [1], [2, 5])]
    assert lists("bupt-campus/same-modality", tracklets) == [("V2V", [0], [2, 5]), ("I2I", [1], [3])]
    assert lists("bupt-campus/all-modalities", tracklets) == [("all", [0, 1], [2, 3, 5])]
    variants = ("", "/same-modality", "/all-modalities", "/camera-rule")
    found = {v: rules(f"bupt-campus{v}", tracklets) for v in variants}
    assert {r[1:] for v in variants[:-1] for r in found[v]} == {(True, "images", ())}
    assert {r[1:] for r in found["/camera-rule"]} == {(False, "images", ())}


@pytest.mark.parametrize(("count", "kept"), [(540, 512), (64, 64), (128, 128), (127, 64)])
def test_bupt_campus_is_truncated_to_a_multiple_of_64(count, kept):
    """540 becomes 512 as in the authors' script; a multiple stays whole, where the script drops all."""
    rows = [(VIS, "query"), (VIS, "gallery")] * count + [(IR, "query"), (IR, "gallery")] * 3
    v2i, i2v = create_protocol("bupt-campus/truncated").trials(make(*rows))
    assert v2i.query.tolist() == list(range(0, 2 * kept, 2))
    assert i2v.gallery.tolist() == list(range(1, 2 * kept, 2))
    assert (len(v2i.gallery), len(i2v.query)) == (3, 3)


def test_bupt_campus_truncated_to_nothing():
    with pytest.raises(ValueError, match="at least 64 visible query tracklets; toy has 63"):
        lists("bupt-campus/truncated", make(*[(VIS, "query")] * 63, (IR, "gallery")))


def test_market1501_mixes_modalities():
    assert lists("market1501", make(*BOTH)) == [("query to gallery", [0, 1], [2, 3, 5])]
    assert rules("market1501", make(*BOTH)) == {("", False, "images", ())}


def test_strangers_are_in_the_gallery_of_a_manifest_and_are_no_queries():
    tracklets = make((VIS, "query", None), (IR, "gallery", 4), (VIS, "gallery", "ann"), (IR, "query", None))
    assert lists("manifest", tracklets) == [("I2V", [1], [0, 2]), ("V2I", [2], [1, 3])]
    assert rules("manifest", tracklets) == {("", False, "images", ())}


@pytest.mark.parametrize(
    ("name", "rows", "message"),
    [
        ("regdb", [(VIS, "query")], "regdb needs infrared test tracklets; toy has 1 visible query$"),
        ("regdb/by-person", [(IR, "train")], "needs visible test tracklets; toy has 1 infrared train"),
        ("bupt-campus", [(VIS, "query"), (VIS, "gallery")], "needs infrared gallery tracklets"),
        ("market1501", [(VIS, "query")], "market1501 needs gallery tracklets; toy has 1 visible query"),
        (
            "manifest",
            [(IR, "query", None), (VIS, "query")],
            "infrared test tracklets of known persons; toy has",
        ),
        ("llcm", [(IR, "query")], "llcm needs visible test tracklets"),
    ],
)
def test_missing_parts_are_named(name, rows, message):
    with pytest.raises(ValueError, match=message):
        create_protocol(name).trials(make(*rows))
