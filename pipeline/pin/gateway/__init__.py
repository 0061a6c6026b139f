"""An IPFS gateway over CARs: files by path, single blocks, whole DAGs, to whoever knows a CID.

    request ──read──▶ Asked ──▶ library (verified blocks) ──▶ answers ──▶ app ──▶ serving

A collection's own door: it serves dag-pb and raw blocks under sha2-256, fetches nothing, and resolves no names (IPNS).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from pipeline.pin.gateway.app import Gateway
from pipeline.pin.gateway.library import Library
from pipeline.pin.gateway.serving import serve_gateway

__all__ = ["Gateway", "Library", "gateway_app", "serve_gateway"]


def gateway_app(folder: Path | None, cars: Sequence[Path] = ()) -> Gateway:
    """An ASGI application that serves the CARs in `folder`, later ones as well, and those named in `cars`.

    The named ones are hashed now. Raises BadCar, BadArgument.
    """
    return Gateway(Library(folder, cars))
