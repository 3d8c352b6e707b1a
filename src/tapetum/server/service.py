"""The service: what REST and the page both call. It knows no HTTP."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import version
from time import monotonic, perf_counter
from typing import TYPE_CHECKING, TypeVar

from tapetum.search.engine import SearchEngine
from tapetum.search.feedback import Feedback
from tapetum.search.query import Filter
from tapetum.search.question import GalleryItem, Several
from tapetum.server.asking import (
    Answer,
    Ask,
    Camera,
    Health,
    Item,
    ItemPage,
    QueryHandle,
    ServiceInfo,
    UploadKind,
)
from tapetum.server.batching import EncodingQueue
from tapetum.server.metrics import Metrics
from tapetum.server.pictures import Picture, read_picture
from tapetum.server.queries import Query, QueryStore, query_of
from tapetum.server.recording import Recorder
from tapetum.server.refusals import Invalid, NoModel, NoReason, NotFound, TooLarge, refusing
from tapetum.server.settings import ServerSettings
from tapetum.server.threads import Threads
from tapetum.server.users import User
from tapetum.types import Modality

if TYPE_CHECKING:
    from tapetum.clip_encoding import ClipEncoder

T = TypeVar("T")

_LONGEST_REASON = 1000
_FRESH_S = 5.0
"""How long counts of cameras and the gallery's health are remembered."""


class SearchService:
    """A gallery and its model, asked by many at once; every call that shows people's data is recorded.

    Uploads and searches are made of coroutines that never hold up the event loop: the model runs in one
    thread on batches of all requests, the gallery is read by a few.
    """

    def __init__(
        self,
        settings: ServerSettings,
        engine: SearchEngine,
        encoder: ClipEncoder | None,
        recorder: Recorder,
        metrics: Metrics,
    ) -> None:
        """Bring the parts together; `start` starts the model's thread.

        Args:
            settings: Limits, and whether reasons are required.
            engine: The gallery, and what its distances mean.
            encoder: The model; None: only tracklets of the gallery can be searched by.
            recorder: Keeps the audit log.
            metrics: Told of batches.
        """
        self.settings = settings
        self.gallery = engine.gallery
        self.recorder = recorder
        self._encoder = encoder
        self._engine = engine
        self._metrics = metrics
        self._trained_on = str(getattr(engine.model, "trained_on", ""))
        limits = settings.limits
        self._queries = QueryStore(
            most=limits.queries, most_bytes=limits.query_bytes, ttl_s=limits.query_ttl_s
        )
        self._queue = None if encoder is None else _queue_of(encoder, settings, metrics)
        reads, wait_s = settings.searches, settings.search_timeout_s
        self.reads = Threads("gallery", threads=settings.threads, most_waiting=reads, timeout_s=wait_s)
        self._decoding = Threads("pictures", threads=2, most_waiting=limits.uploads, timeout_s=wait_s)
        self._cameras: tuple[float, list[Camera]] | None = None
        self._health: tuple[float, Health] | None = None

    def start(self) -> None:
        """Start the model's thread."""
        if self._queue is not None:
            self._queue.start()

    def close(self) -> None:
        """Refuse what waits, and forget all uploads."""
        if self._queue is not None:
            self._queue.close()
        self._decoding.close()
        self.reads.close()
        self._queries.clear()

    def model(self) -> ClipEncoder:
        """What embeds pictures.

        Raises:
            NoModel: The service has none.
        """
        if self._encoder is None:
            raise NoModel("this service has no model: search by a tracklet of the gallery")
        return self._encoder

    async def upload(
        self,
        files: Sequence[bytes],
        *,
        by: User,
        kind: UploadKind = "images",
        modality: Modality | None = None,
    ) -> QueryHandle:
        """Keep pictures of one person to search by.

        Args:
            files: JPEG, PNG, BMP or WebP files' bytes; in time order where they are a tracklet.
            by: Whose they are; nobody else can use them.
            kind: "images": each is a view of its own; "tracklet": all are frames of one tracklet.
            modality: How they were seen; None: infrared where they have no colour.

        Raises:
            NoModel: The service has no model.
            Refusal: A file is of another kind, damaged or too large, or there are none or too many.
        """
        encoder, limits = self.model(), self.settings.limits
        if not files:
            raise Invalid("no picture was given", field="files")
        if len(files) > limits.files:
            raise TooLarge(f"{len(files)} files; at most {limits.files} are taken", field="files")
        pictures = await self._decoding.run(partial(self._read, files, encoder))
        query = query_of(
            pictures,
            kind=kind,
            modality=modality,
            owner=by.name,
            preprocessing=encoder.preprocessing,
            sampling=encoder.sampling,
        )
        return self._queries.add(query)

    def query(self, query_id: str, *, by: User) -> QueryHandle:
        """What was said of an upload, with its new expiry.

        Raises:
            NotFound: There is none of this user, or no longer.
        """
        return self._queries.get(query_id, by.name).handle

    def query_picture(self, query_id: str, number: int, *, by: User) -> bytes:
        """A small JPEG file's bytes of a picture of an upload, counted from 0.

        Raises:
            NotFound: There is none.
        """
        previews = self._queries.get(query_id, by.name).previews
        if not 0 <= number < len(previews):
            raise NotFound(f"the query has {len(previews)} pictures", field="number")
        return previews[number]

    def drop_query(self, query_id: str, *, by: User) -> None:
        """Forget an upload.

        Raises:
            NotFound: As `query`.
        """
        self._queries.drop(query_id, by.name)

    async def search(self, ask: Ask, *, by: User) -> Answer:
        """The tracklets nearest to a query; recorded before it is given.

        Raises:
            NoReason: A reason is required and was not given.
            NotFound: An upload, or a tracklet of the gallery, is not there.
            Invalid: Values that do not fit, or neither an upload nor a tracklet.
            Refusal: The model or the gallery cannot answer now, or the audit log cannot be written.
        """
        begun = perf_counter()
        self._check(ask)
        queries = [self._queries.get(query_id, by.name) for query_id in dict.fromkeys(ask.query_ids)]
        await self._embed(queries)
        answer = await self.read_gallery(partial(self._answer, ask, queries, begun))
        digests = [digest for query in queries for digest in query.handle.digests]
        await self.recorder.search(ask, digests, answer.result, by)
        return answer

    async def item(self, item_id: str, *, by: User) -> Item:
        """A tracklet of the gallery; recorded before it is given.

        Raises:
            NotFound: There is none by this name.
            Refusal: As `search`.
        """
        item = await self.read_gallery(partial(self._item, item_id))
        await self.recorder.look(item_id, by)
        return item

    async def thumbnail(self, item_id: str, number: int) -> bytes:
        """A JPEG file's bytes of a picture of a tracklet, counted from 0, the best first.

        Raises:
            NotFound: There is none.
            Refusal: The gallery cannot answer now.
        """
        found = await self.read_gallery(lambda: self.gallery.thumbnails(item_id))
        if not 0 <= number < len(found):
            raise NotFound(f"the tracklet has {len(found)} thumbnails", field="number")
        return found[number]

    async def items(self, where: Filter, *, by: User, offset: int = 0, limit: int = 50) -> ItemPage:
        """A stretch of the tracklets that pass a filter, in gallery order; recorded before it is given.

        Raises:
            Refusal: The gallery cannot answer now, or the audit log cannot be written.
        """
        found, total = await self.read_gallery(
            lambda: self.gallery.page(where, offset=offset, limit=min(limit, self.settings.limits.page))
        )
        page = ItemPage(found.tracklets, offset, total)
        await self.recorder.listing(where, page, by)
        return page

    async def cameras(self) -> list[Camera]:
        """The gallery's cameras, integers first, with what they saw; counted anew every few seconds.

        Raises:
            Refusal: The gallery cannot answer now.
        """
        if self._cameras is None or monotonic() > self._cameras[0] + _FRESH_S:
            self._cameras = (monotonic(), await self.read_gallery(self._count_cameras))
        return self._cameras[1]

    async def info(self) -> ServiceInfo:
        """What is served.

        Raises:
            Refusal: The gallery cannot answer now.
        """
        return await self.read_gallery(self._describe)

    async def health(self) -> Health:
        """Whether gallery, model and audit log can be used; looked at anew every few seconds."""
        if self._health is None or monotonic() > self._health[0] + _FRESH_S:
            checks = {
                "gallery": await self._gallery_answers(),
                "encoder": self._queue is None or self._queue.is_running,
                "audit": await asyncio.to_thread(self.recorder.can_write),
            }
            self._health = (monotonic(), Health(checks))
        return self._health[1]

    async def metrics_text(self) -> bytes:
        """Counts and times, and how things stand now, in the text format of Prometheus.

        Raises:
            Refusal: The gallery cannot answer now.
        """
        tracklets = (await self.read_gallery(self.gallery.info)).count
        return self._metrics.text(waiting=self.waiting_clips, reads=self.reads.open, tracklets=tracklets)

    @property
    def waiting_clips(self) -> int:
        """Clips that wait for the model."""
        return 0 if self._queue is None else self._queue.waiting

    def forget_counts(self) -> None:
        """Count cameras and look at the gallery anew: it has changed."""
        self._cameras = self._health = None

    def check_reason(self, reason: str) -> None:
        """Nothing, or an error where a reason is missing or too long.

        Raises:
            NoReason: It is required and blank.
            Invalid: It is too long.
        """
        if self.settings.require_reason and not reason.strip():
            raise NoReason("this service wants a reason", field="reason")
        if len(reason) > _LONGEST_REASON:
            raise Invalid(f"more than {_LONGEST_REASON} letters", field="reason")

    def _check(self, ask: Ask) -> None:
        self.check_reason(ask.reason)
        if (ask.item_id is None) == (not ask.query_ids):
            raise Invalid("give either query_ids or item_id", field="query_ids")
        if not 1 <= ask.top <= self.settings.limits.top:
            raise Invalid(f"top is {ask.top}; expected 1 to {self.settings.limits.top}", field="top")

    def _read(self, files: Sequence[bytes], encoder: ClipEncoder) -> list[Picture]:
        height, width = encoder.preprocessing.height, encoder.preprocessing.width
        most = self.settings.limits.pixels
        return [
            read_picture(content, height, width, most_pixels=most, field=f"files.{number}")
            for number, content in enumerate(files)
        ]

    async def _embed(self, queries: Sequence[Query]) -> None:
        """Let the model see what it has not seen yet."""
        parts = [part for query in queries for part in query.parts if part.vector is None]
        if parts and self._queue is not None:
            vectors = await self._queue.encode([part.clips() for part in parts])
            for part, vector in zip(parts, vectors, strict=True):
                part.embed(vector)

    def _answer(self, ask: Ask, queries: Sequence[Query], begun: float) -> Answer:
        model = "" if self._encoder is None else self._encoder.fingerprint
        rows = tuple(row for query in queries for row in query.embeddings(model))
        marked = Feedback(tuple(ask.right), tuple(ask.wrong)) if ask.right or ask.wrong else None
        found = self._engine.search(
            Several(rows) if ask.item_id is None else GalleryItem(ask.item_id),
            top=ask.top,
            where=ask.filters,
            min_probability=ask.min_probability,
            prior=ask.prior,
            rerank_head=ask.rerank_head,
            group=ask.group,
            feedback=marked,
        )
        seen = found.seen or Modality.VISIBLE
        return Answer(found, seen, found.manner, (perf_counter() - begun) * 1e3)

    def _item(self, item_id: str) -> Item:
        tracklet = self.gallery.get([item_id]).tracklets[0]
        return Item(tracklet, len(self.gallery.thumbnails(item_id)))

    def _count_cameras(self) -> list[Camera]:
        cameras = self.gallery.info().cameras
        return [Camera(camera, self.gallery.count(Filter(cameras=camera))) for camera in cameras]

    def _describe(self) -> ServiceInfo:
        info = self.gallery.info()
        return ServiceInfo(
            version=version("tapetum"),
            storage=info.storage,
            count=info.count,
            modalities=info.modalities,
            cameras=len(info.cameras),
            first_time=info.first_time,
            last_time=info.last_time,
            exact=info.exact,
            recall=info.recall,
            model=info.model,
            dimension=info.dimension,
            trained_on=self._trained_on,
            takes_pictures=self._encoder is not None,
            calibrated=self._engine.calibration is not None,
            requires_reason=self.settings.require_reason,
            audited=self.recorder.is_kept,
        )

    async def _gallery_answers(self) -> bool:
        try:
            await self.read_gallery(self.gallery.info)
        except Exception:
            return False
        return True

    async def read_gallery(self, work: Callable[[], T]) -> T:
        """What `work` returns, done by one of the threads that use the gallery.

        Raises:
            Refusal: The gallery cannot answer, or not now.
        """
        with refusing():
            return await self.reads.run(work)


def _queue_of(encoder: ClipEncoder, settings: ServerSettings, metrics: Metrics) -> EncodingQueue:
    return EncodingQueue(
        encoder,
        batch_size=settings.batch_size,
        wait_s=settings.batch_wait_ms / 1e3,
        most_waiting=settings.queue,
        timeout_s=settings.encode_timeout_s,
        watch=metrics.batch,
    )
