import pytest

from tapetum.data.corruptions import CORRUPTIONS
from tapetum.robustness import applicable
from tapetum.robustness.sides import side_rows
from tapetum.types import Modality, TrackletSet

EVERYTHING = {c.name for c in CORRUPTIONS}
SENSOR = {"fixed-pattern-noise", "lamp-vignette", "lamp-hot-spot", "gain-noise"}


@pytest.fixture
def one_way(make_tracklets):
    """Infrared queries and a visible gallery, in two cameras; market1501 searches in one direction alone."""
    return make_tracklets(3, (Modality.INFRARED, Modality.VISIBLE, Modality.VISIBLE))


def test_rows_of_each_side(one_way):
    def rows(side, protocol="market1501"):
        return side_rows(one_way, side, protocol).tolist()

    infrared = [0, 3, 6]
    visible = [1, 2, 4, 5, 7, 8]
    assert rows("both") == list(range(9))
    assert rows("query") == rows("infrared") == infrared
    assert rows("gallery") == rows("visible") == visible
    assert rows("query", "manifest") == rows("gallery", "manifest") == list(range(9))  # both directions


def test_what_would_change_nothing_is_not_applicable(one_way, make_tracklets):
    def names(tracklets, side, protocol="market1501"):
        return {c.name for c in applicable(CORRUPTIONS, tracklets, side, protocol)}

    assert names(one_way, "both") == names(one_way, "query", "manifest") == EVERYTHING
    assert names(one_way, "infrared") == names(one_way, "query") == EVERYTHING - {"saturation"}
    assert names(one_way, "visible") == names(one_way, "gallery") == EVERYTHING - SENSOR
    visible = make_tracklets(2, (Modality.VISIBLE,) * 2)
    assert names(visible, "both") == EVERYTHING - SENSOR
    assert names(visible, "infrared") == set()
    with pytest.raises(ValueError, match="unknown protocol 'markt'"):
        names(TrackletSet("none", ()), "query", "markt")
