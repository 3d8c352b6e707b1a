import pytest

from tapetum.server.audit import AuditLog, verify


@pytest.fixture
def log(tmp_path):
    """A log of six records of two users."""
    path = tmp_path / "audit.jsonl"
    written = AuditLog(path)
    for number in range(6):
        written.append(
            {
                "time": f"2026-01-0{number + 1}T00:00:00.000+00:00",
                "action": "look" if number % 3 else "search",
                "user": "ada" if number % 2 else "bob",
                "reason": f"case {number}",
                "pictures": ["digest"] if number == 3 else [],
                "ids": [f"t{n}" for n in range(number)],
            }
        )
    return path


def test_a_whole_log_is_said_to_be_whole(ask, log):
    found = ask("audit", "verify", log)
    assert found.code == 0
    assert f"6 lines, each as it was written; the last one's digest is {verify(log).digest}" in found.out
    assert ask("audit", "verify", log, "--holds", verify(log).digest).code == 0
    assert ask("audit", "verify", log, "--holds", "0" * 64).code == 1


def test_an_edited_log_is_found_out(ask, log):
    log.write_bytes(log.read_bytes().replace(b"case 2", b"case 9"))
    found = ask("audit", "verify", log)
    assert found.code == 1
    assert "line 4 does not follow the line before it" in found.out


def test_records_are_shown_and_chosen(ask, log, monkeypatch):
    monkeypatch.setenv("COLUMNS", "200")
    lines = ask("audit", "show", log).out.splitlines()
    assert len(lines) == 7
    assert "case 0" in lines[1]
    assert "-> t0, t1, t2 and 2 more" in lines[6]
    assert "by 1 pictures" in lines[4]
    chosen = ask("audit", "show", log, "--user", "ada", "--last", 2, "--json").json
    assert [record["reason"] for record in chosen] == ["case 3", "case 5"]
    searches = ask("audit", "show", log, "--action", "search", "--json").json
    assert [record["reason"] for record in searches] == ["case 0", "case 3"]


def test_what_is_no_log_is_named(ask, tmp_path):
    for words in (["verify"], ["show"]):
        found = ask("audit", *words, tmp_path / "none.jsonl")
        assert found.code == 1
        assert "none.jsonl" in found.err
