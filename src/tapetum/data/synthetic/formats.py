"""The on-disk formats that walkers can be written in, by name."""

import logging
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

from tapetum.data.synthetic import bupt_campus, hitsz_vcm, llcm, regdb, sysu_mm01
from tapetum.data.synthetic._format import Format
from tapetum.data.synthetic._writing import Progress, WrittenSet, write_set
from tapetum.data.synthetic.options import WalkerOptions
from tapetum.errors import MissingExtraError
from tapetum.registry import unknown

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT for module in (hitsz_vcm, bupt_campus, sysu_mm01, regdb, llcm)
}

_log = logging.getLogger(__name__)


def write_walkers(
    root: Path,
    format: str,
    *,
    identities: int,
    seed: int,
    options: WalkerOptions | None = None,
    test_identities: int | None = None,
    workers: int | None = None,
    lmdb: bool = False,
    progress: Progress | None = None,
) -> WrittenSet:
    """Draw a data set of walkers and write it in an on-disk format, all or nothing.

    The same seed gives the same people in every format, and the same bytes whatever the number of processes.
    Files are written into a hidden folder beside `root`, which takes its name at the end and is removed on
    failure. Processes are spawned, so that a script that writes a large set with several of them needs the
    usual guard of its main part.

    Args:
        root: folder to create; may exist if it is empty.
        format: a key of `FORMATS`.
        identities: people in all.
        seed: of everything.
        options: how the walkers are drawn; None means the defaults.
        test_identities: how many of the people are for testing; None means a third, or more where a format
            needs more, and a half for regdb.
        workers: most processes; None means one per core. Small sets are written by the calling process.
        lmdb: add the format's packaging in LMDB databases, a data set of its own in the folder `lmdb`.
        progress: called with the number of tracklets or images written and their total.

    Raises:
        FileExistsError: if `root` exists and is not empty.
        ValueError: if there is no such format, if it needs more people, or if an option does not act on it.
        OSError: if a file cannot be written; the error names it.
        MissingExtraError: if `lmdb` is set and that package is not installed.
    """
    if format not in FORMATS:
        raise ValueError(unknown("format", format, sorted(FORMATS)))
    chosen, options = FORMATS[format], WalkerOptions() if options is None else options
    chosen.check(options)
    pack = _packing(chosen) if lmdb else None
    plan = chosen.plan(seed, identities, test_identities, options)
    written = write_set(root, plan, workers=workers, progress=progress, finish=pack)
    if chosen.avoid and chosen.avoid in str(Path(root).resolve()):
        _log.warning(
            "%s: the authors' scripts for %s stumble over the %r in this path; this package does not",
            *(root, format, chosen.avoid),
        )
    return written


def _packing(chosen: Format) -> Callable[[Path], None]:
    """What adds the LMDB packaging; found wanting before anything is drawn."""
    if chosen.pack is None:
        having = ", ".join(name for name, other in FORMATS.items() if other.pack)
        raise ValueError(f"lmdb does not act on {chosen.name}: only {having} has such a packaging")
    if find_spec("lmdb") is None:
        raise MissingExtraError("lmdb", "lmdb")
    return chosen.pack
