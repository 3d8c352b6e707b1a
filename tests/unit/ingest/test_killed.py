import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tapetum.ingest import ingest, open_source
from tapetum.search import Gallery

CHILD = """
import importlib.util, sys, time
from tapetum.ingest import ingest, open_source
from tapetum.search import Gallery

spec = importlib.util.spec_from_file_location("drawing", sys.argv[1])
drawing = importlib.util.module_from_spec(spec)
spec.loader.exec_module(drawing)

class Slow(drawing.Colours):
    def encode_clips(self, *given):
        time.sleep(0.05)
        return super().encode_clips(*given)

def tell(report):
    print(report.stored, flush=True)

ingest(open_source(sys.argv[2]), Gallery.open(sys.argv[3]), Slow(), batch_size=1, chunk=2, progress=tell)
"""


@pytest.fixture
def sources(crops, film):
    """By kind: an address of twelve tracklets, and what their names start with."""

    def folder():
        place = crops("day", {f"{i:02}": [(200, 40, 4 * i)] for i in range(12)})
        return f"crops:{place}", f"{place}/"

    def video():
        people = {10 + i: (i, i + 6, 10 * i, 20, lambda _: (200, 40, 90)) for i in range(12)}
        place, tracks = film("gate.mp4", people)
        return f"video:{place}?tracks={tracks}", f"{place}#"

    return {"crops": folder, "video": video}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "scheme"), [("crops", ""), ("crops", "numpy:"), ("video", "")])
def test_nothing_is_lost_or_doubled_by_a_kill(sources, colours, tmp_path, kind, scheme):
    address, start = sources[kind]()
    uri = f"{scheme}{tmp_path / 'gallery'}"
    drawing = str(Path(__file__).parent / "conftest.py")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD, drawing, address, uri], stdout=subprocess.PIPE, text=True
    )
    with child:
        for line in child.stdout:
            if int(line) >= 4:
                break
        os.kill(child.pid, signal.SIGKILL)
    assert child.returncode == -signal.SIGKILL
    gallery = Gallery.open(uri)
    before = {t.tracklet_id for t in gallery.filter()}
    assert 4 <= len(before) < 12
    report = ingest(open_source(address), gallery, colours)
    assert (report.unchanged, report.new) == (len(before), 12 - len(before))
    names = [t.tracklet_id for t in Gallery.open(uri).filter()]
    first = 10 if kind == "video" else 0
    assert sorted(names) == [f"{start}{first + i:02}" for i in range(12)]
    assert all(Gallery.open(uri).thumbnails(name) for name in names)
    again = ingest(open_source(address), Gallery.open(uri), colours)
    assert (again.unchanged, again.stored) == (12, 0)
