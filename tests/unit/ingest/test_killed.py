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


@pytest.mark.slow
@pytest.mark.parametrize("scheme", ["", "numpy:"])
def test_nothing_is_lost_or_doubled_by_a_kill(crops, colours, tmp_path, scheme):
    folder = crops("day", {f"{i:02}": [(200, 40, 4 * i)] for i in range(12)})
    address, uri = f"crops:{folder}", f"{scheme}{tmp_path / 'gallery'}"
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
    assert sorted(names) == [f"{folder}/{i:02}" for i in range(12)]
    assert len(Gallery.open(uri).thumbnails(names[0])) == 1
    again = ingest(open_source(address), Gallery.open(uri), colours)
    assert (again.unchanged, again.stored) == (12, 0)
