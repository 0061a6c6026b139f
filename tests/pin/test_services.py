"""Pinning services: an independent mock of the API's own OpenAPI document, a real S3 server, a recorded contract.

None of them moves content to a gateway, so the gateway that proves things is our own store's, or a real Kubo's.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from pin.servers import Ask, Reply, Server, forward

from pipeline.base.errors import (
    BadArgument,
    BadCar,
    DigestMismatch,
    MissingExtra,
    OnlyClaimed,
    PinError,
    PinnerUnavailable,
)
from pipeline.base.records import PinnedRoot
from pipeline.pin import Pinner, load_pinners
from pipeline.pin.http import Caps
from pipeline.pin.patience import Patience
from pipeline.pin.services import PinataService, PinningService, S3Service
from pipeline.pin.store import CarStore
from pipeline.pin.tokens import token
from pipeline.settings import Settings

SECRET = "canary-5ecret"
SERVICE = Path(__file__).parents[2] / "hardhat-free-env/pinning-service"


@pytest.fixture
def store(tmp_path: Path) -> CarStore:
    return CarStore(tmp_path / "car")


@pytest.fixture
def root(store: CarStore, request: pytest.FixtureRequest) -> PinnedRoot:
    """A root that no other test uses."""
    return store.put_directory((f"{i}.json", f"{request.node.name} {i}".encode()) for i in range(20))


# ── servers ──────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture
def serve() -> Iterator[Callable[[Callable[[Ask], Reply]], Server]]:
    started: list[Server] = []

    def start(answer: Callable[[Ask], Reply]) -> Server:
        started.append(Server(answer))
        return started[-1]

    yield start
    for server in started:
        server.close()


@pytest.fixture
def gateway(serve: Callable[..., Server], store: CarStore) -> Server:
    """A trustless gateway over the CARs of the store: the network, where everything is found at once."""

    def answer(ask: Ask) -> Reply:
        path = store.folder / f"{ask.path.removeprefix('/ipfs/').split('?')[0]}.car"
        if not path.exists():
            return 404, {}, b"not found"
        return 200, {"Content-Type": "application/vnd.ipld.car"}, path.read_bytes()

    return serve(answer)


# ── the pinning service API ──────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def mock_service() -> Iterator[str]:
    node = shutil.which("node")
    assert node and (SERVICE / "node_modules").exists(), "run scripts/setup test"
    process = subprocess.Popen([node, "serve.js", SECRET], cwd=SERVICE, stdout=subprocess.PIPE, text=True)
    assert process.stdout
    port = int(next(line for line in process.stdout if line.strip().isdigit()))
    reader = threading.Thread(target=process.stdout.read, daemon=True)
    reader.start()
    yield f"http://127.0.0.1:{port}"
    process.terminate()
    process.wait(20)
    reader.join()
    process.stdout.close()


@pytest.fixture
def psa(serve: Callable[..., Server], mock_service: str) -> Server:
    """The mock service, with room for faults before it."""
    return serve(forward(mock_service))


def service_of(psa: Server, gateway: Server, secret: str = SECRET, **options: Any) -> PinningService:
    options = {"pause": lambda pause_s: None, "public_s": 5, "pinning_s": 5, "caps": Caps(20, 2), **options}
    return PinningService(psa.url, secret, gateway.url, **options)


def test_a_root_is_pinned_proved_listed_and_let_go_of(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    service = service_of(psa, gateway, origins=["/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW"])
    service.pin(store.path(root.cid), root, "pinned-Lino 1-50 ü images")
    (posted,) = [json.loads(ask.body) for ask in psa.seen if ask.method == "POST"]
    assert posted["cid"] == str(root.cid) and posted["origins"] == ["/ip4/203.0.113.7/tcp/4001/p2p/12D3KooW"]
    assert posted["name"] == "pinned-Lino 1-50 ü images"
    assert [name for name, _ in service.rungs(root)] == ["pin list", "fetch back"]
    service.check(root)
    service.unpin(root)
    service.unpin(root)
    with pytest.raises(PinError, match="not pinned"):
        service.check(root)


def test_what_the_service_has_is_not_asked_for_again(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    for _ in range(2):
        service_of(psa, gateway).pin(store.path(root.cid), root, "pinned-x")
    assert psa.methods().count("POST") == 1


def test_a_queued_pin_is_waited_for_and_never_called_pinned(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    with pytest.raises(PinError, match="still has .* queued") as caught:
        service_of(psa, gateway, pinning_s=1).pin(store.path(root.cid), root, "Lino")
    assert "repin" in caught.value.hint
    assert gateway.seen == []

    polls: list[float] = []

    def third_party_finishes(pause_s: float) -> None:
        polls.append(pause_s)
        if len(polls) == 3:
            finish(psa, root)

    service_of(psa, gateway, pause=third_party_finishes).pin(store.path(root.cid), root, "Lino")
    assert polls == sorted(polls) and len(polls) == 3


def finish(psa: Server, root: PinnedRoot) -> None:
    """What the service does in its own time: the same pin, now pinned."""

    def asked(ask: Ask, handler: Any) -> Reply:
        status, headers, body = psa.answer(ask)
        return status, headers, body.replace(b'"queued"', b'"pinned"')

    psa.rules.append(asked)


def test_a_failed_pin_is_told_and_replaced_by_the_next_try(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    with pytest.raises(PinError, match="could not fetch") as caught:
        service_of(psa, gateway).pin(store.path(root.cid), root, "failed-x")
    assert not caught.value.retryable and "--psa-origins" in caught.value.hint
    with pytest.raises(PinError, match="could not fetch"):
        service_of(psa, gateway).pin(store.path(root.cid), root, "failed-x")
    assert [ask.path.count("/") for ask in psa.seen if ask.method == "POST"] == [1, 2]


def test_pinned_but_not_yet_public_is_a_state_of_its_own(
    psa: Server, serve: Callable[..., Server], store: CarStore, root: PinnedRoot
) -> None:
    nowhere = serve(lambda ask: (404, {}, b"not found"))
    with pytest.raises(OnlyClaimed, match="not yet public") as caught:
        service_of(psa, nowhere, public_s=1).pin(store.path(root.cid), root, "pinned-x")
    assert not caught.value.retryable
    assert len(nowhere.seen) > 1


def test_a_gateway_that_lies_about_pinned_content_is_a_mismatch(
    psa: Server, serve: Callable[..., Server], store: CarStore, root: PinnedRoot
) -> None:
    car = bytearray(store.path(root.cid).read_bytes())
    car[-1] ^= 1
    liar = serve(lambda ask: (200, {"Content-Type": "application/vnd.ipld.car"}, bytes(car)))
    with pytest.raises(DigestMismatch):
        service_of(psa, liar).pin(store.path(root.cid), root, "pinned-x")


def test_a_token_that_is_not_accepted_is_told_with_the_variable(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    with pytest.raises(PinError, match="refuses us") as caught:
        service_of(psa, gateway, secret="wrong").pin(store.path(root.cid), root, "pinned-x")
    assert "PIPELINE_PSA_TOKEN" in caught.value.hint and not caught.value.retryable


def patient() -> tuple[list[float], Patience]:
    """Patience that notes its pauses instead of waiting."""
    pauses: list[float] = []
    return pauses, Patience(pause=pauses.append, clock=lambda: sum(pauses))


def plain(status: int, body: bytes = b"", **headers: str) -> Callable[[Ask, Any], Reply]:
    return lambda ask, handler: (status, {k.replace("_", "-"): v for k, v in headers.items()}, body)


def cut(ask: Ask, handler: Any) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{")
    handler.wfile.flush()


def hang(ask: Ask, handler: Any) -> None:
    threading.Event().wait(4)


FAULTS: dict[str, Callable[[Ask, Any], Reply | None]] = {
    "429": plain(429, Retry_After="7"),
    "500": plain(500),
    "502 HTML": plain(502, b"<html>Bad gateway</html>"),
    "HTML with 200": plain(200, b"<html>Welcome</html>"),
    "truncated JSON": plain(200, b'{"count":1,"results":[{"requ'),
    "nested JSON": plain(200, b"[" * 100_000),
    "a list": plain(200, b"[]"),
    "no results": plain(200, b'{"count":0,"results":7}'),
    "no pin status": plain(200, b'{"count":1,"results":[{"status":"pinned"}]}'),
    "cut": cut,
    "hang": hang,
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_service_in_trouble_is_unavailable_and_patience_heals_it(
    fault: str, psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    service, pauses, patience = service_of(psa, gateway), *patient()
    psa.rules.append(FAULTS[fault])
    with pytest.raises(PinnerUnavailable) as caught:
        service.pin(store.path(root.cid), root, "pinned-x")
    assert caught.value.retryable
    psa.rules.append(FAULTS[fault])
    patience.call(lambda: service.pin(store.path(root.cid), root, "pinned-x"))
    assert len(pauses) == 1
    if fault == "429":
        assert caught.value.fields["wait_s"] == 7 and pauses[0] >= 7


def test_an_answer_about_another_root_is_a_mismatch(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    other = store.put_directory([("other", b"x")])
    wrong = {"requestid": "1", "status": "pinned", "pin": {"cid": str(other.cid)}}
    psa.rules.append(plain(200, json.dumps({"count": 1, "results": [wrong]}).encode()))
    with pytest.raises(DigestMismatch, match=str(other.cid)):
        service_of(psa, gateway).pin(store.path(root.cid), root, "pinned-x")


def test_a_service_without_funds_is_not_asked_again(
    psa: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    psa.rules += [
        plain(200, b'{"count":0,"results":[]}'),
        plain(409, b'{"error":{"reason":"INSUFFICIENT_FUNDS","details":"top up\\u001b[2J"}}'),
    ]
    with pytest.raises(PinError, match="INSUFFICIENT_FUNDS: top up") as caught:
        service_of(psa, gateway).pin(store.path(root.cid), root, "pinned-x")
    assert not caught.value.retryable and "\x1b" not in str(caught.value)


# ── S3 ───────────────────────────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def moto() -> Iterator[str]:
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@pytest.fixture
def s3(serve: Callable[..., Server], moto: str) -> Server:
    """A real S3 server; all that is added is what Filebase adds: the CID of an object that asked to be imported."""
    import boto3

    keys = {"aws_access_key_id": "key", "aws_secret_access_key": SECRET, "region_name": "us-east-1"}
    boto3.client("s3", endpoint_url=moto, **keys).create_bucket(Bucket="art")
    real = forward(moto)

    def answer(ask: Ask) -> Reply:
        status, headers, body = real(ask)
        imported = {name.lower(): value for name, value in headers.items()}.get("x-amz-meta-import") == "car"
        if status == 200 and (imported or (ask.method == "PUT" and ask.headers["x-amz-meta-import"] == "car")):
            headers["x-amz-meta-cid"] = ask.path.rpartition("/")[2].removesuffix(".car")
        return status, headers, body

    return serve(answer)


def bucket(s3: Server, gateway: Server, **options: Any) -> S3Service:
    options = {"pause": lambda pause_s: None, "public_s": 5, "read_s": 2, **options}
    return S3Service(s3.url, "art", "key", SECRET, gateway.url, **options)


def test_a_car_is_put_once_and_its_root_comes_back(
    s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    service = bucket(s3, gateway)
    for _ in range(2):
        service.pin(store.path(root.cid), root, "x")
    (put,) = [ask for ask in s3.seen if ask.method == "PUT"]
    assert put.path == f"/art/{root.cid}.car" and put.headers["x-amz-meta-import"] == "car"
    assert put.body == store.path(root.cid).read_bytes()
    service.check(root)
    service.unpin(root)
    service.unpin(root)
    with pytest.raises(PinError, match="has no"):
        service.check(root)


def test_a_bucket_that_does_not_import_cars_is_not_called_pinned(
    moto: str, s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    service = S3Service(moto, "art", "key", SECRET, gateway.url, read_s=10)
    with pytest.raises(PinError, match="names no CID"):
        service.pin(store.path(root.cid), root, "x")


def test_another_root_in_the_answer_is_a_mismatch(
    s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    other = store.put_directory([("other", b"x")])
    s3.rules += [plain(404), plain(200, x_amz_meta_cid=str(other.cid))]
    with pytest.raises(DigestMismatch, match=str(other.cid)):
        bucket(s3, gateway).pin(store.path(root.cid), root, "x")


S3_FAULTS: dict[str, Callable[[Ask, Any], Reply | None]] = {
    "503 SlowDown": plain(503, b"<Error><Code>SlowDown</Code></Error>", Retry_After="3"),
    "500": plain(500),
    "502 HTML": plain(502, b"<html>Bad gateway</html>"),
    "429": plain(429, Retry_After="3"),
    "hang": hang,
    "closed": lambda ask, handler: None,
}


@pytest.mark.parametrize("fault", S3_FAULTS)
def test_a_bucket_in_trouble_is_unavailable_and_patience_heals_it(
    fault: str, s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    pauses, patience = patient()
    s3.rules += [plain(404), S3_FAULTS[fault]]
    patience.call(lambda: bucket(s3, gateway).pin(store.path(root.cid), root, "x"))
    assert len(pauses) == 1
    if fault in ("429", "503 SlowDown"):
        assert pauses[0] >= 3


def test_wrong_keys_are_told_with_their_variables(
    s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    s3.rules += [plain(404), plain(403, b"<Error><Code>SignatureDoesNotMatch</Code></Error>")]
    with pytest.raises(PinError, match="SignatureDoesNotMatch") as caught:
        bucket(s3, gateway).pin(store.path(root.cid), root, "x")
    assert "PIPELINE_S3_SECRET_KEY" in caught.value.hint and not caught.value.retryable


# ── Pinata ───────────────────────────────────────────────────────────────────────────────────────────────────


def pinata_contract(root: PinnedRoot) -> Callable[[Ask], Reply]:
    """What its SDK expects of the service, and nothing more."""
    held: list[str] = []

    def answer(ask: Ask) -> Reply:
        assert ask.headers["Authorization"] == f"Bearer {SECRET}"
        if ask.method == "POST" and ask.path == "/v3/files":
            held.append(str(root.cid))
            data: Any = {"id": "018f", "cid": str(root.cid), "name": "x", "size": 1}
        elif ask.method == "DELETE":
            held.clear()
            data = None
        else:
            data = {"files": [{"id": "018f", "cid": cid} for cid in held], "next_page_token": ""}
        return 200, {"Content-Type": "application/json"}, json.dumps({"data": data}).encode()

    return answer


def test_pinata_gets_a_car_by_the_recorded_contract(
    serve: Callable[..., Server], gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    pinata = serve(pinata_contract(root))
    service = PinataService(pinata.url, pinata.url, SECRET, gateway.url, public_s=5)
    for _ in range(2):
        service.pin(store.path(root.cid), root, "Lino ü\r\nX: y")
    (upload,) = [ask for ask in pinata.seen if ask.method == "POST"]
    parts = _multipart(upload)
    assert parts["car"] == b"true" and parts["network"] == b"public"
    assert parts["name"] == "Lino ü  X: y".encode()
    assert parts["file"] == store.path(root.cid).read_bytes()
    service.check(root)
    service.unpin(root)
    with pytest.raises(PinError, match="does not list"):
        service.check(root)


def _multipart(ask: Ask) -> dict[str, bytes]:
    from email.parser import BytesParser

    head = f"Content-Type: {ask.headers['Content-Type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + ask.body)
    assert message.is_multipart()
    return {
        str(part.get_param("name", header="content-disposition")): part.get_payload(decode=True)  # type: ignore[misc]
        for part in list(message.walk())[1:]
    }


def test_nothing_unsound_is_uploaded_anywhere(
    serve: Callable[..., Server], s3: Server, gateway: Server, store: CarStore, root: PinnedRoot
) -> None:
    path = store.path(root.cid)
    path.write_bytes(path.read_bytes()[:-1])
    pinata = serve(pinata_contract(root))
    services: list[Pinner] = [
        PinataService(pinata.url, pinata.url, SECRET, gateway.url),
        bucket(s3, gateway),
    ]
    for service in services:
        with pytest.raises(BadCar):
            service.pin(path, root, "x")
    assert {"POST", "PUT"}.isdisjoint(pinata.methods() + s3.methods())


# ── secrets and settings ─────────────────────────────────────────────────────────────────────────────────────


SETTINGS = {
    "psa_url": "http://127.0.0.1:1",
    "psa_origins": "",
    "s3_endpoint": "http://127.0.0.1:1",
    "s3_bucket": "art",
    "pinata_url": "http://127.0.0.1:1",
    "gateway": "http://127.0.0.1:1",
}
NAMES = {"psa": ["PSA_TOKEN"], "filebase": ["S3_ACCESS_KEY", "S3_SECRET_KEY"], "pinata": ["PINATA_TOKEN"]}


@pytest.mark.parametrize("name", NAMES)
def test_no_secret_reaches_an_error_or_a_log(
    name: str,
    serve: Callable[..., Server],
    store: CarStore,
    root: PinnedRoot,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Not even from a server that quotes it."""
    caplog.set_level("DEBUG")
    echo = serve(lambda ask: (400, {}, json.dumps({"error": {"reason": str(ask.headers)}}).encode()))
    for variable in NAMES[name]:
        monkeypatch.setenv(f"PIPELINE_{variable}", SECRET)
    for url in echo.url, "http://127.0.0.1:1":
        settings = SETTINGS | dict.fromkeys(("psa_url", "s3_endpoint", "pinata_url", "gateway"), url)
        pinner = load_pinners([name], store, Settings.of(**settings))[name]
        with pytest.raises(PinError) as caught:
            pinner.pin(store.path(root.cid), root, "x")
        told = [pinner.name, repr(pinner), str(caught.value), repr(caught.value.fields), caught.value.hint]
        assert SECRET not in "".join(told) + caplog.text
    assert echo.seen


@pytest.mark.parametrize("name", NAMES)
def test_what_a_service_needs_is_asked_for_before_anything_is_sent(
    name: str, store: CarStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(BadArgument, match=f"PIPELINE_{NAMES[name][0]}") as caught:
        load_pinners([name], store, Settings.of(**SETTINGS))
    assert "keyring set" in caught.value.hint
    for variable in NAMES[name]:
        monkeypatch.setenv(f"PIPELINE_{variable}", SECRET)
    with pytest.raises(BadArgument, match="--gateway"):
        load_pinners([name], store, Settings.of(**SETTINGS | {"gateway": ""}))
    missing = {"psa": "psa_url", "filebase": "s3_bucket"}.get(name)
    if missing:
        with pytest.raises(BadArgument, match=missing.replace("_", "-")):
            load_pinners([name], store, Settings.of(**SETTINGS | {missing: ""}))


def test_a_token_comes_from_the_keyring_and_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    import keyring
    from keyring.backend import KeyringBackend

    class Memory(KeyringBackend):
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return "from the ring".replace(" ", "-") if (service, username) == ("nft-pipeline", "psa_token") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def delete_password(self, service: str, username: str) -> None: ...

    monkeypatch.setattr("keyring.core._keyring_backend", Memory())
    assert keyring.get_password("nft-pipeline", "psa_token")
    assert token("psa_token", {}, "a token") == "from-the-ring"
    assert token("psa_token", {"PIPELINE_PSA_TOKEN": "from-env"}, "a token") == "from-env"
    for strange in " x", "x\n", "ü":
        with pytest.raises(BadArgument) as caught:
            token("psa_token", {"PIPELINE_PSA_TOKEN": strange}, "a token")
        assert strange not in str(caught.value).replace("(hidden)", "").replace("expected a token", "")


def test_without_boto3_the_extra_is_named(store: CarStore, monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in NAMES["filebase"]:
        monkeypatch.setenv(f"PIPELINE_{variable}", SECRET)
    monkeypatch.setitem(sys.modules, "boto3", None)
    with pytest.raises(MissingExtra) as caught:
        load_pinners(["filebase"], store, Settings.of(**SETTINGS))
    assert "nft-pipeline[s3]" in caught.value.hint
