"""How large things may be, in one table: what one room lets in, every room behind it can hold.

A number stands here as soon as two rooms need it, with its reason. Limits of one room alone (a cache, a queue, a time)
stand in that room.
"""

from __future__ import annotations

MAX_EXACT = 2**53 - 1  # JSON's integers are exact up to here in JavaScript, which reads what we write

# ── the collection ───────────────────────────────────────────────────────────────────────────────────────────

MAX_SEED = MAX_EXACT  # metadata is JSON
MAX_TOKEN_ID = 2**48 - 1  # of the contract, whose supply has 48 bits
MAX_COUNT = 1_000_000  # tokens of one run: its plan is written before anything is drawn; more is a typing error
MAX_BATCH = 500  # one transaction of about 1 M gas, well below every block gas limit
MAX_AIRDROP = 300  # tokens of a transaction with many recipients: 47,000 gas each, and EIP-7825 allows 2^24
MAX_GAS = 1 << 24  # of one transaction (EIP-7825)
MAX_ROYALTY_BPS = 10_000  # the whole price
MAX_NAME = 31  # bytes: the contract keeps name and symbol in one word each
MIN_SIDE, MAX_SIDE = (
    16,
    4096,
)  # pixels of a drawing: below, none can be told from another; above, one takes a minute and 50 MB

# ── pictures, and what moves beside them ─────────────────────────────────────────────────────────────────────

IMAGE_BYTES = (
    100 << 20
)  # of a picture, a cover, an animation: what OpenSea takes from a browser; wallets give up far earlier
SVG_BYTES = 2 << 20  # it is parsed as a whole
IMAGE_PIXELS = 1 << 26  # 8192 by 8192: a quarter of a gigabyte once it is decoded
IMAGE_SIDE = 1 << 16  # pixels: a row or column longer than this is no picture, and decoders keep several rows
FRAME_PIXELS = 1 << 30  # of all frames of an animation
HELD_PIXELS = 1 << 28  # of all frames where they are held at once: a gigabyte
ANIMATION_FRAMES = 10_000  # of an animation: each costs a decoder's bookkeeping, however small it is

# ── documents ────────────────────────────────────────────────────────────────────────────────────────────────

DOCUMENT_BYTES = 64 << 10  # of a token's or a collection's metadata: wallets fetch it for every token they show
MAX_TEXT = 256  # characters of a name or a trait type: more does not fit on any card
TRAIT_CHARACTERS = 1_024  # of a trait value: OpenSea documents no limit, and shows the beginning of a long one
MAX_DESCRIPTION = 10_000  # characters
MAX_STATEMENT = 5_000  # characters: with a description of the most, in any script, it fits DOCUMENT_BYTES
MAX_URL = 2_048  # characters: what browsers agree on
MAX_ATTRIBUTES = 100

# ── content ──────────────────────────────────────────────────────────────────────────────────────────────────

FILE_BYTES = (
    256 << 20
)  # of one file that is read into memory from a DAG; above IMAGE_BYTES, so that all that is minted fits
BLOCK_BYTES = 2 << 20  # Kubo hands no larger block to its peers

# ── files that a person names ────────────────────────────────────────────────────────────────────────────────

SETTINGS_BYTES = 1 << 20  # of pipeline.toml
KEYSTORE_BYTES = 64 << 10  # a keystore of version 3 has about 500
RECIPIENTS_BYTES = 128 << 20  # twice a million lines
MODEL_BYTES = 1 << 30  # far above any model here: what is larger is not a model of this kind

MAX_PORT = 65_535
