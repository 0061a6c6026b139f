"""Pinning at somebody else's: the IPFS Pinning Service API, S3-style CAR import, and Pinata-style CAR upload.

What a service says is not believed: content counts as pinned when it came back through a gateway, block by block. Until
then it is `OnlyClaimed`. A service that has the content is not sent it again.

Sources: ipfs.github.io/pinning-services-api-spec 1.0.0 (frozen since 2026-07); Filebase's S3 PUT with
`x-amz-meta-import: car` (StauroDEV/filebase-upload); Pinata's v3 upload with `car=true` (its SDK 2.5.6). The last two
are written from these contracts; no live service was asked.
"""

from __future__ import annotations

import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import quote, urlencode

from pipeline.base.cid import CID
from pipeline.base.errors import (
    BadArgument,
    BadCar,
    DigestMismatch,
    GatewayUnavailable,
    OnlyClaimed,
    PinError,
    PinnerUnavailable,
)
from pipeline.base.files import open_regular
from pipeline.base.installation import extra
from pipeline.base.records import PinnedRoot
from pipeline.base.secrets import know, redacted, shown_url
from pipeline.base.untrusted import parse_json, printable
from pipeline.base.web import may_pass, plain_url, retry_after
from pipeline.pin import Pinner, Rung, Settings
from pipeline.pin.car import check_car
from pipeline.pin.fetch import read_back
from pipeline.pin.http import Caps, HttpFault, request
from pipeline.pin.tokens import token

log = logging.getLogger(__name__)

PINNING_S = 600.0  # how long a service may take from `queued` to `pinned`
PUBLIC_S = 180.0  # how long new content may take to be found through the gateway
FIRST_POLL_S, LONGEST_POLL_S = 0.5, 15.0
UPLOAD_S = 3_600.0
MAX_NAME = 255  # characters of a pin's name (pinning service API)
MAX_PUT = 5 << 30  # bytes of one S3 PUT


class Service(Pinner):
    """What all services share: a place to ask, a secret, and the gateway that proves what they say."""

    kind: ClassVar[str]

    def __init__(
        self, url: str, gateway: str, public_s: float = PUBLIC_S, pause: Callable[[float], None] = time.sleep
    ) -> None:
        self._url = plain_url(f"{self.kind} URL", url)
        self._gateway = plain_url("gateway", gateway)
        self._public_s, self._pause = public_s, pause
        self.name = f"{self.kind} at {shown_url(self._url)}"

    def _read_back(self, root: PinnedRoot) -> str:
        """Wait until the content comes back through the gateway. Raises OnlyClaimed when it does not in time."""
        deadline = time.monotonic() + self._public_s
        for pause_s in _growing():
            try:
                return read_back(root, self._gateway, max(deadline - time.monotonic(), 1.0))
            except GatewayUnavailable as error:
                pause_s = max(pause_s, error.fields.get("wait_s") or 0.0)
                if time.monotonic() + pause_s > deadline:
                    raise OnlyClaimed(pinner=self.name, cid=root.cid, reason=str(error)) from error
            self._pause(pause_s)
        raise AssertionError("unreachable")

    def _unavailable(
        self, reason: str, wait_s: float | None = None, within_s: float | None = None
    ) -> PinnerUnavailable:
        return PinnerUnavailable(pinner=self.name, reason=reason, wait_s=wait_s, within_s=within_s)

    def _same(self, text: Any, root: PinnedRoot) -> None:
        try:
            if CID.parse(str(text)).digest == root.cid.digest:
                return
        except BadArgument:
            pass
        raise DigestMismatch(where=self.name, got=str(text)[:80], expected=root.cid)


class WebService(Service):
    """A service that is asked in JSON, with a bearer token."""

    token_name: ClassVar[str]

    def __init__(
        self,
        url: str,
        secret: str,
        gateway: str,
        public_s: float = PUBLIC_S,
        pause: Callable[[float], None] = time.sleep,
        caps: Caps | None = None,
    ) -> None:
        super().__init__(url, gateway, public_s, pause)
        know(secret)
        self._secret, self._caps = secret, caps or Caps()

    def _ask(
        self, method: str, path: str, document: Any = None, *, missing: Any = None, **options: Any
    ) -> dict[str, Any]:
        """One call. Its answer is an object, `{}` where it has no body, or `missing` when the service says 404."""
        body = None if document is None else json.dumps(document).encode()
        headers = {"Content-Type": "application/json"} if body else {}
        try:
            return self._exchange(method, f"{self._url}{path}", headers | options.get("headers", {}), body, self._caps)
        except HttpFault as fault:
            if fault.status == 404 and missing is not None:
                return dict(missing)
            raise self._refusal(fault) from fault

    def _exchange(self, method: str, url: str, headers: Mapping[str, str], body: Any, caps: Caps) -> dict[str, Any]:
        authorized = {"Authorization": f"Bearer {self._secret}", **headers}
        with request(method, url, headers=authorized, body=body, caps=caps) as answer:
            data = answer.read_all()
        if not data:
            return {}
        try:
            parsed = parse_json(data)
        except ValueError as error:
            raise HttpFault("its answer is not JSON") from error
        if not isinstance(parsed, dict):
            raise HttpFault("its answer is not an object")
        return parsed

    def _refusal(self, fault: HttpFault) -> PinError:
        reason = fault.reason + (f" ({words})" if (words := self._words(fault.body)) else "")
        if fault.status in (401, 403):
            hint = f"the token in PIPELINE_{self.token_name.upper()} (or the keyring) is not accepted there"
            return PinError(reason=f"{self.name} refuses us: {reason}", hint=hint)
        if fault.retryable:
            return self._unavailable(reason, fault.wait_s, fault.within_s)
        return PinError(reason=f"{self.name} refuses: {reason}")

    def _words(self, body: bytes) -> str:
        """What a service says of a failure, without our secret and without what could move a terminal's cursor."""
        try:
            error = parse_json(body)["error"]
        except (ValueError, KeyError, TypeError):
            return ""
        parts = [error.get(key) for key in ("reason", "details", "message")] if isinstance(error, dict) else [error]
        text = ": ".join(part for part in parts if isinstance(part, str) and part)
        return printable(redacted(text), 200)


class PinningService(WebService):
    """A service that speaks the IPFS Pinning Service API. It moves no bytes: it fetches from `origins`, or the network."""

    kind, token_name = "psa", "psa_token"

    def __init__(
        self,
        url: str,
        secret: str,
        gateway: str,
        origins: Sequence[str] = (),
        pinning_s: float = PINNING_S,
        public_s: float = PUBLIC_S,
        pause: Callable[[float], None] = time.sleep,
        caps: Caps | None = None,
    ) -> None:
        super().__init__(url, secret, gateway, public_s, pause, caps)
        self._origins, self._pinning_s = list(origins), pinning_s

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Ask for the pin, wait until the service has it, and read it back. Raises as Pinner says."""
        status = self._find(root)
        wanted = {"cid": str(root.cid), "name": name[:MAX_NAME], "origins": self._origins}
        if status is None:
            status = self._status(self._ask("POST", "/pins", wanted), root)
        elif status["status"] == "failed":
            status = self._status(self._ask("POST", f"/pins/{_part(status)}", wanted), root)
        self._wait(status, root)
        self._read_back(root)

    def unpin(self, root: PinnedRoot) -> None:
        while (status := self._find(root)) is not None:
            self._ask("DELETE", f"/pins/{_part(status)}", missing={})

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """Pin list, fetch back."""

        def listed() -> str:
            status = self._find(root)
            if status is None or status["status"] != "pinned":
                raise PinError(reason=f"{self.name} has {root.cid} {status['status'] if status else 'not'} pinned")
            return f"pinned as request {status['requestid']}"

        return (("pin list", listed), ("fetch back", lambda: self._read_back(root)))

    def _find(self, root: PinnedRoot) -> dict[str, Any] | None:
        """The furthest request for this root, if there is one."""
        query = urlencode({"cid": str(root.cid), "status": "queued,pinning,pinned,failed", "limit": 10})
        results = self._ask("GET", f"/pins?{query}").get("results")
        if not isinstance(results, list):
            raise self._unavailable("its list of pins is no list")
        found = [self._status(result, root) for result in results]
        order = ("pinned", "pinning", "queued", "failed")
        return min(found, key=lambda status: order.index(status["status"]), default=None)

    def _status(self, status: Any, root: PinnedRoot) -> dict[str, Any]:
        """Check a PinStatus object: that it is one, and about this root."""
        pin = status.get("pin") if isinstance(status, dict) else None
        if not isinstance(pin, dict) or not isinstance(status.get("requestid"), str):
            raise self._unavailable("its answer is no pin status")
        self._same(pin.get("cid"), root)
        if status.get("status") not in ("queued", "pinning", "pinned", "failed"):
            raise self._unavailable(f"it says {str(status.get('status'))[:40]!r} of a pin, which the API does not know")
        return dict(status)

    def _wait(self, status: dict[str, Any], root: PinnedRoot) -> None:
        deadline = time.monotonic() + self._pinning_s
        for pause_s in _growing():
            if status["status"] == "pinned":
                return
            if status["status"] == "failed":
                info = status.get("info")
                details = info.get("status_details") if isinstance(info, dict) else None
                raise PinError(
                    reason=f"{self.name} could not fetch {root.cid}" + (f" ({str(details)[:200]})" if details else ""),
                    hint="the service fetches from the network: pin at kubo first, and name its address as --psa-origins",
                )
            if time.monotonic() + pause_s > deadline:
                raise PinError(
                    reason=f"{self.name} still has {root.cid} {status['status']} after {self._pinning_s:.0f} s",
                    hint="`pipeline repin` asks again, and sends nothing that is there",
                )
            self._pause(pause_s)
            status = self._status(self._ask("GET", f"/pins/{_part(status)}"), root)


class PinataService(WebService):
    """Pinata's v3 upload of a CAR. Written from its SDK; untested against the live service."""

    kind, token_name = "pinata", "pinata_token"
    UPLOADS: ClassVar[str] = "https://uploads.pinata.cloud"
    API: ClassVar[str] = "https://api.pinata.cloud"

    def __init__(
        self,
        uploads: str,
        api: str,
        secret: str,
        gateway: str,
        public_s: float = PUBLIC_S,
        pause: Callable[[float], None] = time.sleep,
        caps: Caps | None = None,
    ) -> None:
        super().__init__(api, secret, gateway, public_s, pause, caps)
        self._uploads = plain_url("pinata URL", uploads)

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """Upload the CAR unless the service lists its root, and read it back. Raises as Pinner says."""
        if not self._files(root):
            with open_regular(car) as file:
                _check_local(car, root)
                try:
                    answer = self._upload(file, car, name)
                except HttpFault as fault:
                    raise self._refusal(fault) from fault
            data = answer.get("data")
            self._same(data.get("cid") if isinstance(data, dict) else None, root)
        self._read_back(root)

    def unpin(self, root: PinnedRoot) -> None:
        for file in self._files(root):
            self._ask("DELETE", f"/v3/files/public/{quote(file, safe='')}", missing={})

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """File list, fetch back."""

        def listed() -> str:
            if not (files := self._files(root)):
                raise PinError(reason=f"{self.name} does not list {root.cid}")
            return f"listed as file {files[0]}"

        return (("pin list", listed), ("fetch back", lambda: self._read_back(root)))

    def _files(self, root: PinnedRoot) -> list[str]:
        data = self._ask("GET", f"/v3/files/public?{urlencode({'cid': str(root.cid), 'limit': 10})}").get("data")
        files = data.get("files") if isinstance(data, dict) else None
        if files is None:
            return []
        if not isinstance(files, list) or not all(isinstance(f, dict) and isinstance(f.get("id"), str) for f in files):
            raise self._unavailable("its list of files is no list")
        return [file["id"] for file in files if file.get("cid") == str(root.cid)]

    def _upload(self, file: Any, car: Path, name: str) -> dict[str, Any]:
        boundary = os.urandom(16).hex()
        fields = {"network": "public", "name": name[:MAX_NAME], "car": "true"}
        head = "".join(
            f'--{boundary}\r\nContent-Disposition: form-data; name="{key}"\r\n\r\n{_header_safe(value)}\r\n'
            for key, value in fields.items()
        )
        head += f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="{car.name}"\r\n'
        head += "Content-Type: application/vnd.ipld.car\r\n\r\n"
        start, end = head.encode(), f"\r\n--{boundary}--\r\n".encode()

        def body() -> Iterator[bytes]:
            yield start
            while part := file.read(1 << 20):
                yield part
            yield end

        headers = {
            "Content-Type": f"multipart/form-data; boundary={boundary}",
            "Content-Length": str(len(start) + car.stat().st_size + len(end)),
        }
        caps = Caps(UPLOAD_S, UPLOAD_S, self._caps.max_bytes)  # the answer comes when all is stored
        return self._exchange("POST", f"{self._uploads}/v3/files", headers, body(), caps)


class S3Service(Service):
    """An S3 bucket whose service unpacks CARs and answers with their root in `x-amz-meta-cid`, as Filebase does."""

    kind = "filebase"

    def __init__(
        self,
        endpoint: str,
        bucket: str,
        access_key: str,
        secret_key: str,
        gateway: str,
        public_s: float = PUBLIC_S,
        pause: Callable[[float], None] = time.sleep,
        read_s: float = UPLOAD_S,
    ) -> None:
        super().__init__(endpoint, gateway, public_s, pause)
        if not bucket:
            raise BadArgument(name="--s3-bucket", value="", expected="the bucket that the CARs go into")
        self._bucket = bucket
        self._client = _s3_client(self._url, access_key, secret_key, read_s)

    def pin(self, car: Path, root: PinnedRoot, name: str) -> None:
        """PUT the CAR unless the bucket has its root, and read it back. Raises as Pinner says."""
        if self._stored(root) is None:
            _check_local(car, root)
            with open_regular(car) as file, self._translated("PUT"):
                answer = self._client.put_object(
                    Bucket=self._bucket,
                    Key=_key(root),
                    Body=file,
                    ContentType="application/vnd.ipld.car",
                    Metadata={"import": "car"},
                )
            cid = answer["ResponseMetadata"]["HTTPHeaders"].get("x-amz-meta-cid")
            if cid is None and (cid := self._stored(root)) is None:
                raise PinError(
                    reason=f"{self.name} stored the CAR and names no CID: it does not import CARs",
                    hint="use a bucket on IPFS, as Filebase's are",
                )
            self._same(cid, root)
        self._read_back(root)

    def unpin(self, root: PinnedRoot) -> None:
        with self._translated("DELETE"):
            self._client.delete_object(Bucket=self._bucket, Key=_key(root))

    def rungs(self, root: PinnedRoot) -> Sequence[Rung]:
        """The object and its CID, fetch back."""

        def listed() -> str:
            if self._stored(root) is None:
                raise PinError(reason=f"{self.name} has no {_key(root)} in {self._bucket}")
            return f"{_key(root)} in {self._bucket}"

        return (("pin list", listed), ("fetch back", lambda: self._read_back(root)))

    def _stored(self, root: PinnedRoot) -> str | None:
        """The CID that the service gives for our object; None where there is no object, or it was not imported."""
        try:
            with self._translated("HEAD"):
                answer = self._client.head_object(Bucket=self._bucket, Key=_key(root))
        except _NoObject:
            return None
        cid = answer.get("Metadata", {}).get("cid")
        if cid is None:
            return None
        self._same(cid, root)
        return str(cid)

    @contextmanager
    def _translated(self, what: str) -> Iterator[None]:
        from botocore.exceptions import BotoCoreError, ClientError

        try:
            yield
        except ClientError as error:
            about = error.response.get("ResponseMetadata", {})
            status = int(about.get("HTTPStatusCode", 0))
            code = "".join(c for c in str(error.response.get("Error", {}).get("Code", "")) if c.isalnum())[:40]
            if status == 404 and what == "HEAD":
                raise _NoObject from None
            if may_pass(status) or code in ("SlowDown", "RequestTimeout", "InternalError"):
                wait_s = retry_after(about.get("HTTPHeaders", {}).get("retry-after"))
                raise self._unavailable(f"{what} answered HTTP {status} {code}".strip(), wait_s) from None
            hint = "the keys in PIPELINE_S3_ACCESS_KEY and PIPELINE_S3_SECRET_KEY (or the keyring), and the bucket"
            raise PinError(reason=f"{self.name} refuses {what}: HTTP {status} {code}", hint=f"check {hint}") from None
        except (BotoCoreError, OSError, ValueError) as error:  # its texts quote URLs, which hold the signature
            raise self._unavailable(f"{what} broke off ({type(error).__name__})") from None


class _NoObject(Exception):
    pass


def _s3_client(endpoint: str, access_key: str, secret_key: str, read_s: float) -> Any:
    with extra("s3"):
        import boto3
        from botocore.config import Config
    logging.getLogger("botocore").setLevel(logging.WARNING)  # below that it logs signed headers
    config = Config(
        connect_timeout=5,
        read_timeout=read_s,
        retries={"total_max_attempts": 1},  # trying again is our own affair
        s3={"addressing_style": "path"},
        request_checksum_calculation="when_required",  # its newer trailers are unknown to most S3-style services
        response_checksum_validation="when_required",
    )
    session = boto3.session.Session(
        aws_access_key_id=access_key, aws_secret_access_key=secret_key, region_name="us-east-1"
    )
    return session.client("s3", endpoint_url=endpoint, config=config)


def _check_local(car: Path, root: PinnedRoot) -> None:
    """Nothing is sent that is not whole and what was recorded. Raises BadCar."""
    if root.block_bytes > MAX_PUT:
        raise BadCar(path=car, reason=f"it has {root.block_bytes:,} bytes, and services take {MAX_PUT:,} at once")
    with open_regular(car) as file:
        if check_car(file, car) != root:
            raise BadCar(path=car, reason=f"it is not what was recorded for {root.cid}")


def _key(root: PinnedRoot) -> str:
    return f"{root.cid}.car"


def _part(status: Mapping[str, Any]) -> str:
    return quote(status["requestid"], safe="")


def _header_safe(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)


def _growing() -> Iterator[float]:
    pause_s = FIRST_POLL_S
    while True:
        yield pause_s
        pause_s = min(1.5 * pause_s, LONGEST_POLL_S)


# ── from the settings ────────────────────────────────────────────────────────────────────────────────────────


def psa_from(settings: Settings, environ: Mapping[str, str]) -> Pinner:
    """The pinning service of the settings. Raises BadArgument for what is missing."""
    if not settings.pin.psa_url:
        raise BadArgument(name="--psa-url", value="", expected="the endpoint of a pinning service")
    origins = [origin for origin in settings.pin.psa_origins.split(",") if origin]
    secret = token("psa_token", environ, "the access token of the pinning service")
    return PinningService(settings.pin.psa_url, secret, _gateway(settings, "psa"), origins=origins)


def filebase_from(settings: Settings, environ: Mapping[str, str]) -> Pinner:
    """The S3 bucket of the settings. Raises BadArgument for what is missing."""
    access = token("s3_access_key", environ, "the access key of the bucket's owner")
    secret = token("s3_secret_key", environ, "the secret key of the bucket's owner")
    gateway = _gateway(settings, "filebase")
    return S3Service(settings.pin.s3_endpoint, settings.pin.s3_bucket, access, secret, gateway)


def pinata_from(settings: Settings, environ: Mapping[str, str]) -> Pinner:
    """Pinata, or what speaks like it at `pinata_url`. Raises BadArgument for what is missing."""
    secret = token("pinata_token", environ, "a JWT of Pinata")
    uploads, api = settings.pin.pinata_url or PinataService.UPLOADS, settings.pin.pinata_url or PinataService.API
    return PinataService(uploads, api, secret, _gateway(settings, "pinata"))


def _gateway(settings: Settings, service: str) -> str:
    if not settings.pin.gateway:
        raise BadArgument(
            name="--gateway",
            value="",
            expected=f"a gateway that reads back what {service} says it has: without that it is not called pinned",
            hint="the service's own trustless gateway, or any public one",
        )
    return str(settings.pin.gateway)
