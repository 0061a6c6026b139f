"""Messages between two processes that draw together: a header of JSON, and bytes behind it. Nothing in them acts."""

from __future__ import annotations

import json
import struct
from typing import IO, Any

MAX_HEADER = 1 << 20
MAX_BODY = 2 << 30  # weights; whoever reads pictures names a lower one


class Closed(Exception):
    """The other side has ended, or says what no side says."""


def write_frame(stream: IO[bytes], header: dict[str, Any], body: bytes = b"") -> None:
    text = json.dumps(header | {"bytes": len(body)}).encode()
    stream.write(struct.pack("!I", len(text)) + text + body)
    stream.flush()


def read_frame(stream: IO[bytes], most: int = MAX_BODY) -> tuple[dict[str, Any], bytes]:
    """Raises Closed at the end of the stream, and for what is no frame or longer than is believed."""
    size = struct.unpack("!I", _exactly(stream, 4))[0]
    if size > MAX_HEADER:
        raise Closed(f"a header of {size:,} bytes")
    try:
        header = json.loads(_exactly(stream, size))
        length = header["bytes"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise Closed(f"a header that is none ({error})") from error
    if not isinstance(header, dict) or not isinstance(length, int) or not 0 <= length <= most:
        raise Closed("a header that promises what nobody asked for")
    return header, _exactly(stream, length)


def _exactly(stream: IO[bytes], size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise Closed("it ended")
    return data
