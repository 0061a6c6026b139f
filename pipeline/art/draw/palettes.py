"""Five-colour palettes, curated by hand: ground, three middle inks, contrast."""

from __future__ import annotations

import torch
from torch import Tensor

PALETTES: dict[str, str] = {
    # name        ground mid    mid    mid    contrast
    "Nocturne":    "0b132b 1c2f54 3a6a86 6fc5c4 f4f1de",
    "Ember":       "1a0f0f 6a1b1a c8401f f29e38 fbe9c6",
    "Riso":        "f4efe6 ff5aa5 1f6fc0 ffd83d 1d1d1b",
    "Dessau":      "f2e8cf d43d2a f0a80c 1f5fa6 161616",
    "Sakura":      "fff4f3 f7b9c2 dd7391 7d4f73 2b2135",
    "Moss":        "f1efe0 b9c99e 75895a 3f5a3a 1b2a20",
    "Lagoon":      "e8f6ef 86cfb4 2f9e93 1b6b8f 0d2b45",
    "Dune":        "f7ead2 e3bd80 c97f52 8c4e40 2e1f27",
    "Ultraviolet": "12082b 46208a 9a35cf ff68a0 ffe28a",
    "Citrus":      "fffbe6 ffd146 ff9046 e8486b 2a1a5e",
    "Glacier":     "f5fbff c3e2f0 74b2d0 2f6690 16283e",
    "Terrazzo":    "f7f3ec e07a5f 81b29a f2cc8f 3d405b",
    "Sumi":        "f6f4ee c9c4b8 8a867d 4a4844 111111",
    "Aurora":      "07101f 0f4c5c 1fa187 96d968 f6f4cd",
    "Kiln":        "efe6dd d6a878 a85a3f 5f2f2b 201412",
    "Orchard":     "fef7e4 f1b64a cf5560 68a083 2e4057",
    "Mineral":     "eceae4 a3b8ae 5f7b70 a8635f 2d2a32",
    "Saffron":     "2b0f1b 7a1f3d d2531a f4b23a fff0d4",
    "Tide":        "fdf6e3 93c9e0 2a97b7 f08a24 08304a",
    "Matisse":     "f6efe2 2e62ad ef7f5e 3f9a6b 20223e",
    "Hokusai":     "efe7d3 9db9c4 41729f 1f3f6e 14203a",
    "Byzantium":   "1d1330 5b2a5e a8324e d99a3c f5e6c0",
    "Fresco":      "f3e9dc dba88a 8fa9a3 b65f4a 3b3a4a",
    "Meadow":      "fbf8e8 f3cf56 8dbb74 e58a8f 2f4a4f",
    "Cobalt":      "0d1b3e 1f3fa0 4f7fe0 f2b8a0 fdf3e4",
    "Persimmon":   "fdf0e2 f6b78a e8703a 9e3d3a 2a2433",
    "Absinthe":    "101c16 25523a 6a9a3a cfd85a f7f5dc",
    "Rosewood":    "f8ece6 dba39a a9585c 5c2f3a 1f1720",
}  # fmt: skip

NAMES = tuple(PALETTES)

TINT, SHADOW = 0.45, 0.75  # how far a full shade moves a colour towards white, or towards black


def palette_colours(name: str) -> Tensor:
    """(5, 3) sRGB in 0..1."""
    digits = "".join(PALETTES[name].split())
    return torch.tensor(list(bytes.fromhex(digits)), dtype=torch.float32).view(5, 3) / 255


def colour(planes: Tensor, colours: Tensor) -> Tensor:
    """Ink planes (B, 6, N) and colours (B, 5, 3) to sRGB (B, 3, N) in 0..1.

    Inks mix by weight, shade lightens above zero and darkens below.
    """
    mixed, shade = colours.mT @ planes[:, :5], planes[:, 5:]  # (B, 3, N), (B, 1, N)
    light = torch.addcmul(mixed, 1 - mixed, shade.clamp_min(0) * TINT)
    return (light * (1 + shade.clamp_max(0) * SHADOW)).clamp_(0, 1)
