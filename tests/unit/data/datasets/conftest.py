"""BUPTCampus in small: the worked example of its format, with or without pictures; errors of readers."""

import json

import numpy as np
import pytest
from PIL import Image

from tapetum.errors import DataError

TRAIN = ["1 RGB/IR CQ1 1", "1 RGB/IR G25 1", "2 RGB/IR LS3 1", "2 RGB/IR W4 1"]
AUXILIARY = ["3 RGB/IR TSG1 1"]
QUERY = ["11 RGB CQ1 1", "12 IR W4 1"]
GALLERY = ["11 IR G25 1", "11 RGB G25 1", "12 IR LS3 1", "12 RGB LS3 1"]
FIRST = {"CQ1": 100, "G25": 40, "LS3": 7, "W4": 8_535, "TSG1": 1}
SEEN = [(1, "CQ1"), (1, "G25"), (2, "LS3"), (2, "W4"), (3, "TSG1")]
SEEN += [(11, "CQ1"), (11, "G25"), (12, "W4"), (12, "LS3")]


class BuptCampusFiles:
    """Writes the files of a small BUPTCampus; what is changed before stays changed.

    Attributes:
        tree: Content of `data_paths.json`.
        lists: Lines of each list; None for no such file.
    """

    def __init__(self, root):
        self.root = root
        self.tree = {}
        for person, camera in SEEN:
            for modality in ("IR", "RGB"):
                self.set_frames(person, modality, camera, range(FIRST[camera], FIRST[camera] + 2))
        self.lists = {"train": TRAIN, "train_auxiliary": AUXILIARY, "query": QUERY, "gallery": GALLERY}

    def set_frames(self, person, modality, camera, numbers, tracklet="1"):
        place, name = f"{person}/{modality}/{camera}", f"{person}_{modality}_{camera}_{tracklet}"
        cameras = self.tree.setdefault(str(person), {}).setdefault(modality, {})
        cameras.setdefault(camera, {})[tracklet] = [f"{place}/{name}_{number}.jpg" for number in numbers]

    def write(self, **changes):
        """Write `data_paths.json` and the lists, `changes` to these first; answer the root."""
        self.lists |= changes
        self.root.mkdir(parents=True, exist_ok=True)
        (self.root / "data_paths.json").write_text(json.dumps(self.tree))
        for name, lines in self.lists.items():
            if lines is not None:
                (self.root / f"{name}.txt").write_text("".join(f"{line}\n" for line in lines))
        return self.root

    def draw(self):
        """A small picture for every path, no two alike."""
        for number, path in enumerate(self.paths()):
            place = self.root / "DATA" / path
            place.parent.mkdir(parents=True, exist_ok=True)
            noise = np.random.default_rng(number).integers(0, 256, (4, 2, 3), dtype=np.uint8)
            picture = Image.fromarray(noise).resize((8, 16))
            (picture.convert("L") if "/IR/" in path else picture).save(place, quality=90)

    def paths(self):
        return [
            path
            for modalities in self.tree.values()
            for cameras in modalities.values()
            for tracklets in cameras.values()
            for paths in tracklets.values()
            for path in paths
        ]


@pytest.fixture
def bupt_files(tmp_path):
    return BuptCampusFiles(tmp_path / "BUPTCampus")


@pytest.fixture(scope="session")
def error_of():
    """(a reader, its arguments) -> the message of its DataError; None without one."""

    def read(read_file, *arguments):
        try:
            read_file(*arguments)
        except DataError as error:
            return str(error)
        return None

    return read
