"""A training on one page: `page.html` in the run's folder, beside the pictures that it shows.

It is written at every checkpoint and needs nothing but a browser: curves are drawn in the page itself, no script runs.
"""

from __future__ import annotations

import html
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.base.files import write_whole

WIDTH, HEIGHT = 640, 150  # of a chart
MOST_POINTS = 2000  # of a curve; every other one is dropped above
SHOWN_GRIDS = 12
STYLE = """
:root{color-scheme:light dark;--ink:#222;--dim:#777;--ground:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#ddd;--dim:#888;--ground:#181818}}
body{margin:2rem auto;max-width:60rem;padding:0 1rem;font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--ground)}
table{border-collapse:collapse}td{padding:.1rem 1.5rem .1rem 0;vertical-align:top}td:first-child{color:var(--dim)}
img{max-width:100%;image-rendering:pixelated}
figure{margin:0 0 1rem}figcaption{color:var(--dim)}
.grids{display:grid;grid-template-columns:repeat(auto-fill,minmax(13rem,1fr));gap:1rem}
svg{width:100%;height:auto;border-bottom:1px solid var(--dim)}polyline{fill:none;stroke-width:1.5}
.a{stroke:#2a6fbb}.b{stroke:#d2691e}.warn{color:#c0392b}
"""
# title -> the values that share a scale
CHARTS = {
    "losses": ("critic", "generator", "bound"),
    "how much fakes differ, in shares of what pictures do": ("spread",),
    "KID of each snapshot": ("kid",),
}


@dataclass
class Curves:
    """What was recorded of a run so far, thinned out where it is long."""

    points: list[dict[str, float]] = field(default_factory=list)
    every: int = 1
    seen: int = 0

    def add(self, record: Mapping[str, float]) -> None:
        if self.seen % self.every == 0:
            self.points.append(dict(record))
        self.seen += 1
        if len(self.points) > MOST_POINTS:
            self.points, self.every = self.points[::2], 2 * self.every


def write_page(
    folder: Path,
    facts: Mapping[str, object],
    curves: Curves,
    snapshots: Sequence[Mapping[str, Any]],
    warnings: Sequence[str],
) -> None:
    """Write the page of the run in `folder`: `facts` of it as a table, its curves, grids and nearest training pictures."""
    rows = "".join(f"<tr><td>{_text(name)}</td><td>{_text(value)}</td></tr>" for name, value in facts.items())
    told = "".join(f'<p class="warn">{_text(warning)}</p>' for warning in warnings)
    grids = sorted((folder / "grids").glob("*.png"))
    parts = [
        f"<h1>{_text(folder.resolve().name)}</h1>{told}<table>{rows}</table>",
        *(_chart(title, names, [*curves.points, *snapshots]) for title, names in CHARTS.items()),
        _picture("Now", f"grids/{grids[-1].name}") if grids else "",
        _nearest(folder),
        _earlier([grid.name for grid in grids[:-1]]),
    ]
    head = (
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{_text(folder.resolve().name)}</title>"
        f'<meta name=viewport content="width=device-width"><style>{STYLE}</style>'
    )
    write_whole(folder / "page.html", (head + "".join(parts) + "</html>\n").encode())


def _text(value: object) -> str:
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _picture(title: str, source: str) -> str:
    return f"<h2>{_text(title)}</h2><figure><img src='{_text(source)}' alt='{_text(title)}'></figure>"


def _nearest(folder: Path) -> str:
    if not (folder / "memorised.png").exists():
        return ""
    told = "Above, the fakes that are nearest to a training picture; below each, that picture."
    return _picture("Nearest training pictures", "memorised.png") + f"<p>{told}</p>"


def _earlier(names: Sequence[str]) -> str:
    """Some of the grids before the last one, evenly spread."""
    if not names:
        return ""
    shown = [names[i * len(names) // min(SHOWN_GRIDS, len(names))] for i in range(min(SHOWN_GRIDS, len(names)))]
    figures = "".join(
        f"<figure><img loading=lazy src='grids/{_text(name)}' alt=''><figcaption>step {int(Path(name).stem):,}</figcaption>"
        "</figure>"
        for name in shown
    )
    return f"<h2>Earlier</h2><div class=grids>{figures}</div>"


def _chart(title: str, names: Sequence[str], points: Sequence[Mapping[str, Any]]) -> str:
    """A chart of the values that are there, or nothing."""
    lines = {name: [(float(p["step"]), float(p[name])) for p in points if name in p and "step" in p] for name in names}
    lines = {name: line for name, line in lines.items() if len(line) > 1}
    if not lines:
        return ""
    steps = [step for line in lines.values() for step, _ in line]
    values = [value for line in lines.values() for _, value in line]
    low, high, first, last = min(values), max(values), min(steps), max(steps)
    drawn = "".join(
        f'<polyline class="{colour}" points="{_points(line, first, last, low, high)}"/>'
        for colour, line in zip("ab", lines.values(), strict=False)
    )
    key = ", ".join(
        f"{_text(name)} ({shade}) last {line[-1][1]:.3g}"
        for shade, (name, line) in zip(("blue", "orange"), lines.items(), strict=False)
    )
    told = f"steps {first:,.0f} to {last:,.0f}; {low:.3g} to {high:.3g}; {key}"
    chart = f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role=img aria-label="{_text(title)}">{drawn}</svg>'
    return f"<h2>{_text(title.capitalize())}</h2><figure>{chart}<figcaption>{told}</figcaption></figure>"


def _points(line: Sequence[tuple[float, float]], first: float, last: float, low: float, high: float) -> str:
    wide, tall = max(last - first, 1e-9), max(high - low, 1e-9)
    return " ".join(
        f"{(step - first) / wide * WIDTH:.1f},{HEIGHT - 4 - (value - low) / tall * (HEIGHT - 8):.1f}"
        for step, value in line
    )
