"""Several processes on one gallery; processes that are killed, and disks that are full."""

import errno
import inspect
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tapetum.search import Gallery
from tapetum.search.reindexing import reindex
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

IMPORTS = """
import sys, time
from pathlib import Path
import numpy as np
from tapetum.search import Gallery
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet

"""


def make(numbers, model="m1"):
    rows = tuple(Tracklet(f"t{n}", (f"{n}.jpg",), Modality.VISIBLE, n) for n in numbers)
    vectors = np.ones((len(rows), 4), np.float32)
    vectors[:, 0] += [int(n) for n in numbers]
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return Embeddings(vectors, TrackletSet("x", rows), model)


def embed(tracklets):
    return make([int(t.tracklet_id[1:]) for t in tracklets], "m2"), {}


def start(place: Path | str, script: str) -> subprocess.Popen:
    program = IMPORTS + inspect.getsource(make) + inspect.getsource(embed) + script
    return subprocess.Popen([sys.executable, "-c", program, str(place)], stdout=subprocess.PIPE, text=True)


def ids(gallery) -> list[str]:
    return sorted(t.tracklet_id for t in gallery.filter())


def test_two_writers_at_once_lose_and_double_nothing(tmp_path):
    script = """
gallery, first = Gallery.open(sys.argv[1]), {first}
print("ready", flush=True)
while not (Path(sys.argv[1]).parent / "go").exists():
    time.sleep(0.01)
for n in range(4):
    gallery.upsert(make([first + n, 1000 + n]))
    gallery.delete([f"t{{first + n - 2}}"])
print(gallery.count())
"""
    writers = [start(tmp_path / "g", script.format(first=first)) for first in (0, 100)]
    for writer in writers:
        assert writer.stdout.readline() == "ready\n"
    (tmp_path / "go").touch()
    for writer in writers:
        writer.communicate(timeout=120)
        assert writer.returncode == 0
    gallery = Gallery.open(tmp_path / "g")
    expected = [2, 3, 102, 103, 1000, 1001, 1002, 1003]
    assert ids(gallery) == sorted(f"t{n}" for n in expected)


def test_a_killed_writer_loses_nothing_that_it_was_told_is_stored(tmp_path):
    writer = start(
        tmp_path,
        """
gallery = Gallery.open(sys.argv[1])
for n in range(10_000):
    gallery.upsert(make([2 * n, 2 * n + 1]), contents=["a", "b"])
    print(n, flush=True)
""",
    )
    stored = -1
    while stored < 5:
        stored = int(writer.stdout.readline())
    writer.send_signal(signal.SIGKILL)
    rest = writer.communicate()[0].split()
    stored = int(rest[-1]) if rest else stored
    gallery = Gallery.open(tmp_path)
    count = gallery.count()
    assert count in (2 * stored + 2, 2 * stored + 4)  # what was on its way is there whole or not at all
    assert ids(gallery) == sorted(f"t{n}" for n in range(count))
    gallery.upsert(make(range(count + 2)))  # the lock went with the process
    gallery.optimise()
    assert gallery.count() == count + 2


def test_a_full_disk_leaves_what_was_there(tmp_path):
    place = tmp_path / "g"
    Gallery.open(place).upsert(make(range(50)))
    writer = start(
        place,
        """
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
gallery = Gallery.open(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, resource.RLIM_INFINITY))
pictures = [[np.random.default_rng(n).bytes(10_000)] for n in range(60)]
for numbers in (range(60, 120), range(0, 60)):
    try:
        gallery.upsert(make(numbers), thumbnails=pictures)
    except OSError as error:
        print(error.errno, error.filename)
print(gallery.count())
resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
print(gallery.upsert(make(range(60, 120)), thumbnails=pictures))
""",
    )
    said = writer.communicate(timeout=120)[0].split("\n")
    assert said[:4] == [f"{errno.EFBIG} {place}", f"{errno.EFBIG} {place}", "50", "60"]
    gallery = Gallery.open(place)
    assert ids(gallery) == sorted(f"t{n}" for n in [*range(50), *range(60, 120)])
    assert len(gallery.thumbnails("t60")) == 1


def test_a_killed_move_to_another_model_goes_on_where_it_was(tmp_path):
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(40)), contents=[f"c{n}" for n in range(40)])
    mover = start(
        tmp_path,
        """
from tapetum.search.reindexing import reindex

def told(done, total):
    print(done, flush=True)
    time.sleep(0.2 if done > 12 else 0)

reindex(Gallery.open(sys.argv[1]), "m2", embed, at_once=4, progress=told)
""",
    )
    while int(mover.stdout.readline()) < 16:
        assert len(gallery.search(make([3]))) == 20  # meanwhile the former model answers
    mover.send_signal(signal.SIGKILL)
    mover.communicate()
    assert (gallery.info().model, gallery.count()) == ("m1", 40)
    gallery.upsert(make([50]))
    moved = reindex(gallery, "m2", embed, at_once=16)
    assert moved.embedded <= 40 - 16 + 1
    assert (gallery.info().model, gallery.count()) == ("m2", 41)
    np.testing.assert_array_equal(gallery.get(["t39"]).vectors, make([39]).vectors)
    assert gallery.contents(["t7"]) == {"t7": "c7"}
    assert sorted(p.name for p in tmp_path.iterdir()) == [".lock", "gallery.json", "tracklets-2.lance"]


def test_a_killed_move_of_a_plain_gallery_begins_anew(tmp_path):
    place = f"numpy:{tmp_path / 'g'}"
    gallery = Gallery.open(place)
    gallery.upsert(make(range(12)), contents=[f"c{n}" for n in range(12)])
    mover = start(
        place,
        """
from tapetum.search.reindexing import reindex

def told(done, total):
    print(done, flush=True)
    time.sleep(0.2 if done > 4 else 0)

reindex(Gallery.open(sys.argv[1]), "m2", embed, at_once=2, progress=told)
""",
    )
    while int(mover.stdout.readline()) < 6:
        pass
    mover.send_signal(signal.SIGKILL)
    mover.communicate(timeout=50)
    gallery = Gallery.open(place)
    assert (gallery.info().model, gallery.count()) == ("m1", 12)
    gallery.upsert(make([12]), contents=["c12"])
    assert reindex(gallery, "m2", embed).embedded == 13
    again = Gallery.open(place)
    assert (again.info().model, ids(again)) == ("m2", sorted(f"t{n}" for n in range(13)))
    assert again.contents(["t7", "t12"]) == {"t7": "c7", "t12": "c12"}


@pytest.mark.parametrize("moment", ["_drop", "remove_all_but"])
def test_a_move_killed_as_it_changes_over_is_done_or_not(tmp_path, moment):
    """The process dies right before or after `gallery.json` is replaced."""
    gallery = Gallery.open(tmp_path)
    gallery.upsert(make(range(6)))
    mover = start(
        tmp_path,
        f"""
import os
from tapetum.search import _lance_store
from tapetum.search.reindexing import reindex

def embed_and_die(tracklets):
    _lance_store.LanceStore.{moment} = lambda *_: os.kill(os.getpid(), 9)
    return embed(tracklets)

gallery = Gallery.open(sys.argv[1])
gallery.replacement("m2").store(make([], "m2"))
reindex(gallery, "m2", embed_and_die)
""",
    )
    mover.communicate(timeout=120)
    assert mover.returncode == -signal.SIGKILL
    if gallery.info().model == "m1":
        reindex(gallery, "m2", embed)
    info = gallery.info()
    assert (info.model, info.count) == ("m2", 6)
    gallery.optimise()
    names = [p.name for p in tmp_path.iterdir() if p.is_dir()]
    assert names == ["tracklets-2.lance"]
