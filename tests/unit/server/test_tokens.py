import json
import threading
from datetime import UTC, datetime, timedelta

import pytest

from tapetum.errors import DataError
from tapetum.server.tokens import PREFIX, TokenFile, digest_of
from tapetum.server.users import Role


@pytest.fixture
def file(tmp_path):
    return TokenFile(tmp_path / "tokens.json")


def test_a_token_is_found_by_its_secret_alone(file):
    secret = file.create("ada", Role.OPERATOR)
    other = file.create("bob", Role.VIEWER)
    assert secret.startswith(PREFIX)
    assert len(secret) - len(PREFIX) == 43  # 256 bits
    assert file.find(secret).name == "ada"
    assert file.find(other).role is Role.VIEWER
    for wrong in ("", "ada", secret[:-1], secret.upper(), digest_of(secret), "\ud800"):
        assert file.find(wrong) is None


def test_the_file_holds_no_secret_and_is_its_owners_alone(file):
    secret = file.create("ada", Role.ADMIN)
    text = file.path.read_text()
    assert secret not in text
    assert secret[len(PREFIX) :] not in text
    assert json.loads(text)["tokens"][0]["sha256"] == digest_of(secret)
    assert file.path.stat().st_mode & 0o777 == 0o600
    file.create("bob", Role.ADMIN)
    assert file.path.stat().st_mode & 0o777 == 0o600


def test_another_process_revokes_and_it_works_at_once(file):
    secret = file.create("ada", Role.ADMIN)
    assert file.find(secret) is not None
    TokenFile(file.path).revoke("ada")
    assert file.find(secret) is None
    with pytest.raises(KeyError, match="no token 'ada'; there are: none"):
        file.revoke("ada")


def test_tokens_expire(file):
    now = datetime.now(UTC)
    secret = file.create("ada", Role.ADMIN, now + timedelta(hours=1))
    [token] = file.tokens()
    assert token.is_valid(now)
    assert not token.is_valid(now + timedelta(hours=2))
    assert file.find(secret) is not None
    with pytest.raises(ValueError, match="of no use"):
        file.create("bob", Role.ADMIN, now - timedelta(hours=1))
    content = json.loads(file.path.read_text())
    content["tokens"][0]["expires"] = "2001-01-01T00:00:00+00:00"
    file.path.write_text(json.dumps(content))
    assert file.find(secret) is None


@pytest.mark.parametrize("name", ["", "  ", "a\nb", "x" * 65, "a\x00"])
def test_names_are_visible(file, name):
    with pytest.raises(ValueError, match="visible letters"):
        file.create(name, Role.VIEWER)
    assert not file.path.exists()


def test_names_are_unique(file):
    file.create("ada", Role.VIEWER)
    with pytest.raises(ValueError, match="already"):
        file.create("ada", Role.ADMIN)
    assert len(file.tokens()) == 1


def test_a_file_that_others_may_read_is_refused(file):
    file.create("ada", Role.VIEWER)
    file.path.chmod(0o640)
    with pytest.raises(DataError, match=r"mode 640.*chmod 600"):
        TokenFile(file.path).tokens()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        '{"format": "other"}',
        '{"format": "tapetum-tokens", "version": 2, "tokens": []}',
        '{"format": "tapetum-tokens", "version": 1}',
        '{"format": "tapetum-tokens", "version": 1, "tokens": [{"name": "a"}]}',
        '{"format": "tapetum-tokens", "version": 1, "tokens": [{"name": "a", "role": "king", "sha256": "", '
        '"created": "", "expires": null}]}',
        '{"format": "tapetum-tokens", "version": 1, "tokens": [{"name": "a", "role": "admin", "sha256": "", '
        '"created": "", "expires": "soon"}]}',
    ],
)
def test_damaged_files_are_refused(file, text):
    file.path.write_text(text)
    file.path.chmod(0o600)
    with pytest.raises(DataError, match=r"tokens\.json"):
        file.tokens()


def test_tokens_that_are_made_at_once_are_all_kept(file):
    threads = [
        threading.Thread(target=TokenFile(file.path).create, args=(f"t{n}", Role.VIEWER)) for n in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert sorted(t.name for t in file.tokens()) == [f"t{n}" for n in range(8)]
