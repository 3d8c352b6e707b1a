"""Which gallery items a query may not find, by camera: the one place where the rules are written."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tapetum.evaluation._identities import IntArray, shared_codes
from tapetum.types import Id, Tracklet

HiddenCameras = Sequence[tuple[Id, Id]]
"""Pairs (query camera, gallery camera): such gallery items are left out for such queries, whoever is seen."""

Mask = NDArray[np.bool_]


def cameras_hidden_from(hidden: HiddenCameras) -> dict[Id, set[Id]]:
    """Query camera -> the gallery cameras that its queries do not see.

    Raises:
        TypeError: An entry is not a pair of cameras.

    Example:
        >>> cameras_hidden_from([(3, 2), (3, 1), (6, 5)])
        {3: {1, 2}, 6: {5}}
    """
    found: dict[Id, set[Id]] = {}
    for pair in hidden:
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise TypeError(f"hidden_cameras holds {pair!r}; expected pairs (query camera, gallery camera)")
        found.setdefault(pair[0], set()).add(pair[1])
    return found


@dataclass(frozen=True, slots=True)
class CameraRules:
    """Which pairs of query and gallery item are left out.

    Attributes:
        people: Person codes of queries `[Q]` and gallery `[G]`; equal where the person is the same.
        cameras: Camera codes of queries `[Q]` and gallery `[G]`, alike; None: own cameras are kept.
        view: `[Q]` row of `hidden` that applies to each query; 0 is the row in which nothing is hidden.
        hidden: `[V, G]` gallery items of hidden cameras.
    """

    people: tuple[IntArray, IntArray]
    cameras: tuple[IntArray, IntArray] | None
    view: IntArray
    hidden: Mask

    @classmethod
    def of(
        cls,
        people: tuple[IntArray, IntArray],
        query: Iterable[Tracklet],
        gallery: Iterable[Tracklet],
        same_camera: bool,
        hidden_cameras: HiddenCameras,
    ) -> CameraRules:
        """The rules between queries and gallery, in the order in which they are given."""
        asked, found = [t.camera_id for t in query], [t.camera_id for t in gallery]
        unseen = cameras_hidden_from(hidden_cameras)
        number = {camera: row for row, camera in enumerate(unseen, start=1)}
        view = [0 if camera is None else number.get(camera, 0) for camera in asked]
        hidden = np.zeros((1 + len(unseen), len(found)), dtype=np.bool_)
        for camera, row in number.items():
            hidden[row] = [c is not None and c in unseen[camera] for c in found]
        cameras = None if same_camera else shared_codes(asked, found)
        return cls(people, cameras, np.asarray(view, dtype=np.int64), hidden)

    def reordered(self, order: IntArray) -> CameraRules:
        """The same rules for the gallery in another order."""
        people = self.people[0], self.people[1][order]
        cameras = None if self.cameras is None else (self.cameras[0], self.cameras[1][order])
        return CameraRules(people, cameras, self.view, self.hidden[:, order])

    def of_own_columns(self, rows: IntArray, columns: IntArray) -> Mask:
        """`[r, P]` whether gallery items `columns` `[r, P]` of the queries' own people are left out."""
        out: Mask = self.hidden[self.view[rows][:, None], columns]
        if self.cameras is not None:
            out |= self.cameras[1][columns] == self.cameras[0][rows][:, None]
        return out

    def __call__(self, rows: IntArray) -> Mask:
        """`[r, G]` which gallery items are left out for the queries `rows`."""
        out: Mask = self.hidden[self.view[rows]]
        if self.cameras is not None:
            own_person = self.people[1] == self.people[0][rows, None]
            out |= own_person & (self.cameras[1] == self.cameras[0][rows, None])
        return out
