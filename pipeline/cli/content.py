"""Verbs about the content itself: `gateway`."""

from __future__ import annotations

import contextlib
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.limits import MAX_PORT
from pipeline.cli.call import Call, Verb, number, say
from pipeline.cli.tables import print_json

if TYPE_CHECKING:
    from pipeline.pin.gateway import Gateway

DEFAULT_PORT = 8088


def _gateway(call: Call) -> int:
    from pipeline.pin.gateway import gateway_app, serve_gateway

    port = number("--port", call.arguments.port, 0, MAX_PORT)
    files = [Path(file) for file in call.arguments.car]
    if files:
        say(f"checking every block of {', '.join(map(str, files))} …")
    app = gateway_app(None if files else call.workspace.cars, files)
    with serve_gateway(app, port) as url:
        roots, example = app.library.roots(), _example(app)
        if call.as_json:
            print_json({"url": url, "roots": [str(root) for root in roots], "example": example and url + example})
        else:
            print(url)
        sys.stdout.flush()
        if example:
            say(f"for example: {url}{example}")
        else:
            say(f"nothing is in {call.workspace.cars} yet; what is pinned there from now on is served.")
        say(
            f"{len(roots)} roots. Give each an origin of its own by http://localhost:{url.rpartition(':')[2]}/ipfs/<cid>/ in a browser. Ctrl-C ends it."
        )
        with contextlib.suppress(KeyboardInterrupt):
            signal.pause()
    return 0


def _example(app: Gateway) -> str | None:
    """The path of a file that is here."""
    from pipeline.base.errors import Corrupt
    from pipeline.pin import unixfs
    from pipeline.pin.gateway.library import NotHere
    from pipeline.pin.gateway.request import quote_name

    for root in app.library.roots():
        try:
            name = next((name for name, _ in unixfs.entries(root, app.library.reader(root))), "")
        except unixfs.BadDag:  # a file, or a codec that has no entries
            name = ""
        except (Corrupt, NotHere):  # said in the log, and to whoever asks for it
            continue
        return f"/ipfs/{root}/{quote_name(name)}"
    return None


VERBS = (
    Verb(
        "gateway",
        _gateway,
        "serve pinned content over HTTP, as any IPFS gateway does",
        ("gateway", "gateway --port 0 --json", "gateway --car collection.car other.car"),
        (),
        (
            (
                "--port",
                {
                    "metavar": "N",
                    "default": str(DEFAULT_PORT),
                    "help": f"port on 127.0.0.1 ({DEFAULT_PORT}; 0 takes a free one)",
                },
            ),
            (
                "--car",
                {
                    "metavar": "FILE",
                    "nargs": "+",
                    "default": (),
                    "help": "serve these CARs, not those of the workspace",
                },
            ),
        ),
        ended="the gateway is closed. It only read: there is nothing to continue.",
    ),
)
