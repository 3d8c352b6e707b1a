"""Check that the documentation says what is there: links, commands, tables, names. `make docs` runs it.

Read are README.md, CONTRIBUTING.md and all Markdown under docs/. Nothing in them is run: commands are parsed
by the command line itself, Python blocks are compiled and what they name in the package is looked up.
`--write` makes the tables of README.md anew from the registries.
"""

from __future__ import annotations

import argparse
import ast
import contextlib
import importlib
import io
import json
import re
import shlex
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import typer

from tapetum.cli import main as run_tapetum
from tapetum.cli._app import app
from tapetum.files import replace_text

ROOT = Path(__file__).resolve().parent.parent
PROGRAM = "tapetum"
SHELLS = ("", "sh", "bash", "console")
TABLES = {"methods": "method", "datasets": "format", "protocols": "protocol"}
"""Tables of README.md, between `<!-- NAME:start -->` and `<!-- NAME:end -->`, and their first column."""

_FENCE = re.compile(r"^\s*(?P<marks>`{3,}|~{3,})\s*(?P<language>[\w+-]*)")
_SPAN = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)")
_HEADING = re.compile(r"^#{1,6}\s+(?P<text>.+?)\s*#*$")
_INLINE_LINK = re.compile(
    r"!?\[(?:[^\[\]]|\[[^\[\]]*\])*\]\(\s*<?(?P<target>[^\s()<>]+)>?(?:\s+\"[^\"]*\")?\s*\)"
)
_NAMED_LINK = re.compile(r"^\s*\[[^\]]+\]:\s*(?P<target>\S+)")
_HTML_LINK = re.compile(r"\b(?:src|href|srcset)=\"(?P<target>[^\"]+)\"")
_HTML_ANCHOR = re.compile(r"<[^>]*\b(?:id|name)=\"([^\"]+)\"")
_OUTSIDE = re.compile(r"^[A-Za-z][A-Za-z0-9+.-]*:")
_SEPARATORS = re.compile(r"^[|&;]+$")


@dataclass(frozen=True, order=True)
class Problem:
    """Something that is not as a document says.

    Attributes:
        file: The document.
        line: Counted from 1.
        message: What is wrong.
    """

    file: Path
    line: int
    message: str


@dataclass(frozen=True)
class Block:
    """A fenced block of code.

    Attributes:
        language: What stands after the fence, in lower case; "" for nothing.
        line: Number of its first line of content.
        lines: Its content.
    """

    language: str
    line: int
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Document:
    """A Markdown file, prose and code apart.

    Attributes:
        path: Where it is.
        prose: Numbered lines outside fenced blocks.
        blocks: The fenced blocks.
    """

    path: Path
    prose: tuple[tuple[int, str], ...]
    blocks: tuple[Block, ...]


def read_document(path: Path) -> Document:
    """The document in a file.

    Raises:
        OSError: The file cannot be read.
    """
    prose: list[tuple[int, str]] = []
    blocks: list[Block] = []
    fence, language, content = "", "", [""]
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        found = _FENCE.match(line)
        if fence:
            if line.strip().startswith(fence) and not line.strip().strip(fence[0]):
                blocks.append(Block(language, number - len(content), tuple(content)))
                fence = ""
            else:
                content.append(line)
        elif found:
            fence, language, content = found["marks"], found["language"].lower(), []
        else:
            prose.append((number, line))
    return Document(path, tuple(prose), tuple(blocks))


def find_documents(root: Path) -> list[Path]:
    """README.md, CONTRIBUTING.md and all Markdown under docs/, those that exist."""
    top = (root / "README.md", root / "CONTRIBUTING.md")
    return [path for path in (*top, *sorted((root / "docs").rglob("*.md"))) if path.is_file()]


# Links


def check_links(document: Document, root: Path) -> Iterator[Problem]:
    """Links and pictures that lead nowhere, out of the project, or to a heading that does not exist."""
    for number, line in document.prose:
        for target in _targets(_SPAN.sub("", line)):
            message = _why_broken(target, document.path, root)
            if message:
                yield Problem(document.path, number, message)


def _targets(line: str) -> list[str]:
    patterns = (_INLINE_LINK, _NAMED_LINK, _HTML_LINK)
    found = [match["target"] for pattern in patterns for match in pattern.finditer(line)]
    return [unquote(target) for target in found if not _OUTSIDE.match(target)]


def _why_broken(target: str, source: Path, root: Path) -> str:
    name, _, anchor = target.partition("#")
    place = (source.parent / name).resolve() if name else source.resolve()
    if not place.is_relative_to(root.resolve()):
        return f"{target}: leads out of the project"
    if not place.exists():
        return f"{target}: no such file"
    if anchor and (place.suffix != ".md" or anchor not in anchors(place)):
        return f"{target}: {place.name} has no heading #{anchor}"
    return ""


@cache
def anchors(path: Path) -> frozenset[str]:
    """Names by which the headings of a Markdown file can be linked to, as GitHub makes them."""
    found: list[str] = []
    seen: Counter[str] = Counter()
    for _, line in read_document(path).prose:
        found += _HTML_ANCHOR.findall(line)
        heading = _HEADING.match(line)
        if heading:
            name = slug(heading["text"])
            found.append(f"{name}-{seen[name]}" if seen[name] else name)
            seen[name] += 1
    return frozenset(found)


def slug(heading: str) -> str:
    """Anchor of a heading.

    >>> slug("Embeddings on disk"), slug("`make demo`: what it does")
    ('embeddings-on-disk', 'make-demo-what-it-does')
    """
    text = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", text.lower()).replace(" ", "-")


# Commands


def check_commands(document: Document) -> Iterator[Problem]:
    """Commands that the command line would refuse, in shell blocks, and options unknown to it, in prose.

    Blocks are parsed in full, with values. Prose may leave arguments out, so there only the names count.
    """
    for block in document.blocks:
        if block.language in SHELLS:
            for number, words in block_commands(block):
                message = refusal(words)
                if message:
                    yield Problem(document.path, number, message)
    for number, line in document.prose:
        for span in _SPAN.finditer(line):
            words = span[2].split()
            if len(words) > 1 and words[0] == PROGRAM and not words[1].isupper():  # COMMAND: any
                message = unknown_name(words[1:])
                if message:
                    yield Problem(document.path, number, f"`{span[2]}`: {message}")


def block_commands(block: Block) -> Iterator[tuple[int, list[str]]]:
    """Words after `tapetum` of every command of a block, with the number of its first line."""
    start, joined = block.line, ""
    for number, line in enumerate(block.lines, start=block.line):
        start = start if joined else number
        joined += line.removesuffix("\\")
        if line.endswith("\\"):
            continue
        for words in _split_commands(joined):
            yield start, words
        joined = ""


def _split_commands(line: str) -> Iterator[list[str]]:
    if PROGRAM not in line:
        return
    lexer = shlex.shlex(line, posix=True, punctuation_chars="|&;")
    lexer.whitespace_split = True
    try:
        words = list(lexer)
    except ValueError:  # prose or output with a lone quotation mark
        words = line.split()
    command: list[str] = []
    for word in [*words, ";"]:
        if not _SEPARATORS.match(word):
            command.append(word)
            continue
        command = _without_preamble(command)
        if command and (command[0] == PROGRAM or command[0].endswith(f"bin/{PROGRAM}")):
            yield command[1:]
        command = []


def _without_preamble(words: list[str]) -> list[str]:
    """A command without its prompt and its environment variables."""
    while words and (words[0] == "$" or re.match(r"^[A-Z_]+=", words[0])):
        words = words[1:]
    return words


def refusal(words: Sequence[str]) -> str:
    """Why the command line would refuse these words after `tapetum`; "" where it would take them."""
    message = unknown_name(words)
    command, rest = _subcommand(words)
    if message or command is None or "..." in words:
        return message
    try:
        with contextlib.redirect_stdout(io.StringIO()):
            command.make_context(command.name, list(rest))
    except Exception as error:
        if type(error).__name__ == "Exit":  # --help
            return ""
        if hasattr(error, "format_message"):
            return f"{PROGRAM} {' '.join(words)}: {error.format_message()}"
        raise
    return ""


def unknown_name(words: Sequence[str]) -> str:
    """Which subcommand or option among these words does not exist; "" where all do."""
    command, rest = _subcommand(words)
    if command is None:
        return f"{PROGRAM} has no command {rest[0]!r}" if rest else ""
    if getattr(command, "commands", None) and rest and not rest[0].startswith("-"):
        return f"{PROGRAM} {command.name} has no command {rest[0]!r}"
    known = {"--help"}.union(*((*parameter.opts, *parameter.secondary_opts) for parameter in command.params))
    for word in rest:
        option = word.strip("[]").partition("=")[0]
        if re.match(r"--?[A-Za-z]", option) and option not in known:
            return f"{PROGRAM} {command.name} has no option {option}"
    return ""


def _subcommand(words: Sequence[str]) -> tuple[Any, Sequence[str]]:
    """The command that the words name, or None, and what follows its name (all words where there is none)."""
    found: Any = None
    group: Any = _group()
    while words and words[0] in {"--help", "-v", "--verbose"}:
        words = words[1:]
    while words and words[0] in getattr(group, "commands", {}):
        found = group = group.commands[words[0]]
        words = words[1:]
    return found, words


@cache
def _group() -> object:
    """The command line without the checks that ask the machine, such as for a device."""
    group: Any = typer.main.get_command(app)
    commands = list(group.commands.values())
    for command in commands:
        commands += getattr(command, "commands", {}).values()
        for parameter in command.params:
            parameter.callback = None
    return group


# Python


def check_python(document: Document) -> Iterator[Problem]:
    """Python blocks that do not compile, or that use names of the package that it does not have."""
    modules: dict[str, Any] = {}
    for block in document.blocks:
        if block.language not in ("python", "py"):
            continue
        try:
            tree = ast.parse("\n".join(block.lines))
        except SyntaxError as error:
            line = block.line + (error.lineno or 1) - 1
            yield Problem(document.path, line, f"Python block: {error.msg}")
            continue
        for line, message in (*_missing_modules(tree, modules), *_missing_attributes(tree, modules)):
            yield Problem(document.path, block.line + line - 1, message)


def _missing_modules(tree: ast.Module, modules: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Line and message of each import from the package that would fail; the others go into `modules`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and _is_ours(node.module or ""):
            yield from _missing_imports(node)
        elif isinstance(node, ast.Import):
            for alias in filter(lambda alias: _is_ours(alias.name), node.names):
                module = _look_up(alias.name)
                if module is None:
                    yield node.lineno, f"there is no module {alias.name}"
                else:
                    modules[alias.asname or PROGRAM] = module if alias.asname else _look_up(PROGRAM)


def _missing_attributes(tree: ast.Module, modules: dict[str, Any]) -> Iterator[tuple[int, str]]:
    """Line and message of each `module.name` that does not exist, `module` being one of `modules`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id in modules:
            module = modules[node.value.id]
            if not _has(module, node.attr):
                yield node.lineno, f"{module.__name__} has no {node.attr}"


def _missing_imports(node: ast.ImportFrom) -> Iterator[tuple[int, str]]:
    module = _look_up(node.module or "")
    if module is None:
        yield node.lineno, f"there is no module {node.module}"
        return
    for alias in node.names:
        if not _has(module, alias.name):
            yield node.lineno, f"{node.module} has no {alias.name}"


def _has(module: Any, name: str) -> bool:
    return hasattr(module, name) or _look_up(f"{module.__name__}.{name}") is not None


def _is_ours(module: str) -> bool:
    return module.partition(".")[0] == PROGRAM


@cache
def _look_up(module: str) -> Any:
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name and _is_ours(error.name):
            return None
        raise


# Tables


def check_tables(readme: Path, *, write: bool = False) -> Iterator[Problem]:
    """Tables of README.md that are not what the registries give; with `write` they are made anew instead."""
    text = readme.read_text(encoding="utf-8")
    for name, column in TABLES.items():
        start, end = f"<!-- {name}:start -->", f"<!-- {name}:end -->"
        before, found, rest = text.partition(start)
        old, closed, after = rest.partition(end)
        if not (found and closed):
            yield Problem(readme, 1, f"has no table between {start} and {end}")
            continue
        new = f"\n{table(name, column, readme.parent)}\n"
        if write:
            text = before + start + new + end + after
        elif old != new:
            line = before.count("\n") + 1
            yield Problem(
                readme, line, f"the table of {name} is not current; run tools/check_docs.py --write"
            )
    if write:
        replace_text(readme, text)


def table(name: str, column: str, root: Path) -> str:
    """What `tapetum NAME` lists as a Markdown table; an entry with a page of its own is linked to it."""
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed):
        run_tapetum([name, "--json"])
    rows = [f"| {column} | what it is |", "|---|---|"]
    for row in json.loads(printed.getvalue()):
        page = f"docs/{name}/{row['name']}.md"
        label = f"[`{row['name']}`]({page})" if (root / page).is_file() else f"`{row['name']}`"
        rows.append(f"| {label} | {row['about']} |")
    return "\n".join(rows)


def check(root: Path, *, write: bool = False) -> list[Problem]:
    """All problems of the documents below `root`, by file and line."""
    problems = list(check_tables(root / "README.md", write=write))
    for path in find_documents(root):
        document = read_document(path)
        problems += check_links(document, root)
        problems += check_commands(document)
        problems += check_python(document)
    return sorted(problems)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the problems; returns 1 where there are any."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--write", action="store_true", help="make the tables of README.md anew")
    problems = check(ROOT, write=parser.parse_args(arguments).write)
    for problem in problems:
        sys.stderr.write(f"{problem.file.relative_to(ROOT)}:{problem.line}: {problem.message}\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
