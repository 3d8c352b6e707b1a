from dataclasses import replace

import pytest

from tapetum.search import Feedback, Filter, Gallery, GalleryItem, Group, SearchEngine, grouping
from tapetum.types import Embeddings, TrackletSet


def by_loop(found, key, top):
    """First hits and sizes of groups, from the list of all hits."""
    firsts, sizes = {}, {}
    for hit in found:
        one = key(hit.tracklet)
        one = one if one is not None else hit.tracklet.tracklet_id
        firsts.setdefault(one, hit.tracklet.tracklet_id)
        sizes[one] = sizes.get(one, 0) + 1
    return list(firsts.values())[:top], [sizes[one] for one in firsts][:top]


@pytest.mark.parametrize("by", ["person", "camera"])
@pytest.mark.parametrize("where", [None, Filter(modality="visible"), Filter(exclude_cameras=[0, 10])])
def test_groups_are_those_of_the_whole_list(place, names, by, where):
    engine = SearchEngine(place)
    everything = engine.search(GalleryItem("4.2"), top=200, where=where)
    for top in (1, 4, 100):
        found = engine.search(GalleryItem("4.2"), top=top, where=where, group=by)
        expected = by_loop(everything, lambda t: getattr(t, f"{by}_id"), top)
        assert (names(found), [group.size for group in found.groups]) == expected
        assert [group.key for group in found.groups] == [getattr(h.tracklet, f"{by}_id") for h in found]
        assert [hit.rank for hit in found] == list(range(1, len(found) + 1))
        assert (found.searched, found.exact) == (everything.searched, True)


def test_a_group_far_down_the_list_is_found(place, monkeypatch, names):
    monkeypatch.setattr(grouping, "_FIRST", 1)
    engine = SearchEngine(place)
    everything = engine.search(GalleryItem("4.2"), top=200)
    found = engine.search(GalleryItem("4.2"), top=20, group="person")
    assert len(found) == 20
    assert names(found) == by_loop(everything, lambda t: t.person_id, 20)[0]
    monkeypatch.setattr(grouping, "LOOKED_AT", 10)
    nearest = by_loop(list(everything)[:20], lambda t: t.person_id, 20)[0]
    assert names(engine.search(GalleryItem("4.2"), top=20, group="person")) == nearest


def test_the_list_is_looked_at_no_deeper_than_needed(place):
    depths = []

    class Watched(type(place)):
        def search(self, query, *, top=20, where=None):
            depths.append(top)
            return super().search(query, top=top, where=where)

    watched = Watched()
    watched.upsert(place.get([t.tracklet_id for t in place.filter()]))
    SearchEngine(watched).search(GalleryItem("4.2"), top=12, group="camera")  # there are six
    assert depths == [121]  # 120 hits and the item


def test_who_is_unknown_stands_alone(crowd, names):
    rows = tuple(replace(t, person_id=None) if t.person_id == 4 else t for t in crowd.tracklets)
    gallery = Gallery.open("memory:")
    gallery.upsert(Embeddings(crowd.vectors, TrackletSet("crowd", rows), "model-1"))
    found = SearchEngine(gallery).search(GalleryItem("4.2"), top=200, group="person")
    pairs = zip(names(found), found.groups, strict=True)
    alone = [name for name, group in pairs if group.size == 1]
    assert sorted(alone) == ["4.0", "4.1", "4.3", "4.4", "4.5"]
    assert {group for group in found.groups if group.key is None} == {Group(None, 1)}
    assert len(found) == 5 + 19


def test_identifiers_are_compared_as_texts(crowd):
    texts = (replace(t, person_id=str(t.person_id)) for t in crowd.tracklets)
    rows = tuple(t if n % 2 else text for n, (t, text) in enumerate(zip(crowd.tracklets, texts, strict=True)))
    gallery = Gallery.open("memory:")
    gallery.upsert(Embeddings(crowd.vectors, TrackletSet("crowd", rows), "model-1"))
    found = SearchEngine(gallery).search(GalleryItem("4.2"), top=200, group="person")
    assert [group.size for group in found.groups] == [5] + [6] * 19


def test_wrong_hits_do_not_count(place):
    marks = Feedback(wrong=["4.0", "5.1", "5.2"])
    found = SearchEngine(place).search(GalleryItem("4.2"), top=200, group="person", feedback=marks)
    sizes = {group.key: group.size for group in found.groups}
    assert (sizes[4], sizes[5], sizes[6]) == (4, 4, 6)
    assert sum(sizes.values()) == found.searched == 116


def test_an_unknown_grouping_and_an_empty_gallery(place):
    with pytest.raises(ValueError, match="unknown grouping 'tracklet'; known: person, camera"):
        SearchEngine(place).search(GalleryItem("4.2"), group="tracklet")
    row = place.get(["4.2"])
    found = SearchEngine(Gallery.open("memory:")).search(row, group="person")
    assert (len(found), found.groups) == (0, ())
    assert SearchEngine(place).search(row).groups is None
