"""A process that works on cells: tasks come in by lines of JSON, progress and results go out the same way."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from collections.abc import Mapping
from typing import Any, TextIO

from tapetum.comparison.attempt import Task, attempt


class Reporter:
    """Sends on what training tells.

    Where nobody listens any more, it asks this process to stop, once: training then writes a checkpoint.
    """

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._is_heard = True

    def stage(self, name: str, steps: int, done: int) -> None:
        """Send that a stage begins."""
        self.send("stage", [name, steps, done])

    def advance(self, done: int, record: Mapping[str, Any]) -> None:
        """Send how far the stage is."""
        self.send("advance", [done, dict(record)])

    def note(self, text: str) -> None:
        """Send a line."""
        self.send("note", [text])

    def send(self, kind: str, content: object) -> None:
        """Send a line of JSON: what it is, and its content."""
        if not self._is_heard:
            return
        try:
            self._out.write(json.dumps([kind, content]) + "\n")
            self._out.flush()
        except BrokenPipeError:
            self._is_heard = False
            signal.raise_signal(signal.SIGTERM)


def serve(tasks: TextIO, out: TextIO) -> None:
    """Work on tasks as they come, until no more can come."""
    for line in tasks:
        reporter = Reporter(out)
        reporter.send("result", attempt(Task.from_json(json.loads(line)), reporter))


def main() -> int:
    """Serve standard input; what libraries print goes to standard error."""
    out = os.fdopen(os.dup(sys.stdout.fileno()), "w", encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    with contextlib.suppress(KeyboardInterrupt):
        serve(sys.stdin, out)
    return 0


if __name__ == "__main__":
    sys.exit(main())
