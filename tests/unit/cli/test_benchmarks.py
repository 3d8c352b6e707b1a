"""`tapetum bench`; its stages are in tests/unit/benchmarking."""

import json

SMALL = ("--threads", "1", "--set", "rounds=1", "--set", "layer=[8, 16, 4]")
MACHINE = ("--set", "machine.product=16", "--set", "machine.copied_mib=1", "--set", "machine.pictures=1")


def test_one_table_by_one_command_and_what_is_there_is_kept(ask, tmp_path):
    out, file = tmp_path / "out", tmp_path / "table.json"
    command = ("bench", "machine", "--quick", "--out", out, *SMALL, *MACHINE, "--json", file, "--html")
    first = ask(*command)
    assert first.code == 0, first.err
    assert "3/3 machine, pictures" in first.err
    assert "GFLOP/s" in first.out
    assert {p.name for p in out.iterdir()} == {"results.jsonl", "table.md", "bench.html"}
    found = json.loads(file.read_text())
    assert {r["part"] for r in found["results"]} == {"products", "copying", "pictures"}
    second = ask(*command)
    assert (second.code, "3 of 3 parts are measured already" in second.err) == (0, True)
    assert json.loads(file.read_text()) == found


def test_wrong_words_are_one_line(ask, tmp_path):
    unknown = ask("bench", "machines", "--out", tmp_path / "out")
    assert (unknown.code, "unknown stage 'machines'; did you mean 'machine'?" in unknown.err) == (1, True)
    wrong = ask("bench", "machine", "--set", "machine.produkt=3", "--out", tmp_path / "out")
    assert (wrong.code, "produkt" in wrong.err) == (1, True)
    nowhere = ask("bench", "machine", "--json", tmp_path / "no" / "file.json")
    assert (nowhere.code, "its folder does not exist" in nowhere.err) == (1, True)
    assert not (tmp_path / "out").exists()
