"""A data set of six walkers, a run on it, its embeddings and its gallery; read-only for the tests."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from tapetum.cli import main
from tapetum.data.synthetic import WalkerOptions, write_hitsz_vcm

SMALL = "height=32 width=16 frames=2 batches.identities=2 batches.tracklets=2 training.tensorboard=false"
OPTIONS = [part for setting in SMALL.split() for part in ("--set", setting)]


class Answer(NamedTuple):
    """What a command gave."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        """What it printed, as JSON."""
        return json.loads(self.out)


@pytest.fixture
def ask(capsys) -> Callable[..., Answer]:
    """Run a command line in this process."""

    def run(*arguments: object) -> Answer:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        found = capsys.readouterr()
        return Answer(code, found.out, found.err)

    return run


@pytest.fixture(scope="session")
def small() -> list[str]:
    """Options of `train` for a run of an instant."""
    return OPTIONS


@pytest.fixture(scope="session")
def walkers(tmp_path_factory) -> Path:
    """Root of a data set: four training and two test people, two tracklets per modality at most."""
    root = tmp_path_factory.mktemp("cli") / "walkers"
    options = WalkerOptions(
        frame_size=(32, 16),
        tracklet_length=(12, 12),
        tracklets_per_modality=(2, 2),
        short_tracklet_share=0,
        difficulty="easy",
    )
    write_hitsz_vcm(root, identities=6, test_identities=2, seed=0, options=options, workers=1)
    return root


@pytest.fixture(scope="session")
def data(walkers) -> str:
    """The data set as FORMAT:ROOT."""
    return f"hitsz-vcm:{walkers}"


@pytest.fixture
def broken(walkers, tmp_path) -> Path:
    """A copy of the data set to spoil."""
    return Path(shutil.copytree(walkers, tmp_path / "broken"))


@pytest.fixture(scope="session")
def run(data, walkers) -> Path:
    """Folder of a finished run of two steps."""
    out = walkers.parent / "run"
    assert main(["train", "small-cnn", "--data", data, "--out", str(out), "--max-steps", "2", *OPTIONS]) == 0
    return out


@pytest.fixture(scope="session")
def other_run(data, walkers) -> Path:
    """Folder of a run with another result."""
    out = walkers.parent / "other"
    arguments = ["train", "small-cnn", "--data", data, "--out", str(out), "--max-steps", "1", *OPTIONS]
    assert main([*arguments, "--set", "training.seed=7"]) == 0
    return out


@pytest.fixture(scope="session")
def embeddings(data, run) -> Path:
    """Folder of the test tracklets' embeddings."""
    out = run.parent / "embeddings"
    assert main(["embed", str(run), "--data", data, "--out", str(out)]) == 0
    return out


@pytest.fixture(scope="session")
def gallery(data, run) -> Path:
    """A gallery of the test tracklets."""
    out = run.parent / "gallery"
    assert main(["index", str(run), "--data", data, "--gallery", str(out)]) == 0
    return out
