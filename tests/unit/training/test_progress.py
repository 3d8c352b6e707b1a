import io

from rich.console import Console

from tapetum.training.progress import ProgressBar, Silent, describe

RECORD = {"losses": {"total": 2.0}, "clips_per_s": 10.4, "data_share": 0.5}


def test_a_bar_shows_stage_steps_and_rates():
    text = io.StringIO()
    with ProgressBar(Console(file=text, force_terminal=True, width=120)) as bar:
        bar.stage("network", 20, 5)
        bar.advance(10, RECORD)
        bar.note("resumed after step 5 from [run]")
    shown = text.getvalue()
    assert "network" in shown
    assert "10/20" in shown
    assert "loss 2.000  10 clips/s  data 50%" in shown
    assert "resumed after step 5 from [run]" in shown


def test_advance_before_a_stage_is_harmless():
    with ProgressBar(Console(file=io.StringIO())) as bar:
        bar.advance(1, RECORD)


def test_silence():
    silent = Silent()
    assert silent.stage("a", 1, 0) is silent.advance(1, RECORD) is silent.note("x") is None
    assert describe(RECORD).startswith("loss 2.000")
