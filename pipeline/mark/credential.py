"""A signed credential in a file (C2PA): what made it, from which seed, and which token it is of which contract.

    signed = sign(png, Claims(…), identity)
    read(signed).claims == Claims(…)

So file and token point at each other: the chain leads to the file by its CID, and the file names chain, contract and id.
Signing is not reproducible, its salts are random: who signs keeps the file, and `unsigned` gives what was there before.
Nothing is fetched to sign or to read, and no thumbnail is kept.

Sources: C2PA 2.2 (manifests, PNG chunk caBX); IPTC "Digital Source Type"; XMP 3 (chunk XML:com.adobe.xmp).
"""

from __future__ import annotations

import io
import json
import struct
import zlib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pipeline.base import __version__
from pipeline.base.errors import Corrupt
from pipeline.base.installation import extra
from pipeline.mark.certificate import Identity

if TYPE_CHECKING:
    from c2pa import Context

TOKEN = "org.nft-pipeline.token"  # label of our own assertion
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
SourceType = Literal["trainedAlgorithmicMedia", "algorithmicMedia", "digitalCreation"]

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CREDENTIAL, _TEXT = b"caBX", b"iTXt"
_XMP_KEY = b"XML:com.adobe.xmp\0\0\0\0\0"


@dataclass(frozen=True, slots=True)
class Claims:
    """What a credential says of a file."""

    title: str
    chain_id: int
    contract: str
    token_id: int
    seed: int
    renderer: str
    weights_sha256: str
    made: SourceType  # in the IPTC's words: by a trained network, by a program, or by hand


@dataclass(frozen=True, slots=True)
class Credential:
    """A credential as it was found: whether the file is what was signed, by whom, and what was said.

    `claims` is None where it says nothing of a token of ours.
    """

    is_sound: bool
    issuer: str
    reason: str  # why it is not; empty where it is
    claims: Claims | None


def sign(png: bytes, claims: Claims, identity: Identity) -> bytes:
    """The PNG with a credential of these claims; one that it had is replaced."""
    with extra("c2pa"):
        from c2pa import Builder, C2paSignerInfo, C2paSigningAlg, Signer
        from cryptography.hazmat.primitives import serialization as form

    key = identity.key.private_bytes(form.Encoding.PEM, form.PrivateFormat.PKCS8, form.NoEncryption())
    plain = _with_source_type(unsigned(png), claims.made)
    signed = io.BytesIO()
    info = C2paSignerInfo(C2paSigningAlg.ES256, identity.chain.encode(), key, None)
    with Signer.from_info(info) as signer, Builder(_manifest(claims), _context()) as builder:
        builder.sign(signer, "image/png", io.BytesIO(plain), signed)
    return signed.getvalue()


def read(data: bytes, media_type: str = "image/png") -> Credential | None:
    """The credential of a file, whoever signed it; None where there is none that can be read.

    A signer whom nobody vouches for is no fault of the file.
    """
    with extra("c2pa"):
        from c2pa import C2paError, Reader
    try:
        with Reader(media_type, io.BytesIO(data), context=_context()) as reader:
            state, report = reader.get_validation_state(), json.loads(reader.json())
    except C2paError:
        return None
    manifest = report.get("manifests", {}).get(report.get("active_manifest"), {})
    faults = [found.get("code", "") for found in report.get("validation_status", ())]
    wrong = ", ".join(code for code in faults if code != "signingCredential.untrusted")
    issuer = str(manifest.get("signature_info", {}).get("common_name", ""))
    return Credential(state in ("Valid", "Trusted"), issuer, wrong, _claims_of(manifest))


def unsigned(png: bytes) -> bytes:
    """The PNG without credential and without the words that stand beside it. Raises Corrupt for what is no PNG."""
    kept = [
        whole for kind, whole in _chunks(png) if kind != _CREDENTIAL and not (kind == _TEXT and _XMP_KEY in whole[:40])
    ]
    return _SIGNATURE + b"".join(kept)


def is_png(data: bytes) -> bool:
    return data.startswith(_SIGNATURE)


def is_signed(png: bytes) -> bool:
    """Whether a PNG has a credential, true or not."""
    return any(kind == _CREDENTIAL for kind, _ in _chunks(png))


# ── the manifest ─────────────────────────────────────────────────────────────────────────────────────────────


def _manifest(claims: Claims) -> dict[str, Any]:
    action = {
        "action": "c2pa.created",
        "digitalSourceType": SOURCE_TYPES + claims.made,
        "softwareAgent": {"name": claims.renderer},
    }
    return {
        "claim_generator_info": [{"name": "nft-pipeline", "version": __version__}],
        "format": "image/png",
        "title": claims.title,
        "assertions": [
            {"label": "c2pa.actions.v2", "data": {"actions": [action]}},
            {"label": TOKEN, "data": asdict(claims)},
        ],
    }


def _claims_of(manifest: dict[str, Any]) -> Claims | None:
    """What a manifest says of a token; None where it says nothing, or something else than we write."""
    said = next((entry.get("data") for entry in manifest.get("assertions", ()) if entry.get("label") == TOKEN), None)
    kinds = {"chain_id": int, "token_id": int, "seed": int}
    fields = Claims.__dataclass_fields__
    if not isinstance(said, dict) or said.keys() != fields.keys():
        return None
    if any(type(said[name]) is not kinds.get(name, str) for name in fields):
        return None
    return Claims(**said)


@cache
def _context() -> Context:
    """How credentials are written and read: with no thumbnail, and without asking anybody on the net."""
    with extra("c2pa"):
        from c2pa import Context

    return Context.from_dict(
        {
            "builder": {"thumbnail": {"enabled": False}},
            "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
        }
    )


# ── PNG ──────────────────────────────────────────────────────────────────────────────────────────────────────


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and whole of each chunk. Raises Corrupt."""
    if not is_png(png):
        raise Corrupt(what="the picture", reason="it is no PNG")
    at = len(_SIGNATURE)
    while at < len(png):
        end = at + 12 + int.from_bytes(png[at : at + 4], "big")
        if len(png) < end or len(png) - at < 12:
            return  # decoders say what they think of it
        yield png[at + 4 : at + 8], png[at:end]
        at = end


def _with_source_type(png: bytes, made: SourceType) -> bytes:
    """The PNG with the IPTC's word for how it was made, for readers that know no credentials."""
    xmp = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description rdf:about="" xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
        f'Iptc4xmpExt:DigitalSourceType="{SOURCE_TYPES}{made}"/></rdf:RDF></x:xmpmeta>'
    )
    body = _TEXT + _XMP_KEY + xmp.encode()
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    head = len(_SIGNATURE) + 25  # IHDR is the first chunk, and 25 bytes long
    return png[:head] + chunk + png[head:]
