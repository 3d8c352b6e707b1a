"""A gallery's tracklets embedded by another model, gathered beside it and put in its place at once."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable
from types import TracebackType

from tapetum.types import Embeddings, TrackletSet


class Replacement(ABC):
    """What will take a gallery's place; until it does, the gallery answers and is written to as before.

    Attributes:
        model: Fingerprint of the model that the gallery is moved to.
    """

    model: str

    @abstractmethod
    def pending(self, limit: int) -> TrackletSet:
        """At most `limit` tracklets of the gallery that are not embedded yet, in gallery order.

        A tracklet that was replaced in the gallery after it was embedded is pending again.
        """

    @abstractmethod
    def count_pending(self) -> int:
        """Number of tracklets that are not embedded yet."""

    @abstractmethod
    def store(self, embeddings: Embeddings) -> None:
        """Keep the embeddings of some tracklets that were pending.

        Raises:
            ModelMismatchError: They are of another model than `model`.
            ValueError: Another dimension than before, or an embedding that is zero or not finite.
        """

    @abstractmethod
    def leave_out(self, tracklet_ids: Iterable[str]) -> None:
        """Let tracklets be missing when the replacement takes the gallery's place."""

    @abstractmethod
    def finish(self) -> bool:
        """Take the gallery's place, at once, where nothing is pending; else false, and nothing changes.

        Raises:
            ValueError: No tracklet is left: each was deleted or left out.
        """

    def close(self) -> None:
        """Let go of what is held open; what was stored stays and is found by the next attempt."""
        return

    def __enter__(self) -> Replacement:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
