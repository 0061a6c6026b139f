"""Forms of values: how the text of one is read, how a value is said as text, and what JSON of it a request may hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from pipeline.base.limits import MAX_NAME, MAX_URL
from pipeline.base.words import Expected, address, database_url, licence, one_line, page_url, paragraphs, web_url

T = TypeVar("T")
N = TypeVar("N", bound=str)

_OWN_CLUSTER = re.compile(r"ray:local(:[1-9][0-9]{0,3})?")
MAX_PATH = 4_096  # bytes: what Linux takes


@dataclass(frozen=True, slots=True)
class Form(Generic[T]):
    """`hint` stands for the value in `--help`; `read(say(value)) == value`; `schema` is JSON Schema of it in a request."""

    hint: str
    read: Callable[[str], T]  # raises Expected
    schema: Mapping[str, Any]
    say: Callable[[T], str] = str
    alone: str = ""  # what the flag means without a value; empty: it needs one


def words(hint: str = "TEXT") -> Form[str]:
    """Any text on one line: a path, or a name that is looked up."""

    def read(value: str) -> str:
        value = value.strip()
        if any(ord(character) < 0x20 or ord(character) == 0x7F for character in value):
            raise Expected("text on one line, without control characters")
        if len(value.encode("utf-8", "surrogatepass")) > MAX_PATH:
            raise Expected(f"at most {MAX_PATH:,} bytes")
        return value

    return Form(hint, read, {"type": "string", "maxLength": MAX_PATH})


def label(limit: int = MAX_NAME) -> Form[str]:
    """A name on one line, of at most so many bytes; the contract can hold one of the usual limit."""
    return Form("TEXT", lambda value: one_line(value, limit), {"type": "string", "minLength": 1, "maxLength": limit})


def terms() -> Form[str]:
    return Form("SPDX|URL", licence, {"type": "string", "minLength": 1, "maxLength": MAX_URL})


def prose(limit: int) -> Form[str]:
    return Form("TEXT", lambda value: paragraphs(value, limit), {"type": "string", "minLength": 1, "maxLength": limit})


def whole(low: int, high: int, hint: str = "N") -> Form[int]:
    """A whole number between two bounds, both included."""

    def read(value: str) -> int:
        digits = value.strip().removeprefix("-")
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 20 and low <= int(value) <= high):
            raise Expected(f"a whole number from {low:,} to {high:,}")
        return int(value)

    return Form(hint, read, {"type": "integer", "minimum": low, "maximum": high})


def decimal(hint: str) -> Form[str]:
    """An amount of ether or gwei; it stays text, because floats lose wei."""

    def read(value: str) -> str:
        digits = value.replace(".", "", 1)
        if not (digits.isascii() and digits.isdigit() and len(digits) <= 40 and digits.strip("0")):
            raise Expected("a decimal number above 0, such as 0.25")
        return value

    return Form(hint, read, {"type": "string"})


def switch() -> Form[bool]:
    """Yes or no; the flag alone says yes."""

    def read(value: str) -> bool:
        if value.lower() not in ("yes", "no", "true", "false"):
            raise Expected("yes or no")
        return value.lower() in ("yes", "true")

    return Form("yes|no", read, {"type": "boolean"}, lambda value: "yes" if value else "no", alone="yes")


def one_of(*names: N) -> Form[N]:
    def read(value: str) -> N:
        for name in names:
            if name == value:
                return name
        raise Expected(" or ".join(names))

    return Form("NAME", read, {"type": "string", "enum": list(names)})


def listed(hint: str) -> Form[str]:
    """Names separated by commas; they come out without spaces and repeats."""

    def read(value: str) -> str:
        found = dict.fromkeys(part.strip() for part in value.split(",") if part.strip())
        if not found:
            raise Expected("one or more names, separated by commas")
        return ",".join(found)

    return Form(hint, read, {"type": "string"})


def server() -> Form[str]:
    return Form("URL", web_url, {"type": "string"})


def database() -> Form[str]:
    """The address of a PostgreSQL database, without a password."""
    return Form("URL", database_url, {"type": "string"})


def workers() -> Form[str]:
    """Who draws: a Ray cluster, of this machine or elsewhere."""
    file = words()

    def read(value: str) -> str:
        value = file.read(value)
        try:
            parts = urlsplit(value)
            is_there = parts.scheme == "ray" and bool(parts.hostname) and parts.port is not None
        except ValueError:
            is_there = False
        if not _OWN_CLUSTER.fullmatch(value) and (not is_there or "@" in value or parts.path or parts.query):
            raise Expected("ray:local, ray:local:N for N processors, or ray://HOST:PORT of a cluster's client server")
        return value

    return Form("ray:local|URL", read, {"type": "string"})


def site(*, whole: bool) -> Form[str]:
    """An address that others are led to, without a slash at its end; `whole`: all paths of its server are meant."""

    def read(value: str) -> str:
        address = web_url(value.strip().rstrip("/"))
        if set(address) & set("?#@") or (whole and urlsplit(address).path):
            raise Expected(f"https://NAME{'' if whole else ' or https://NAME/PATH'}, and nothing else in it")
        return address

    return Form("URL", read, {"type": "string", "pattern": "^https?://[^?#@]+$"})


def page() -> Form[str]:
    return Form("URL", page_url, {"type": "string", "maxLength": 2_048, "pattern": "^https?://"})


def account() -> Form[str]:
    return Form("ADDRESS", lambda value: str(address(value)), {"type": "string", "pattern": "^0[xX][0-9a-fA-F]{40}$"})


def recipient() -> Form[str]:
    """An address, or the name of a file of them; empty text means: not set."""
    file = words()

    def read(value: str) -> str:
        value = file.read(value)
        return str(address(value)) if value[:2] in ("0x", "0X") or value.lower().endswith(".eth") else value

    return Form("ADDRESS|FILE", read, file.schema)


def or_empty(form: Form[str]) -> Form[str]:
    """Empty text means: not set."""
    return Form(form.hint, lambda value: form.read(value) if value.strip() else "", form.schema, form.say)


def or_none(form: Form[T]) -> Form[T | None]:
    """Empty text means: not set."""
    return Form(
        form.hint,
        lambda value: form.read(value) if value else None,
        form.schema,
        lambda value: "" if value is None else form.say(value),
    )


def or_off(form: Form[T]) -> Form[T | None]:
    """`off` stands for None."""

    def read(value: str) -> T | None:
        if value == "off":
            return None
        try:
            return form.read(value)
        except Expected as expected:
            raise Expected(f"{expected}, or off") from None

    return Form(f"{form.hint}|off", read, form.schema, lambda value: "off" if value is None else form.say(value))
