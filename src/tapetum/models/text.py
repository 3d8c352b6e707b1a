"""Texts to token ids.

Training with prompts needs two fixed sentences only, so their ids are written here and no vocabulary file is
needed. Free text for OpenAI's weights needs OpenAI's `bpe_simple_vocab_16e6.txt.gz`, which the user brings;
the tiny CLIP has a closed list of words.
"""

from __future__ import annotations

import gzip
import html
import itertools
import re
import unicodedata
import zlib
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from tapetum.errors import DataError
from tapetum.registry import unknown

PADDING = 0
"""Id of the positions after the end token."""

_MERGES_READ = 49152 - 256 - 2
_CONTRACTION = re.compile(r"'s|'t|'re|'ve|'m|'ll|'d")
_WORD = re.compile(r"[^\W_]+(?:['-][^\W_]+)*")
_WORD_END = "</w>"


class Tokenizer(ABC):
    """Texts to token ids: start token, the text's tokens, end token (the largest id), zeros.

    Attributes:
        vocab_size: Number of ids.
        start: Id of the start token.
        end: Id of the end token.
    """

    vocab_size: int

    @property
    def start(self) -> int:
        """Id of the start token, the second largest."""
        return self.vocab_size - 2

    @property
    def end(self) -> int:
        """Id of the end token, the largest."""
        return self.vocab_size - 1

    @abstractmethod
    def tokenize(self, text: str) -> list[int]:
        """Ids of the text alone, without start and end."""

    def encode(self, texts: Sequence[str], context_length: int = 77) -> Tensor:
        """Ids int64 `[N, context_length]` of N texts.

        Raises:
            ValueError: A text has more tokens than the context.
        """
        ids = torch.full((len(texts), context_length), PADDING, dtype=torch.int64)
        for row, text in zip(ids, texts, strict=True):
            tokens = [self.start, *self.tokenize(text), self.end]
            if len(tokens) > context_length:
                raise ValueError(f"text {text!r} has {len(tokens)} tokens; at most {context_length} fit")
            row[: len(tokens)] = torch.tensor(tokens)
        return ids


class BpeTokenizer(Tokenizer):
    """CLIP's byte-level byte-pair encoding over a vocabulary file that the user brings.

    Departure from OpenAI's code: broken Unicode is not repaired first (it uses the package ftfy for that).
    """

    def __init__(self, vocab_path: str | Path) -> None:
        """Read the merges.

        Args:
            vocab_path: `bpe_simple_vocab_16e6.txt` or the same as `.gz`: a header, then one merge a line.

        Raises:
            FileNotFoundError: There is no such file.
            DataError: The file holds no merges.
        """
        merges = _read_merges(Path(vocab_path))
        letters = list(_byte_letters().values())
        pieces = [*letters, *(letter + _WORD_END for letter in letters), *(a + b for a, b in merges)]
        self.vocab_size = len(pieces) + 2
        self._ids = {piece: number for number, piece in enumerate(pieces)}
        self._ranks = {pair: rank for rank, pair in enumerate(merges)}
        self._letters = _byte_letters()
        self._known: dict[str, list[int]] = {}

    def tokenize(self, text: str) -> list[int]:
        """Ids of the text alone, lower-cased, HTML escapes resolved, white space collapsed."""
        cleaned = " ".join(html.unescape(html.unescape(text)).split()).lower()
        return [number for piece in _split_words(cleaned) for number in self._encode_word(piece)]

    def _encode_word(self, word: str) -> list[int]:
        if word not in self._known:
            symbols = [self._letters[byte] for byte in word.encode("utf-8")]
            symbols[-1] += _WORD_END
            self._known[word] = [self._ids[symbol] for symbol in self._merge(symbols)]
        return self._known[word]

    def _merge(self, symbols: list[str]) -> list[str]:
        """Join neighbours by the merge of lowest rank until none applies."""
        while len(symbols) > 1:
            pairs = list(itertools.pairwise(symbols))
            best = min(pairs, key=lambda pair: self._ranks.get(pair, len(self._ranks)))
            if best not in self._ranks:
                break
            symbols = _join(symbols, best)
        return symbols


class WordTokenizer(Tokenizer):
    """A closed list of words: id 0 is padding, 1..n are the words in order, n + 1 start, n + 2 end.

    >>> WordTokenizer(["a", "person", "red"]).encode(["A red person."], context_length=6)
    tensor([[4, 1, 3, 2, 5, 0]])
    """

    def __init__(self, words: Sequence[str]) -> None:
        """Number the words.

        Args:
            words: Distinct lower-case words.

        Raises:
            ValueError: A word is repeated, or is not one lower-case word.
        """
        self.words = tuple(words)
        for word in self.words:
            if word != word.lower() or _WORD.findall(word) != [word]:
                raise ValueError(f"{word!r} in the word list: expected one lower-case word, no signs")
        self._ids = {word: number for number, word in enumerate(self.words, start=1)}
        if len(self._ids) != len(self.words):
            repeated = sorted({word for word in self.words if self.words.count(word) > 1})
            raise ValueError(f"words listed more than once: {', '.join(repeated)}")
        self.vocab_size = len(self.words) + 3

    def tokenize(self, text: str) -> list[int]:
        """Ids of the text's words; case and punctuation are ignored.

        Raises:
            ValueError: A word outside the list; the close ones are named.
        """
        found = _WORD.findall(text.lower())
        for word in found:
            if word not in self._ids:
                raise ValueError(unknown("word", word, list(self.words)))
        return [self._ids[word] for word in found]


@dataclass(frozen=True)
class PromptTemplate:
    """A sentence with a gap for learnable tokens.

    Attributes:
        ids: Token ids from start to end token; those in the gap have no meaning.
        first: Position of the first learnable token.
        count: n, number of learnable tokens.
    """

    ids: tuple[int, ...]
    first: int
    count: int

    def __post_init__(self) -> None:
        if self.count < 1 or self.first < 1 or self.first + self.count >= len(self.ids):
            raise ValueError(
                f"{self.count} learnable tokens from position {self.first} of {len(self.ids)}: expected at "
                "least one, between the start and the end token"
            )

    @classmethod
    def parse(cls, text: str, tokenizer: Tokenizer, count: int = 4) -> PromptTemplate:
        """Tokenise a sentence with one gap `{}`, such as "a photo of a {} person.".

        Raises:
            ValueError: No gap or more than one.
        """
        parts = text.split("{}")
        if len(parts) != 2:
            raise ValueError(f"template {text!r}: expected exactly one gap {{}}")
        before, after = (tokenizer.tokenize(part) for part in parts)
        ids = (tokenizer.start, *before, *[PADDING] * count, *after, tokenizer.end)
        return cls(ids, 1 + len(before), count)


_X = 343  # "x", which stands in the gap in the published sentences

DAY_AND_NIGHT = PromptTemplate(
    (49406, 320, _X, _X, _X, _X, 2533, 21267, 530, 2212, 575, 537, 930, 5892, 269, 49407), first=2, count=4
)
"""CLIP's ids of "A X X X X person observed in both day and night conditions.", shared by both modalities."""

PHOTO = PromptTemplate((49406, 320, 1125, 539, 320, _X, _X, _X, _X, 2533, 269, 49407), first=5, count=4)
"""CLIP's ids of "A photo of a X X X X person." (CLIP-ReID)."""


def _read_merges(path: Path) -> list[tuple[str, str]]:
    """The pairs of a vocabulary file in order of rank; the published file lists more than CLIP uses."""
    raw = path.read_bytes()
    try:
        text = (gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw).decode("utf-8")
    except (UnicodeDecodeError, gzip.BadGzipFile, zlib.error, EOFError) as error:
        raise DataError(f"{path}: not a BPE vocabulary: {error}") from None
    lines = text.split("\n")[1 : _MERGES_READ + 1]
    merges = [tuple(line.split()) for line in lines if line.strip()]
    wrong = next((merge for merge in merges if len(merge) != 2), None)
    if wrong is not None or not merges:
        found = "no merges" if wrong is None else f"the line {' '.join(wrong)!r}"
        raise DataError(f"{path}: not a BPE vocabulary: expected two symbols a line, found {found}")
    return [(first, second) for first, second in merges]


def _byte_letters() -> dict[int, str]:
    """A visible letter for every byte: printable Latin-1 stands for itself, the others follow from 256 on."""
    printable = [
        *range(ord("!"), ord("~") + 1),
        *range(ord("¡"), ord("¬") + 1),
        *range(ord("®"), ord("ÿ") + 1),
    ]
    letters = {byte: chr(byte) for byte in printable}
    others = (byte for byte in range(256) if byte not in letters)
    return letters | {byte: chr(256 + number) for number, byte in enumerate(others)}


def _split_words(text: str) -> Iterator[str]:
    """English contractions, runs of letters, single digits, runs of other signs; white space separates."""
    position = 0
    while position < len(text):
        contraction = _CONTRACTION.match(text, position)
        end = contraction.end() if contraction else _end_of_run(text, position)
        if not text[position].isspace():
            yield text[position:end]
        position = end


def _end_of_run(text: str, position: int) -> int:
    kind = _kind(text[position])
    end = position + 1
    while kind != "N" and end < len(text) and _kind(text[end]) == kind:
        end += 1
    return end


def _kind(sign: str) -> str:
    """Letter, number, white space or anything else, by Unicode category."""
    if sign.isspace():
        return "space"
    category = unicodedata.category(sign)[0]
    return category if category in "LN" else "other"


def _join(symbols: list[str], pair: tuple[str, str]) -> list[str]:
    """The symbols with every occurrence of the pair, left to right, made one symbol."""
    joined: list[str] = []
    position = 0
    while position < len(symbols):
        is_pair = tuple(symbols[position : position + 2]) == pair
        joined.append("".join(pair) if is_pair else symbols[position])
        position += 2 if is_pair else 1
    return joined
