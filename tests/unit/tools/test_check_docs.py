import importlib.util
import sys
from pathlib import Path

import pytest

TOOL = Path(__file__).parents[3] / "tools" / "check_docs.py"


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("check_docs", TOOL)
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    yield module
    del sys.modules[spec.name]


@pytest.fixture
def read(tool, tmp_path):
    """A document with this text."""

    def write(text, name="README.md"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return tool.read_document(path)

    return write


def found(problems):
    return [(problem.line, problem.message) for problem in problems]


def test_prose_and_blocks_keep_their_line_numbers(read):
    document = read("a\n```sh\none\n\n  ~~~\n```\nb\n~~~\nx\n~~~\n")
    assert document.prose == ((1, "a"), (7, "b"))
    assert [(b.language, b.line, b.lines) for b in document.blocks] == [
        ("sh", 3, ("one", "", "  ~~~")),
        ("", 9, ("x",)),
    ]


def test_links(tool, read, tmp_path):
    read("# Of pages\n## `x`: *two* words\n## Again\n## Again\n", "docs/page.md")
    document = read(
        "# Top\n"
        "[a](docs/page.md) ![b](docs/none.png) [c](https://example.org/x) [d](#top) [e](#bottom)\n"
        "[f](docs/page.md#x-two-words) [g](docs/page.md#again-1) [h](docs/page.md#again-2)\n"
        '<img src="docs/missing.svg" width="9" alt="">\n'
        "[i]: docs/gone.md\n"
        "[j](../outside.md) and `[k](code.md)`\n"
        "```\n[l](code.md)\n```\n"
    )
    assert found(tool.check_links(document, tmp_path)) == [
        (2, "docs/none.png: no such file"),
        (2, "#bottom: README.md has no heading #bottom"),
        (3, "docs/page.md#again-2: page.md has no heading #again-2"),
        (4, "docs/missing.svg: no such file"),
        (5, "docs/gone.md: no such file"),
        (6, "../outside.md: leads out of the project"),
    ]


def test_commands_that_parse(tool, read):
    document = read(
        "```\n"
        "$ tapetum synth out --format hitsz-vcm --identities 8   # a comment's apostrophe\n"
        "OMP_NUM_THREADS=1 .venv/bin/tapetum -v train lsmrl \\\n"
        "    --data hitsz-vcm:x --out run --set a.b=1 && tapetum methods --json\n"
        "tapetum evaluate run --device cuda --data hitsz-vcm:x\n"
        "tapetum embed ...\n"
        "tapetum search --help\n"
        "tapetum token create ada --role viewer && tapetum token --help\n"
        "  tapetum/       no command\n"
        "```\n"
        "```python\ntapetum nonsense\n```\n"
        "`tapetum embed RUN --data FORMAT:ROOT`, `tapetum COMMAND --help`, `tapetum`, `tapetum.load`\n"
    )
    assert found(tool.check_commands(document)) == []


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("tapetum synthesise out", "no command 'synthesise'"),
        ("tapetum synth out --people 3", "synth has no option --people"),
        ("tapetum synth out --cues colour", "colour"),
        ("tapetum search gallery query --top many", "many"),
        ("tapetum train lsmrl --out run", "--data"),
        ("ls | tapetum synth", "out"),
        ("tapetum token mint ada", "token has no command 'mint'"),
        ("tapetum token create ada --rule viewer", "create has no option --rule"),
    ],
)
def test_commands_that_do_not(tool, read, line, message):
    document = read(f"```sh\n\nls\n{line}\n```\n")
    ((number, text),) = found(tool.check_commands(document))
    assert number == 4
    assert message.lower() in text.lower()


def test_a_long_command_is_reported_at_its_first_line(tool, read):
    document = read("```\nls\ntapetum synth out \\\n  --people 3\n```\n")
    assert [line for line, _ in found(tool.check_commands(document))] == [3]


def test_commands_in_prose(tool, read):
    document = read("x\n`tapetum serf` and ``tapetum train --fast``\n")
    assert found(tool.check_commands(document)) == [
        (2, "`tapetum serf`: tapetum has no command 'serf'"),
        (2, "`tapetum train --fast`: tapetum train has no option --fast"),
    ]


def test_python(tool, read):
    document = read(
        "```python\n"
        "import tapetum\n"
        "import tapetum.models as models\n"
        "from tapetum.search import Filter, Seeker\n"
        "from tapetum.nowhere import x\n"
        "from numpy import nothing_of_ours\n"
        "tapetum.load, tapetum.store\n"
        "```\n"
        "```python\nmodels.load_clip('x'), models.clip_it\n```\n"
        "```python\nx = 1\ny = = 2\n```\n"
    )
    assert found(tool.check_python(document)) == [
        (4, "tapetum.search has no Seeker"),
        (5, "there is no module tapetum.nowhere"),
        (7, "tapetum has no store"),
        (10, "tapetum.models has no clip_it"),
        (14, "Python block: invalid syntax"),
    ]


def test_tables(tool, read, tmp_path):
    (tmp_path / "docs/methods").mkdir(parents=True)
    (tmp_path / "docs/methods/lsmrl.md").write_text("# x\n")
    marks = "".join(f"<!-- {name}:start -->\nold\n<!-- {name}:end -->\n" for name in tool.TABLES)
    path = read(f"# Top\n\n{marks}end\n").path
    assert [line for line, _ in found(tool.check_tables(path))] == [3, 6, 9]
    assert found(tool.check_tables(path, write=True)) == []
    assert found(tool.check_tables(path)) == []
    text = path.read_text()
    assert text.startswith("# Top\n\n<!-- methods:start -->\n| method |")
    assert text.endswith("<!-- protocols:end -->\nend\n")
    assert "| [`lsmrl`](docs/methods/lsmrl.md) | LSMRL" in text
    assert "| `hitsz-vcm` | HITSZ-VCM" in text


def test_a_missing_table_is_a_problem(tool, read):
    messages = [message for _, message in found(tool.check_tables(read("nothing\n").path))]
    assert len(messages) == len(tool.TABLES)
    assert "<!-- methods:start -->" in messages[0]


def test_exit_code_and_messages(tool, read, tmp_path, monkeypatch, capsys):
    marks = "".join(f"<!-- {name}:start --><!-- {name}:end -->\n" for name in tool.TABLES)
    read(marks)
    read("[x](gone.md)\n", "docs/sub/page.md")
    monkeypatch.setattr(tool, "ROOT", tmp_path)
    assert tool.main(["--write"]) == 1
    assert capsys.readouterr().err == "docs/sub/page.md:1: gone.md: no such file\n"
    (tmp_path / "docs/sub/page.md").write_text("fine\n")
    assert tool.main([]) == 0
