"""What a request asks for: a root and a path from the URL, a form and its parameters from the query and the headers.

    http://127.0.0.1:PORT/ipfs/<cid>/<path>          path form: all content shares one origin
    http://<cid>.ipfs.localhost:PORT/<path>          subdomain form: an origin for each root

Only loopback names are admitted as Host, so that a page of the web that has its own name point to this machine
(DNS rebinding) gets nothing.

Sources: specs.ipfs.tech/http-gateways/path-gateway, /subdomain-gateway, /trustless-gateway; IPIP-402, IPIP-412, IPIP-523.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qs, quote, unquote_to_bytes

from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument

MAX_PATH = 4_096  # bytes: servers cut longer request lines themselves
MAX_FIELDS = 32  # of a query
MAX_LABEL = 63  # characters of a DNS label (RFC 1035)
_HOST = re.compile(r"(?:127\.0\.0\.1|\[::1\]|(?:([a-z0-9-]+)\.ipfs\.)?localhost)(?::[0-9]{1,5})?")
_FORMATS: dict[str, Form] = {"application/vnd.ipld.raw": "raw", "application/vnd.ipld.car": "car"}
_OTHER_FORMATS = re.compile(r"application/(vnd\.ipld\.|vnd\.ipfs\.|x-tar)")

Form = Literal["file", "raw", "car"]


class Refused(Exception):
    """Ends a request with a status and a sentence."""

    def __init__(self, status: int, sentence: str, **headers: str) -> None:
        self.status = status
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}
        super().__init__(sentence)


@dataclass(frozen=True, slots=True)
class CarParameters:
    """How much of a DAG, and how. `first` and `last` are offsets of a file's bytes; negative ones count from its end."""

    scope: str = "all"
    first: int | None = None
    last: int | None = None  # None is the end of the file
    dups: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """One request, read and checked."""

    root: CID
    names: tuple[str, ...]  # the path, each name decoded; bytes that are not UTF-8 as surrogates
    is_folder: bool  # the path ends with a slash
    isolated: bool  # the subdomain form
    host: str
    form: Form
    car: CarParameters
    query: str
    fields: Mapping[str, str]
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        """The path below the root as it stands in a URL: empty, or from its first slash on."""
        steps = "".join("/" + quote_name(name) for name in self.names)
        return steps + "/" if self.is_folder else steps

    @property
    def mount(self) -> str:
        """What stands before `path` in this request's URL."""
        return "" if self.isolated else f"/ipfs/{self.root}"

    @property
    def file_name(self) -> str:
        """The name that a file's type is told by."""
        return self.fields.get("filename") or (self.names[-1] if self.names else "")


def read_request(scope: Mapping[str, Any]) -> Asked:
    """Read an ASGI scope. Raises Refused."""
    headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in scope["headers"]}
    host = headers.get("host", "").lower()
    admitted = _HOST.fullmatch(host)
    if not admitted:
        raise Refused(403, "this gateway answers to 127.0.0.1, localhost and <cid>.ipfs.localhost only")
    _check_label(admitted[1] or "")
    raw_path: bytes = scope.get("raw_path") or quote(scope["path"]).encode()
    if len(raw_path) > MAX_PATH:
        raise Refused(414, "the path is too long")
    if re.search(rb"%(?![0-9A-Fa-f]{2})", raw_path):
        raise Refused(400, "the path has a % that is not followed by two hex digits")
    root, path = (admitted[1], raw_path) if admitted[1] else _content_path(raw_path)
    query = scope.get("query_string", b"").decode("latin-1")
    fields = _fields(query)
    form, car = _form(fields, headers.get("accept", ""))
    decoded = unquote_to_bytes(path).decode(errors="surrogateescape")
    return Asked(
        root=_cid(root),
        names=tuple(filter(None, decoded.split("/"))),
        is_folder=decoded.endswith("/"),
        isolated=bool(admitted[1]),
        host=host,
        form=form,
        car=car,
        query=query,
        fields=fields,
        headers=headers,
    )


def quote_name(name: str) -> str:
    """A file's name as a segment of a path in a URL (RFC 3986)."""
    return quote(name, safe="$&+=:@", errors="surrogateescape")


def subdomain_of(asked: Asked) -> str | None:
    """The URL that `localhost` redirects to, so that a browser gives each root an origin; None where nothing is to do.

    Blocks and CARs are not run by browsers, and stay. Raises Refused for a CID that is no DNS label.
    """
    if asked.isolated or not asked.host.startswith("localhost") or asked.form != "file":
        return None
    label = str(asked.root if asked.root.version else CID.dag_pb(asked.root.digest))
    _check_label(label)
    return f"http://{label}.ipfs.{asked.host}{asked.path or '/'}{'?' if asked.query else ''}{asked.query}"


def _check_label(label: str) -> None:
    if len(label) > MAX_LABEL:
        raise Refused(400, f"CID incompatible with DNS label length limit of {MAX_LABEL}: ask 127.0.0.1 for it")


def _content_path(raw_path: bytes) -> tuple[str, bytes]:
    parts = re.fullmatch(rb"/ipfs/([^/?#]+)(/[^?#]*)?", raw_path)
    if not parts:
        raise Refused(404, "paths here begin with /ipfs/<cid>")
    return parts[1].decode("latin-1"), parts[2] or b""


def _cid(text: str) -> CID:
    try:
        return CID.parse(text)
    except BadArgument as error:
        raise Refused(400, str(error)) from error


def _fields(query: str) -> dict[str, str]:
    try:
        return {
            name: values[0]
            for name, values in parse_qs(query, keep_blank_values=True, max_num_fields=MAX_FIELDS).items()
        }
    except ValueError as error:
        raise Refused(400, f"the query has more than {MAX_FIELDS} fields") from error


def _form(fields: Mapping[str, str], accept: str) -> tuple[Form, CarParameters]:
    """What the answer is made of. A query field wins over what the Accept header says of the same (IPIP-523)."""
    accepted = _by_weight(accept)
    form: Form = "file"
    if "format" in fields:
        if fields["format"] not in _FORMATS.values():
            raise Refused(406, f"format {fields['format'][:20]!r} is not raw or car")
        form = "raw" if fields["format"] == "raw" else "car"
    else:
        form = _first_known([name for name, _ in accepted])
    if form != "car":
        return form, CarParameters()
    said = next((parameters for name, parameters in accepted if _FORMATS.get(name) == "car"), {})
    said |= {
        name.removeprefix("car-"): fields[name] for name in ("car-version", "car-order", "car-dups") if name in fields
    }
    return form, _car_parameters(fields, said)


def _by_weight(accept: str) -> list[tuple[str, dict[str, str]]]:
    """The media types of an Accept header with their parameters, those with the highest q first (RFC 9110, 12.5.1)."""
    found = []
    for part in filter(None, (part.strip() for part in accept.split(","))):
        name, *parameters = (piece.strip() for piece in part.split(";"))
        values = {
            key.strip().lower(): value.strip().strip('"') for key, _, value in (p.partition("=") for p in parameters)
        }
        weight = values.pop("q", "1")
        found.append((float(weight) if re.fullmatch(r"[01](\.\d{0,3})?", weight) else 1.0, name.lower(), values))
    return [(name, values) for weight, name, values in sorted(found, key=lambda entry: -entry[0]) if weight > 0]


def _first_known(names: list[str]) -> Form:
    for name in names:
        if name in _FORMATS:
            return _FORMATS[name]
        if not _OTHER_FORMATS.match(name):
            return "file"
    if names:
        raise Refused(406, "only application/vnd.ipld.raw, application/vnd.ipld.car and the file itself")
    return "file"


def _car_parameters(fields: Mapping[str, str], said: Mapping[str, str]) -> CarParameters:
    if said.get("version", "1") != "1":
        raise Refused(400, f"CAR version {said['version'][:20]!r} is not 1")
    if said.get("order", "dfs") not in ("dfs", "unk"):
        raise Refused(400, f"CAR order {said['order'][:20]!r} is not dfs or unk")
    if said.get("dups", "n") not in ("y", "n"):
        raise Refused(400, f"CAR dups {said['dups'][:20]!r} is not y or n")
    scope = fields.get("dag-scope", "entity" if "entity-bytes" in fields else "all")
    if scope not in ("all", "entity", "block"):
        raise Refused(400, f"dag-scope {scope[:20]!r} is not all, entity or block")
    first: int | None = None
    last: int | None = None
    if "entity-bytes" in fields and scope == "entity":
        bounds = re.fullmatch(r"(-?[0-9]{1,18}):(-?[0-9]{1,18}|\*)", fields["entity-bytes"])
        if not bounds:
            raise Refused(400, "entity-bytes is FROM:TO, two whole numbers, or * for the end")
        first, last = int(bounds[1]), None if bounds[2] == "*" else int(bounds[2])
    return CarParameters(scope, first, last, said.get("dups") == "y")
