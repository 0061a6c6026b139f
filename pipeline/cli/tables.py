"""Results on stdout: JSON for scripts, tables that fit a terminal for people, long words shortened in tables only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pipeline.base.results import as_json
from pipeline.base.secrets import redacted
from pipeline.base.untrusted import json_text, printable

if TYPE_CHECKING:
    from rich.console import Console

MARK_COLOURS = {"✓": "green", "✗": "bold red", "!": "bold yellow"}
MAX_CELL = 10_000  # characters
WIDE = 200  # columns of a table that nobody's terminal has to show
FEW_WORDS = 24  # columns
INDENT, LABEL = 2, 10  # columns

Facts = dict[str, tuple[str, ...]]  # by label: words that are kept whole


def print_json(value: Any) -> None:
    """A result, or plain values."""
    print(json_text(as_json(value), 2))


def print_line(text: str) -> None:
    """A sentence of the result."""
    print(printable(redacted(text), MAX_CELL, lines=True))


def _console() -> Console:
    from rich.console import Console

    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    return console


def fields_of(result: Any, but: Sequence[str] = ()) -> list[tuple[str, Any]]:
    """A result's fields as rows of a table, without those named in `but`."""
    plain = as_json(result)
    return [
        (name.replace("_", " "), ", ".join(value) if isinstance(value, list) else value)
        for name, value in plain.items()
        if name not in but
    ]


def print_table(headings: Sequence[str], rows: Iterable[Sequence[Any]], *, wrap: bool = False) -> None:
    """Print a table; on a terminal that is too narrow for one, a row is a block with a line for each of its values."""
    from rich import box
    from rich.cells import cell_len
    from rich.measure import Measurement
    from rich.table import Table
    from rich.text import Text

    console, cells = _console(), [["" if cell is None else cell for cell in row] for row in rows]
    words = [[printable(cell, MAX_CELL, lines=True) for cell in row] for row in cells]
    table = Table(box=box.SIMPLE_HEAD, show_header=any(headings), pad_edge=False)
    for place, heading in enumerate(headings):
        is_number = bool(cells) and all(isinstance(row[place], int) or not row[place] for row in cells)
        table.add_column(
            heading,
            overflow="fold" if wrap else "ellipsis",
            no_wrap=not wrap or place < len(headings) - 1,
            justify="right" if is_number and heading else "left",
        )
    for row in words:
        table.add_row(*(Text(word, style=MARK_COLOURS.get(word, "")) for word in row))
    needed = Measurement.get(console, console.options.update(width=MAX_CELL), table).maximum
    if wrap:  # the last column may be as narrow as a few words
        longest = max((cell_len(line) for row in words for line in row[-1].splitlines()), default=0)
        needed -= max(0, longest - FEW_WORDS)
    if console.is_terminal and needed > console.width:
        for row in words:
            _print_record(headings, row, console.width)
        return
    console.print(table)  # in colour on a terminal alone, and never under NO_COLOR


def _print_record(headings: Sequence[str], row: Sequence[str], width: int) -> None:
    """A row below its first word, or the first two where one is a mark: each value beside its heading, nothing empty."""
    first = 1 if headings[0] else 2
    print(" ".join(row[:first]))
    for line in facts_lines(dict(zip(headings[first:], ((word,) for word in row[first:]), strict=True)), width):
        print(line)


def facts_lines(facts: Facts, width: int, deeper: int = 0) -> list[str]:
    """A line for each fact; a word that would not fit beside the one before stands below it, whole."""
    longest = max(LABEL, *(len(label) + 2 for label in facts)) if facts else LABEL
    lines = []
    for label, words in facts.items():
        left = " " * (INDENT + deeper) + label.ljust(longest)
        line = left
        for number, word in enumerate(filter(None, words)):
            if number and len(line) + len(word) + 2 > width:
                lines.append(line)
                line = " " * len(left) + word
            else:
                line += f"  {word}" if number else word
        if line != left:
            lines.append(line)
    return lines


def short(text: str | None) -> str:
    return f"{text[:6]}…{text[-4:]}" if text else ""


def short_uri(uri: str | None) -> str:
    """`ipfs://bafybei…2ykq/7.json`: enough to tell two roots apart."""
    if not uri:
        return ""
    root, _, file = uri.removeprefix("ipfs://").partition("/")
    return f"ipfs://{root[:7]}…{root[-4:]}/{file}"


def ranges(numbers: Sequence[int], most: int = 6) -> str:
    """`1-50, 53, 60-61`: sorted numbers, folded."""
    folded: list[list[int]] = []
    for number in numbers:
        if folded and folded[-1][1] == number - 1:
            folded[-1][1] = number
        else:
            folded.append([number, number])
    words = [str(low) if low == high else f"{low}-{high}" for low, high in folded]
    return ", ".join(words[:most]) + (f", … ({len(words) - most} more)" if len(words) > most else "")
