"""A directory as a page: names that lead on, escaped, without scripts, and with nothing from elsewhere."""

from __future__ import annotations

import html
import itertools
from urllib.parse import quote

from pipeline.base.cid import CID
from pipeline.base.untrusted import printable
from pipeline.pin import unixfs
from pipeline.pin.gateway.request import Asked, quote_name
from pipeline.pin.unixfs import GetBlock

LISTING_VERSION = 2  # raised when the page changes: it is a part of the ETag
MAX_LISTED = 1_000  # entries that a page shows
_STYLE = (
    ":root{color-scheme:light dark}body{font:1rem/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem}"
    "h1{font-size:1rem;overflow-wrap:anywhere}td{padding-right:2rem;overflow-wrap:anywhere}.ipfs-hash{font:.8rem monospace}"
)


def list_page(asked: Asked, target: CID, get_block: GetBlock) -> bytes:
    """The page of a directory, UTF-8. Raises BadDag."""
    listed = list(itertools.islice(unixfs.entries(target, get_block), MAX_LISTED + 1))
    title = f"/ipfs/{asked.root}/" + "/".join(map(shown_name, asked.names))
    rows = [_row(asked, name, cid) for name, cid in listed[:MAX_LISTED]]
    if asked.names:
        rows.insert(0, f'<tr><td><a href="{_url(asked, asked.names)}/..">..</a></td></tr>')
    if len(listed) > MAX_LISTED:
        rows.append(f"<tr><td>… the first {MAX_LISTED:,} are shown; every name can be asked for</td></tr>")
    page = (
        f"<!doctype html><meta charset=utf-8><meta name=viewport content='width=device-width'>"
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style>"
        f"<h1>Index of {_crumbs(asked)}</h1><table>{''.join(rows)}</table>"
    )
    return page.encode()


def shown_name(name: str) -> str:
    """A name as text that shows what it is: bytes that are no text become U+FFFD, and nothing hides or turns around."""
    return printable(name.encode(errors="surrogateescape").decode(errors="replace"))


def _row(asked: Asked, name: str, cid: CID) -> str:
    href, shown = _url(asked, (*asked.names, name)), html.escape(shown_name(name))
    # Encoded twice, as Kubo does and the conformance suite compares.
    block = f"{_root(asked)}/ipfs/{cid}?filename={quote(quote_name(name))}"
    return (
        f'<tr><td><a href="{href}">{shown}</a></td>'
        f'<td><a class="ipfs-hash" translate="no" href="{block}">{cid}</a></td></tr>'
    )


def _crumbs(asked: Asked) -> str:
    """The path, each of its parts a link."""
    href = f"{_root(asked)}/ipfs/{asked.root}"
    crumbs = [f'<a href="{href}">{asked.root}</a>']
    for name in asked.names:
        href += "/" + quote_name(name)
        crumbs.append(f'<a href="{html.escape(href)}">{html.escape(shown_name(name))}</a>')
    return "/ipfs/" + "/".join(crumbs)


def _root(asked: Asked) -> str:
    """Where links to other roots begin: a page of one root's origin leads to them through the path form."""
    return f"//{asked.host.partition('.ipfs.')[2]}" if asked.isolated else ""


def _url(asked: Asked, names: tuple[str, ...]) -> str:
    return html.escape(asked.mount + "".join("/" + quote_name(name) for name in names))
