"""Captions of people from a small closed vocabulary, true of what is seen in visible light."""

import re

import numpy as np

from tapetum.data.synthetic.materials import PALETTE, Material
from tapetum.data.synthetic.people import Lower, Pattern, Person, Upper

_TALL_M, _SHORT_M = 1.83, 1.63
_HEAVY, _SLIM = 1.17, 0.94

_GRAMMAR = (
    "a an and in with the person wearing carrying walking tall short slim heavy bald hair long ponytail bun "
    "plain horizontally vertically striped checked printed shirt jacket coat hoodie trousers shorts skirt "
    "shoes backpack handbag shoulder bag cap brimmed hat"
)

#: All words that captions use, sorted, lower case.
VOCABULARY: tuple[str, ...] = tuple(sorted({*_GRAMMAR.split(), *PALETTE}))

_WOVEN = {"horizontal": "horizontally striped", "vertical": "vertically striped", "checks": "checked"}
_HAIR = {"bald": "", "short": "short hair", "long": "long hair", "ponytail": "a ponytail", "bun": "a bun"}
_BAGS = {"backpack": "a backpack", "handbag": "a handbag", "shoulder": "a shoulder bag"}
_HATS = {"cap": "cap", "brimmed": "brimmed hat"}


def caption(person: Person, rng: np.random.Generator | None = None) -> str:
    """A sentence about a person.

    Args:
        person: who is described.
        rng: draws a template and leaves facts out; None gives the one full caption.

    Returns:
        For example "a tall person with short hair, wearing a red and white checked coat, blue trousers and
        black shoes, carrying a backpack". Words are those of `VOCABULARY`; see `split_words`.
    """
    who, hair = _who(person), _HAIR[person.hair_style]
    clothes = [_upper(person.upper), _lower(person.lower), f"{person.shoes.colour} shoes"]
    hat, bag = _hat(person), _BAGS.get(person.bag.kind, "")
    if rng is None:
        head = f"{_article(who)}{f' with {hair}' if hair else ''}"
        parts = [head, f"wearing {_join([*clothes, hat])}", f"carrying {bag}" if bag else ""]
        return ", ".join(part for part in parts if part)
    return _varied(rng, who, hair, clothes, hat, bag)


def split_words(text: str) -> list[str]:
    """The words of a caption, without its commas."""
    return re.findall(r"[a-z]+", text.lower())


def _varied(rng: np.random.Generator, who: str, hair: str, clothes: list[str], hat: str, bag: str) -> str:
    hair = hair if rng.uniform() < 0.7 else ""
    worn = clothes[:2] if rng.uniform() < 0.5 else clothes
    kept = hat if rng.uniform() < 0.85 else ""
    bag = bag if rng.uniform() < 0.85 else ""
    template = int(rng.integers(0, 4))
    if template == 0:
        return f"{_article(who)} in {_join([*worn, kept])}{_tail(' with ', [hair, bag])}"
    if template == 1:
        head = f"{_article(who)}{_tail(' with ', [hair])}"
        return f"{head} wearing {_join([kept, *worn])}{_tail(', carrying ', [bag])}"
    if template == 2:
        return f"{_article(who)} walking in {_join([*reversed(worn), kept])}{_tail(' and carrying ', [bag])}"
    return f"{_article(who)}{_tail(' with ', [bag, kept, hair])} in {_join(worn)}"


def _tail(opening: str, parts: list[str]) -> str:
    return opening + _join(parts) if any(parts) else ""


def _who(person: Person) -> str:
    height = person.body.height_m
    words = [
        "tall" if height >= _TALL_M else "short" if height <= _SHORT_M else "",
        "heavy" if person.body.build >= _HEAVY else "slim" if person.body.build <= _SLIM else "",
        "bald" if person.hair_style == "bald" and person.hat.kind == "none" else "",
        "person",
    ]
    return " ".join(word for word in words if word)


def _upper(garment: Upper) -> str:
    return _article(f"{_look(garment.colour, garment.accent, garment.pattern)} {garment.kind}")


def _lower(garment: Lower) -> str:
    words = f"{_look(garment.colour, garment.accent, garment.pattern)} {garment.kind}"
    return _article(words) if garment.kind == "skirt" else words


def _look(colour: Material, accent: Material, pattern: Pattern) -> str:
    if pattern.kind == "plain":
        return colour.colour
    if pattern.kind == "print":
        return f"{accent.colour} printed {colour.colour}"
    return f"{colour.colour} and {accent.colour} {_WOVEN[pattern.kind]}"


def _hat(person: Person) -> str:
    if person.hat.kind == "none":
        return ""
    return _article(f"{person.hat.material.colour} {_HATS[person.hat.kind]}")


def _article(words: str) -> str:
    return f"{'an' if words[0] in 'aeiou' else 'a'} {words}"


def _join(parts: list[str]) -> str:
    """Parts that are not empty: "x", "x and y", "x, y and z"."""
    kept = [part for part in parts if part]
    return kept[0] if len(kept) == 1 else f"{', '.join(kept[:-1])} and {kept[-1]}"
