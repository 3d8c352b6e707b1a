import dataclasses

from tapetum.report.samples import sample_tracklets
from tapetum.types import Modality, TrackletSet


def test_each_person_is_shown_in_both_modalities(make_tracklets):
    samples = sample_tracklets([make_tracklets(range(20))], persons=4)
    assert [s.person for s in samples] == [0, 5, 10, 15]
    assert all([strip.modality for strip in s.strips] == ["visible", "infrared"] for s in samples)
    assert samples[0].strips[0].caption == "camera 2 · 1 frame"
    assert samples[0].strips[0].picture.startswith("data:image/jpeg;base64,")


def test_persons_of_one_modality_come_only_where_there_are_no_others(make_tracklets):
    both = make_tracklets((1, 2))
    visible = make_tracklets((3, 4)).of_modality(Modality.VISIBLE)
    assert [s.person for s in sample_tracklets([visible, both])] == [1, 2]
    alone = sample_tracklets([visible])
    assert [(s.person, len(s.strips)) for s in alone] == [(3, 1), (4, 1)]


def test_unknown_persons_and_cameras(make_tracklets):
    first, *_ = make_tracklets((1,))
    unknown = TrackletSet("toy", (dataclasses.replace(first, person_id=None),))
    assert sample_tracklets([unknown]) == []
    somewhere = TrackletSet("toy", (dataclasses.replace(first, camera_id=None),))
    assert sample_tracklets([somewhere])[0].strips[0].caption.startswith("camera unknown")
