import errno
import logging

import pytest
import typer
from rich.console import Console

from tapetum.cli import _console


def app_that(raises: BaseException) -> typer.Typer:
    app = typer.Typer(pretty_exceptions_enable=False)

    @app.command()
    def work() -> None:
        raise raises

    return app


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (
            ValueError("a is 3; expected [N, D] or [/red] or :x:"),
            1,
            "a is 3; expected [N, D] or [/red] or :x:",
        ),
        (OSError(errno.ENOSPC, "No space left", "/data/[a]/x"), 1, "/data/[a]/x: No space left"),
        (ImportError("'x' is not installed"), 1, "'x' is not installed"),
        (FloatingPointError("step 3: loss is nan"), 1, "step 3: loss is nan"),
        (KeyError("k"), None, ""),
        (KeyboardInterrupt(), 130, "interrupted"),
        (KeyboardInterrupt("after step 3; go on with --resume"), 130, "after step 3; go on with --resume"),
        (typer.Exit(4), 4, None),
        (typer.BadParameter("no"), 2, "Invalid value: no"),
    ],
)
def test_errors_become_exit_codes_and_one_line(capsys, error, code, message):
    app = app_that(error)
    if code is None:  # a defect keeps its traceback
        with pytest.raises(type(error)):
            _console.run_app(app, [])
        return
    assert _console.run_app(app, []) == code
    err = capsys.readouterr().err
    assert err.strip() == ("" if message is None else f"error: {message}")


def test_lines_are_printed_letter_by_letter(capsys):
    line = f"/data/[bold]{'x' * 200}[/] :x: [N, D]"
    _console.say(line)
    _console.note(line)
    found = capsys.readouterr()
    assert found.out == found.err == f"{line}\n"


def test_a_progress_bar_is_for_terminals_and_leaves_stdout_alone(capsys, monkeypatch):
    with _console.progress_bar("frames") as progress:
        progress(1, 2)
    assert capsys.readouterr() == ("", "")
    monkeypatch.setattr(_console, "ERR", Console(stderr=True, force_terminal=True))
    with _console.progress_bar("frames") as progress:
        progress(1, 2)
    found = capsys.readouterr()
    assert (found.out, "1/2" in found.err) == ("", True)


def test_the_log_is_shown_as_asked(capsys):
    logger = logging.getLogger("tapetum.test")
    try:
        _console.start_logging(verbose=False)
        logger.info("detail %s", "[a]")
        logger.warning("careful %s", "[b]")
        found = capsys.readouterr()
        assert (found.out, "detail" in found.err, "careful [b]" in found.err) == ("", False, True)
        _console.start_logging(verbose=True)
        logger.info("detail %s", "[a]")
        assert "detail [a]" in capsys.readouterr().err
    finally:
        logging.getLogger("tapetum").handlers.clear()
        logging.getLogger("tapetum").setLevel(logging.NOTSET)
