"""The 26 ways in which a canvas lays one picture over another, as Skia computes them, on premultiplied pixels.

Skia has two pipelines: one in whole numbers of 16 bits, and one in floats for the modes that divide or sort channels. Both
round in their own way, so both are here.

Sources: W3C Compositing and Blending Level 1 (Porter-Duff, 9.1 and 9.2 of the separable and non-separable modes);
SkRasterPipeline of Skia for the order of
the steps and their rounding. `scripts/blend-table` compares every mode with Skia's own pixels.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from pipeline.art.layers.form import BLENDS, Blend

Bytes = NDArray[np.uint8]  # (…, 4), premultiplied
Whole = NDArray[np.int32]
Real = NDArray[np.float32]  # 0 to 1

_LUMA = np.array([0.30, 0.59, 0.11], np.float32)
SPREADING: frozenset[Blend] = frozenset(  # they change what lies outside the picture as well
    ("source-in", "source-out", "destination-in", "destination-atop", "copy")
)
_PLAIN: frozenset[Blend] = SPREADING | frozenset[Blend](("source-over", "destination-over", "destination-out"))
OPAQUE = (
    frozenset(BLENDS) - SPREADING - frozenset(("destination-out", "xor"))
)  # an opaque ground stays opaque under them


def blended(mode: Blend, source: Bytes, ground: Bytes, opacity: float = 1.0) -> Bytes:
    """The pixels of `source`, faded, laid over `ground`; both are premultiplied, and so is what comes out."""
    if mode in _WHOLE:
        s, d = source.astype(np.int32), ground.astype(np.int32)
        if opacity != 1:
            s = (_near_255 if mode in _PLAIN else _over_255)(s * round(opacity * 255))
        return np.asarray(np.clip(_WHOLE[mode](s, d, s[..., 3:], d[..., 3:]), 0, 255), np.uint8)
    s_ = np.asarray(source * np.float32(opacity / 255), np.float32)
    d_ = np.asarray(ground / np.float32(255), np.float32)
    sa, da = s_[..., 3:], d_[..., 3:]
    alpha = sa + da - sa * da
    colour = np.clip(_REAL[mode](s_[..., :3], d_[..., :3], sa, da), 0.0, alpha)
    return np.asarray(np.concatenate([colour, alpha], axis=-1) * 255 + 0.5, np.uint8)


# ── in whole numbers ─────────────────────────────────────────────────────────────────────────────────────────


def _over_255(product: Whole) -> Whole:
    """Skia's quotient by 255: exact for 0 and for 255 times 255, elsewhere up to one level more."""
    return (product + 255) >> 8


def _near_255(product: Whole) -> Whole:
    """The quotient by 255, rounded: how Skia computes the plainest modes."""
    return (product + 127) // 255


def _and_alpha(colour: Whole, sa: Whole, da: Whole) -> Whole:
    return np.concatenate([colour[..., :3], sa + _over_255(da * (255 - sa))], axis=-1)


def _hard(s: Whole, d: Whole, sa: Whole, da: Whole) -> Whole:
    mixed = np.where(2 * s <= sa, 2 * s * d, sa * da - 2 * (sa - s) * (da - d))
    return _and_alpha(_over_255(s * (255 - da) + d * (255 - sa) + mixed), sa, da)


_WHOLE: dict[Blend, Callable[[Whole, Whole, Whole, Whole], Whole]] = {
    "source-over": lambda s, d, sa, da: s + _near_255(d * (255 - sa)),
    "source-in": lambda s, d, sa, da: _near_255(s * da),
    "source-out": lambda s, d, sa, da: _near_255(s * (255 - da)),
    "source-atop": lambda s, d, sa, da: _over_255(s * da + d * (255 - sa)),
    "destination-over": lambda s, d, sa, da: d + _near_255(s * (255 - da)),
    "destination-in": lambda s, d, sa, da: _near_255(d * sa),
    "destination-out": lambda s, d, sa, da: _near_255(d * (255 - sa)),
    "destination-atop": lambda s, d, sa, da: _near_255(d * sa + s * (255 - da)),
    "lighter": lambda s, d, sa, da: s + d,
    "copy": lambda s, d, sa, da: s,
    "xor": lambda s, d, sa, da: _over_255(s * (255 - da) + d * (255 - sa)),
    "multiply": lambda s, d, sa, da: _over_255(s * (255 - da) + d * (255 - sa) + s * d),
    "screen": lambda s, d, sa, da: s + d - _over_255(s * d),
    "overlay": lambda s, d, sa, da: _hard(d, s, da, sa),
    "darken": lambda s, d, sa, da: _and_alpha(s + d - _over_255(np.maximum(s * da, d * sa)), sa, da),
    "lighten": lambda s, d, sa, da: _and_alpha(s + d - _over_255(np.minimum(s * da, d * sa)), sa, da),
    "hard-light": _hard,
    "difference": lambda s, d, sa, da: _and_alpha(s + d - 2 * _over_255(np.minimum(s * da, d * sa)), sa, da),
    "exclusion": lambda s, d, sa, da: _and_alpha(s + d - 2 * _over_255(s * d), sa, da),
}


# ── in real numbers ──────────────────────────────────────────────────────────────────────────────────────────


def _around(s: Real, d: Real, sa: Real, da: Real) -> Real:
    """What either picture shows where the other is not."""
    return np.asarray(s * (1 - da) + d * (1 - sa), np.float32)


def _dodge(s: Real, d: Real, sa: Real, da: Real) -> Real:
    mixed = sa * np.minimum(da, _share(d * sa, sa - s))
    whole = np.where(s == sa, s + d * (1 - sa), mixed + _around(s, d, sa, da))
    return np.asarray(np.where(d == 0, s * (1 - da), whole), np.float32)


def _burn(s: Real, d: Real, sa: Real, da: Real) -> Real:
    mixed = sa * (da - np.minimum(da, _share((da - d) * sa, s)))
    whole = np.where(s == 0, d * (1 - sa), mixed + _around(s, d, sa, da))
    return np.asarray(np.where(d == da, d + s * (1 - da), whole), np.float32)


def _soft(s: Real, d: Real, sa: Real, da: Real) -> Real:
    m = _share(d, da) * (da > 0)
    dark = d * (sa + (2 * s - sa) * (1 - m))
    deep = (16 * m * m + 4 * m) * (m - 1) + 7 * m
    light = d * sa + da * (2 * s - sa) * np.where(4 * d <= da, deep, np.sqrt(m) - m)
    return np.asarray(_around(s, d, sa, da) + np.where(2 * s <= sa, dark, light), np.float32)


def _share(part: Real, whole: Real) -> Real:
    return np.asarray(part / np.where(whole == 0, 1.0, whole), np.float32)


# ── hue, saturation, luminosity ──────────────────────────────────────────────────────────────────────────────


def _luminance(colour: Real) -> Real:
    return np.asarray((colour * _LUMA).sum(axis=-1, keepdims=True), np.float32)


def _saturation(colour: Real) -> Real:
    return np.asarray(colour.max(axis=-1, keepdims=True) - colour.min(axis=-1, keepdims=True), np.float32)


def _with_saturation(colour: Real, wanted: Real) -> Real:
    least, span = colour.min(axis=-1, keepdims=True), _saturation(colour)
    return np.asarray(np.where(span == 0, 0.0, _share((colour - least) * wanted, span)), np.float32)


def _with_luminance(colour: Real, alpha: Real, wanted: Real) -> Real:
    moved = colour + (wanted - _luminance(colour))
    light, least, most = _luminance(moved), moved.min(axis=-1, keepdims=True), moved.max(axis=-1, keepdims=True)
    moved = np.where(least < 0, light + _share((moved - light) * light, light - least), moved)
    over = light + _share((moved - light) * (alpha - light), most - light)
    return np.asarray(np.maximum(np.where(most > alpha, over, moved), 0.0), np.float32)


def _tinted(kind: Blend) -> Callable[[Real, Real, Real, Real], Real]:
    def mix(s: Real, d: Real, sa: Real, da: Real) -> Real:
        source, ground, alpha = s * da, d * sa, np.asarray(sa * da, np.float32)
        if kind == "hue":
            mixed = _with_luminance(_with_saturation(source, _saturation(ground)), alpha, _luminance(ground))
        elif kind == "saturation":
            mixed = _with_luminance(_with_saturation(ground, _saturation(source)), alpha, _luminance(ground))
        elif kind == "color":
            mixed = _with_luminance(source, alpha, _luminance(ground))
        else:
            mixed = _with_luminance(ground, alpha, _luminance(source))
        return np.asarray(_around(s, d, sa, da) + mixed, np.float32)

    return mix


_REAL: dict[Blend, Callable[[Real, Real, Real, Real], Real]] = {
    "color-dodge": _dodge,
    "color-burn": _burn,
    "soft-light": _soft,
    "hue": _tinted("hue"),
    "saturation": _tinted("saturation"),
    "color": _tinted("color"),
    "luminosity": _tinted("luminosity"),
}
