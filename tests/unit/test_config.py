from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from pydantic import Field, ValidationError

from tapetum.config import Config, build_config, merge, parse_overrides, read_yaml, to_yaml
from tapetum.errors import ConfigError


class Rate(Config):
    lr: float = Field(1e-3, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)


class Whole(Config):
    rate: Rate = Rate()
    frames: int = Field(6, ge=1)
    name: str = "a"
    limit: int | None = None


keys = st.lists(st.text("abcdefgh_", min_size=1, max_size=6), min_size=1, max_size=3).map(".".join)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**9), 10**9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text("abcdfgh ijk", max_size=8).map(str.strip),
    st.lists(st.integers(0, 99), max_size=3),
)


def nested(key, value):
    for part in reversed(key.split(".")):
        value = {part: value}
    return value


@given(keys, values)
def test_an_override_reads_back_what_yaml_wrote(key, value):
    text = yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()
    found = parse_overrides([f"{key}={text}"])
    assert found == nested(key, value)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from("xyz"), st.integers()), max_size=6))
def test_later_overrides_win_and_keep_their_neighbours(triples):
    expected = {}
    for outer, inner, value in triples:
        expected.setdefault(outer, {})[inner] = value
    assert parse_overrides([f"{outer}.{inner}={value}" for outer, inner, value in triples]) == expected


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-4", 1e-4),
        ("1E4", 1e4),
        ("2.5e-5", 2.5e-5),
        ("-3e2", -300.0),
        ("3", 3),
        ("true", True),
        ("null", None),
        ("", None),
        ("tiny", "tiny"),
        ("one-e", "one-e"),
        ("'1e-4x'", "1e-4x"),
        ("[1, 2]", [1, 2]),
        ("{x: 1}", {"x": 1}),
        ("a=b", "a=b"),
    ],
)
def test_values_of_overrides(text, value):
    found = parse_overrides([f" k ={text}"])
    assert found == {"k": value}
    assert type(found["k"]) is type(value)


@pytest.mark.parametrize("text", ["k", "=3", ".k=3", "k.=3", "a..b=1", ""])
def test_what_is_no_override(text):
    with pytest.raises(ConfigError, match="is not of the form key=value"):
        parse_overrides([text])


def test_an_override_that_is_no_yaml():
    with pytest.raises(ConfigError, match=r"override 'k=\[1': the value is not YAML"):
        parse_overrides(["k=[1"])


def test_numbers_in_lists_and_files_may_have_an_exponent(tmp_path):
    layers = parse_overrides(["rate.betas=[9e-1, 0.99]"])
    assert build_config(Whole, layers).rate.betas == (0.9, 0.99)
    file = tmp_path / "a.yaml"
    file.write_text("rate: {lr: 1e-4}\n")
    assert build_config(Whole, read_yaml(file)).rate.lr == 1e-4


@given(st.dictionaries(st.sampled_from("abc"), st.dictionaries(st.sampled_from("xyz"), st.integers())))
def test_merging_nothing_or_itself_changes_nothing(content):
    assert merge(content, {}) == merge({}, content) == merge(content, content) == content


def test_merge_replaces_all_but_mappings_and_touches_neither():
    base, over = {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}}, {"a": {"y": [3]}, "b": 5, "c": {"d": 1}}
    assert merge(base, over) == {"a": {"x": 1, "y": [3]}, "b": 5, "c": {"d": 1}}
    assert base == {"a": {"x": 1, "y": [1, 2]}, "b": {"z": 1}}
    assert over == {"a": {"y": [3]}, "b": 5, "c": {"d": 1}}


def test_layers_meet_dotted_or_nested():
    found = build_config(
        Whole, {"rate": {"lr": 0.1}, "frames": 3}, {"rate.betas": (0.5, 0.6)}, {"rate": {"lr": 0.2}}
    )
    assert found == Whole(rate=Rate(lr=0.2, betas=(0.5, 0.6)), frames=3)


@pytest.mark.parametrize(
    ("layer", "messages"),
    [
        ({"frame": 3}, ["unknown key 'frame'; did you mean 'frames'", "'name'"]),
        ({"rate": {"lrr": 3}}, ["unknown key 'rate.lrr'", "'rate.lr'"]),
        ({"rate.bettas": 3}, ["'rate.betas'"]),
        ({"qqq": 3}, ["unknown key 'qqq'; known: rate, frames, name, limit"]),
        ({"frames": 0}, ["frames = 0: Input should be greater than or equal to 1"]),
        ({"rate": {"lr": -1}}, ["rate.lr = -1"]),
        ({"rate": {"betas": [1]}}, ["rate.betas"]),
        ({"name": 3}, ["name = 3"]),
        ({"rate": 3}, ["rate = 3"]),
        ({"frames": 0, "nam": "x"}, ["frames = 0", "; ", "'nam'"]),
    ],
)
def test_errors_name_key_value_and_the_nearest(layer, messages):
    with pytest.raises(ConfigError) as caught:
        build_config(Whole, layer)
    assert all(message in str(caught.value) for message in messages), caught.value


def test_a_configuration_does_not_change_and_checks_its_defaults():
    with pytest.raises(ValidationError):
        Whole().frames = 3

    class Wrong(Config):
        frames: int = Field(0, ge=1)

    with pytest.raises(ValidationError):
        Wrong()


letters = st.characters(codec="utf-8", exclude_categories=["Cc", "Zl", "Zp"])


@given(st.floats(1e-12, 1e12), st.integers(1, 10**6), st.text(letters, max_size=9), st.none() | st.integers())
def test_yaml_brings_a_configuration_back(tmp_path_factory, lr, frames, name, limit):
    config = Whole(rate=Rate(lr=lr), frames=frames, name=name, limit=limit)
    file = Path(tmp_path_factory.getbasetemp()) / "config.yaml"
    file.write_text(to_yaml(config), encoding="utf-8", newline="\n")
    assert build_config(Whole, read_yaml(file)) == config


def test_yaml_keeps_the_order_of_keys_and_letters():
    assert to_yaml({"b": 1, "a": {"ä": [1]}}).startswith("b: 1\na:\n  ä:")


def test_files_that_are_no_configuration(tmp_path):
    file = tmp_path / "a.yaml"
    file.write_text("")
    assert read_yaml(file) == {}
    for content, message in (
        ("a: [1", "not a YAML file"),
        ("- 1\n", "expected a mapping at the top, found list"),
    ):
        file.write_text(content)
        with pytest.raises(ConfigError, match=rf"a\.yaml: {message}"):
            read_yaml(file)
    file.write_bytes(b"a: \xff\n")
    with pytest.raises(ConfigError, match=r"a\.yaml: not a YAML file"):
        read_yaml(file)
    with pytest.raises(FileNotFoundError):
        read_yaml(tmp_path / "none.yaml")


class Special(Config):
    rate: Rate = Rate(lr=0.5, betas=(0.1, 0.2))
    whole: Whole = Whole(rate=Rate(lr=7), frames=3)


def test_naming_one_nested_value_leaves_the_defaults_of_its_neighbours():
    assert build_config(Special, {"rate.betas": (0.3, 0.4)}).rate == Rate(lr=0.5, betas=(0.3, 0.4))
    changed = build_config(Special, {"whole": {"rate": {"betas": (0, 0)}}}, {"whole.name": "b"})
    assert changed.whole == Whole(rate=Rate(lr=7, betas=(0, 0)), frames=3, name="b")
    assert changed.rate == Special().rate
    assert build_config(Special) == Special()
