"""Write the tables of docs/comparison.md from the results kept beside it. `make docs` runs it with `--check`.

`docs/comparisons/NAME.json` is the `table.json` that `tapetum compare` left; its table stands in the page
between `<!-- comparison-NAME:start -->` and `<!-- comparison-NAME:end -->`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from tapetum.comparison.text import markdown, rewrite_block, with_block
from tapetum.errors import DataError

ROOT = Path(__file__).resolve().parent.parent


def stale_blocks(root: Path) -> list[str]:
    """Names of the results whose table in the page is not as they say.

    Raises:
        DataError: The page has no block for a result.
    """
    page = root / "docs" / "comparison.md"
    text = page.read_text(encoding="utf-8")
    return [name for name, table in _tables(root) if with_block(page, f"comparison-{name}", table) != text]


def rewrite(root: Path) -> list[str]:
    """Write all tables anew; names of those that changed."""
    page = root / "docs" / "comparison.md"
    return [name for name, table in _tables(root) if rewrite_block(page, f"comparison-{name}", table)]


def _tables(root: Path) -> list[tuple[str, str]]:
    files = sorted((root / "docs" / "comparisons").glob("*.json"))
    return [(file.stem, markdown(json.loads(file.read_text(encoding="utf-8")))) for file in files]


def main(arguments: Sequence[str] | None = None, root: Path = ROOT) -> int:
    """Run from the command line; 1 where `--check` finds a table that is not as its result says."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; say which tables are stale")
    options = parser.parse_args(arguments)
    try:
        found = stale_blocks(root) if options.check else rewrite(root)
    except DataError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    what = "is not as docs/comparisons says" if options.check else "written"
    for name in found:
        sys.stdout.write(f"docs/comparison.md: table {name} {what}\n")
    return int(options.check and bool(found))


if __name__ == "__main__":
    sys.exit(main())
