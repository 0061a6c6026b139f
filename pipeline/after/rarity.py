"""How rare each token of a collection is, by its traits: OpenRarity's information content.

A trait value that a share p of the tokens has carries -log2 p bits. A token's score is the sum over the collection's
traits, divided by the collection's entropy, so that 1 is the average and a trait that all tokens share counts nothing.
That a token lacks a trait counts as a value of its own. Ranks change with every token that is added, so they are a
reading of a collection as it stands and never written into metadata.

Sources: OpenRarity, "Information content" (github.com/OpenRarity/open-rarity, README and its
information_content_scoring_handler); ranks as in its rarity_ranker: 1, 2, 2, 4. Where OpenRarity leaves numbers out, they
are values like any other here.
"""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.after.report import reading
from pipeline.base.errors import BadArgument, MissingExtra
from pipeline.base.files import whole_file
from pipeline.base.installation import extra
from pipeline.base.records import Attribute
from pipeline.base.workspace import Workspace

log = logging.getLogger(__name__)

ABSENT = ""  # the value of a trait that a token lacks; no other value is empty
SHOWN_VALUES = 8  # of a trait in the plot: what is rarer shares a bar
LACKING = "—"  # the bar of the tokens without the trait
BARS, NOTHING = ("#a9bad0", "#d3ddea"), "#f2f2f2"

Traits = Mapping[int, Sequence[Attribute]]  # token id -> its attributes


@dataclass(frozen=True, slots=True)
class Rarity:
    """A token's place in its collection."""

    token_id: int
    score: float  # unitless: bits of this token over the mean bits of a token
    rank: int  # 1 is the rarest; equal scores share a rank, and the next one counts them all


def rarity(traits: Traits) -> list[Rarity]:
    """Score every token of a collection, rarest first, and by token id where scores are equal.

    Names and values are compared in lower case; numbers by their value as text, so that 3, 3.0 and "3" are one. A
    collection whose tokens are all alike scores 0 throughout.
    """
    values, counts = _counted(traits)
    total = len(values)
    bits = {pair: math.log2(total / count) for pair, count in counts.items()}
    entropy = math.fsum(counts[pair] / total * bits[pair] for pair in counts) or 1.0
    scores = {token_id: math.fsum(bits[pair] for pair in found.items()) / entropy for token_id, found in values.items()}
    ranked: list[Rarity] = []
    for place, (token_id, score) in enumerate(sorted(scores.items(), key=lambda entry: (-entry[1], entry[0])), 1):
        ties = bool(ranked) and math.isclose(score, ranked[-1].score)
        ranked.append(Rarity(token_id, score, ranked[-1].rank if ties else place))
    return ranked


def shares(traits: Traits) -> dict[str, dict[str, float]]:
    """Trait -> value -> the share of tokens that have it, most frequent first; `ABSENT` for those that lack the trait."""
    values, counts = _counted(traits)
    found: dict[str, dict[str, float]] = {}
    for (trait, value), count in sorted(counts.items(), key=lambda entry: (entry[0][0], -entry[1], entry[0][1])):
        found.setdefault(trait, {})[value] = count / len(values)
    return found


@dataclass(frozen=True, slots=True)
class RarestTrait:
    """The attribute of a token that fewest tokens have, and the share that has it."""

    trait_type: str
    value: str | int | float
    share: float


@dataclass(frozen=True, slots=True)
class RankedToken:
    rank: int
    token_id: int
    score: float
    rarest: RarestTrait | None


@dataclass(frozen=True, slots=True)
class RarityReport:
    """The drawn tokens of a collection, rarest first."""

    collection: str
    ranked: int
    planned: int
    plot: Path | None  # None without the extra `plot`
    tokens: tuple[RankedToken, ...]


def rarity_report(workspace: Workspace, name: str | None) -> RarityReport:
    """Every drawn token of a collection with its score, its rank and its rarest trait, and a plot where it can be made.

    Raises BadArgument where no token is drawn yet.
    """
    with reading(workspace, name) as (ledger, collection):
        tokens = list(ledger.tokens.of(collection.id))
    traits = {token.token_id: token.attributes for token in tokens if token.state != "planned"}
    if not traits:
        raise BadArgument(
            name="collection",
            value=collection.name,
            expected="one with a drawn token",
            hint="`pipeline status` tells how to go on",
        )
    ranked, share = rarity(traits), shares(traits)
    return RarityReport(
        collection=collection.name,
        ranked=len(traits),
        planned=len(tokens),
        plot=_plotted(ranked, share, collection.name, workspace.export(collection.name) / "rarity.png"),
        tokens=tuple(
            RankedToken(entry.rank, entry.token_id, round(entry.score, 6), _rarest(traits[entry.token_id], share))
            for entry in ranked
        ),
    )


def _plotted(ranked: Sequence[Rarity], share: Mapping[str, Mapping[str, float]], title: str, path: Path) -> Path | None:
    try:
        plot_rarity(ranked, share, title, path)
    except MissingExtra as error:  # the ranks are the result, and need no plot
        log.warning("no plot: %s; %s", error, error.hint)
        return None
    return path


def plot_rarity(ranked: Sequence[Rarity], share: Mapping[str, Mapping[str, float]], title: str, path: Path) -> None:
    """Write a PNG: scores by rank above, below it how each trait's values are spread over the tokens."""
    with extra("plot"):
        from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.4 + 0.42 * len(share)), layout="constrained")
    above, below = figure.subplots(2, 1, height_ratios=(2.6, 0.42 * len(share) + 0.4))
    above.plot(range(1, len(ranked) + 1), [entry.score for entry in ranked], ".-", color="#20304a", linewidth=0.8)
    above.axhline(1, color="#b0452f", linewidth=0.8, linestyle="--")
    above.set(title=f"{title}: {len(ranked):,} tokens, rarest first", ylabel="score (1 is the average)")
    for row, values in enumerate(reversed(list(share.values()))):
        left = 0.0
        for number, (label, width) in enumerate(_most_frequent(values)):
            colour = NOTHING if label == LACKING else BARS[number % 2]
            below.barh(row, width, left=left, color=colour, edgecolor="white", height=0.72)
            text = _fitting(label, width)
            below.text(left + width / 2, row, text, ha="center", va="center", fontsize=7, parse_math=False)
            left += width
    below.set(xlim=(0, 1), xlabel="share of tokens", yticks=range(len(share)))
    below.set_yticklabels(list(share)[::-1], fontsize=8, parse_math=False)
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)
    with whole_file(path) as file:
        figure.savefig(file, format="png", dpi=120)


def _counted(traits: Traits) -> tuple[dict[int, dict[str, str]], Counter[tuple[str, str]]]:
    """Each token's value of every trait of the collection, and how many tokens have each."""
    given = {token_id: _values(attributes) for token_id, attributes in traits.items()}
    names = sorted({name for found in given.values() for name in found})
    values = {token_id: {name: found.get(name, ABSENT) for name in names} for token_id, found in given.items()}
    return values, Counter(pair for found in values.values() for pair in found.items())


def _values(attributes: Sequence[Attribute]) -> dict[str, str]:
    """One value for each trait; a trait that stands twice on a token has both as its value."""
    found: dict[str, list[str]] = {}
    for attribute in attributes:
        found.setdefault(_text(attribute.trait_type), []).append(_text(attribute.value))
    return {name: ", ".join(sorted(values)) for name, values in found.items()}


def _text(value: str | int | float) -> str:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return str(value).strip().lower()


def _rarest(attributes: Sequence[Attribute], share: Mapping[str, Mapping[str, float]]) -> RarestTrait | None:
    """The attribute of a token that fewest tokens have; what it lacks may be rarer still, but nobody sees it."""
    if not attributes:
        return None
    values = _values(attributes)

    def spread(attribute: Attribute) -> float:
        name = _text(attribute.trait_type)
        return share[name][values[name]]

    rarest = min(attributes, key=spread)
    return RarestTrait(rarest.trait_type, rarest.value, round(spread(rarest), 6))


def _most_frequent(values: Mapping[str, float]) -> list[tuple[str, float]]:
    """The values for a bar, the absent last, and what is left of the many rare ones as one."""
    shown = [(value, width) for value, width in values.items() if value != ABSENT]
    rest = shown[SHOWN_VALUES:]
    shown = shown[:SHOWN_VALUES]
    if rest:
        shown.append((f"{len(rest)} more", sum(width for _, width in rest)))
    if ABSENT in values:
        shown.append((LACKING, values[ABSENT]))
    return shown


def _fitting(label: str, width: float) -> str:
    """As much of a label as its bar has room for: about 110 letters go across the whole."""
    room = int(width * 110)
    return label if len(label) <= room else label[: room - 1] + "…" if room > 2 else ""
