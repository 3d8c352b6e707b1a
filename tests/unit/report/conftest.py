import numpy as np
import pytest
from PIL import Image

from tapetum.evaluation import evaluate
from tapetum.report import ReportData
from tapetum.types import Embeddings, Modality, Tracklet, TrackletSet


@pytest.fixture(scope="session")
def frame_paths(tmp_path_factory):
    """Paths of six small JPEG frames."""
    folder = tmp_path_factory.mktemp("frames")
    rng = np.random.default_rng(0)
    paths = []
    for i in range(6):
        path = folder / f"{i}.jpg"
        Image.fromarray(rng.integers(0, 255, (24, 12, 3), dtype=np.uint8)).save(path)
        paths.append(str(path))
    return tuple(paths)


@pytest.fixture
def make_tracklets(frame_paths):
    """(people, each) -> tracklets: infrared queries on camera 1, visible gallery on camera 2."""

    def make(people, each=2, part=None):
        made = []
        for modality, role, camera in ((Modality.INFRARED, "query", 1), (Modality.VISIBLE, "gallery", 2)):
            made += [
                Tracklet(f"{modality}-{p}-{i}", frame_paths[: 1 + i], modality, p, camera, None, part or role)
                for p in people
                for i in range(each)
            ]
        return TrackletSet("toy", tuple(made))

    return make


@pytest.fixture
def embed():
    """(tracklets, noise) -> embeddings that find people, less so with more noise."""

    def make(tracklets, noise=1.0, seed=0):
        rng = np.random.default_rng(seed)
        centres = {p: rng.normal(size=16) for p in tracklets.person_ids}
        rows = np.stack([centres.get(t.person_id, 0) + noise * rng.normal(size=16) for t in tracklets])
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return Embeddings(rows.astype(np.float32), tracklets, f"model {noise}")

    return make


@pytest.fixture
def make_data(make_tracklets, embed):
    """(test tracklets, overrides) -> what a report is made from, with three rows."""

    def make(test=None, **over):
        test = make_tracklets(range(1, 9)) if test is None else test
        rows = {
            name: embed(test, noise) for name, noise in (("lsmrl", 1.2), ("untrained", 50.0), ("x-reid", 2.0))
        }
        values = {
            "dataset": "toy",
            "is_synthetic": False,
            "method": "lsmrl",
            "train": make_tracklets((11, 12), part="train"),
            "test": rows["lsmrl"],
            "results": {name: evaluate(found, "hitsz-vcm") for name, found in rows.items()},
        }
        return ReportData(**{**values, **over})

    return make
