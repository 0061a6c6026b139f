"""Five-colour palettes, chosen by hand: ground, three middle inks, contrast."""

from __future__ import annotations

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
"""Those of the first generator: it picks by position, so nothing is added here."""

MORE: dict[str, str] = {
    "Lido":        "f4ead6 e4572e 2a9d8f ffc914 2e282a",
    "Plum":        "f3e6e0 c26d7a 6d2e46 e8b04b 2b1423",
    "Pitch":       "15161a 4a4f57 d94f30 e8c27a f2ede4",
    "Salt":        "eef0ec 9fb8c3 d77a61 2d5d7b 17252f",
    "Olive":       "f2edd9 a5a15a 5b6236 d98e3f 23261a",
    "Brick":       "f0e4d4 d98a5b b5482f e0b458 22333b",
    "Lapis":       "f5f0e3 5b8ed6 2541b2 f2b134 06102b",
    "Carmine":     "f7efe5 f4a259 d7263d 1b998b 2e294e",
    "Bottle":      "0f2a24 2b7a64 e07a3f f2c97d f5efdf",
    "Peat":        "231a17 6b452f b5703c 7d9a8c f0e3cc",
    "Iris":        "f4f0f6 a89bd8 5a49a8 f2a65a 1f1738",
    "Cinnabar":    "faf3e7 f0a35e e34a27 8c9a8e 2a211f",
    "Slate":       "e9e7e1 9aa7b3 4f6272 d9a441 20262e",
    "Coral":       "fdf1e6 ff7f6b 2f6f73 f6c667 1d2f38",
    "Marigold":    "fbf4e4 f2a900 d8572a 33658a 172a3a",
    "Pressman":    "f5f3ec 9c9a92 3a3a3a d3382c 141414",
}  # fmt: skip

KNOWN: dict[str, str] = {**PALETTES, **MORE}
