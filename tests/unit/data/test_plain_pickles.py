import os
import pickle
from collections import OrderedDict
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tapetum.data.plain_pickles import read_plain_pickle
from tapetum.errors import DataError

PLAIN = st.recursive(
    st.integers(-(2**70), 2**70) | st.binary(min_size=1, max_size=400) | st.text(max_size=300),
    lambda inner: st.lists(inner, max_size=5) | st.lists(inner, max_size=5).map(tuple),
    max_leaves=12,
)


def with_bytes(value, data):
    """The same value, its slices replaced by what they take from `data`."""
    if isinstance(value, slice):
        return data[value]
    if isinstance(value, list | tuple):
        return type(value)(with_bytes(item, data) for item in value)
    return value


@settings(deadline=None, max_examples=150)
@given(PLAIN, st.integers(0, 4))
def test_plain_values_read_as_pythons_own_unpickler_reads_them(value, protocol):
    data = pickle.dumps(value, protocol)
    assert with_bytes(read_plain_pickle(data), data) == value


@pytest.mark.parametrize("protocol", range(5))
def test_a_tracklet_reads_in_every_protocol(protocol):
    value = [[b"\xff\xd8 one", b"\x00" * 300, b"3" * 70_000], 3_080, 5]
    data = pickle.dumps(value, protocol)
    assert with_bytes(read_plain_pickle(data), data) == value


def test_bytes_are_places_in_the_data_and_equal_ones_share_theirs():
    frame = b"x" * 50
    data = pickle.dumps([frame, frame, b"other"], protocol=4)
    first, second, other = read_plain_pickle(memoryview(data))
    assert first is second
    assert (data[first], data[other]) == (frame, b"other")


class Command:
    """Runs a command when unpickled by Python."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


@pytest.mark.parametrize("protocol", range(5))
def test_a_command_in_a_pickle_is_not_run(tmp_path, protocol):
    proof = tmp_path / "proof"
    attack = pickle.dumps([[Command(f"touch {proof}")], 1, 2], protocol)
    with pytest.raises(DataError, match=r"an import of (posix|nt)\.system"):
        read_plain_pickle(attack)
    assert not proof.exists()
    pickle.loads(attack)
    assert proof.exists(), "the attack is real"


@pytest.mark.parametrize(
    ("attack", "message"),
    [
        (b"cos\nsystem\n(S'true'\ntR.", r"an import of os\.system"),
        (b"\x80\x04\x8c\x08builtins\x8c\x04eval\x93.", r"an import of builtins\.eval"),
        (b"(S'true'\nios\nsystem\n.", "instruction STRING"),
        (b"(X\x04\x00\x00\x00trueios\nsystem\n.", "instruction INST"),
        (b"c_codecs\nencode\n(Vx\nVutf-16\ntR.", "another encoding than latin1"),
        (b"c_codecs\nencode\n(Vx\ntR.", "damaged"),
        (b"Vx\n(tR.", "a call"),
        (b"(]K\x01tR.", "a call|damaged"),
        (b"\x80\x04]]\x93.", "an import of what is no name"),
        (b"\x80\x05.", "protocol 5"),
        (b"\x82\x01.", "instruction EXT1"),
        (b"Pid\n.", "instruction PERSID"),
        (b"}.", "instruction EMPTY_DICT"),
        (b"N.", "instruction NONE"),
        (b"I01\n.", "b'01' for an integer"),
        (b"I" + b"9" * 4_000 + b"\n.", "for an integer"),
        (b"\xff.", "instruction 0xff"),
    ],
)
def test_anything_but_plain_values_is_refused(attack, message):
    with pytest.raises(DataError, match=message):
        read_plain_pickle(attack)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b".",
        b"]",
        b"a.",
        b"(.",
        b"]e.",
        b"K\x01K\x02a.",
        b"t.",
        b"\x87.",
        b"h\x00.",
        b"gx\n.",
        b"I1",
        b"B\xff\xff\xff\xffabc.",
        b"\x8e\xff\xff\xff\xff\xff\xff\xff\x7fabc.",
        b"\x8c\x02\xc3(.",
        b"Vx",
    ],
)
def test_a_damaged_pickle_is_named_so(damaged):
    with pytest.raises(DataError, match="a damaged pickle, at byte"):
        read_plain_pickle(damaged)


def test_a_memo_of_four_thousand_million_places_takes_no_memory():
    assert read_plain_pickle(b"K\x07r\xff\xff\xff\xff.") == 7


def test_values_nested_a_hundred_thousand_deep_do_not_end_the_process():
    assert isinstance(read_plain_pickle(b")" + b"\x85" * 10**5 + b"."), tuple)
    assert isinstance(read_plain_pickle(b"]" * 10**5 + b"a" * (10**5 - 1) + b"."), list)


def test_a_list_of_itself_is_a_list():
    loop = read_plain_pickle(b"]q\x00h\x00a.")
    assert loop[0] is loop


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_cut_or_changed_pickles_are_errors_or_plain_values(data):
    value = [[b"one" * 30, b"two"], 12, 3]
    pickled = bytearray(pickle.dumps(value, data.draw(st.integers(0, 4))))
    if data.draw(st.booleans()):
        pickled = pickled[: data.draw(st.integers(0, len(pickled) - 1))]
    else:
        pickled[data.draw(st.integers(0, len(pickled) - 1))] = data.draw(st.integers(0, 255))
    try:
        found = read_plain_pickle(bytes(pickled))
    except DataError:
        return
    assert isinstance(found, list | tuple | int | str | bytes | slice)


@pytest.mark.parametrize("value", [{}, {1}, None, True, 1.5, Path("a"), OrderedDict()])
def test_what_a_tracklet_never_holds_is_refused(value):
    with pytest.raises(DataError, match="expected nothing but lists, tuples, integers, texts and bytes"):
        read_plain_pickle(pickle.dumps(value, 4))
