"""A `config.js` read as what it says, and never run.

Understood are `const name = …` of literals: text, numbers, lists, objects, names that were defined above, members of
those, sums and quotients of numbers, templates of known texts. Whatever else an expression holds, a call, a function, is
kept as Unread with its line: who asks for that key is refused there, who does not is not disturbed.

Source: ECMA-262, 12 (lexical grammar) and 13.2.5 (object initializers), as far as settings go.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sized
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Union

from pipeline.base.untrusted import printable

Value = Union[str, float, bool, None, list["Value"], dict[str, "Value"], "Unread"]

MAX_NESTED = 60
MAX_MADE = (
    4 << 20
)  # items and characters that spreading and joining make: a line that doubles the one before is soon too much
_TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?(?:\*/|\Z))
      | (?P<number>0[xX][0-9a-fA-F]+|(?:\d[\d_]*\.?[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?)
      | (?P<word>[A-Za-z_$][\w$]*)
      | (?P<text>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
      | (?P<template>`(?:[^`\\]|\\.)*`)
      | (?P<sign>=>|\.\.\.|\?\?|\?\.|&&|\|\||[=!]==?|[<>]=?|[-+*/%{}()\[\],:;.=!?&|^~])""",
    re.VERBOSE | re.DOTALL,
)
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": "\b", "f": "\f", "v": "\v", "0": "\0", "\n": ""}
_BEGINS = frozenset(("const", "let", "var", "module", "exports", "function", "export", "import", "if", "for", "while"))
_OPEN, _CLOSE = frozenset("([{"), frozenset(")]}")


class NotRead(ValueError):
    """A file that is no JavaScript of this kind: `line` is where."""

    def __init__(self, line: int, why: str) -> None:
        super().__init__(why)
        self.line = line


@dataclass(frozen=True, slots=True)
class Unread:
    """An expression that has no value before somebody runs it."""

    line: int
    text: str


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    line: int


class Keys(dict[str, "Value"]):
    """An object; `lines` has where each of its keys stands."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: dict[str, int] = {}


def read_constants(source: str, known: Mapping[str, Value]) -> Keys:
    """What a file defines at its top, by name; `known` are names that it takes from elsewhere. Raises NotRead."""
    return _Reader(_tokens(source), known).file()


def _tokens(source: str) -> list[_Token]:
    found, at, line = list[_Token](), 0, 1
    while at < len(source):
        match = _TOKEN.match(source, at)
        if match is None:
            raise NotRead(line, f"{printable(source[at : at + 20])!r} is no JavaScript that is read here")
        if match.lastgroup != "space":
            found.append(_Token(match.lastgroup or "", match[0], line))
        line += match[0].count("\n")
        at = match.end()
    found.append(_Token("end", "", line))
    return found


class _Reader:
    """Reads tokens from first to last."""

    def __init__(self, tokens: list[_Token], known: Mapping[str, Value]) -> None:
        self._tokens, self._at = tokens, 0
        self._known: dict[str, Value] = dict(known)
        self._deep = 0
        self._made = 0

    # ── statements ───────────────────────────────────────────────────────────────────────────────────────────

    def file(self) -> Keys:
        found = Keys()
        while self._now.kind != "end":
            if self._now.text in ("const", "let", "var") and self._after(1).kind == "word":
                self._at += 1
                self._definition(found)
            elif self._now.text in ("const", "let", "var"):
                self._skip_statement()  # names taken from another file: those that matter are known
            else:
                self._skip_statement()
        return found

    def _definition(self, found: Keys) -> None:
        while True:
            name = self._next()
            if self._now.text != "=":
                return self._skip_statement()
            self._at += 1
            found[name.text] = self._known[name.text] = self._whole()
            found.lines[name.text] = name.line
            if self._now.text != ",":
                break
            self._at += 1
        if self._now.text == ";":
            self._at += 1

    def _skip_statement(self) -> None:
        self._at += 1
        depth = 0
        while self._now.kind != "end":
            text = self._now.text
            if depth == 0 and (text == ";" or (text in _BEGINS and self._now.line > self._after(-1).line)):
                break
            depth += (text in _OPEN) - (text in _CLOSE)
            self._at += 1
        if self._now.text == ";":
            self._at += 1

    # ── expressions ──────────────────────────────────────────────────────────────────────────────────────────

    def _whole(self) -> Value:
        """An expression up to where it ends; one that is not understood is passed over as a whole."""
        begin = self._at
        with self._deeper():
            value = self._sum()
        if self._ends():
            return value
        self._at = begin
        return self._pass_over()

    @contextmanager
    def _deeper(self) -> Iterator[None]:
        self._deep += 1
        if self._deep > MAX_NESTED:
            raise NotRead(self._now.line, "it nests too deep")
        yield
        self._deep -= 1

    def _count(self, made: Sized) -> None:
        self._made += len(made)
        if self._made > MAX_MADE:
            raise NotRead(self._now.line, "what it makes of spread lists and joined texts is too large")

    def _ends(self) -> bool:
        now = self._now
        is_new = now.text in _BEGINS and now.line > self._after(-1).line
        return now.kind == "end" or now.text in (",", ";", "]", "}", ")") or is_new

    def _pass_over(self) -> Unread:
        begin, depth = self._at, 0
        while self._now.kind != "end" and not (depth == 0 and self._ends()):
            depth += (self._now.text in _OPEN) - (self._now.text in _CLOSE)
            self._at += 1
        words = " ".join(token.text for token in self._tokens[begin : min(self._at, begin + 12)])
        return Unread(self._tokens[begin].line, printable(words, 80))

    def _sum(self) -> Value:
        value = self._product()
        while self._now.text in ("+", "-"):
            sign = self._next().text
            value = self._joined(sign, value, self._product())
        return value

    def _product(self) -> Value:
        value = self._member()
        while self._now.text in ("*", "/"):
            sign = self._next().text
            value = self._joined(sign, value, self._member())
        return value

    def _joined(self, sign: str, one: Value, other: Value) -> Value:
        if sign == "+" and isinstance(one, str) and isinstance(other, str):
            self._count(one)
            self._count(other)
            return one + other
        if not (_is_number(one) and _is_number(other)) or (sign == "/" and other == 0):
            return Unread(self._after(-1).line, f"… {sign} …")
        assert isinstance(one, float) and isinstance(other, float)
        return {"+": one + other, "-": one - other, "*": one * other, "/": one / (other or 1)}[sign]

    def _member(self) -> Value:
        value = self._plain()
        while self._now.text in (".", "?.", "["):
            sign = self._next()
            key: Value = self._next().text if sign.text != "[" else self._whole()
            if sign.text == "[":
                self._expect("]")
            inside = value.get(key) if isinstance(value, dict) and isinstance(key, str) else None
            value = inside if inside is not None else Unread(sign.line, f"….{key}")
        return value

    def _plain(self) -> Value:
        token = self._next()
        if token.kind == "text":
            return _text(token.text[1:-1])
        if token.kind == "template":
            return self._template(token)
        if token.kind == "number":
            return _number(token.text)
        if token.text == "{":
            return self._object()
        if token.text == "[":
            return self._list()
        if token.text == "(" and self._after(0).text != ")":
            value = self._whole()
            self._expect(")")
            return value
        if token.text in ("-", "+"):
            with self._deeper():
                value = self._member()
            if _is_number(value):
                assert isinstance(value, float)
                return -value if token.text == "-" else value
            return Unread(token.line, f"{token.text}…")
        if token.kind == "word" and token.text in _WORDS:
            return _WORDS[token.text]
        if token.kind == "word" and token.text in self._known and self._now.text not in ("(", "=>"):
            return self._known[token.text]
        self._at -= 1
        return self._pass_over()

    def _template(self, token: _Token) -> Value:
        plain, *rest = _text(token.text[1:-1]).split("${")
        said = [plain]
        for part in rest:
            name, closed, after = part.partition("}")
            value = self._known.get(name.strip())
            if not closed or not isinstance(value, str):
                return Unread(token.line, printable(token.text, 80))
            self._count(value)
            said += [value, after]
        return "".join(said)

    def _list(self) -> Value:
        found: list[Value] = []
        while self._now.text != "]":
            if self._now.text == "...":
                self._at += 1
                spread = self._whole()
                items = spread if isinstance(spread, list) else [spread]
                self._count(items)
                found += items
            else:
                found.append(self._whole())
            if self._now.text != "]":
                self._expect(",")
        self._at += 1
        return found

    def _object(self) -> Value:
        found = Keys()
        while self._now.text != "}":
            token = self._next()
            if token.text == "...":
                spread = self._whole()
                entries = spread if isinstance(spread, dict) else {f"...{token.line}": spread}
                self._count(entries)
                found.update(entries)
            else:
                self._entry(found, token)
            if self._now.text != "}":
                self._expect(",")
        self._at += 1
        return found

    def _entry(self, found: Keys, token: _Token) -> None:
        if token.kind not in ("word", "text", "number"):
            raise NotRead(token.line, f"a key is expected, and there is {token.text!r}")
        key = _text(token.text[1:-1]) if token.kind == "text" else token.text
        found.lines[key] = token.line
        if self._now.text in (",", "}"):  # `{ name }`: the name's own value
            found[key] = self._known.get(key, Unread(token.line, key))
        elif self._now.text == "(":  # a method
            while self._now.text != "{" and self._now.kind != "end":
                self._at += 1
            found[key] = self._pass_over()
        else:
            self._expect(":")
            found[key] = self._whole()

    # ── tokens ───────────────────────────────────────────────────────────────────────────────────────────────

    @property
    def _now(self) -> _Token:
        return self._tokens[min(self._at, len(self._tokens) - 1)]

    def _after(self, steps: int) -> _Token:
        return self._tokens[max(0, min(self._at + steps, len(self._tokens) - 1))]

    def _next(self) -> _Token:
        token = self._now
        self._at += 1
        return token

    def _expect(self, text: str) -> None:
        token = self._next()
        if token.text != text:
            raise NotRead(token.line, f"{text!r} is expected, and there is {token.text or 'the end'!r}")


_WORDS: dict[str, Value] = {"true": True, "false": False, "null": None, "undefined": None}


def _is_number(value: Value) -> bool:
    return isinstance(value, float)


def _number(text: str) -> float:
    plain = text.replace("_", "")
    try:
        return float(int(plain, 16)) if plain[:2] in ("0x", "0X") else float(plain)
    except OverflowError:
        return math.inf


def _text(inner: str) -> str:
    def character(match: re.Match[str]) -> str:
        code = match[1]
        if code[0] in "xu" and len(code) > 1:
            number = int(code.strip("xu{}"), 16)
            return chr(number) if number < 0x110000 else "\ufffd"
        return _ESCAPES.get(code, code)

    text = re.sub(r"\\(x[0-9a-fA-F]{2}|u[0-9a-fA-F]{4}|u\{[0-9a-fA-F]+\}|.)", character, inner, flags=re.DOTALL)
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")  # two halves of a pair are one character
