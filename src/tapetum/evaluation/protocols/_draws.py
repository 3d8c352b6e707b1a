"""Galleries drawn at random as the field's scripts draw them: image by image, person by person.

The scripts of Ye et al. ("Deep Learning for Person Re-identification: A Survey and Outlook", arXiv
2001.04193) seed Python's generator with the number of the trial, go through the test people in ascending
order of their zero-padded numbers and through the gallery cameras in a fixed order, and choose one of the
images there, sorted by file name. Nothing is drawn where a person was not seen. Their choices are repeated
here exactly.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence

import numpy as np

from tapetum.evaluation.protocols._rows import TEST_PARTS, Rows
from tapetum.types import Modality, TrackletSet

DRAWS = 10
"""Galleries drawn for one number of the field."""

Folder = tuple[str, int]
"""A person, zero-padded, and a camera."""

Folders = Mapping[Folder, Sequence[int]]
"""Rows of the images of each person in each camera, sorted by file name."""


def draw_seeds(seed: int) -> range:
    """Seeds of the ten draws: 0 to 9, the field's, for `seed` 0; no two values of `seed` share one.

    >>> list(draw_seeds(0))[-1], list(draw_seeds(2))[0]
    (9, 20)

    Raises:
        ValueError: `seed` is negative (Python's generator takes -1 for 1).
    """
    if seed < 0:
        raise ValueError(f"seed is {seed}; expected 0 (the published draws) or more")
    return range(DRAWS * seed, DRAWS * (seed + 1))


def image_folders(
    protocol: str, tracklets: TrackletSet, cameras: Mapping[Modality, Sequence[int]]
) -> Mapping[Modality, Folders]:
    """Test images by modality, then by person and camera (one camera may see in both modalities).

    Args:
        protocol: Name of the protocol that asks, for the messages.
        tracklets: Training tracklets among them are passed over.
        cameras: The data set's cameras of each modality.

    Raises:
        ValueError: A tracklet is of an unknown person, or of a camera that is not one of its modality's (it
            is named), or a modality has none.
    """
    found: dict[Modality, dict[Folder, list[int]]] = {modality: {} for modality in Modality}
    for row, t in enumerate(tracklets):
        if t.part not in TEST_PARTS:
            continue
        if t.person_id is None or t.camera_id not in cameras[t.modality]:
            raise ValueError(
                f"{protocol}: {t.modality.value} tracklet {t.tracklet_id} of {tracklets.name} has person "
                f"{t.person_id} and camera {t.camera_id!r}; expected a person and one of the "
                f"{t.modality.value} cameras {', '.join(map(str, cameras[t.modality]))}"
            )
        found[t.modality].setdefault((f"{t.person_id:0>4}", int(t.camera_id or 0)), []).append(row)
    for modality, folders in found.items():
        if not folders:
            raise ValueError(f"{protocol} needs {modality.value} test tracklets; {tracklets.name} has none")
    return {
        modality: {
            folder: sorted(rows, key=lambda row: file_name(tracklets[row].tracklet_id))
            for folder, rows in sorted(folders.items())
        }
        for modality, folders in found.items()
    }


def file_name(tracklet_id: str) -> str:
    """The image's own name, by which the images of a folder are sorted.

    >>> file_name("cam1/0006/0012.jpg")
    '0012.jpg'
    """
    return tracklet_id.rpartition("/")[2]


def all_images(protocol: str, folders: Folders, cameras: Sequence[int]) -> Rows:
    """int64, all images of some cameras: by person, then camera as given, then file name.

    Raises:
        ValueError: There is none.
    """
    rows = [row for folder in _in_order(folders, cameras) for row in folders[folder]]
    return some_rows(protocol, rows, cameras)


def drawn_images(protocol: str, folders: Folders, cameras: Sequence[int], seed: int, shots: int = 1) -> Rows:
    """int64, a drawn gallery: by person, then camera as given, then as drawn.

    For one shot `sample` takes from the generator what the scripts' `choice` takes, and picks the same image.

    Args:
        protocol: Name of the protocol that asks, for the messages.
        folders: Images by person and camera.
        cameras: The gallery's, in the order in which they are drawn from.
        seed: Of Python's generator.
        shots: Images of each person in each camera.

    Raises:
        ValueError: A person was seen fewer than `shots` times by a camera, or by none of them at all.
    """
    generator = random.Random(seed)
    rows: list[int] = []
    for person, camera in _in_order(folders, cameras):
        images = folders[person, camera]
        if len(images) < shots:
            raise ValueError(
                f"{protocol}: person {person} has {len(images)} images in camera {camera}; expected "
                f"{shots} to draw from"
            )
        rows += generator.sample(images, shots)
    return some_rows(protocol, rows, cameras)


def some_rows(protocol: str, rows: Sequence[int], cameras: Sequence[int]) -> Rows:
    """The rows as int64.

    Raises:
        ValueError: There is none; the message names the cameras that were looked for.
    """
    if not rows:
        raise ValueError(f"{protocol} needs test tracklets of the cameras {', '.join(map(str, cameras))}")
    return np.asarray(rows, dtype=np.int64)


def _in_order(folders: Folders, cameras: Sequence[int]) -> list[Folder]:
    """Person by person, each one's cameras as given; only what is there."""
    people = dict.fromkeys(person for person, _ in folders)
    return [(person, camera) for person in people for camera in cameras if (person, camera) in folders]
