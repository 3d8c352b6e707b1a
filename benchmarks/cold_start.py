"""Seconds from starting `tapetum serve` in a fresh process until `/api/v1/health` says that all is well.

    tapetum export runs/lsmrl --out lsmrl.onnx
    python benchmarks/cold_start.py --gallery galleries/station --model lsmrl.onnx [--rounds 3]

The first round also reads files that the others find in memory. Then a first search by a tracklet
of the gallery is timed, which loads the vectors. `--model` may be a run, or be left out.
"""

from __future__ import annotations

import argparse
import json
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from statistics import median
from typing import Any

PROGRAM = "import sys; from tapetum.cli import main; sys.exit(main())"
PATIENCE_S = 120.0
_PAUSE_S = 0.02


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--gallery", required=True)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rounds = [start(options.gallery, options.model) for _ in range(options.rounds)]
    for number, found in enumerate(rounds, start=1):
        shown = "  ".join(f"{name.removesuffix('_s')} {value:.2f} s" for name, value in found.items())
        print(f"round {number}: {shown}")
    middle = {name: median(found[name] for found in rounds) for name in rounds[0]}
    print(f"median: ready after {middle['ready_s']:.2f} s, {middle['processor_s']:.2f} s of processor time")
    if options.json:
        options.json.write_text(json.dumps({"rounds": rounds, "median": middle}, indent=1) + "\n")
    return 0


def start(gallery: str, model: Path | None) -> dict[str, float]:
    """Seconds of one start, in a process that is ended again."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    words = [sys.executable, "-c", PROGRAM, "serve", "--gallery", gallery, "--port", str(port)]
    words += [] if model is None else ["--model", str(model)]
    began = time.perf_counter()
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL)
    try:
        while not is_ready(port):
            if process.poll() is not None:
                raise SystemExit(f"the service ended with code {process.returncode}")
            if time.perf_counter() - began > PATIENCE_S:
                raise SystemExit(f"not ready after {PATIENCE_S:g} s")
            time.sleep(_PAUSE_S)
        ready_s, processor_s = time.perf_counter() - began, processor_seconds(process.pid)
        return {"ready_s": ready_s, "processor_s": processor_s, "first_search_s": first_search(port)}
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()


def is_ready(port: int) -> bool:
    """Whether the service answers that gallery, model and audit log can be used."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/api/v1/health", timeout=PATIENCE_S) as answer:
            return bool(json.load(answer)["status"] == "ok")
    except (OSError, urllib.error.URLError):
        return False


def first_search(port: int) -> float:
    """Seconds of the first search, by the gallery's first tracklet; 0 where it is empty."""
    items = ask(port, "/api/v1/items?limit=1")["items"]
    if not items:
        return 0.0
    began = time.perf_counter()
    ask(port, "/api/v1/search", {"item_id": items[0]["item_id"], "top": 20})
    return time.perf_counter() - began


def ask(port: int, path: str, wish: dict[str, Any] | None = None) -> Any:
    """The service's answer."""
    body = None if wish is None else json.dumps(wish).encode()
    headers = {} if wish is None else {"Content-Type": "application/json"}
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", body, headers)
    with urllib.request.urlopen(request, timeout=PATIENCE_S) as answer:
        return json.load(answer)


def processor_seconds(process_id: int) -> float:
    """What a process has taken of the processors so far; not a number where that is not told."""
    try:
        fields = Path(f"/proc/{process_id}/stat").read_text(encoding="ascii").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / 100.0


if __name__ == "__main__":
    sys.exit(main())
