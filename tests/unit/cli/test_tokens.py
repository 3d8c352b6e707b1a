from tapetum.server.tokens import TokenFile
from tapetum.server.users import Role


def test_a_token_is_made_listed_and_revoked(ask, tmp_path):
    file = tmp_path / "tokens.json"
    made = ask("token", "create", "ada", "--role", "operator", "--days", 30, "--tokens", file)
    assert made.code == 0
    secret = made.out.strip()
    assert TokenFile(file).find(secret).role is Role.OPERATOR
    assert "not shown again" in made.err
    assert secret not in made.err
    listed = ask("token", "list", "--tokens", file)
    assert "ada" in listed.out
    assert "operator" in listed.out
    assert secret not in listed.out
    [row] = ask("token", "list", "--tokens", file, "--json").json
    assert (row["name"], row["role"]) == ("ada", "operator")
    assert set(row) == {"name", "role", "created", "expires"}
    assert ask("token", "revoke", "ada", "--tokens", file).code == 0
    assert TokenFile(file).find(secret) is None


def test_what_does_not_fit_is_named(ask, tmp_path):
    file = tmp_path / "tokens.json"
    assert "no such file" in ask("token", "list", "--tokens", file).err
    assert ask("token", "create", "ada", "--role", "king", "--tokens", file).code == 2
    assert ask("token", "create", "ada", "--tokens", file).code == 0
    again = ask("token", "create", "ada", "--tokens", file)
    assert (again.code, "already" in again.err) == (1, True)
    other = ask("token", "revoke", "bob", "--tokens", file)
    assert (other.code, "no token 'bob'; there are: ada" in other.err) == (1, True)
