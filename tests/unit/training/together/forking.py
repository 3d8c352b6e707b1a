"""Forks processes that train together, one scenario after the other, from one process that has imported all.

`python forking.py FOLDER` reads FOLDER/scenarios.json, a list of {"name", "task", "processes", ...}, runs the
function `task` of tasks.py in so many processes each, and writes FOLDER/<name>.json: exit code and stderr of
each process. A process that outlives its scenario's `limit_s` is killed, and so is one that is `stopped`.
"""

import faulthandler
import importlib
import json
import os
import runpy
import signal
import socket
import sys
import time
import traceback
from pathlib import Path

LIMIT_S = 50.0


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def become(rank, scenario, folder, port):
    """In a forked process: run the task, as the process that torchrun would have started; never return."""
    environment = {
        "LOCAL_RANK": str(rank),
        "NODE_RANK": "0",
        "MASTER_ADDR": "127.0.0.1",
        "MASTER_PORT": str(port),
        "WORLD_SIZE": str(scenario["processes"]),
    }
    os.environ.update(environment)
    errors = os.open(folder / f"{scenario['name']}.{rank}.err", os.O_WRONLY | os.O_CREAT)
    os.dup2(errors, 2)
    sys.stderr = os.fdopen(2, "w", buffering=1)
    faulthandler.enable(file=sys.stderr)
    faulthandler.dump_traceback_later(scenario.get("limit_s", LIMIT_S) - 2, file=sys.stderr)
    code = 1
    try:
        tasks[scenario["task"]](rank, scenario, folder)
        code = 0
    except BaseException:
        traceback.print_exc()
    sys.stderr.flush()
    os._exit(code)


def wait_for(children, limit_s):
    """Exit codes of the processes in their order; None of one that had to be killed."""
    codes = {}
    deadline = time.monotonic() + limit_s
    while len(codes) < len(children):
        for rank, child in enumerate(children):
            if rank in codes:
                continue
            found, status = os.waitpid(child, os.WNOHANG)
            if found:
                codes[rank] = os.waitstatus_to_exitcode(status)
        left = [child for rank, child in enumerate(children) if rank not in codes]
        if left and (time.monotonic() > deadline or all(is_stopped(child) for child in left)):
            for rank, child in enumerate(children):
                if rank not in codes:
                    os.kill(child, signal.SIGKILL)
                    os.waitpid(child, 0)
                    codes[rank] = None
        time.sleep(0.02)
    return [codes[rank] for rank in range(len(children))]


def is_stopped(process):
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "T"


def run(scenario, folder):
    port, children = free_port(), []
    for rank in range(scenario["processes"]):
        child = os.fork()
        if not child:
            become(rank, scenario, folder, port)
        children.append(child)
    began = time.monotonic()
    codes = wait_for(children, scenario.get("limit_s", LIMIT_S))
    said = [(folder / f"{scenario['name']}.{rank}.err").read_text() for rank in range(scenario["processes"])]
    found = {"codes": codes, "said": said, "seconds": time.monotonic() - began}
    (folder / f"{scenario['name']}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    for module in ("lightning_fabric.strategies", "torch._dynamo", "torch.distributed.fsdp"):
        importlib.import_module(module)  # once, before the processes part
    tasks = runpy.run_path(str(Path(__file__).with_name("tasks.py")))
    place = Path(sys.argv[1])
    for one in json.loads((place / "scenarios.json").read_text()):
        run(one, place)
