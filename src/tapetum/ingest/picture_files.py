"""Tracklets whose frames are picture files: read by several threads, each tracklet on its own."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import islice

from tapetum.data.frames import read_picture
from tapetum.errors import DataError
from tapetum.ingest.digests import digest_of, frame_digest
from tapetum.ingest.gathering import Gathering
from tapetum.ingest.items import Draft, Group, Problem, Reading
from tapetum.ingest.plan import Plan
from tapetum.object_storage import is_remote

GROUP = 32
"""Tracklets that are compared with the gallery, and then read, together."""


class PictureGroup:
    """Some tracklets of picture files."""

    def __init__(self, drafts: Sequence[Draft], plan: Plan, problems: Sequence[Problem] = ()) -> None:
        """These drafts, nothing of them read yet."""
        self.drafts = drafts
        self.problems = problems
        self._plan = plan

    def contents(self, pool: ThreadPoolExecutor) -> list[str]:
        """Digests of the frames that would be read, byte by byte, and of what is known of each tracklet."""
        return list(pool.map(self._content, self.drafts))

    def read(
        self, chosen: Sequence[int], contents: Sequence[str], pool: ThreadPoolExecutor
    ) -> Iterator[Reading | Problem]:
        """The chosen tracklets in their order."""
        drafts = [self.drafts[place] for place in chosen]
        return pool.map(self._read, drafts, [contents[place] for place in chosen])

    def _content(self, draft: Draft) -> str:
        if not len(draft.frames):
            return digest_of(self._plan.key, draft.facts())
        read = [draft.frames[place] for place in self._plan.read(len(draft.frames))]
        names = [f if is_remote(f) else os.path.abspath(f) for f in draft.frames]  # noqa: PTH100
        return digest_of(self._plan.key, draft.facts(), names, [frame_digest(frame) for frame in read])

    def _read(self, draft: Draft, content: str) -> Reading | Problem:
        if not len(draft.frames):
            return Problem(draft.name, "failed", "it has no frames")
        gathering, wrong = Gathering(draft, self._plan), []
        for place in gathering.places:
            try:
                gathering.add(place, read_picture(draft.frames[place]))
            except DataError as error:
                wrong.append(str(error))
        if len(wrong) == len(gathering.places):
            return Problem(draft.name, "failed", wrong[0])
        return gathering.finish(content, _of_several(wrong, len(gathering.places)))


def in_groups(drafts: Iterable[Draft], plan: Plan) -> Iterator[Group]:
    """Drafts in their order, `GROUP` at a time."""
    rest = iter(drafts)
    while group := list(islice(rest, GROUP)):
        yield PictureGroup(group, plan)


def _of_several(wrong: Sequence[str], read: int) -> str:
    if not wrong:
        return ""
    more = f", and {len(wrong) - 1} more of the {read} frames read" if len(wrong) > 1 else ""
    return f"left out: {wrong[0]}{more}"
