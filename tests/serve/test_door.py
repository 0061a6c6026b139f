"""Who comes in: tokens, scopes, hosts, pace, and requests that are meant to cost something."""

from __future__ import annotations

import ipaddress
import json
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import httpx
import pytest
from conftest import REPOSITORY, Pipeline
from serve.conftest import Service, new_token, service, small

from pipeline.base.port import SHARE, most_connections
from pipeline.serve.door import MAX_CLIENTS, Pace, Rate, _as_it_came, _route


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose reads need a token too."""
    with service(tmp_path_factory.mktemp("closed"), "--require-token") as running:
        yield running


def _raw(running: Service, request: bytes, timeout: float = 60) -> bytes:
    """Whatever comes back until the other side closes."""
    with socket.create_connection(running.address, timeout) as connection:
        connection.sendall(request)
        return _rest(connection)


def _rest(connection: socket.socket) -> bytes:
    answer = b""
    try:
        while part := connection.recv(65536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def _resident(pid: int) -> int:
    """Bytes that a process has resident now."""
    status = Path(f"/proc/{pid}/status").read_text()
    return next(int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS:"))


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/collections", "/metrics", "/readyz", "/openapi.json", "/v1/nothing"])
def test_a_closed_service_tells_nothing_without_a_token(closed: Service, path: str) -> None:
    with closed.client() as client:
        refused = client.get(path)
        assert refused.status_code == 401 and refused.headers["www-authenticate"].startswith("Bearer")
    with closed.client(new_token(closed.folder, "read")) as client:
        assert client.get(path).status_code == (404 if path == "/v1/nothing" else 200)


def test_open_are_only_that_it_lives_and_the_page_without_anything_in_it(closed: Service) -> None:
    with closed.client() as client:
        assert client.get("/healthz").json() == {"alive": True}
        shipped = REPOSITORY / "pipeline" / "serve" / "gallery" / "static" / "index.html"
        for page in ("/", "/lino", "/lino/7", "/owner/0x" + "1" * 40, "/docs"):
            assert client.get(page).content == shipped.read_bytes(), page  # the same for every workspace
        assert client.get("/robots.txt").text == "User-agent: *\nDisallow: /\n"
        assert client.post("/").status_code == client.post("/gallery/index.html").status_code == 401
        for path in (
            "/gallery",
            "/gallery/%2e%2e/v1/jobs",
            "/gallery/..%2fv1%2fjobs",
            "/v1//jobs",
            "/sitemap.xml",
            "/media/1/1/0/image",
        ):
            assert client.get(path).status_code in (401, 404), path


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"])
@pytest.mark.parametrize("path", ["/v1/collections", "/v1/jobs", "/", "/anything"])
def test_whatever_does_not_read_needs_a_token_that_may_mint(shared: Service, method: str, path: str) -> None:
    with shared.client(new_token(shared.folder, "read")) as reader:
        assert reader.request(method, path).status_code == 403


def test_a_write_needs_a_token_and_takes_no_other_proof(shared: Service) -> None:
    with shared.client() as client:
        token = new_token(shared.folder, "mint")
        for headers in ({}, {"Cookie": f"token={token}"}, {"Authorization": f"Basic {token}"}, {"X-Token": token}):
            refused = client.post("/v1/collections", json=small("No"), headers={"Idempotency-Key": "no", **headers})
            assert refused.status_code == 401, headers
        assert client.post(f"/v1/collections?token={token}", json=small("No")).status_code == 401


def test_a_revoked_token_opens_nothing_any_more(shared: Service, pipeline: Pipeline) -> None:
    made = pipeline("access", "new", "--scope", "mint", "--label", "ci", "--json", cwd=shared.folder).json
    with shared.client(made["token"]) as client:
        assert client.get("/v1/jobs").status_code == 200
        assert pipeline("access", "revoke", made["id"], cwd=shared.folder).code == 0
        assert client.get("/v1/jobs").status_code == 401
    listed = pipeline("access", "list", "--json", cwd=shared.folder)
    assert made["token"] not in listed.out + listed.err
    assert [row["revoked"] is not None for row in listed.json if row["id"] == made["id"]] == [True]
    assert made["token"].encode() not in b"".join(
        path.read_bytes() for path in (shared.folder / "workspace").glob("ledger.sqlite*")
    )
    assert pipeline("access", "revoke", "999", cwd=shared.folder).code == 2


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1.evil.example", "localhost.", "169.254.169.254", "[::2]"])
def test_a_name_that_was_bound_to_this_address_by_somebody_else_is_refused(shared: Service, host: str) -> None:
    with shared.client() as client:
        assert client.get("/v1/jobs", headers={"Host": f"{host}:{shared.address[1]}"}).status_code == 421


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]", "LOCALHOST"])
def test_our_own_names_are_taken(shared: Service, host: str) -> None:
    with shared.client() as client:
        assert client.get("/v1/jobs", headers={"Host": f"{host}:{shared.address[1]}"}).status_code == 200


def test_beyond_loopback_everything_needs_a_token(tmp_path: Path) -> None:
    with service(tmp_path, "--host", "0.0.0.0", "--allow-host", "art.example") as running:
        url = f"http://127.0.0.1:{running.address[1]}"
        assert httpx.get(f"{url}/v1/jobs").status_code == 401
        headers = {"Authorization": f"Bearer {new_token(tmp_path, 'read')}"}
        assert httpx.get(f"{url}/v1/jobs", headers=headers).status_code == 200
        assert httpx.get(f"{url}/v1/jobs", headers=headers | {"Host": "art.example"}).status_code == 200
        assert httpx.get(f"{url}/v1/jobs", headers=headers | {"Host": "evil.example"}).status_code == 421


def test_every_answer_carries_its_armour(shared: Service) -> None:
    with shared.client() as client:
        for path in ("/", "/v1/jobs", "/v1/jobs/77777", "/healthz", "/metrics", "/openapi.json", "/nothing"):
            answer = client.get(path, headers={"Origin": "https://evil.example"})
            assert answer.headers["x-content-type-options"] == "nosniff", path
            policy = answer.headers["content-security-policy"]
            assert "default-src 'none'" in policy and "unsafe-inline" not in policy, path
            assert answer.headers["referrer-policy"] == "no-referrer"
            assert not [name for name in answer.headers if name.startswith("access-control-")], path
            assert "set-cookie" not in answer.headers and "server" not in answer.headers
    broken = _raw(shared, b"BROKEN\r\n\r\n")
    assert broken.startswith(b"HTTP/1.1 400") and b"nosniff" in broken


def test_a_body_that_says_it_is_a_gigabyte_is_refused_unread(shared: Service, token: str) -> None:
    head = (
        "POST /v1/collections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: g\r\n"
        f"Authorization: Bearer {token}\r\nContent-Length: {1 << 30}\r\n\r\n"
    )
    assert _raw(shared, head.encode()).startswith(b"HTTP/1.1 413")


def test_a_body_without_an_end_is_cut_where_the_limit_is(shared: Service, token: str) -> None:
    """A gigabyte in chunks: what we manage to send before it hangs up is a few buffers."""
    before, chunk, sent = _resident(shared.process.pid), b"10000\r\n" + bytes(1 << 16) + b"\r\n", 0
    with socket.create_connection(shared.address, 60) as connection:
        connection.sendall(
            "POST /v1/collections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
            f"Idempotency-Key: g\r\nAuthorization: Bearer {token}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
        )
        try:
            while sent < 1 << 30:
                connection.sendall(chunk)
                sent += len(chunk)
        except OSError:
            pass
    assert sent < 64 << 20  # the system's own buffers on both sides
    assert _resident(shared.process.pid) - before < 32 << 20


@pytest.mark.timeout(120)
def test_half_open_and_slow_clients_are_let_go_and_others_are_served(shared: Service, token: str) -> None:
    """A hundred connections that say nothing, a hundred that say it slowly, and a body that never comes."""
    before = _resident(shared.process.pid)
    with ExitStack() as stack:
        idle = [stack.enter_context(socket.create_connection(shared.address, 60)) for _ in range(100)]
        slow = [stack.enter_context(socket.create_connection(shared.address, 60)) for _ in range(100)]
        for connection in slow:
            connection.sendall(b"GET /v1/jobs HTTP/1.1\r\nHost: loc")
        body = stack.enter_context(socket.create_connection(shared.address, 60))
        body.sendall(
            "POST /v1/collections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: s\r\n"
            f"Authorization: Bearer {token}\r\nContent-Length: 100\r\n\r\n{{".encode()
        )
        with shared.client() as client:
            assert client.get("/v1/jobs").status_code == 200
        assert _rest(body).startswith(b"HTTP/1.1 408")
        assert [_rest(connection) for connection in idle + slow] == [b""] * 200
        assert _resident(shared.process.pid) - before < 64 << 20


@pytest.mark.timeout(120)
def test_half_open_connections_give_way_on_both_ports(tmp_path: Path) -> None:
    """1,100 half heads at each port of a process that may open 1,024 files: whoever asks is answered all the same."""
    few, many = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(few, min(many, 4_096)), many))
    with service(tmp_path) as running, ExitStack() as stack:
        resource.prlimit(running.process.pid, resource.RLIMIT_NOFILE, (1_024, 1_024))
        gateway = ("127.0.0.1", int(running.gateway.split("/")[2].rpartition(":")[2]))
        for address in (running.address, gateway):
            for _ in range(1_100):
                connection = stack.enter_context(socket.create_connection(address, 60))
                with suppress(OSError):
                    connection.sendall(b"GET / HTTP/1.1\r\nHost: loc")
        for address, path, status in ((running.address, "/healthz", 200), (gateway, "/ipfs/none", 400)):
            # `scripts/bench-half-open` says how soon: within a second. Here it is enough that somebody is answered.
            assert httpx.get(f"http://127.0.0.1:{address[1]}{path}", timeout=60).status_code == status
        assert running.log.stat().st_size < 20_000


def test_one_client_leaves_room_for_others(shared: Service, token: str) -> None:
    """Connections that are in the middle of a request do not give way: a client that holds its share gets no more."""
    share = int(most_connections() * SHARE)
    with ExitStack() as stack:
        held = []
        for _ in range(share + 20):
            connection = stack.enter_context(socket.create_connection(shared.address, 60))
            connection.sendall(
                "POST /v1/collections HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nIdempotency-Key: x\r\n"
                f"Authorization: Bearer {token}\r\nContent-Length: 9\r\n\r\n{{".encode()
            )
            held.append(connection)
        closed, _, _ = select.select(held[share:], [], [], 60)
        assert closed
    with shared.client() as client:
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/healthz",
        "/v1/jobs",
        "/",
        "/docs",
        "/sitemap.xml",
        "/robots.txt",
        "/nowhere",
        "/metrics",
        "/openapi.json",
        "/v1/jobs/999",
    ],
)
def test_head_is_answered_as_get_without_its_body(shared: Service, path: str) -> None:
    with shared.client() as client:
        got, head = client.get(path), client.head(path)
    assert head.status_code == got.status_code and head.content == b""
    assert head.headers["content-type"] == got.headers["content-type"]


def test_a_head_of_twenty_kilobytes_in_one_packet_is_refused(shared: Service) -> None:
    head = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 20_000 + b"\r\n\r\n"
    assert _raw(shared, head).startswith(b"HTTP/1.1 400")


def test_a_client_that_takes_no_answer_holds_no_memory(shared: Service) -> None:
    """It asks a thousand times down one connection and reads nothing: answers wait for it, not in our memory."""
    before = _resident(shared.process.pid)
    with socket.create_connection(shared.address, 5) as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n"
        try:
            for _ in range(20_000):
                connection.sendall(request)
        except OSError:
            pass
        with shared.client() as client:
            assert client.get("/healthz").status_code == 200
        assert _resident(shared.process.pid) - before < 64 << 20


@pytest.mark.parametrize(
    "path",
    [
        "/../../etc/passwd",
        "/..%2f..%2fetc/passwd",
        "/gallery/..%2f..%2f..%2fledger.sqlite",
        "/gallery/%2e%2e/ledger.sqlite",
        "/gallery/page.css%00.png",
        "/v1/jobs/1%2f..%2f..",
        "/v1/jobs/..%5c..%5c",
        "/v1/jobs/-1",
        "/v1/jobs/9" + "9" * 400,
        "/v1/collections/1/tokens/%00",
        "/media/1/..%2f..%2fledger.sqlite",
        "//etc/passwd",
        "http://evil.example/v1/jobs",
    ],
)
def test_path_tricks_lead_nowhere(shared: Service, path: str) -> None:
    answer = _raw(shared, f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    assert answer[9:12] in (b"400", b"404", b"422"), answer[:200]
    assert b"root:" not in answer and b"SQLite" not in answer


def test_a_head_without_an_end_is_refused(shared: Service) -> None:
    assert _raw(shared, b"GET / HTTP/1.1\r\nX: " + b"a" * (1 << 20)).startswith((b"HTTP/1.1 400", b"HTTP/1.1 431"))


def test_behind_a_proxy_that_is_trusted_everybody_has_a_pace_and_the_name_they_asked_for() -> None:
    """Who is not trusted says nothing about others; and an address that a visitor writes down himself is not his."""
    trusted = (ipaddress.ip_network("10.0.0.0/8"),)

    def came(client: str, **told: str) -> tuple[str, str, str]:
        headers = [(name.replace("_", "-").encode(), value.encode()) for name, value in told.items()]
        scope = _as_it_came({"client": (client, 1), "scheme": "http", "headers": headers}, trusted)
        return scope["client"][0], scope["scheme"], dict(scope["headers"]).get(b"host", b"").decode()

    told = {"host": "inner", "x_forwarded_proto": "https", "x_forwarded_host": "art.example.org"}
    assert came("10.0.0.9", x_forwarded_for="203.0.113.5", **told) == ("203.0.113.5", "https", "art.example.org")
    assert came("10.0.0.9", x_forwarded_for="1.1.1.1, 203.0.113.5, 10.0.0.7", **told)[0] == "203.0.113.5"
    assert came("10.0.0.9", x_forwarded_for="nonsense", **told)[0] == "10.0.0.9"
    assert came("203.0.113.5", x_forwarded_for="1.1.1.1", **told) == ("203.0.113.5", "http", "inner")
    assert came("10.0.0.9", host="inner", x_forwarded_proto="gopher") == ("10.0.0.9", "http", "inner")


def test_guessing_tokens_is_slowed_down(tmp_path: Path) -> None:
    with service(tmp_path) as running, running.client("nftp_guess") as client:
        codes = [client.get("/v1/jobs").status_code for _ in range(40)]
        assert codes[0] == 401 and codes[-1] == 429
        refused = client.get("/v1/jobs")
        assert int(refused.headers["retry-after"]) >= 1
        assert "error" in json.loads(refused.text)


def test_inventing_paths_gives_nobody_another_pace() -> None:
    def route(method: str, path: str) -> str:
        return _route({"method": method, "path": path})

    assert len({route("GET", f"/{number}/x") for number in range(100)}) == 1
    assert route("GET", "/v1/jobs/1") == route("HEAD", "/v1/jobs/2") != route("POST", "/v1/jobs/1/cancel")
    assert route("GET", "/v1/jobs") != route("GET", "/v1/collections")


def test_pace_lets_a_burst_through_and_then_what_it_says() -> None:
    now = [0.0]
    pace, rate = Pace(lambda: now[0]), Rate(per_second=2, burst=3)
    assert [pace.take(("a", "x"), rate) for _ in range(4)] == [0, 0, 0, 1]
    assert pace.take(("b", "x"), rate) == 0  # another client
    assert pace.take(("a", "y"), rate) == 0  # another route
    now[0] = 0.5
    assert pace.take(("a", "x"), rate) == 0 and pace.take(("a", "x"), rate) == 1
    for number in range(MAX_CLIENTS + 100):
        pace.take((str(number), "x"), rate)
    assert len(pace) == MAX_CLIENTS
