"""Givers of content: a gateway, a Kubo node, or the CARs of a workspace. None is believed: every block is hashed."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from pipeline.base.cid import CID
from pipeline.base.secrets import shown_url
from pipeline.base.web import plain_url
from pipeline.base.workspace import Workspace
from pipeline.pin import unixfs
from pipeline.pin.fetch import Limits, fetch_file
from pipeline.pin.kubo import kubo_from
from pipeline.pin.patience import Patience
from pipeline.pin.store import CarStore
from pipeline.settings import Settings

if TYPE_CHECKING:
    from pipeline.after.verify.walk import Content
    from pipeline.pin.kubo import KuboPinner

T = TypeVar("T")

OVERHEAD = 4 << 20  # bytes: the directory blocks on the way to a file, of a directory of some million files
WHOLE_S = 120.0  # for one file
TRIES, BUDGET_S = 3, 120.0  # of one file, and seconds of pauses in all: a gateway that is busy is not one that lies
AT_ONCE = 8  # files asked for at the same time: what most of the time goes into is waiting


def content_from(workspace: Workspace, config: Settings, gateway: str | None, kubo: bool) -> tuple[Content, str, int]:
    """The giver that was chosen, what to call it, and how many files it may be asked for at once.

    Without a choice it is the workspace's CARs. Raises BadArgument for an address that is none.
    """
    if gateway:
        plain_url("--gateway", gateway)
        return GatewayContent(gateway), f"the gateway {shown_url(gateway)}", AT_ONCE
    if kubo:
        node = kubo_from(config.pin.ipfs_api, os.environ)
        return KuboContent(node), node.name, 1

    return CarStore(workspace.cars), f"the CARs in {workspace.cars}", 1


def with_gateways() -> Patience:
    """How often a gateway is asked again for what it did not give."""
    return Patience(tries=TRIES, budget_s=BUDGET_S, most=AT_ONCE)


def within_patience(work: Callable[[], T]) -> Callable[[], T]:
    """The same call, repeated while its errors say that a second try may help."""
    return lambda: with_gateways().call(work)


class GatewayContent:
    """Files through an HTTP gateway, each by the blocks that lead to it. Any thread may read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._patience = with_gateways()

    def read(self, root: CID, path: str, limit: int) -> bytes:
        """Raises GatewayUnavailable, DigestMismatch, NotInDag or BadDag."""
        limits = Limits(max_bytes=limit + OVERHEAD, whole_s=WHOLE_S)
        return self._patience.call(lambda: fetch_file(root, path, self._url, limits))


class KuboContent:
    """Files that a Kubo node holds, block by block, without asking its network."""

    def __init__(self, node: KuboPinner) -> None:
        self._node = node

    def read(self, root: CID, path: str, limit: int) -> bytes:
        """Raises PinnerUnavailable, DigestMismatch, NotInDag or BadDag."""
        get_block = self._node.get_block
        return unixfs.read_bytes(unixfs.resolve(root, path, get_block), get_block, limit)
