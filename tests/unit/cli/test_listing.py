import pytest


@pytest.mark.parametrize(
    ("command", "known"),
    [
        ("methods", {"lsmrl", "clip-baseline", "small-cnn", "raw-pixels", "colour-histogram"}),
        ("datasets", {"hitsz-vcm"}),
        ("protocols", {"hitsz-vcm", "sysu-mm01", "sysu-mm01/indoor-multi-official", "llcm/swapped"}),
    ],
)
def test_lists_names_with_a_sentence_each(ask, command, known):
    found = ask(command, "--json")
    rows = found.json
    assert found.code == 0
    assert known <= {row["name"] for row in rows}
    assert all(row["about"] for row in rows)
    shown = ask(command)
    assert shown.code == 0
    for row in rows:
        assert row["name"] in shown.out
        assert row["about"].split()[0] in shown.out


def test_without_a_command_there_is_help(ask):
    found = ask("--help")
    assert found.code == 0
    commands = (
        "methods datasets protocols synth manifest doctor train pretrain embed evaluate index search demo"
    )
    assert all(command in found.out for command in commands.split())


def test_an_unknown_command_and_an_unknown_option_are_wrong_usage(ask):
    assert "error" not in ask().err  # help, and code 2
    wrong = ask("trian", "lsmrl")
    assert (wrong.code, "trian" in wrong.err) == (2, True)
    wrong = ask("doctor", "hitsz-vcm:x", "--jsno")
    assert (wrong.code, "--jsno" in wrong.err) == (2, True)
    assert ask("train", "lsmrl").code == 2  # no --data
