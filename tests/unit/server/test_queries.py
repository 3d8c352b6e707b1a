import numpy as np
import pytest

from tapetum.server.pictures import Picture
from tapetum.server.queries import QueryStore, query_of
from tapetum.server.refusals import NotFound, TooLarge
from tapetum.types import Modality, Preprocessing


def picture(number=0, visible=1.0, preview=b"12345"):
    return Picture(np.full((3, 4, 2), number, np.uint8), preview, f"digest {number}", visible)


def make(pictures, kind="images", modality=None, owner="ada", frames=3):
    return query_of(
        pictures,
        kind=kind,
        modality=modality,
        owner=owner,
        preprocessing=Preprocessing(4, 2, frames),
        sampling="chunk-first",
    )


def test_images_are_tracklets_of_their_own_and_frames_one():
    pictures = [picture(n) for n in range(7)]
    images, tracklet = make(pictures), make(pictures, "tracklet")
    assert len(images.parts) == 7
    assert images.parts[5].clips().pixels.shape == (1, 3, 3, 4, 2)
    assert set(images.parts[5].clips().pixels.ravel()) == {5}
    [part] = tracklet.parts
    shown = part.clips().pixels[0, :, 0, 0, 0].tolist()
    assert shown == sorted(set(shown))  # three of the seven, in their order
    assert part.frames.shape[0] == len(shown) == 3
    assert tracklet.handle.pictures == len(tracklet.previews) == 7
    assert tracklet.handle.digests == tuple(f"digest {n}" for n in range(7))


def test_modality_is_what_colours_say_unless_it_is_told():
    mixed = [picture(visible=0.9), picture(visible=0.2)]
    assert make(mixed).handle.modalities == (Modality.VISIBLE, Modality.INFRARED)
    assert make(mixed, "tracklet").handle.modalities == (Modality.VISIBLE,)
    assert make(mixed, modality=Modality.INFRARED).handle.modalities == (Modality.INFRARED,) * 2


def test_embedded_queries_let_go_of_their_frames():
    query = make([picture(), picture(1)])
    before = query.size
    assert query.embeddings("m") == ()
    for part in query.parts:
        part.embed(np.array([1, 0], np.float32))
    rows = query.embeddings("m")
    assert [row.model for row in rows] == ["m", "m"]
    assert rows[0].vectors.tolist() == [[1, 0]]
    assert query.size == before - 2 * 24


class Clock:
    now = 0.0

    def __call__(self):
        return self.now


def test_uploads_expire_after_their_last_use():
    clock = Clock()
    store = QueryStore(ttl_s=10, clock=clock)
    first, second = store.add(make([picture()])), store.add(make([picture()]))
    assert first.expires_at == 10
    assert first.query_id != second.query_id
    clock.now = 8
    assert store.get(first.query_id, "ada").handle.expires_at == 18
    clock.now = 12
    with pytest.raises(NotFound, match="expired"):
        store.get(second.query_id, "ada")
    assert len(store) == 1
    clock.now = 19
    assert len(store) == 0


def test_uploads_belong_to_their_owner():
    store = QueryStore()
    query_id = store.add(make([picture()])).query_id
    for act in (store.get, store.drop):
        with pytest.raises(NotFound):
            act(query_id, "bob")
    store.drop(query_id, "ada")
    with pytest.raises(NotFound):
        store.get(query_id, "ada")


def test_one_user_does_not_drive_out_another_by_number():
    store = QueryStore(most=2)
    of_bob = store.add(make([picture()], owner="bob")).query_id
    of_ada = [store.add(make([picture()])).query_id for _ in range(3)]
    store.get(of_bob, "bob")
    store.get(of_ada[2], "ada")
    with pytest.raises(NotFound):
        store.get(of_ada[0], "ada")


def test_memory_is_bounded():
    one = make([picture()])
    store = QueryStore(most_bytes=2 * one.size)
    names = [store.add(make([picture()])).query_id for _ in range(3)]
    assert len(store) == 2
    with pytest.raises(NotFound):
        store.get(names[0], "ada")
    with pytest.raises(TooLarge):
        store.add(make([picture(preview=bytes(1000))]))
    assert len(store) == 2
    store.clear()
    assert len(store) == 0
