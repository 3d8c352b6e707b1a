import pytest

from tapetum.evaluation import create_protocol
from tapetum.types import Modality, Tracklet, TrackletSet

VIS, IR = Modality.VISIBLE, Modality.INFRARED


def tracklets(*rows) -> TrackletSet:
    return TrackletSet("toy", tuple(Tracklet(f"t{n}", (), m, part=p) for n, (m, p) in enumerate(rows)))


def test_directions_of_the_worked_example():
    """Rows 3 and 5 of the test list are the queries, 1, 2 and 4 the gallery; a training row is neither."""
    found = create_protocol("hitsz-vcm").trials(
        tracklets(
            (VIS, "gallery"), (VIS, "gallery"), (IR, "query"), (VIS, "gallery"), (IR, "query"), (VIS, "train")
        )
    )
    assert [(t.name, t.query.tolist(), t.gallery.tolist()) for t in found] == [
        ("I2V", [2, 4], [0, 1, 3]),
        ("V2I", [0, 1, 3], [2, 4]),
    ]
    assert {(t.same_camera, t.count) for t in found} == {(False, "images")}


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([], "toy has 0 train, 0 query, 0 gallery"),
        (
            [(VIS, "gallery"), (VIS, "train")],
            "needs query and gallery tracklets; toy has 1 train, 0 query, 1 gallery",
        ),
        ([(IR, "query")], "0 gallery"),
        (
            [(IR, "query"), (VIS, "query"), (VIS, "gallery")],
            "infrared query tracklets only; 1 of 2 in toy are visible, the first is t1",
        ),
        ([(IR, "query"), (IR, "gallery")], "visible gallery tracklets only; 1 of 1"),
    ],
)
def test_missing_and_mixed_parts_are_refused(rows, message):
    with pytest.raises(ValueError, match=message):
        create_protocol("hitsz-vcm").trials(tracklets(*rows))
