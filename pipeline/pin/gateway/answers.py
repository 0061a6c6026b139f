"""What is answered: a block, a DAG as CAR, a file, the list of a directory. Bodies are streams of verified blocks.

Sources: specs.ipfs.tech/http-gateways/path-gateway and /trustless-gateway; RFC 9110 (ranges, conditional requests),
RFC 6266 (Content-Disposition).
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import mimetypes
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from urllib.parse import quote

from pipeline.base.cid import CID, CODECS, DAG_PB, IDENTITY, RAW
from pipeline.base.media import MEDIA, sniffed
from pipeline.pin import unixfs
from pipeline.pin.car import car_header, car_section
from pipeline.pin.gateway.library import NotHere
from pipeline.pin.gateway.listing import LISTING_VERSION, list_page
from pipeline.pin.gateway.request import Asked, CarParameters, Refused
from pipeline.pin.unixfs import GetBlock

Read = Callable[[int, int], Iterator[bytes]]  # the bytes from the first to before the second

IMMUTABLE = "public, max-age=29030400, immutable"  # this and the next are the values of the path gateway spec
LISTED = "public, max-age=604800, stale-while-revalidate=2678400"  # a list's content is immutable, its looks are not
MAX_ROOTS = 64  # that a header names: servers and browsers take some 16 KiB of headers
MAX_RANGES = 16  # of one request; more of them mean the whole file
_NAME_LEFT_ASIDE = re.compile(r"[^A-Za-z0-9._ ()\[\]-]")

# The path form has one origin for all content. There, whatever a browser runs is put into an origin of its own (sandbox)
# and without scripts; in the subdomain form the root's origin is that.
_SANDBOX = "default-src 'none'; style-src 'unsafe-inline'; img-src 'self' data:; media-src 'self'; sandbox"
_LIST_POLICY = "default-src 'none'; style-src 'unsafe-inline'; sandbox allow-top-navigation-by-user-activation"

_TYPES = mimetypes.MimeTypes()  # Python's own table and no file of the machine's: the same answers everywhere
for _media in MEDIA:
    _TYPES.add_type(_media.type, _media.suffix)

_decoded = functools.lru_cache(maxsize=64)(unixfs.decode_block)  # directories on the way: some MB each at most


@dataclass(slots=True)
class Answer:
    """A response: the body comes in parts, so that no file is ever whole in memory."""

    status: int
    headers: dict[str, str] = field(default_factory=dict)
    body: Iterator[bytes] = field(default_factory=lambda: iter(()))


def answer(asked: Asked, get_block: GetBlock) -> Answer:
    """Answer a request for content. Raises Refused, NotInDag, BadDag, NotHere, Corrupt."""
    seen: dict[CID, bytes] = {}  # the blocks on the way, which a CAR has to contain

    def noted(cid: CID) -> bytes:
        if cid not in seen:
            seen[cid] = get_block(cid)
        return seen[cid]

    way = [asked.root]
    for name in asked.names:
        if way[-1].codec not in (DAG_PB, RAW):
            raise Refused(
                501, f"paths through {way[-1].codec_name} are not walked here: ask for the block with ?format=raw"
            )
        way.append(unixfs.resolve(way[-1], name, noted, _decoded))
    common = {
        "X-Ipfs-Path": f"/ipfs/{asked.root}{asked.path}",
        "X-Ipfs-Roots": ",".join(map(str, way[:MAX_ROOTS])),
        "Cache-Control": IMMUTABLE,
        "X-Content-Type-Options": "nosniff",
        "Vary": "Accept",
    }
    if asked.form == "raw":
        found = _raw(asked, way[-1], noted)
    elif asked.form == "car":
        found = _car(asked, way[-1], seen, noted)
    else:
        found = _shown(asked, way[-1], noted, get_block)
    found.headers = common | found.headers
    if _has_already(asked.headers.get("if-none-match", ""), found.headers.get("ETag", "")):
        kept = ("ETag", "Cache-Control", "X-Ipfs-Path", "X-Ipfs-Roots", "Vary")
        return Answer(304, {name: found.headers[name] for name in kept})
    return found


# ── verifiable forms ─────────────────────────────────────────────────────────────────────────────────────────


def _raw(asked: Asked, target: CID, get_block: GetBlock) -> Answer:
    block = get_block(target)
    headers = {
        "Content-Type": "application/vnd.ipld.raw",
        "Content-Disposition": _disposition("attachment", asked.fields.get("filename") or f"{target}.bin"),
        "ETag": f'"{target}.raw"',
    }
    return _ranged(asked, target, len(block), headers, lambda start, stop: iter((block[start:stop],)))


def _car(asked: Asked, target: CID, way: dict[CID, bytes], get_block: GetBlock) -> Answer:
    get_block(target)  # the last block of the way
    sent = dict(way)
    below = itertools.islice(_below(target, asked.car, get_block), 1, None)
    blocks = itertools.chain(sent.items(), (pair for pair in below if asked.car.dups or pair[0] not in sent))
    sections = (car_section(cid, block) for cid, block in blocks if cid.hash != IDENTITY)
    dups = "y" if asked.car.dups else "n"
    tag = hashlib.sha256(f"{asked.path}?{asked.car}".encode()).hexdigest()[:16]
    return Answer(
        200,
        {
            "Content-Type": f"application/vnd.ipld.car; version=1; order=dfs; dups={dups}",
            "Content-Disposition": _disposition("attachment", asked.fields.get("filename") or f"{target}.car"),
            "ETag": f'"{asked.root}.car.{tag}"',
            "Accept-Ranges": "none",
        },
        itertools.chain((car_header(target),), sections),
    )


def _below(target: CID, wanted: CarParameters, get_block: GetBlock) -> Iterator[tuple[CID, bytes]]:
    """The blocks of a DAG; or of one entity, a file or a directory without what is in it; or one block. `target` first."""
    if wanted.scope == "block" or (wanted.scope == "entity" and target.codec not in (DAG_PB, RAW)):
        return iter([(target, get_block(target))])
    if wanted.scope == "all":
        return unixfs.walk(target, get_block, dups=wanted.dups)
    kind = unixfs.decode_block(target, get_block(target)).kind
    if kind == unixfs.DIRECTORY:
        return iter([(target, get_block(target))])
    if kind == unixfs.HAMT_SHARD:
        return ((cid, get_block(cid)) for cid in unixfs.shards(target, get_block))
    if wanted.first is None:
        return unixfs.walk(target, get_block, dups=wanted.dups)
    return _file_part(target, wanted, get_block)


def _file_part(target: CID, wanted: CarParameters, get_block: GetBlock) -> Iterator[tuple[CID, bytes]]:
    """The least blocks that hold a range of a file's bytes."""
    size = unixfs.file_size(target, get_block)
    first, last = wanted.first or 0, size - 1 if wanted.last is None else wanted.last
    start = max(first + size, 0) if first < 0 else first
    stop = min(last + size if last < 0 else last, size - 1) + 1
    yield from unixfs.walk_file(target, get_block, start, stop)


# ── files and directories ────────────────────────────────────────────────────────────────────────────────────


def _shown(asked: Asked, target: CID, noted: GetBlock, get_block: GetBlock) -> Answer:
    if target.codec not in (DAG_PB, RAW):
        name = CODECS.get(target.codec, target.codec_name)
        raise Refused(501, f"{name} is not shown here: ask for the block with ?format=raw")
    node = unixfs.decode_block(target, noted(target))
    if node.is_directory:
        return _directory(asked, target, noted, get_block)
    if node.kind == unixfs.SYMLINK:
        headers = {"Content-Type": "inode/symlink", "Content-Length": str(len(node.data)), "ETag": f'"{target}"'}
        return Answer(200, headers, iter((node.data,)))
    return _file(asked, target, target, asked.file_name, get_block)


def _directory(asked: Asked, target: CID, noted: GetBlock, get_block: GetBlock) -> Answer:
    if not asked.is_folder:
        query = f"?{asked.query}" if asked.query else ""
        return Answer(301, {"Location": f"{asked.mount}{asked.path}/{query}"})
    try:
        index = unixfs.resolve(target, "index.html", noted, _decoded)
    except unixfs.NotInDag:
        page = list_page(asked, target, noted)
        headers = {
            "Content-Type": "text/html; charset=utf-8",
            "Content-Length": str(len(page)),
            "ETag": f'"DirIndex-{LISTING_VERSION}_CID-{target}"',
            "Cache-Control": LISTED,
            "Content-Security-Policy": _LIST_POLICY,
        }
        return Answer(200, headers, iter((page,)))
    return _file(asked, index, target, "index.html", get_block)


def _file(asked: Asked, target: CID, tag: CID, name: str, get_block: GetBlock) -> Answer:
    """A file's bytes. `tag` is what its ETag names: the file, or the directory whose index it is."""
    headers = {"Content-Type": _type_of(name, target, get_block), "ETag": f'"{tag}"'}
    if not asked.isolated:
        headers["Content-Security-Policy"] = _SANDBOX
    download = asked.fields.get("download") == "true"
    if download or asked.fields.get("filename"):
        shown_name = asked.file_name or str(target)
        headers["Content-Disposition"] = _disposition("attachment" if download else "inline", shown_name)
    size = unixfs.file_size(target, get_block)
    return _ranged(asked, target, size, headers, lambda start, stop: unixfs.read_file(target, get_block, start, stop))


def _type_of(name: str, target: CID, get_block: GetBlock) -> str:
    """A media type by the name's suffix; without one, by the first bytes."""
    kind, encoding = _TYPES.guess_type(f"x/{name}")
    if encoding:
        return "application/gzip" if encoding == "gzip" else "application/octet-stream"
    if not kind:
        try:
            beginning = next(unixfs.read_file(target, get_block, 0, 1024), b"")
        except NotHere:  # a range of the file may still be here
            beginning = b""
        kind = sniffed(beginning) or "application/octet-stream"
    return f"{kind}; charset=utf-8" if kind.startswith("text/") else kind


def _disposition(kind: str, name: str) -> str:
    plain = _NAME_LEFT_ASIDE.sub("_", name)
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='', errors='surrogateescape')}"
    return f'{kind}; filename="{plain}"{full}'


# ── ranges and conditions ────────────────────────────────────────────────────────────────────────────────────


def _ranged(asked: Asked, target: CID, size: int, headers: dict[str, str], read: Read) -> Answer:
    """All of some bytes, or the ranges that were asked for: one as it is, several as multipart/byteranges."""
    headers["Accept-Ranges"] = "bytes"
    wanted = asked.headers.get("range", "")
    condition = asked.headers.get("if-range")
    ranges = _ranges(wanted, size) if condition in (None, headers["ETag"]) else []
    if not ranges:
        headers["Content-Length"] = str(size)
        return Answer(200, headers, read(0, size))
    if len(ranges) == 1:
        start, stop = ranges[0]
        headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{size}", "Content-Length": str(stop - start)}
        return Answer(206, headers, read(start, stop))
    boundary = hashlib.sha256(target.bytes).hexdigest()  # no content holds a hash of its own name
    kind = headers["Content-Type"]
    heads = [
        f"\r\n--{boundary}\r\nContent-Type: {kind}\r\nContent-Range: bytes {start}-{stop - 1}/{size}\r\n\r\n".encode()
        for start, stop in ranges
    ]
    end = f"\r\n--{boundary}--\r\n".encode()
    parts = ((iter((head,)), read(start, stop)) for head, (start, stop) in zip(heads, ranges, strict=True))
    length = sum(map(len, heads)) + sum(stop - start for start, stop in ranges) + len(end)
    headers |= {"Content-Type": f"multipart/byteranges; boundary={boundary}", "Content-Length": str(length)}
    streams = itertools.chain.from_iterable(parts)
    return Answer(206, headers, itertools.chain(itertools.chain.from_iterable(streams), (end,)))


def _ranges(wanted: str, size: int) -> list[tuple[int, int]]:
    """Read a Range header: start and stop of each range, or nothing where it means the whole (RFC 9110, 14.2).

    Raises Refused when none of them touches the file.
    """
    if not re.fullmatch(r"bytes=[0-9,\- \t]{1,400}", wanted):
        return []
    found, named = [], wanted.removeprefix("bytes=").split(",")
    for text in named:
        bounds = re.fullmatch(r"[ \t]*([0-9]{0,18})-([0-9]{0,18})[ \t]*", text)
        if not bounds or not (bounds[1] or bounds[2]):
            return []
        if not bounds[1]:
            start, stop = max(size - int(bounds[2]), 0), size
        elif bounds[2] and int(bounds[2]) < int(bounds[1]):
            return []
        else:
            start, stop = int(bounds[1]), min(int(bounds[2]) + 1, size) if bounds[2] else size
        if start < stop:
            found.append((start, stop))
    if not found:
        raise Refused(416, f"the content has {size} bytes", Content_Range=f"bytes */{size}")
    if len(named) > MAX_RANGES or (len(found) > 1 and sum(stop - start for start, stop in found) > size):
        return []
    return found


def _has_already(condition: str, tag: str) -> bool:
    if not condition or not tag:
        return False
    return condition.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in condition.split(","))
