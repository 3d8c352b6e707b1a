"""Counts and times of a running service, in the text format of Prometheus."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_CLIPS = (1, 2, 4, 8, 16, 32, 64, 128)


class Metrics:
    """What one service counts; each has its own, so two in one process do not mix."""

    def __init__(self) -> None:
        """All at zero."""
        self._registry = registry = CollectorRegistry()
        self._requests = Counter(
            "tapetum_requests_total", "Answered requests.", ("route", "method", "status"), registry=registry
        )
        self._seconds = Histogram(
            "tapetum_request_seconds",
            "From a request to the end of its answer.",
            ("route",),
            buckets=_SECONDS,
            registry=registry,
        )
        self._batches = Histogram(
            "tapetum_batch_clips", "Clips that the model saw at a time.", buckets=_CLIPS, registry=registry
        )
        self._batch_seconds = Histogram(
            "tapetum_batch_seconds",
            "Time that the model took for a batch.",
            buckets=_SECONDS,
            registry=registry,
        )
        self._waiting = Gauge("tapetum_waiting_clips", "Clips that wait for the model.", registry=registry)
        self._reads = Gauge(
            "tapetum_gallery_reads", "Reads of the gallery that wait or are being done.", registry=registry
        )
        self._gallery = Gauge("tapetum_gallery_tracklets", "Tracklets in the gallery.", registry=registry)

    def request(self, route: str, method: str, status: int, seconds: float) -> None:
        """Count an answered request; `route` is the name of its route, never what a client sent."""
        self._requests.labels(route, method, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def batch(self, clips: int, seconds: float) -> None:
        """Count a batch that the model saw."""
        self._batches.observe(clips)
        self._batch_seconds.observe(seconds)

    def text(self, *, waiting: int, reads: int, tracklets: int) -> bytes:
        """All of it, with how things stand now.

        Args:
            waiting: Clips that wait for the model.
            reads: Reads of the gallery that wait or are being done.
            tracklets: In the gallery.
        """
        self._waiting.set(waiting)
        self._reads.set(reads)
        self._gallery.set(tracklets)
        return generate_latest(self._registry)
