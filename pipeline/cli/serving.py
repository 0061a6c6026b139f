"""Verbs about the HTTP service: `serve`, and `access` for its tokens."""

from __future__ import annotations

import os
import sys
from typing import Any

from pipeline.base.errors import BadArgument
from pipeline.base.installation import extra
from pipeline.base.limits import MAX_EXACT, MAX_PORT
from pipeline.cli.call import CONTENT, Call, Takes, Verb, number, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

DEFAULT_PORT, DEFAULT_GATEWAY_PORT = 8089, 8088
MAX_LABEL = 100

SERVE_SETTINGS: Takes = (  # what a job's request does not say
    *(Scope.ART, Scope.GATE, Scope.MACHINE, *CONTENT, Scope.PROOF, Scope.NODE, Scope.KEY, Scope.LIMIT, Scope.SHOW),
)


def _serve(call: Call) -> int:
    with extra("serve"):
        from pipeline.serve.server import Wish, running

    words = call.arguments
    if words.public and words.require_token:
        raise BadArgument(
            name="--require-token", value=True, expected="not to be there beside --public, which everybody may read"
        )
    wish = Wish(
        host=words.host,
        port=number("--port", words.port, 0, MAX_PORT),
        gateway_port=number("--gateway-port", words.gateway_port, 0, MAX_PORT),
        require_token=words.require_token,
        allow_hosts=tuple(words.allow_host),
        public=words.public,
        url=call.config.show.url,
        gateway_url=call.config.show.gateway_url,
        trust_proxy=tuple(_network(text) for text in words.trust_proxy),
        title=call.config.show.title,
        log_level=words.log_level,
    )
    with running(call.workspace, call.config, wish, os.environ) as service:
        if call.as_json:
            print_json(
                {"url": service.url, "gateway": service.gateway} | ({"public_url": wish.url} if wish.url else {})
            )
        else:
            print(service.url)
        sys.stdout.flush()
        say(f"content by CID at {service.gateway}/ipfs/…; Ctrl-C ends both, and jobs go on when it is started again.")
        if wish.url:
            say(f"For others it is {wish.url}, once a proxy or the name leads here.")
        if wish.public:
            say("Everybody may read what is minted; nobody writes, and nothing else is shown.")
        else:
            call.next("makes a token for requests that mint", "access", "new", "--scope", "mint")
        if words.open:
            import webbrowser

            webbrowser.open(service.url)
        try:
            service.wait()
        except KeyboardInterrupt:
            if service.is_minting:
                raise
    return 0


def _network(text: str) -> Any:
    """The addresses of a proxy. Raises BadArgument."""
    import ipaddress

    try:
        return ipaddress.ip_network(text.strip())
    except ValueError:
        raise BadArgument(
            name="--trust-proxy", value=text, expected="an address such as 127.0.0.1, or a network such as 10.0.0.0/8"
        ) from None


def _access(call: Call) -> int:
    from pipeline.ledger import Ledger

    action, words = call.arguments.action, call.arguments
    if (action == "revoke") != bool(words.token):
        asked = "the number of a token" if action == "revoke" else f"nothing behind access {action}"
        raise BadArgument(name="token", value=words.token or "", expected=asked)
    with Ledger(call.workspace.ledger) as ledger:
        access = ledger.access
        if action == "new":
            token, secret = access.new(words.scope, words.label[:MAX_LABEL])
            _show_secret(call, token.id, secret)
            return 0
        if action == "revoke":
            access.revoke(number("token", words.token, 1, MAX_EXACT))
        _list(call, access.all())
    return 0


def _show_secret(call: Call, key: int, secret: str) -> None:
    """The one moment at which a token can be read."""
    if call.as_json:
        print_json({"id": key, "scope": call.arguments.scope, "token": secret})
    else:
        print(secret)
    sys.stdout.flush()
    say(
        f"token {key}, shown this once; send it in the header Authorization, behind the word Bearer. `access revoke {key}` ends it."
    )
    call.next("shows every token there is", "access", "list")


def _list(call: Call, tokens: list[Any]) -> None:
    from datetime import UTC, datetime

    def when(seconds: float | None) -> str | None:
        form = "%Y-%m-%dT%H:%M:%SZ" if call.as_json else "%Y-%m-%d %H:%M UTC"
        return datetime.fromtimestamp(seconds, UTC).strftime(form) if seconds else None

    rows = [
        {"id": t.id, "scope": t.scope, "label": t.label, "created": when(t.created), "revoked": when(t.revoked)}
        for t in tokens
    ]
    if call.as_json:
        print_json(rows)
    elif not rows:
        say("no token of the service was made here yet.")
        call.next("makes the first", "access", "new")
    else:
        print_table(("token", "scope", "label", "created", "revoked"), [tuple(row.values()) for row in rows])


VERBS = (
    Verb(
        "serve",
        _serve,
        "open the gallery and the HTTP service; jobs that wait go on",
        (
            "serve",
            "serve --port 0 --json",
            "serve --require-token",
            "serve --host 0.0.0.0 --allow-host art.example.org",
            "serve --public --url https://art.example.org --gateway-url https://ipfs.example.org",
            "serve --public --url https://art.example.org --trust-proxy 127.0.0.1",
            "serve --rpc-url https://… --network sepolia --keystore key.json",
        ),
        SERVE_SETTINGS,
        (
            ("--host", {"metavar": "ADDRESS", "default": "127.0.0.1", "help": "address to listen on (127.0.0.1)"}),
            (
                "--port",
                {
                    "metavar": "N",
                    "default": str(DEFAULT_PORT),
                    "help": f"port ({DEFAULT_PORT}; 0 takes a free one)",
                },
            ),
            (
                "--gateway-port",
                {
                    "metavar": "N",
                    "default": str(DEFAULT_GATEWAY_PORT),
                    "help": f"port of the IPFS gateway on 127.0.0.1 ({DEFAULT_GATEWAY_PORT}; 0 takes a free one)",
                },
            ),
            ("--open", {"action": "store_true", "help": "open the gallery in the browser"}),
            (
                "--require-token",
                {"action": "store_true", "help": "reading needs a token too, as it does beyond loopback"},
            ),
            (
                "--allow-host",
                {"metavar": "NAME", "action": "append", "default": [], "help": "a host name that leads here, as well"},
            ),
            (
                "--public",
                {
                    "action": "store_true",
                    "help": "a show: everybody reads what is minted, nobody what is not, and nobody writes",
                },
            ),
            (
                "--trust-proxy",
                {
                    "metavar": "ADDRESS",
                    "action": "append",
                    "default": [],
                    "help": "a proxy, or a network of them, whose X-Forwarded-For, -Proto and -Host are believed",
                },
            ),
            (
                "--log-level",
                {"choices": ("debug", "info", "warning"), "default": "info", "help": "least important log line (info)"},
            ),
        ),
        ended="the service is closed. Jobs are recorded: those that are not done go on when it is started again.",
    ),
    Verb(
        "access",
        _access,
        "tokens of the HTTP service: make one, list them, revoke one",
        ("access new --scope mint --label ci", "access list", "access revoke 1"),
        (),
        (
            ("action", {"metavar": "new|list|revoke", "choices": ("new", "list", "revoke"), "help": "what to do"}),
            ("token", {"metavar": "NUMBER", "nargs": "?", "default": "", "help": "the token to revoke"}),
            ("--scope", {"choices": ("read", "mint"), "default": "read", "help": "what it may do; mint may read too"}),
            ("--label", {"metavar": "TEXT", "default": "", "help": "who it is for"}),
        ),
    ),
)
