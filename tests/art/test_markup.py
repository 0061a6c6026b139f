"""SVGs and pages are pinned only where they are whole by themselves."""

from __future__ import annotations

import pytest

from pipeline.art.markup import NotWhole, check_html, check_svg

AWAY = "https://example.org/a"


def svg(inside: str, before: str = "", root: str = "") -> bytes:
    return (
        f'{before}<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
        f'xmlns:h="http://www.w3.org/1999/xhtml" xmlns:i="http://www.inkscape.org/namespaces/inkscape"{root}>{inside}</svg>'
    ).encode()


@pytest.mark.parametrize(
    "inside",
    [
        f"<style>@import url({AWAY}.css);</style>",
        f"<style>@import '{AWAY}.css';</style>",
        f"<style>@font-face {{ font-family: B; src: url('{AWAY}.woff2') }}</style>",
        f"<style>rect {{ fill: \\75 rl({AWAY}) }}</style>",
        f"<style>rect <![CDATA[{{ mask: u\\rl({AWAY}) }}]]></style>",
        f"<style>svg {{ background: image-set('{AWAY}.png' 1x) }}</style>",
        f'<rect style="fill:url({AWAY}.svg#g)"/>',
        f'<rect fill="URL( {AWAY}.svg#g)"/>',
        '<rect fill="url(other.svg#g)"/>',
        f'<image xlink:href="{AWAY}.png"/>',
        f'<use href="{AWAY}.svg#a"/>',
        '<a><set attributeName="href" to="javascript:alert(1)"/></a>',
        '<image><animate attributeName="xlink:href" values="#a;#b"/></image>',
        f'<rect><set attributeName="fill" to="url({AWAY}#g)"/></rect>',
        '<h:object data="x.svg"/>',
        '<h:meta http-equiv="refresh" content="0;url=x"/>',
        "<h:form/>",
        "<foreignObject/>",
        "<script>alert(1)</script>",
        '<rect onload="x()"/>',
        f'<g xml:base="{AWAY}"><use href="#a"/></g>',
        "<video/>",
    ],
)
def test_an_svg_that_runs_or_loads_is_refused(inside: str) -> None:
    with pytest.raises(NotWhole):
        check_svg(svg(inside))


@pytest.mark.parametrize(
    "data",
    [
        svg("", f'<?xml-stylesheet href="{AWAY}.css"?>'),
        svg("&a;", '<!DOCTYPE svg [<!ENTITY a "b">]>'),
        svg("", '<?xml version="1.0" encoding="utf-7"?>'),
        b'<svg xmlns="http://www.w3.org/2000/svg"><g></svg>',
        b"<html xmlns='http://www.w3.org/1999/xhtml'/>",
    ],
)
def test_an_svg_that_is_none_or_begins_with_more_than_itself_is_refused(data: bytes) -> None:
    with pytest.raises(NotWhole):
        check_svg(data)


def test_what_editors_write_is_taken() -> None:
    doctype = '<?xml version="1.0" encoding="UTF-8"?><!DOCTYPE svg PUBLIC "-//W3C//DTD SVG 1.1//EN" "http://www.w3.org/a.dtd">'
    check_svg(
        svg(
            '<title>Image (1): url(a)</title><i:namedview i:label="url(x)" pagecolor="#fff"/><?xpacket begin=""?>'
            "<style>@font-face { font-family: B; src: url(data:font/woff2;base64,AAAA) } .a { fill: url(#g) }</style>"
            '<defs><linearGradient id="g"/></defs><rect id="image (2)" class="a" style="filter:url(&quot;#f&quot;)"/>'
            '<image href="data:image/png;base64,AAAA"/><use xlink:href="#g"/><animate attributeName="x" to="5"/>',
            doctype,
        )
    )


@pytest.mark.parametrize(
    "body",
    [
        f"<script src={AWAY}.js></script>",
        "<script src='p5.min.js'></script>",
        f'<link rel="stylesheet" href="{AWAY}.css">',
        f"<style>@import '{AWAY}.css'</style>",
        f'<p style="background: url({AWAY})">',
        f'<img srcset="{AWAY} 2x">',
        "<svg><image href=//example.org/a.png /></svg>",
        "<base href=https://example.org>",
        '<meta http-equiv="Refresh" content="0;url=x">',
        f'<object data="{AWAY}">',
        f'<iframe srcdoc="&lt;img src={AWAY}&gt;">',
        "<video poster=a.png>",
    ],
)
def test_a_page_whose_markup_loads_is_refused(body: str) -> None:
    with pytest.raises(NotWhole):
        check_html(f"<!-- by hand -->\n<!DOCTYPE html><p>a{body}".encode())


def test_a_page_may_link_and_hold_and_what_its_scripts_name_is_told() -> None:
    page = (
        "<!doctype html><a href=https://example.org>x</a><img src=data:image/png;base64,AA><link rel=canonical href=/x>"
    )
    assert check_html(page.encode()) == ""
    script = "<script>const ns = 'http://www.w3.org/2000/svg'; if (1<2) fetch('https://cdn.example.org/p5.js')</script>"
    assert check_html((page + script).encode()) == "https://cdn.example.org/p5.js"
    assert check_html(b"<html><!-- <img src=https://example.org/a> --><script>'<img src=\"x\">'</script>") == ""


@pytest.mark.parametrize(
    "piece", ["-->  <!--", "<!-- ", "<a ", "<a b='", "<script>", "<a/ / / ", "url( ", "@namespace ", "\\75 "]
)
def test_a_large_page_of_repeats_is_read_in_one_pass(piece: str) -> None:
    """Half a second in one pass; hours where each piece looks at all that follow it. A timeout is the fault."""
    for head in ("<!doctype html><style>", "<!-- a --><html>", "<!-- "):
        try:
            check_html((head + piece * 400_000).encode())
        except NotWhole:
            pass
