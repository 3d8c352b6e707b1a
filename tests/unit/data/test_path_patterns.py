import pytest

from tapetum.data.path_patterns import PathPattern

KNOWN = ("person_id", "modality", "camera_id", "tracklet_id", "frame")


@pytest.mark.parametrize(
    ("pattern", "path", "found"),
    [
        ("{person_id}/{frame}.jpg", "0007/12.jpg", {"person_id": "0007", "frame": "12"}),
        ("./{person_id}/{frame}.jpg", "7/1.jpg", {"person_id": "7", "frame": "1"}),
        ("{person_id}/{frame}.jpg", "a/0007/12.jpg", None),
        ("**/{person_id}/*.jpg", "7/x.jpg", {"person_id": "7"}),
        ("**/{person_id}/*.jpg", "a/b/7/x.jpg", {"person_id": "7"}),
        ("{person_id}/*", "7/", {"person_id": "7"}),
        ("{person_id}.jpg", ".jpg", None),  # a field holds at least one character
        ("{person_id}.jpg", "7.png", None),
        ("{person_id}.jpg", "7xjpg", None),  # a point is a point
        ("{person_id}[1].jpg", "7[1].jpg", {"person_id": "7"}),
        (
            "{person_id}_c{camera_id}s1_{frame}.jpg",
            "0002_c1s1_000451.jpg",
            {"person_id": "0002", "camera_id": "1", "frame": "000451"},
        ),
        ("{person_id}/{person_id}_{frame}.jpg", "12/12_3.jpg", {"person_id": "12", "frame": "3"}),
        ("{person_id}/{person_id}_{frame}.jpg", "12/13_3.jpg", None),
        ("{person_id}-{frame}.jpg", "a-b-3.jpg", {"person_id": "a", "frame": "b-3"}),  # the first that fits
        ("{person_id}\n.jpg", "7\n.jpg", {"person_id": "7"}),
    ],
)
def test_patterns_match_whole_paths(pattern, path, found):
    assert PathPattern.compile(pattern, KNOWN).match(path) == found


def test_fields_are_listed_once_in_their_order():
    pattern = PathPattern.compile("{modality}/{person_id}/{modality}_{frame}.jpg", KNOWN)
    assert pattern.fields == ("modality", "person_id", "frame")


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("{person}/*.jpg", "unknown field 'person'; did you mean 'person_id'"),
        ("{}/*.jpg", "unknown field ''"),
        ("{person_id}{frame}.jpg", "nothing parts {frame} from what is before it"),
        ("{person_id}*.jpg", r"nothing parts \* from"),
        ("*/{person_id}", None),
        ("{person_id/*.jpg", "'{' without its partner"),
        ("person_id}/*.jpg", "'}' without its partner"),
        ("*/*.jpg", "has no field; known: person_id, "),
        ("", "has no field"),
    ],
)
def test_patterns_that_cannot_be_meant_are_refused(pattern, message):
    if message is None:
        PathPattern.compile(pattern, KNOWN)
        return
    with pytest.raises(ValueError, match=message):
        PathPattern.compile(pattern, KNOWN)
