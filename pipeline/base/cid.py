"""Content identifiers: the name of a block is the hash of its bytes.

    <cidv1> = <version 1> <codec> <multihash>      multihash = <hash function> <length> <digest>
    <cidv0> = 12 20 <32 bytes>                     a bare sha2-256 multihash; the codec is dag-pb

Numbers are unsigned LEB128 varints, at most nine bytes long and never padded. Text is multibase: `b…` is base32 without
padding (the form written here), `z…` is base58btc; a version 0 is base58btc without any prefix and starts with `Qm`.

Sources: multiformats/cid, multiformats/multihash, multiformats/multibase, multiformats/unsigned-varint (README of each),
and the table of multiformats/multicodec for the numbers.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass

from pipeline.base.errors import BadArgument

RAW = 0x55
DAG_PB = 0x70
CODECS = {RAW: "raw", DAG_PB: "dag-pb", 0x71: "dag-cbor", 0x0129: "dag-json", 0x51: "cbor", 0x0200: "json"}

SHA2_256 = 0x12
IDENTITY = 0x00  # the "digest" is the content itself

MAX_VARINT = 9  # bytes: the unsigned-varint spec stops at 2^63 - 1
MAX_DIGEST = 128  # bytes: what Kubo allows an identity CID to carry (boxo verifcid)
MAX_TEXT = 256  # characters: the longest CID above in base58 is shorter; base58 costs time by the square of its length

_BASE58 = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_SHA2_256_RAW = bytes([1, RAW, SHA2_256, 32])
_SHA2_256_DAG_PB = bytes([1, DAG_PB, SHA2_256, 32])
USUAL = {_SHA2_256_RAW: RAW, _SHA2_256_DAG_PB: DAG_PB}  # what nearly every block of ours and of others begins with
_ONE_BYTE = [bytes([number]) for number in range(0x80)]


@dataclass(frozen=True, slots=True, order=True)
class CID:
    """One content identifier. Two CIDs are equal when their bytes are; a version 0 and its version 1 are not.

    `digest` is a sha2-256, or the content itself where `hash` is IDENTITY. Other hash functions are refused everywhere,
    because a block under them could not be checked.
    """

    version: int
    codec: int
    digest: bytes
    hash: int = SHA2_256

    def __post_init__(self) -> None:
        if self.hash == SHA2_256:
            if len(self.digest) != 32:
                raise ValueError(f"a sha2-256 digest has 32 bytes, not {len(self.digest)}")
        elif self.hash != IDENTITY:
            raise ValueError(f"hash function 0x{self.hash:x} is not sha2-256")
        elif len(self.digest) > MAX_DIGEST:
            raise ValueError(f"an identity CID carries at most {MAX_DIGEST} bytes, not {len(self.digest)}")
        if self.version == 0:
            if self.codec != DAG_PB or self.hash != SHA2_256:
                raise ValueError("a CID of version 0 is dag-pb with sha2-256")
        elif self.version != 1:
            raise ValueError(f"CID version {self.version} is not 0 or 1")

    @staticmethod
    def raw(data: bytes) -> CID:
        """Name `data` as one raw block."""
        return CID(1, RAW, hashlib.sha256(data).digest())

    @staticmethod
    def dag_pb(digest: bytes) -> CID:
        """Name the dag-pb block whose sha2-256 is `digest`."""
        return CID(1, DAG_PB, digest)

    @staticmethod
    def parse(text: str) -> CID:
        """Read a CID that a person or a file gave. Raises BadArgument for anything but its one canonical spelling."""
        try:
            cid = _parse(text)
        except ValueError as error:
            shown = text if len(text) <= 80 else text[:77] + "..."
            raise BadArgument(name="CID", value=shown, expected=f"a content identifier ({error})") from error
        return cid

    @staticmethod
    def decode(data: bytes) -> CID:
        """Read a binary CID that fills `data` exactly. Raises ValueError."""
        cid, end = CID.read(data, 0)
        if end != len(data):
            raise ValueError(f"{len(data) - end} bytes follow the CID")
        return cid

    @staticmethod
    def read(data: bytes, start: int) -> tuple[CID, int]:
        """Read the binary CID at `start`, and tell where it ends. Raises ValueError."""
        if data[start : start + 2] == b"\x12\x20":  # no version 1 starts like this: it starts with 01
            return CID(0, DAG_PB, _take(data, start + 2, 32)), start + 34
        codec = USUAL.get(bytes(data[start : start + 4]))
        if codec is not None:
            return CID(1, codec, _take(data, start + 4, 32)), start + 36
        version, at = read_varint(data, start)
        if version != 1:
            raise ValueError(f"CID version {version} is not 0 or 1")
        codec, at = read_varint(data, at)
        function, at = read_varint(data, at)
        length, at = read_varint(data, at)
        if length > MAX_DIGEST:
            raise ValueError(f"a digest of {length} bytes is over the limit of {MAX_DIGEST}")
        return CID(1, codec, _take(data, at, length), function), at + length

    def matches(self, data: bytes) -> bool:
        """Whether `data` is the block this CID names."""
        return self.digest == (hashlib.sha256(data).digest() if self.hash == SHA2_256 else data)

    @property
    def bytes(self) -> bytes:
        """The binary form, as it stands in links and CARs."""
        if self.hash == SHA2_256:
            if self.version == 0:
                return b"\x12\x20" + self.digest
            if self.codec == DAG_PB:
                return _SHA2_256_DAG_PB + self.digest
            if self.codec == RAW:
                return _SHA2_256_RAW + self.digest
        return b"\x01" + varint(self.codec) + varint(self.hash) + varint(len(self.digest)) + self.digest

    @property
    def codec_name(self) -> str:
        """`raw`, `dag-pb`, …, or the number in hex where it has no name here."""
        return CODECS.get(self.codec, f"0x{self.codec:x}")

    def __str__(self) -> str:
        """The canonical text: base32 for version 1, base58 for version 0."""
        if self.version == 0:
            return _base58(self.bytes)
        return "b" + base64.b32encode(self.bytes).decode("ascii").lower().rstrip("=")


@dataclass(frozen=True, slots=True)
class IpfsUri:
    """`ipfs://<root>/<path>`: where content is named by what it is."""

    root: CID
    path: str = ""  # as it stands in the URI: percent-encoded where somebody else wrote it

    @staticmethod
    def parse(uri: str) -> IpfsUri:
        """Read a URI of that form, and no other. Raises BadArgument."""
        if not uri.startswith("ipfs://"):
            raise BadArgument(name="URI", value=uri[:MAX_TEXT], expected="ipfs://<CID>/<path>")
        root, _, path = uri.removeprefix("ipfs://").partition("/")
        return IpfsUri(CID.parse(root), path)

    def __str__(self) -> str:
        return f"ipfs://{self.root}" + (f"/{self.path}" if self.path else "")


def varint(number: int) -> bytes:
    """Encode an unsigned LEB128."""
    if number < 0x80:
        return _ONE_BYTE[number]
    out = bytearray()
    while number > 0x7F:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


def read_varint(data: bytes, start: int) -> tuple[int, int]:
    """Read the varint at `start`, and tell where it ends. Raises ValueError when it is cut, padded or too long."""
    if start < len(data) and data[start] < 0x80:
        return data[start], start + 1
    number = 0
    for index in range(MAX_VARINT):
        if start + index >= len(data):
            raise ValueError("the data ends inside a varint")
        byte = data[start + index]
        number |= (byte & 0x7F) << (7 * index)
        if byte < 0x80:
            if byte == 0 and index > 0:
                raise ValueError("a varint is padded with zeros")
            return number, start + index + 1
    raise ValueError(f"a varint is longer than {MAX_VARINT} bytes")


def _take(data: bytes, start: int, length: int) -> bytes:
    part = data[start : start + length]
    if len(part) != length:
        raise ValueError("the data ends inside a CID")
    return bytes(part)


def _parse(text: str) -> CID:
    if not text or len(text) > MAX_TEXT:
        raise ValueError(f"its length is {len(text)}")
    if text.startswith("Qm") and len(text) == 46:
        return CID.decode(_unbase58(text))
    if text[0] == "z":
        data = _unbase58(text[1:])
    elif text[0] == "b":
        data = _unbase32(text[1:])
    else:
        raise ValueError("it starts with b (base32), z (base58) or Qm (version 0)")
    cid = CID.decode(data)
    if cid.version == 0:
        raise ValueError("a version 0 takes no multibase prefix")
    return cid


def _unbase32(text: str) -> bytes:
    if text != text.lower():
        raise ValueError("base32 is written in lower case")
    try:
        data = base64.b32decode(text.upper() + "=" * (-len(text) % 8))
    except binascii.Error as error:
        raise ValueError("it is not base32") from error
    if base64.b32encode(data).decode("ascii").lower().rstrip("=") != text:
        raise ValueError("its last character has bits that mean nothing")
    return data


def _base58(data: bytes) -> str:
    number, digits = int.from_bytes(data), ""
    while number:
        number, rest = divmod(number, 58)
        digits = _BASE58[rest] + digits
    return "1" * (len(data) - len(data.lstrip(b"\0"))) + digits


def _unbase58(text: str) -> bytes:
    number = 0
    for character in text:
        digit = _BASE58.find(character)
        if digit < 0:
            raise ValueError(f"{character!r} is not a base58 character")
        number = number * 58 + digit
    zeros = len(text) - len(text.lstrip("1"))
    return bytes(zeros) + number.to_bytes((number.bit_length() + 7) // 8)
