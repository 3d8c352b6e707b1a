"""Pickled values read as plain data: lists, tuples, integers, texts and bytes; nothing is imported or called.

A pickle is a program, and Python's own unpickler runs it. This reader knows a closed list of instructions,
those that build plain values in protocols 0 to 4. One that would import, call or build anything else is
refused, and none takes more memory than a fixed multiple of the pickle's own size. Bytes are not copied: of a
value of a hundred pictures, only where each of them lies is read.
"""

from __future__ import annotations

import pickletools
import re
import struct
from collections.abc import Callable
from typing import Any

from tapetum.errors import DataError

_PROTOCOLS = range(5)
_DIGITS = 40
"""Most characters of an integer that is written as text: reading a long one takes long."""
_ENCODE = object()
"""Stands for `_codecs.encode`, by which protocols 0 to 2 write bytes; only `_call` knows what it does."""


class _RefusedError(Exception):
    """An instruction that has no business in plain data; the message says which."""


class _Machine:
    """The state of one pickle's program.

    Attributes:
        data: The pickle.
        at: Where the next byte is read.
        stack: Values being built.
        marks: Heights of the stack that the program has marked.
        memo: Values that the program may ask for again.
    """

    __slots__ = ("at", "data", "marks", "memo", "stack")

    def __init__(self, data: memoryview) -> None:
        self.data = data
        self.at = 0
        self.stack: list[Any] = []
        self.marks: list[int] = []
        self.memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value on the stack when the program stops."""
        data, instructions = self.data, _INSTRUCTIONS
        while True:
            code = data[self.at]
            self.at += 1
            if code == _STOP:
                return self.stack.pop()
            execute = instructions.get(code)
            if execute is None:
                raise _RefusedError(f"instruction {_name_of(code)}")
            execute(self)

    def number(self, layout: struct.Struct) -> int:
        """The next binary number."""
        value: int = layout.unpack_from(self.data, self.at)[0]
        self.at += layout.size
        return value

    def span(self, length: int) -> slice:
        """Where the next `length` bytes lie."""
        start, self.at = self.at, self.at + length
        if self.at > len(self.data):
            raise IndexError("the pickle ends too early")
        return slice(start, self.at)

    def line(self) -> bytes:
        """The next bytes up to a line feed."""
        end = _LINE_FEED.search(self.data, self.at)
        if end is None:
            raise IndexError("the pickle ends too early")
        start, self.at = self.at, end.end()
        return bytes(self.data[start : end.start()])

    def marked(self) -> list[Any]:
        """The values above the last mark, taken from the stack."""
        height = self.marks.pop()
        values = self.stack[height:]
        del self.stack[height:]
        return values


def read_plain_pickle(data: bytes | memoryview) -> Any:
    """The value of a pickle; bytes in it are given as slices of `data`, to be taken when needed.

    Protocols 0 to 2, which have no bytes of their own, write them as encoded text: these are given as bytes.

    >>> import pickle
    >>> data = pickle.dumps([[b"one", b"two"], 12, 3], protocol=4)
    >>> frames, person, camera = read_plain_pickle(data)
    >>> [data[place] for place in frames], person, camera
    ([b'one', b'two'], 12, 3)

    Raises:
        DataError: The pickle is damaged, of a later protocol, or builds anything but plain values.
    """
    machine = _Machine(memoryview(data).cast("B"))
    try:
        return machine.run()
    except _RefusedError as refused:
        raise DataError(
            f"a pickle with {refused}, at byte {machine.at}; "
            "expected nothing but lists, tuples, integers, texts and bytes"
        ) from None
    except (IndexError, KeyError, ValueError, TypeError, AttributeError, struct.error) as error:
        raise DataError(f"a damaged pickle, at byte {machine.at} of {len(machine.data)}: {error}") from None


def _protocol(machine: _Machine) -> None:
    version = machine.number(_UINT8)
    if version not in _PROTOCOLS:
        raise _RefusedError(f"protocol {version}")


def _number_of(layout: struct.Struct) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.number(layout))


def _long(machine: _Machine) -> None:
    place = machine.span(machine.number(_UINT8))
    machine.stack.append(int.from_bytes(machine.data[place], "little", signed=True))


def _decimal(machine: _Machine) -> None:
    """An integer as text, with an L behind it or not; 01 and 00 are truth values."""
    text = machine.line()
    if len(text) > _DIGITS or text in (b"00", b"01"):
        raise _RefusedError(f"{text[:_DIGITS]!r} for an integer")
    machine.stack.append(int(text.removesuffix(b"L")))


def _bytes_of(layout: struct.Struct) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.span(machine.number(layout)))


def _text_of(layout: struct.Struct) -> Callable[[_Machine], None]:
    def execute(machine: _Machine) -> None:
        place = machine.span(machine.number(layout))
        machine.stack.append(str(machine.data[place], "utf-8", "surrogatepass"))

    return execute


def _text_line(machine: _Machine) -> None:
    machine.stack.append(str(machine.line(), "raw-unicode-escape"))


def _tuple_of(size: int) -> Callable[[_Machine], None]:
    def execute(machine: _Machine) -> None:
        if len(machine.stack) < size:
            raise IndexError("too few values for a tuple")
        machine.stack[-size:] = [tuple(machine.stack[-size:])]

    return execute


def _append(machine: _Machine) -> None:
    value = machine.stack.pop()
    _list_on(machine).append(value)


def _appends(machine: _Machine) -> None:
    values = machine.marked()
    _list_on(machine).extend(values)


def _list_on(machine: _Machine) -> list[Any]:
    target = machine.stack[-1]
    if not isinstance(target, list):
        raise TypeError(f"a value is appended to a {type(target).__name__}")
    return target


def _put(number: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    def execute(machine: _Machine) -> None:
        machine.memo[number(machine)] = machine.stack[-1]

    return execute


def _get(number: Callable[[_Machine], int]) -> Callable[[_Machine], None]:
    return lambda machine: machine.stack.append(machine.memo[number(machine)])


def _import(machine: _Machine) -> None:
    _refer(machine, str(machine.line(), "utf-8"), str(machine.line(), "utf-8"))


def _import_from_stack(machine: _Machine) -> None:
    name, module = machine.stack.pop(), machine.stack.pop()
    _refer(machine, module, name)


def _refer(machine: _Machine, module: object, name: object) -> None:
    if not (isinstance(module, str) and isinstance(name, str)):
        raise TypeError("an import of what is no name")
    if (module, name) != ("_codecs", "encode"):
        raise _RefusedError(f"an import of {module[:80]}.{name[:80]}")
    machine.stack.append(_ENCODE)


def _call(machine: _Machine) -> None:
    """Bytes from a text of their code points: the one call that is known, and Python is not asked for it."""
    arguments, function = machine.stack.pop(), machine.stack.pop()
    if function is not _ENCODE:
        raise _RefusedError("a call")
    text, encoding = arguments
    if encoding != "latin1":
        raise _RefusedError("a text of another encoding than latin1")
    machine.stack.append(text.encode(encoding))


def _name_of(code: int) -> str:
    names = (op.name for op in pickletools.opcodes if op.code == chr(code))
    return next(names, f"0x{code:02x}")


_UINT8, _UINT16, _UINT32, _UINT64 = (struct.Struct(f"<{letter}") for letter in "BHIQ")
_INT32 = struct.Struct("<i")
_LINE_FEED = re.compile(b"\n")
_STOP = ord(".")

_INSTRUCTIONS: dict[int, Callable[[_Machine], object]] = {
    ord(code): execute
    for code, execute in {
        "\x80": _protocol,
        "\x95": lambda m: m.number(_UINT64),  # FRAME: a hint for reading from files
        "(": lambda m: m.marks.append(len(m.stack)),
        "]": lambda m: m.stack.append([]),
        ")": lambda m: m.stack.append(()),
        "l": lambda m: m.stack.append(m.marked()),
        "t": lambda m: m.stack.append(tuple(m.marked())),
        "\x85": _tuple_of(1),
        "\x86": _tuple_of(2),
        "\x87": _tuple_of(3),
        "a": _append,
        "e": _appends,
        "K": _number_of(_UINT8),
        "M": _number_of(_UINT16),
        "J": _number_of(_INT32),
        "\x8a": _long,
        "I": _decimal,
        "L": _decimal,
        "C": _bytes_of(_UINT8),
        "B": _bytes_of(_UINT32),
        "\x8e": _bytes_of(_UINT64),
        "\x8c": _text_of(_UINT8),
        "X": _text_of(_UINT32),
        "\x8d": _text_of(_UINT64),
        "V": _text_line,
        "\x94": _put(lambda m: len(m.memo)),
        "q": _put(lambda m: m.number(_UINT8)),
        "r": _put(lambda m: m.number(_UINT32)),
        "p": _put(lambda m: int(m.line()[:_DIGITS])),
        "h": _get(lambda m: m.number(_UINT8)),
        "j": _get(lambda m: m.number(_UINT32)),
        "g": _get(lambda m: int(m.line()[:_DIGITS])),
        "c": _import,
        "\x93": _import_from_stack,
        "R": _call,
    }.items()
}
"""By the byte that stands for it, what each known instruction does; `pickletools` documents them all."""
