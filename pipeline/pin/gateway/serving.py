"""The gateway on a port of its own, by uvicorn."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument
from pipeline.base.installation import extra

if TYPE_CHECKING:
    from pipeline.pin.gateway.app import Gateway

ADDRESS = "127.0.0.1"  # loopback only: it is this machine's door


@contextlib.contextmanager
def serve_gateway(app: Gateway, port: int) -> Iterator[str]:
    """Serve on loopback, in a thread, while the block runs; gives the URL. Port 0 is any free one.

    Raises BadArgument when the port is taken or not for this user.
    """
    with extra("serve"):
        from pipeline.base.port import server

    # Without the protocol by name, asyncio leaves Nagle's algorithm on: 40 ms for each small answer.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((ADDRESS, port))
        listening.listen()
    except OSError as error:
        listening.close()
        raise BadArgument(
            name="port", value=port, expected=f"a port that is free here ({error.strerror}); 0 takes any"
        ) from error
    running = server(app)
    thread = threading.Thread(target=running.run, kwargs={"sockets": [listening]}, name="gateway", daemon=True)
    thread.start()
    try:
        while not running.started and thread.is_alive():
            time.sleep(0.01)
        yield f"http://{ADDRESS}:{listening.getsockname()[1]}"
    finally:
        running.should_exit = True
        thread.join()
        listening.close()
