"""Moving a gallery to another model: every tracklet embedded anew, beside the gallery, which is searched on.

What is embedded is kept (where the store is a lasting one), so a move that was cut off goes on from there.
The new embeddings take the old ones' place at once, when every tracklet has one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from tapetum.errors import DataError
from tapetum.search.gallery import Gallery
from tapetum.types import Embeddings, TrackletSet

Embed = Callable[[TrackletSet], tuple[Embeddings, Mapping[str, str]]]
"""Embeds tracklets: those that can be read, and of the others, by identifier, why they cannot."""

AT_ONCE = 512
"""Tracklets that are embedded and kept at a time; so many are lost at most where a move is cut off."""


@dataclass(frozen=True, slots=True)
class Moved:
    """What became of a move.

    Attributes:
        embedded: Tracklets that were embedded now; an earlier attempt may have embedded others.
        left_out: Tracklets that could not be read and are in the gallery no longer, and why.
    """

    embedded: int
    left_out: Mapping[str, str] = field(default_factory=dict)


def reindex(
    gallery: Gallery,
    model: str,
    embed: Embed,
    *,
    leave_out: bool = False,
    at_once: int = AT_ONCE,
    progress: Callable[[int, int], None] | None = None,
) -> Moved:
    """Move a gallery to another model and say what became of it.

    Searches and changes of the gallery go on meanwhile, from other threads and processes; what is changed is
    embedded again. The calibration of the former model ends with it.

    Args:
        gallery: What to move.
        model: Fingerprint of the model that `embed` uses.
        embed: Embeds tracklets by that model.
        leave_out: Whether tracklets that cannot be read leave the gallery; if not, nothing is moved.
        at_once: Tracklets that are embedded and kept at a time.
        progress: Called with (tracklets dealt with, tracklets to move) after each part.

    Raises:
        ValueError: The gallery is empty, of that model already, or nothing of it can be read; `at_once` is
            below 1.
        DataError: Some tracklets cannot be read, and `leave_out` is false; the gallery is as it was, and what
            was embedded is kept for the next attempt.
        OSError: The store cannot be written; the gallery is as it was.
        RuntimeError: `embed` said nothing of some tracklet that it was given.
    """
    if at_once < 1:
        raise ValueError(f"at_once is {at_once}; expected at least 1")
    unread: dict[str, str] = {}
    embedded = 0
    with gallery.replacement(model) as replacement:
        total = replacement.count_pending()
        while True:
            asked = replacement.pending(at_once)
            if not asked:
                if unread and not leave_out:
                    raise _unreadable(gallery, unread)
                if replacement.finish():
                    return Moved(embedded, unread)
                continue  # somebody has changed the gallery meanwhile
            found, reasons = embed(asked)
            _refuse_silence(asked, found, reasons)
            replacement.store(found)
            if reasons:
                replacement.leave_out(reasons)
                unread.update(reasons)
            embedded += len(found)
            if progress is not None:
                progress(embedded + len(unread), max(total, embedded + len(unread)))


def _refuse_silence(asked: TrackletSet, found: Embeddings, reasons: Mapping[str, str]) -> None:
    """Nothing, or an error: what is neither embedded nor explained would be asked for without end."""
    told = {tracklet.tracklet_id for tracklet in found.tracklets} | set(reasons)
    for tracklet in asked:
        if tracklet.tracklet_id not in told:
            raise RuntimeError(f"tracklet {tracklet.tracklet_id} was neither embedded nor called unreadable")


def _unreadable(gallery: Gallery, unread: Mapping[str, str]) -> DataError:
    name, reason = next(iter(unread.items()))
    return DataError(
        f"{gallery.uri}: {len(unread)} tracklets cannot be read ({name}: {reason}); the gallery stays as it "
        "is. Make their pictures readable and try again, or let them be left out"
    )
