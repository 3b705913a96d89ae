"""Reads JSON strictly (RFC 8259): what two readers could understand differently is refused, not guessed.

No name twice in one object (section 4), no NaN, no number beyond a double, no half of a surrogate pair, and no nesting
so deep that whoever handles the value next would run out of stack.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any, Final

DEEPEST: Final = 200
"""Arrays and objects within one another."""
_PIECE: Final = 256 * 1024
_AFTER: Final = (" ", "\t", "\n", "\r", ",", "]")
_BLANK: Final = re.compile(r"[ \t\n\r]*")
_HALF: Final = re.compile(r"\\u[dD][89abAB]|\\u[dD][c-fC-F]")


class Refused(ValueError):
    """It would be JSON, and is refused all the same: two readers could understand it differently, or not at all."""


class TooLong(ValueError):
    """One element of an array is longer than one may be."""


class NotAnArray(ValueError):
    """The text begins with something else."""


def read(content: bytes | bytearray | str) -> Any:
    """Return the one value that `content` holds.

    Raises:
        ValueError: it is not JSON in UTF-8, or not strictly; the words say what and where.
    """
    text = content if isinstance(content, str) else _decoded(content)
    begin = _end_of_blank(text, 0)
    value, end = _value(text, begin)
    if _end_of_blank(text, end) != len(text):
        raise ValueError(f"something follows the value, at character {end + 1}")
    return value


def elements(content: bytes | bytearray, longest: int) -> Iterator[Any]:
    """Yield the elements of the array that `content` holds, each read when it is asked for.

    Neither the whole text nor the whole array is ever made: it would take many times the room of its bytes.

    Raises:
        NotAnArray: it is something else.
        TooLong: an element has more than `longest` characters.
        ValueError: as `read`, with the number of the element (from 0) where it begins.
    """
    window = _Window(content)
    if window.peek() != "[":
        raise NotAnArray("it does not begin with [")
    window.at += 1
    number, next_one = 0, window.peek() != "]"
    while next_one:
        yield window.take(number, longest)
        number += 1
        mark = window.peek()
        if mark not in (",", "]"):
            raise ValueError(f"',' or ']' is missing after element {number - 1}")
        next_one = mark == ","
        window.at += next_one
    window.at += 1
    if window.peek():
        raise ValueError("something follows the array")


class _Window:
    """The part of a long text that is looked at; what has been read is let go."""

    def __init__(self, content: bytes | bytearray) -> None:
        self._content, self._taken = content, 0
        self._decoder = codecs.getincrementaldecoder("utf-8")()
        self._text, self.at = "", 0

    def peek(self) -> str:
        """Return the next character that is no blank, and stand at it; nothing at the end."""
        while True:
            self.at = _end_of_blank(self._text, self.at)
            if self.at < len(self._text):
                return self._text[self.at]
            if not self._more():
                return ""

    def take(self, number: int, longest: int) -> Any:
        """Return the value that begins here."""
        self.peek()
        while True:
            try:
                value, end = _value(self._text, self.at)
                # A number at the window's end may go on: "12" as "123", "1e" as "1e5".
                after = self._text[end : end + 1]
                whole = after in _AFTER or (after and not isinstance(value, (int, float)))
                if whole or not self._lengthen(number, longest):
                    self.at = end
                    return value
            except Refused as error:
                raise ValueError(f"element {number}: {error}") from error
            except ValueError as error:
                if not self._lengthen(number, longest):
                    raise ValueError(f"element {number}: {error}") from error

    def _lengthen(self, number: int, longest: int) -> bool:
        if len(self._text) - self.at > longest:
            raise TooLong(f"element {number} has more than {longest:,} characters")
        return self._more(longest)  # at once: each try begins anew

    def _more(self, count: int = 0) -> bool:
        """Lengthen the window, by `count` bytes at least; return whether there was anything more."""
        if self._taken >= len(self._content):
            return False
        until = self._taken + max(_PIECE, count)
        piece = bytes(memoryview(self._content)[self._taken : until])
        try:
            text = self._decoder.decode(piece, final=until >= len(self._content))
        except UnicodeDecodeError as error:
            raise Refused(f"it is not UTF-8 at byte {self._taken + error.start + 1}") from error
        self._text, self.at, self._taken = self._text[self.at :] + text, 0, until
        return True


def _value(text: str, begin: int) -> tuple[Any, int]:
    try:
        value, end = _DECODER.raw_decode(text, begin)
    except Refused:
        raise
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg}, at character {error.pos + 1 - begin}") from error
    except RecursionError as error:
        raise Refused("it is nested too deeply") from error
    except ValueError as error:  # Python's own bound against numbers whose reading takes for ever
        raise Refused("a number has too many digits") from error
    if text.count("[", begin, end) + text.count("{", begin, end) > DEEPEST:
        _require_shallow(value)
    if _HALF.search(text, begin, end):
        try:
            json.dumps(value, ensure_ascii=False).encode()
        except UnicodeEncodeError as error:
            raise Refused("a character is half of a surrogate pair") from error
    return value, end


def _require_shallow(value: Any) -> None:
    level = [value]
    for _ in range(DEEPEST):
        level = [
            child
            for each in level
            for child in (each.values() if isinstance(each, dict) else each)
            if isinstance(child, (dict, list))
        ]
        if not level:
            return
    raise Refused(f"it is nested more than {DEEPEST} deep")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        twice = next(name for name, count in Counter(name for name, _ in pairs).items() if count > 1)
        raise Refused(f"the name '{twice[:80]}' stands twice in one object")
    return made


def _number(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise Refused(f"the number {text[:40]} is too large")
    return value


def _constant(text: str) -> Any:
    raise Refused(f"{text} is no number of JSON")


def _end_of_blank(text: str, begin: int) -> int:
    found = _BLANK.match(text, begin)
    return found.end() if found else begin


def _decoded(content: bytes | bytearray) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 at byte {error.start + 1}") from error


_DECODER: Final = json.JSONDecoder(object_pairs_hook=_object, parse_float=_number, parse_constant=_constant)
