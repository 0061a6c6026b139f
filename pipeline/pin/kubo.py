"""Pinning on a Kubo node over its RPC: one upload per root, then proof that the node has every block.

A CAR goes up as it is, so the node cannot cut the content differently. It is imported without pinning, counted, pinned by
name, and read back block by block, in this order, because of what Kubo does with a CAR that lacks a block: an import
or a pin that meets a missing block waits for the network for ever, holding the pin lock; `dag/stat` offline tells at once.
Kubo reports late errors in a trailer that HTTP clients drop, so an answer without an error proves nothing either.

Sources: docs.ipfs.tech/reference/kubo/rpc; the commands' code in ipfs/kubo; RPC access control in docs/config.md there
(`API.Authorizations`).
"""

from __future__ import annotations

import base64
import hashlib
import io
import logging
import os
import re
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pipeline.base.cid import CID
from pipeline.base.errors import BadArgument, BadCar, DigestMismatch, PinError, PinnerUnavailable
from pipeline.base.files import open_regular
from pipeline.base.limits import BLOCK_BYTES
from pipeline.base.records import PinnedRoot
from pipeline.base.secrets import IPFS_TOKEN, know, know_url, shown_url
from pipeline.base.untrusted import parse_json
from pipeline.base.web import REFUSED, STARTING_S, is_loopback, may_pass, retry_after
from pipeline.pin import Pinner, Rung
from pipeline.pin.car import check_car

log = logging.getLogger(__name__)

OLDEST = (0, 26)  # the first Kubo that gives pins a name
CONNECT_TIMEOUT_S = 5.0
READ_TIMEOUT_S = 600.0  # `dag/import` answers only when it is done
MAX_ANSWER = 1 << 20  # bytes of JSON: the longest answer asked for here has one root in it
MAX_PIN_NAME = 255  # bytes (kubo, pin/add)


class KuboPinner(Pinner):
    """Pins on the Kubo node at `address`: a multiaddr, or the URL of its RPC without `/api/v0`.

    `token` is what `API.Authorizations` of the node asks for: `bearer:<secret>`, `basic:<user>:<password>`, or the
    secret alone. Nothing is sent before the first call of `pin` or `check`.
    """

    def __init__(self, address: str, token: str = "", timeout_s: float = READ_TIMEOUT_S) -> None:
        know_url(address)
        self._multiaddr, self._base, where = _address(address)
        know(token.rpartition(":")[2])
        self._headers = {"Authorization": _authorization(token)} if token else {}
        self._timeout = (CONNECT_TIMEOUT_S, timeout_s)
        self._clients = threading.local()  # its sessions are not made for several threads
        self.name = f"kubo at {where}"
        self._is_here = is_loopback(where.rpartition(":")[0].strip("[]"))

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Upload `car`, pin its root as `name`, and return when the node gave every block back.

        What the node has already is not sent again. Raises BadCar before anything is sent, PinnerUnavailable when the
        node does not answer (try again), DigestMismatch when it holds something else, PinError when it refuses.
        """
        _must_be(car, root)
        self._check_version()
        if not self._has_all(root):
            self._upload(car, root)
            if not self._has_all(root):
                raise PinnerUnavailable(
                    pinner=self.name, reason=f"after the import it still lacks blocks of {root.cid}"
                )
        pin_name = name.encode()[:MAX_PIN_NAME].decode(errors="ignore")
        self._ask("pin/add", root.cid, name=pin_name, offline="true", timeout=f"{self._timeout[1]:.0f}s")
        self._check_pin(root, pin_name)
        self._read_back(root)
        log.info("%s holds %s, %d blocks", self.name, root.cid, root.blocks)

    def unpin(self, root: PinnedRoot) -> None:
        """Remove the pin; the node's next garbage collection removes the blocks. Raises PinnerUnavailable."""
        try:
            self._ask("pin/rm", root.cid)
        except _Refused as error:
            if "not pinned" not in error.reason:
                raise
        log.info("%s let go of %s", self.name, root.cid)

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """Import stats, pin list, fetch back."""

        def stats() -> str:
            if not self._has_all(root):
                raise PinError(
                    reason=f"{self.name} lacks blocks of {root.cid}",
                    hint="`pipeline repin --pin kubo` sends them again",
                )
            return f"{root.blocks:,} blocks of {root.block_bytes:,} bytes, counted without asking the network"

        def listed() -> str:
            return f"pinned as {self._check_pin(root, None)!r}"

        def fetched() -> str:
            self._read_back(root)
            return f"{root.blocks:,} blocks came back, each hashed"

        return (("import stats", stats), ("pin list", listed), ("fetch back", fetched))

    def get_block(self, cid: CID) -> bytes:
        """One block that the node holds, hashed. Raises PinnerUnavailable, or DigestMismatch for other bytes."""
        block = b""
        with self._translated("block/get"), self._request("block/get", cid, offline="true") as parts:
            for part in parts:
                block += part
                if len(block) > BLOCK_BYTES:
                    break
        if not cid.matches(block):
            raise DigestMismatch(where=f"{self.name}, block/get", got=f"{len(block)} other bytes", expected=cid)
        return block

    def version(self) -> str:
        """What the node says it is. Raises PinnerUnavailable."""
        return str(self._ask("version").get("Version", ""))

    def _check_version(self) -> None:
        version = self.version()
        numbers = re.match(r"(\d+)\.(\d+)", version)
        if not numbers or (int(numbers[1]), int(numbers[2])) < OLDEST:
            raise PinError(
                reason=f"{self.name} has version {version!r}, which cannot name its pins",
                hint=f"Kubo {OLDEST[0]}.{OLDEST[1]} or newer is needed",
            )

    def _upload(self, car: Path, root: PinnedRoot) -> None:
        stats = None
        with self._translated("dag/import"):
            options = {"stats": "true", "pin-roots": "false"}
            for event in self._connected().dag.imprt(str(car), stream=True, opts=options):
                if "Root" in event and (reason := event["Root"].get("PinErrorMsg")):
                    raise PinnerUnavailable(pinner=self.name, reason=str(reason))
                if "Root" in event and not _is(event["Root"].get("Cid", {}).get("/"), root.cid):
                    raise DigestMismatch(where=self.name, got=event["Root"].get("Cid"), expected=root.cid)
                stats = event.get("Stats", stats)
        if stats is None:
            raise PinnerUnavailable(pinner=self.name, reason="it ended the import without a word")
        self._compare(root, stats["BlockCount"], stats["BlockBytesCount"], "dag/import")

    def _has_all(self, root: PinnedRoot) -> bool:
        """Whether the node holds the whole DAG. Asked offline, Kubo stops at the first missing block."""
        try:
            answer = self._ask("dag/stat", root.cid, offline="true", progress="false")
        except _Refused as error:
            log.debug("%s: dag/stat: %s", self.name, error.reason)
            return False
        stat = next((stat for stat in answer.get("DagStats") or () if _is(_cid_of(stat), root.cid)), None)
        if stat is None:
            raise DigestMismatch(where=f"{self.name}, dag/stat", got="another root", expected=root.cid)
        self._compare(root, stat.get("NumBlocks"), stat.get("Size"), "dag/stat")
        return True

    def _check_pin(self, root: PinnedRoot, name: str | None) -> str:
        try:
            keys = self._ask("pin/ls", root.cid, type="recursive", names="true").get("Keys") or {}
        except _Refused as error:
            raise PinError(reason=f"{self.name} has {root.cid} not pinned ({error.reason})") from error
        pin = next((pin for text, pin in keys.items() if _is(text, root.cid)), None)
        if pin is None or pin.get("Type") != "recursive":
            raise _Unlisted(pinner=self.name, reason=f"it does not list the pin of {root.cid}")
        if name is not None and pin.get("Name") != name:
            raise _Unlisted(pinner=self.name, reason=f"it lists the pin as {pin.get('Name')!r}, not {name!r}")
        return str(pin.get("Name", ""))

    def _read_back(self, root: PinnedRoot) -> None:
        where = f"{self.name}, dag/export"
        with self._translated("dag/export"):
            stream = self._request("dag/export", root.cid, offline="true", progress="false")
            with stream, io.BufferedReader(_Stream(stream), 1 << 20) as file:
                try:
                    found = check_car(file, where, max_blocks=root.blocks)
                except BadCar as error:
                    raise DigestMismatch(where=where, got=error.fields["reason"], expected=root.cid) from error
        if found.cid.digest != root.cid.digest:
            raise DigestMismatch(where=where, got=found.cid, expected=root.cid)
        self._compare(root, found.blocks, found.block_bytes, "dag/export")

    def _compare(self, root: PinnedRoot, blocks: Any, size: Any, command: str) -> None:
        if (blocks, size) != (root.blocks, root.block_bytes):
            raise DigestMismatch(
                where=f"{self.name}, {command}",
                got=f"{blocks} blocks of {size} bytes",
                expected=f"{root.cid} with {root.blocks} blocks of {root.block_bytes} bytes",
            )

    def _ask(self, command: str, *cids: CID, **options: str) -> dict[str, Any]:
        """Call a command whose answer is one JSON object. Raises _Refused when the node says no."""
        with self._translated(command):
            answer = b""
            with self._request(command, *cids, **options) as parts:
                for part in parts:
                    answer += part
                    if len(answer) > MAX_ANSWER:
                        raise PinnerUnavailable(pinner=self.name, reason=f"its answer to {command} does not end")
        try:
            document = parse_json(answer)
        except ValueError as error:
            raise PinnerUnavailable(pinner=self.name, reason=f"its answer to {command} is not JSON") from error
        if not isinstance(document, dict):
            raise PinnerUnavailable(pinner=self.name, reason=f"its answer to {command} is not an object")
        return document

    def _request(self, command: str, *cids: CID, **options: str) -> Any:
        # The library has methods for most of these commands, each one line over this call; not for `dag/stat`, and
        # its methods read an answer of any length into memory and end in `assert` when it is not as expected.
        arguments = tuple(str(cid) for cid in cids)
        return self._connected()._client.request(f"/{command}", arguments, opts=options, stream=True)

    def _connected(self) -> Any:
        client = getattr(self._clients, "client", None)
        if client is None:
            # `Client`, because `connect` compares versions and knows none newer than 0.8.
            client = self._clients.client = _library().Client(
                self._multiaddr,
                base=self._base,
                session=True,
                timeout=self._timeout,
                chunk_size=1 << 20,
                headers=self._headers,
            )
        return client

    @contextmanager
    def _translated(self, command: str) -> Iterator[None]:
        """Turn what the two libraries below raise into our errors. Their texts hold no header, so no token."""
        import requests
        import urllib3

        exceptions = _library().exceptions
        try:
            yield
        except exceptions.ErrorResponse as error:  # a StatusError too, with Kubo's own words
            raise _Refused(pinner=self.name, reason=f"{command}: {error.args[0]}") from error
        except exceptions.StatusError as error:
            raise self._refusal(command, error.original.response) from error
        except exceptions.TimeoutError as error:
            raise PinnerUnavailable(pinner=self.name, reason=f"{command} gave no answer in time") from error
        except (exceptions.Error, requests.RequestException, urllib3.exceptions.HTTPError) as error:
            cause = _root_cause(error)
            if isinstance(cause, ConnectionRefusedError) and self._is_here:
                raise NobodyThere(pinner=self.name, reason=REFUSED, within_s=STARTING_S) from error
            raise PinnerUnavailable(pinner=self.name, reason=f"{command} broke off ({_words(cause)})") from error

    def _refusal(self, command: str, response: Any) -> PinError:
        """A status without Kubo's own words: from a proxy, or from a server that is no Kubo RPC."""
        status = response.status_code
        if status in (401, 403):
            hint = f"put the secret of its API.Authorizations into {IPFS_TOKEN}"
            return PinError(reason=f"{self.name} refuses us ({status})", hint=hint)
        if status == 413:
            reason = f"a proxy before {self.name} takes no body of the size that {command} has (HTTP 413)"
            return PinError(reason=reason, hint="raise its limit (nginx: client_max_body_size), or go round it")
        if status in (404, 405) and command == "version":
            reason = f"{self.name} is no Kubo RPC: it answered HTTP {status}"
            return PinError(reason=reason, hint="the RPC usually listens on port 5001; 8080 is Kubo's gateway")
        reason = f"{command} answered HTTP {status}"
        if not may_pass(status):
            return PinError(reason=f"{self.name} refuses us: {reason}", hint="`pipeline doctor` looks at it")
        wait_s = retry_after(response.headers.get("Retry-After"))
        return PinnerUnavailable(pinner=self.name, reason=reason, wait_s=wait_s)


class NobodyThere(PinnerUnavailable):
    """Nothing listens at a port of this machine: that passes soon, where the node is starting, or not by itself."""

    next_step = "start the node (`ipfs daemon`) or name its RPC as --ipfs-api, then give the same command again"


class _Unlisted(PinnerUnavailable):
    """The node answered, and its pins lack ours: a second try may help, and until then it is not kept."""

    proves_nothing = False


class _Refused(PinnerUnavailable):
    """The node answered, with an error."""

    proves_nothing = False

    @property
    def reason(self) -> str:
        return str(self.fields["reason"])


def _must_be(car: Path, root: PinnedRoot) -> None:
    """Raise BadCar unless a file is the CAR that was recorded, which was read block by block when it was."""
    with open_regular(car) as file:
        if hashlib.file_digest(file, "sha256").digest() == root.car_sha256:
            return
        file.seek(0)
        local = check_car(file, car)
    raise BadCar(path=car, reason=f"it holds {local.cid}, not what was recorded for {root.cid}")


class _Stream(io.RawIOBase):
    """The parts of an HTTP body as a file, so that `BufferedReader` gives whole reads."""

    def __init__(self, parts: Iterator[bytes]) -> None:
        self._parts = parts
        self._left = memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not self._left:
            part = next(self._parts, None)
            if part is None:
                return 0
            self._left = memoryview(part)
        count = min(len(buffer), len(self._left))
        buffer[:count], self._left = self._left[:count], self._left[count:]
        return count


def _library() -> Any:
    # Its patch of requests passes urllib3 an argument that is deprecated there; this is read when it is imported.
    os.environ["PY_IPFS_HTTP_CLIENT_PATCH_REQUESTS"] = "no"
    import ipfshttpclient

    return ipfshttpclient


def kubo_from(address: str, environ: Mapping[str, str]) -> KuboPinner:
    """The pinner for a configured address; its token comes from the environment alone."""
    return KuboPinner(address, environ.get(IPFS_TOKEN, ""))


def _address(address: str) -> tuple[str, str, str]:
    """Split into a multiaddr, the base path of the RPC, and host:port to show. Raises BadArgument."""
    if address.startswith("/"):
        parts = address.strip("/").split("/")
        if len(parts) < 4 or parts[0] not in ("ip4", "ip6", "dns", "dns4", "dns6") or parts[2] != "tcp":
            raise _bad_address(address)
        secure = parts[4:] == ["https"]
        if not secure and parts[4:] not in ([], ["http"]):
            raise _bad_address(address)
        host, port = parts[1], parts[3]
        return _multiaddr(parts[0], host, port, secure), "api/v0", f"{host}:{port}"
    try:
        url = urlsplit(address)
        host, secure = url.hostname or "", url.scheme == "https"
        port = str(url.port or (443 if secure else 80))
    except ValueError as error:
        raise _bad_address(address) from error
    if url.scheme not in ("http", "https") or not host or url.username or url.password or url.query or url.fragment:
        raise _bad_address(address)
    kind = "ip6" if ":" in host else "ip4" if re.fullmatch(r"[\d.]+", host) else "dns"
    return _multiaddr(kind, host, port, secure), f"{url.path.rstrip('/')}/api/v0".lstrip("/"), f"{host}:{port}"


def _multiaddr(kind: str, host: str, port: str, secure: bool) -> str:
    return f"/{kind}/{host}/tcp/{port}/{'https' if secure else 'http'}"


def _bad_address(address: str) -> BadArgument:
    return BadArgument(
        name="ipfs_api",
        value=address if address.startswith("/") else shown_url(address),
        expected="a multiaddr such as /ip4/127.0.0.1/tcp/5001, or an http URL without user, password and query",
    )


def _authorization(token: str) -> str:
    """The header for a secret as Kubo's own `--api-auth` takes it."""
    kind, _, secret = token.partition(":")
    if kind == "basic" and secret:
        return "Basic " + base64.b64encode(secret.encode()).decode()
    return "Bearer " + (secret if kind == "bearer" and secret else token)


def _cid_of(stat: Any) -> Any:
    cid = stat.get("Cid") if isinstance(stat, dict) else None
    return cid.get("/") if isinstance(cid, dict) else cid


def _is(text: Any, cid: CID) -> bool:
    """Whether a node means `cid`: nodes spell it in several bases, and give version 0 or 1 of the same digest."""
    try:
        return CID.parse(str(text)).digest == cid.digest
    except BadArgument:
        return False


def _root_cause(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__ or error
    return error


def _words(error: BaseException) -> str:
    return type(error).__name__ if not isinstance(error, OSError) else error.strerror or type(error).__name__
