"""Who gets how many tokens: one address, or a file of addresses and counts.

A file has a line for each recipient, `address,count`, or with the semicolons or tabs of a spreadsheet; a missing count
is 1. A first line that names the columns, blank lines and lines that begin with # say nothing. Token ids go to the
recipients in the order of the file.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path

from pipeline.base.errors import BadArgument
from pipeline.base.files import is_there, read_regular
from pipeline.base.limits import MAX_COUNT, RECIPIENTS_BYTES
from pipeline.base.records import Address
from pipeline.base.words import Expected
from pipeline.mint.collection import parsed_address
from pipeline.settings.forms import whole


@dataclass(frozen=True, slots=True)
class Recipients:
    """A file's recipients in order, and the SHA-256 of its bytes."""

    path: Path
    sha256: str
    shares: Sequence[tuple[Address, int]]

    @property
    def count(self) -> int:
        return sum(count for _, count in self.shares)

    @property
    def addresses(self) -> list[Address]:
        """Each recipient once, in order."""
        return list(dict.fromkeys(address for address, _ in self.shares))

    def __str__(self) -> str:
        return f"{len(self.addresses):,} recipients of {self.path}"

    def __iter__(self) -> Iterator[Address]:
        """The recipient of each token."""
        for address, count in self.shares:
            yield from repeat(address, count)


def read_recipients(to: str) -> Recipients | None:
    """The recipients when `to` is the name of a CSV file; None when it is an address, or nothing.

    Raises BadArgument with the number of the line that is wrong.
    """
    path = Path(to)
    if not to or not (path.suffix.lower() == ".csv" or (is_there(path) and path.is_file())):
        return None
    data = _content(path)
    try:
        lines = data.decode("utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        raise BadArgument(name="--to", value=to, expected=f"a text file in UTF-8 ({error.reason})") from error
    shares = list(_shares(path, lines))
    if not shares:
        raise BadArgument(name="--to", value=to, expected="a file with one recipient or more")
    recipients = Recipients(path, hashlib.sha256(data).hexdigest(), shares)
    if recipients.count > MAX_COUNT:
        raise BadArgument(name="--to", value=to, expected=f"at most {MAX_COUNT:,} tokens, not {recipients.count:,}")
    return recipients


def resolved_count(count: int | None, recipients: Recipients | None) -> int:
    """How many tokens a call is about. Raises BadArgument when it is said twice, differently, or not at all."""
    if recipients is None:
        if count is None:
            raise BadArgument(name="--count", value="", expected=f"a whole number from 1 to {MAX_COUNT:,}")
        return count
    if count not in (None, recipients.count):
        raise BadArgument(
            name="--count",
            value=count,
            expected=f"{recipients.count}, the sum of {recipients.path}",
            hint="leave --count out: the file says it",
        )
    return recipients.count


def _content(path: Path) -> bytes:
    try:
        return read_regular(path, RECIPIENTS_BYTES)
    except OSError as error:
        reason = error.strerror or str(error)
        raise BadArgument(name="--to", value=str(path), expected=f"an address or a CSV file ({reason})") from error


def _cells(path: Path, number: int, line: str, mark: str) -> list[str]:
    try:
        return [cell.strip() for cell in next(csv.reader([line], delimiter=mark))]
    except csv.Error as error:  # a field of more than 131,072 characters, a zero byte
        raise BadArgument(name=f"{path} line {number}", value=line[:80], expected=f"address,count ({error})") from error


def _shares(path: Path, lines: Iterable[str]) -> Iterator[tuple[Address, int]]:
    read_count, first, mark = whole(1, MAX_COUNT).read, True, ","
    for number, line in enumerate(lines, 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        if first:  # half of Europe's spreadsheets write semicolons
            mark = next((one for one in ",;\t" if one in line), ",")
        cells = _cells(path, number, line, mark)
        is_heading, first = first and cells[0].lower() == "address", False
        if is_heading:
            if [cell.lower() for cell in cells] not in (["address"], ["address", "count"]):
                raise BadArgument(name=f"{path} line {number}", value=line, expected="the columns address,count")
            continue
        if len(cells) > 2:
            raise BadArgument(name=f"{path} line {number}", value=line, expected="address,count")
        try:
            count = read_count(cells[1]) if len(cells) == 2 else 1
        except Expected as expected:
            raise BadArgument(name=f"{path} line {number}: count", value=cells[1], expected=str(expected)) from None
        yield parsed_address(cells[0], f"{path} line {number}: address"), count
