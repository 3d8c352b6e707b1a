"""Extract embeddings of any size: every shard of a plan into a file, wherever the work was cut off before."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from tapetum.scale.ledger import GIVE_UP_AFTER, ExtractionReport, Ledger
from tapetum.scale.plan import read_plan
from tapetum.scale.pool import run_in_pool, threads_each
from tapetum.scale.ray_tasks import run_under_ray
from tapetum.scale.stamps import absolute
from tapetum.scale.store import Store, open_store
from tapetum.scale.worker import Job, ShardWorker


def extract(
    out: str,
    model: str,
    *,
    part: tuple[int, int] = (0, 1),
    workers: int = 0,
    ray: str | None = None,
    device: str = "cpu",
    batch_size: int = 32,
    threads: int = 0,
    compute_threads: int = 0,
    retry_failed: bool = False,
    give_up_after: int = GIVE_UP_AFTER,
    store: Store | None = None,
    progress: Callable[[ExtractionReport], None] | None = None,
) -> ExtractionReport:
    """Make the file of every shard that has none, and return what became of all.

    Call it again after whatever happened: finished shards are verified and passed over.

    Args:
        out: Where `plan_extraction` put its plan: a folder, or an address in object storage.
        model: Run folder or model file.
        part: Number of this worker, from 0 on, and how many there are that do not know of each other.
        workers: Processes; 0: this one alone. Under Ray: tasks at a time; 0: as it has room for.
        ray: Address of a Ray cluster, or "local"; None: without Ray.
        device: Where the model computes.
        batch_size: Clips in a batch.
        threads: Threads of each worker that read pictures; 0: one for each core, at most 4.
        compute_threads: Threads of each worker that compute; 0: as many as processors are there for it.
        retry_failed: Make finished shards again where something of them failed.
        give_up_after: Shards that fail one after the other before the rest is not tried.
        store: Place of the extraction, where it is not to be opened by its address; for this process alone.
        progress: Told of each shard.

    Raises:
        FileNotFoundError: There is no plan or no model.
        ModelMismatchError: The plan is of another model.
        DataError: The plan was changed.
        ValueError: An option is out of range.
        OSError: The place cannot be read.
        ConnectionError: Ray does not answer.
    """
    if batch_size < 1 or threads < 0 or workers < 0 or compute_threads < 0:
        raise ValueError("batch size below 1, or a number of workers or threads below 0")
    shards = read_plan(store or open_store(out)).part(*part)
    ledger = Ledger(shards, progress, give_up_after)
    if workers > 1 and ray is None:
        compute_threads = compute_threads or threads_each(workers)
    job = Job(out, model, device, batch_size, threads, compute_threads, retry_failed)
    if ray is not None:
        here, model_here = absolute([out, model])
        run_under_ray(replace(job, out=here, model=model_here), shards, ray, workers, ledger)
    elif workers:
        run_in_pool(job, shards, workers, ledger)
    elif shards:
        worker = ShardWorker(job, store=store)
        for shard in shards:
            if ledger.is_over:
                break
            ledger.note(worker.work(shard))
    return ledger.report
