import gzip
import json

import pytest
import torch

from tapetum.errors import DataError
from tapetum.models import DAY_AND_NIGHT, PHOTO, BpeTokenizer, PromptTemplate, WordTokenizer
from tapetum.models.text import _byte_letters

MERGES = """h e
l l
he ll
hell o</w>
p e
r s
pe rs
o n</w>
pers on</w>
i n
a n
an d</w>
t h
th e</w>
' s</w>
r e
re d</w>
Ã ©</w>
c a
f Ã©</w>
! !</w>
1 2</w>"""

TEXTS = [
    "Hello, person!",
    "the person's red hello-and café",
    "HELLO!!  person\n and\tred 12 the 3",
    "don't they've it'll i'm you'd we're !'s person's",
    "日本語 テスト x_y ... naïve ½ Ⅷ",
    "a!!! (red)...;the",
    "",
]


@pytest.fixture(params=["txt", "gz"])
def vocabulary(request, tmp_path):
    content = f"header line\n{MERGES}\n".encode()
    path = tmp_path / f"vocab.{request.param}"
    path.write_bytes(gzip.compress(content) if request.param == "gz" else content)
    return path


def hugging_face_ids(tmp_path, texts):
    """Ids by transformers' CLIPTokenizer over the same merges."""
    transformers = pytest.importorskip("transformers")
    letters = list(_byte_letters().values())
    pieces = [*letters, *(f"{letter}</w>" for letter in letters)]
    pieces += ["".join(line.split()) for line in MERGES.split("\n")]
    pieces += ["<|startoftext|>", "<|endoftext|>"]
    vocab = {piece: number for number, piece in enumerate(pieces)}
    (tmp_path / "vocab.json").write_text(json.dumps(vocab))
    (tmp_path / "merges.txt").write_text(f"#version: 0.2\n{MERGES}\n")
    merges = [tuple(line.split()) for line in MERGES.split("\n")]
    try:
        tokenizer = transformers.CLIPTokenizer(vocab=vocab, merges=merges)
    except TypeError:  # transformers 4 takes files
        tokenizer = transformers.CLIPTokenizer(str(tmp_path / "vocab.json"), str(tmp_path / "merges.txt"))
    return [tokenizer(text)["input_ids"] for text in texts]


class TestBpe:
    def test_equals_transformers(self, vocabulary, tmp_path):
        tokenizer = BpeTokenizer(vocabulary)
        for text, expected in zip(TEXTS, hugging_face_ids(tmp_path, TEXTS), strict=True):
            found = [tokenizer.start, *tokenizer.tokenize(text), tokenizer.end]
            assert found == expected, text

    def test_by_hand(self, vocabulary):
        tokenizer = BpeTokenizer(vocabulary)
        first_merge = 512
        assert tokenizer.vocab_size == 512 + 22 + 2
        assert tokenizer.tokenize("Hello the") == [first_merge + 3, first_merge + 13]
        exclamation, quote = 0, 1  # the printable bytes begin with ! and "
        assert tokenizer.tokenize('!"') == [exclamation, 256 + quote]
        assert tokenizer.tokenize("&amp;lt;") == tokenizer.tokenize("<")

    def test_rows_are_padded(self, vocabulary):
        tokenizer = BpeTokenizer(vocabulary)
        ids = tokenizer.encode(["hello", "hello and"], context_length=6)
        assert ids.dtype is torch.int64
        assert ids.argmax(1).tolist() == [2, 3]
        assert ids[0].tolist() == [tokenizer.start, 515, tokenizer.end, 0, 0, 0]

    def test_too_long(self, vocabulary):
        with pytest.raises(ValueError, match=r"'hello hello'.* 4 tokens; at most 3"):
            BpeTokenizer(vocabulary).encode(["hello hello"], context_length=3)

    @pytest.mark.parametrize(
        "content",
        [
            b"",
            b"header only\n",
            b"header\na b c\n",
            b"\xff\xfe\x00",
            b"\x1f\x8bbroken",
            b"\x1f\x8b\x08" + bytes(7) + b"\xff" * 9,
        ],
    )
    def test_other_files(self, tmp_path, content):
        (tmp_path / "v.txt").write_bytes(content)
        with pytest.raises(DataError, match=r"v\.txt: not a BPE vocabulary"):
            BpeTokenizer(tmp_path / "v.txt")


class TestWords:
    tokenizer = WordTokenizer(["a", "person", "in", "t-shirt", "red"])

    def test_ids(self):
        ids = self.tokenizer.encode(["A Person, in: red T-shirt.", "red"], context_length=8)
        assert ids.tolist() == [[6, 1, 2, 3, 5, 4, 7, 0], [6, 5, 7, 0, 0, 0, 0, 0]]
        assert self.tokenizer.vocab_size == 8

    def test_unknown_word(self):
        with pytest.raises(ValueError, match=r"unknown word 'persons'; did you mean 'person'"):
            self.tokenizer.encode(["a persons"])

    def test_too_long(self):
        with pytest.raises(ValueError, match="5 tokens; at most 4"):
            self.tokenizer.encode(["a red person"], context_length=4)

    @pytest.mark.parametrize(
        ("words", "message"),
        [
            (["a", "b", "a"], "more than once: a"),
            (["Red"], "'Red'"),
            (["two words"], "'two words'"),
            ([""], "''"),
        ],
    )
    def test_lists_that_cannot_be(self, words, message):
        with pytest.raises(ValueError, match=message):
            WordTokenizer(words)


class TestTemplates:
    def test_published_sentences(self):
        assert len(DAY_AND_NIGHT.ids) == 16
        assert (DAY_AND_NIGHT.first, DAY_AND_NIGHT.count) == (2, 4)
        assert (PHOTO.first, PHOTO.count) == (5, 4)
        for template in (DAY_AND_NIGHT, PHOTO):
            assert (template.ids[0], template.ids[-1]) == (49406, 49407)
            assert set(template.ids[template.first : template.first + 4]) == {343}

    def test_parse(self):
        tokenizer = WordTokenizer(["a", "person", "photo", "of"])
        found = PromptTemplate.parse("A photo of a {} person.", tokenizer, count=2)
        assert found == PromptTemplate((5, 1, 3, 4, 1, 0, 0, 2, 6), first=5, count=2)

    @pytest.mark.parametrize("text", ["a person", "a {} person {}"])
    def test_gaps(self, text):
        with pytest.raises(ValueError, match="exactly one gap"):
            PromptTemplate.parse(text, WordTokenizer(["a", "person"]))

    @pytest.mark.parametrize(("first", "count"), [(0, 1), (1, 0), (1, 2), (2, 1)])
    def test_gap_lies_inside(self, first, count):
        with pytest.raises(ValueError, match="between the start and the end token"):
            PromptTemplate((5, 1, 6), first, count)
