"""What an SVG and an HTML page must be before they are pinned: whole by themselves.

An SVG runs nothing and loads nothing. Browsers give meaning to elements of three namespaces; of SVG's those in the list
below are let in, of XHTML's and MathML's none, and all other elements (an editor's notes) mean nothing to them. A page
may run what it holds, and its markup loads nothing: what a script fetches cannot be read off a page, so the addresses
in its scripts are told and not refused.

Both are read in one pass, without regular expressions that may look at the same text twice.

Sources: SVG 2, W3C CSS Syntax 3 (escapes), CSS Images 4, HTML 13.2.5 (tokenization), xml-stylesheet 1.0.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from pipeline.base.errors import PipelineError

_SVG = "http://www.w3.org/2000/svg"
_RENDERED = ("http://www.w3.org/1999/xhtml", "http://www.w3.org/1998/Math/MathML")
_ELEMENTS = frozenset(
    "svg g defs desc title metadata symbol use switch style a view "
    "path rect circle ellipse line polyline polygon text tspan tref textPath altGlyph altGlyphDef altGlyphItem glyphRef "
    "image marker pattern clipPath mask linearGradient radialGradient stop solidcolor solidColor meshgradient meshrow "
    "meshpatch hatch hatchpath mesh filter feBlend feColorMatrix feComponentTransfer feComposite feConvolveMatrix "
    "feDiffuseLighting feDisplacementMap feDistantLight feDropShadow feFlood feFuncA feFuncB feFuncG feFuncR "
    "feGaussianBlur feImage feMerge feMergeNode feMorphology feOffset fePointLight feSpecularLighting feSpotLight feTile "
    "feTurbulence animate animateColor animateMotion animateTransform set mpath discard "
    "font font-face font-face-src font-face-name font-face-format glyph missing-glyph hkern vkern "
    "flowRoot flowRegion flowPara flowSpan flowDiv".split()
)  # the last line: what Inkscape writes after a draft of SVG 1.2, and no browser draws
_RUNNING = frozenset(("script", "foreignobject", "iframe", "handler", "listener", "object", "embed"))
_ENCODINGS = frozenset(("utf-8", "utf-16", "us-ascii", "ascii", "iso-8859-1", "latin-1"))  # expat's own
_INSIDE = re.compile(
    r"#|data:(image/(png|jpeg|jpg|gif|webp|avif)|font/|application/(x-)?font|application/octet-stream)[\w/.+-]*[;,]",
    re.I,
)
_LOADING_CSS = re.compile(r"(url|src|image|image-set|-webkit-image-set|cross-fade|element)\s*\(\s*|@import", re.I)
_NAMESPACE = re.compile(r"@namespace[^;{}@]*;", re.I)
_TEXTS = re.compile(
    r"(id|class|name|title|label|unicode|glyph-name|d|points|transform)$|data-|aria-"
)  # no CSS is in them
_ESCAPE = re.compile(r"\\(?:([0-9a-fA-F]{1,6})\s?|(.))", re.DOTALL)


class NotWhole(PipelineError):
    """A document that is broken, or that runs or loads what it may not."""

    sentence = "the document cannot be pinned: {reason}"

    @property
    def reason(self) -> str:
        return str(self.fields["reason"])


# ── SVG ──────────────────────────────────────────────────────────────────────────────────────────────────────


def check_svg(data: bytes) -> None:
    """Raise NotWhole unless this is a well-formed SVG that runs nothing, loads nothing and does not grow when it is read."""
    from xml.parsers import expat

    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True
    reader = _Svg()
    parser.StartElementHandler, parser.EndElementHandler = reader.start, reader.end
    parser.CharacterDataHandler = reader.text
    parser.StartDoctypeDeclHandler, parser.ProcessingInstructionHandler = reader.doctype, reader.instruction
    parser.XmlDeclHandler = reader.declaration
    try:
        parser.Parse(data, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # the latter two for encodings that Python has not
        raise NotWhole(reason=f"it is not well-formed ({error})") from error


class _Svg:
    def __init__(self) -> None:
        self._depth, self._style = 0, list[str]()
        self._in_style = False

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        namespace, _, local = tag.rpartition(" ")
        if self._depth == 0 and tag != f"{_SVG} svg":
            raise NotWhole(reason=f"its root element is {local[:40]}, and no svg of {_SVG}")
        self._depth += 1
        if local.lower() in _RUNNING or namespace in _RENDERED:
            raise NotWhole(reason=f"it has a <{local[:40]}>")
        if namespace != _SVG:
            return
        if local not in _ELEMENTS:
            raise NotWhole(reason=f"it has a <{local[:40]}>, which is no element of a picture")
        self._in_style = local == "style"
        for name, value in attributes.items():
            self._attribute(name, value)

    def _attribute(self, name: str, value: str) -> None:
        space, _, plain = name.rpartition(" ")
        plain = plain.lower()
        if plain.startswith("on"):
            raise NotWhole(reason=f"it has {plain[:40]}=")
        if plain == "base" and space == "http://www.w3.org/XML/1998/namespace":
            raise NotWhole(reason="it has xml:base=, which turns what is inside into what is elsewhere")
        if plain in ("href", "src") and not _INSIDE.match(value.strip()):
            raise NotWhole(reason=f"it refers to {value[:60]!r}")
        if plain == "attributename":
            moved = value.strip().rpartition(":")[2].lower()
            if moved in ("href", "src", "style", "base") or moved.startswith("on"):
                raise NotWhole(reason=f"it sets {value[:40]} as time goes by")
        if not space and not _TEXTS.match(plain):
            check_css(value)

    def text(self, text: str) -> None:
        if self._in_style:
            self._style.append(text)

    def end(self, tag: str) -> None:
        self._depth -= 1
        if self._in_style and tag == f"{_SVG} style":
            check_css("".join(self._style))
            self._in_style, self._style = False, []

    def doctype(self, name: str, system: str | None, public: str | None, internal: int) -> None:
        if internal:
            raise NotWhole(reason="its DOCTYPE declares entities")

    def instruction(self, target: str, data: str) -> None:
        if target.lower().startswith("xml"):
            raise NotWhole(reason=f"it has <?{target[:40]}?>")

    def declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        if encoding and encoding.lower() not in _ENCODINGS:
            raise NotWhole(reason=f"its encoding is {encoding[:40]}, and not UTF-8")


# ── CSS, in either ───────────────────────────────────────────────────────────────────────────────────────────


def check_css(text: str) -> None:
    """Raise NotWhole for CSS, or a value that may be some, that loads: url() of what is not inside, @import and the like."""
    if "(" not in text and "@" not in text:
        return
    plain = _NAMESPACE.sub("", _ESCAPE.sub(_unescaped, text) if "\\" in text else text)
    for found in _LOADING_CSS.finditer(plain):
        word = found[0].partition("(")[0].strip().lower()
        target = plain[found.end() : found.end() + 80].lstrip("'\" \t\r\n\f")
        if word == "@import" or not (_INSIDE.match(target) or (word != "url" and not _names(target))):
            raise NotWhole(reason=f"its style has {plain[found.start() : found.start() + 60]!r}")


def _names(target: str) -> bool:
    """Whether an image function's first words are an address; functions inside it are judged by themselves."""
    return bool(target) and not re.match(r"[\w-]+\(|\)", target)


def _unescaped(escape: re.Match[str]) -> str:
    if escape[1] is None:
        return str(escape[2])
    code = int(escape[1], 16)
    return chr(code) if 0 < code < 0x110000 else "\ufffd"


# ── HTML ─────────────────────────────────────────────────────────────────────────────────────────────────────

_SPACE = " \t\r\n\f"
_TAG = re.compile(r"<(/?)([a-zA-Z][^\s/>]*)")
_NAME = re.compile(r"[\s/]*([^\s/>=][^\s/>=]*)\s*(=?)\s*")
_BARE = re.compile(r"[^\s>]*")
_LOADING = frozenset(
    (
        "src",
        "srcset",
        "imagesrcset",
        "data",
        "poster",
        "background",
        "href",
        "xlink:href",
    )
)
_NO_LOAD_LINKS = frozenset(("canonical", "license", "author", "alternate", "me", "help", "search", "next", "prev"))
_LINKS = frozenset(("a", "area"))  # a reader goes there, or does not
_OWN_SCHEME = re.compile(r"[\x00-\x20]*(#|$|data:|blob:|about:|javascript:)", re.I)
_ADDRESS = re.compile(r"https?://[^\s\"'`<>\\)]+", re.I)
_NO_LOAD = ("http://www.w3.org/", "https://www.w3.org/")  # names of namespaces


def check_html(data: bytes) -> str:
    """Raise NotWhole unless this is an HTML page in UTF-8 whose markup loads nothing; return an address that its scripts
    name, empty where they name none.
    """
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise NotWhole(reason=f"it is not UTF-8: byte {error.start:,} is something else") from error
    begin = _after_comments(text)
    if not re.compile(r"<(!doctype\s+html|html)\b", re.I).match(text, begin):
        raise NotWhole(reason="it does not begin with <!doctype html> or <html>")
    return _check_elements(text, begin)


def _check_elements(text: str, begin: int = 0, *, inner: bool = False) -> str:
    named = ""
    for tag, attributes, raw in _tags(text, begin):
        stated = dict(reversed(attributes))  # of one that is given twice the first counts
        for name, value in stated.items():
            if name == "srcdoc" and not inner:
                _check_elements(value, inner=True)
            elif name == "srcdoc":
                raise NotWhole(reason="it has a page in a page in a page")
            elif name == "style":
                check_css(value)
            elif name in _LOADING and _loads(tag, name, stated):
                _must_be_inside(tag, name, value)
        if tag == "meta" and stated.get("http-equiv", "").strip().lower() == "refresh":
            raise NotWhole(reason="it goes to another page by itself (<meta http-equiv=refresh>)")
        if tag == "style":
            check_css(raw)
        if tag == "script" and not named:
            named = next((found[0] for found in _ADDRESS.finditer(raw) if not found[0].startswith(_NO_LOAD)), "")
    return named


def _loads(tag: str, name: str, stated: dict[str, str]) -> bool:
    if name == "data":
        return tag == "object"
    if tag == "link":
        return not set(stated.get("rel", "").lower().split()) <= _NO_LOAD_LINKS
    return tag not in _LINKS


def _must_be_inside(tag: str, name: str, value: str) -> None:
    for part in value.split(",") if name.endswith("srcset") and "data:" not in value else (value,):
        if not _OWN_SCHEME.match(part):
            raise NotWhole(reason=f"its <{tag[:40]}> loads {part.strip()[:60]!r}: put it into the page itself")


def _after_comments(text: str) -> int:
    at = 0
    while True:
        while at < len(text) and text[at] in _SPACE:
            at += 1
        if not text.startswith("<!--", at):
            return at
        end = text.find("-->", at + 4)
        if end < 0:
            return at
        at = end + 3


def _tags(text: str, at: int) -> Iterator[tuple[str, list[tuple[str, str]], str]]:
    """Each beginning of an element: its name in lower case, its attributes, and of script and style what they hold."""
    lower = text.lower() if len(text.lower()) == len(text) else text  # a few capitals grow when they are lowered
    while (at := text.find("<", at)) >= 0:
        if text.startswith("<!--", at):
            end = text.find("-->", at + 4)
            at = len(text) if end < 0 else end + 3
            continue
        found = _TAG.match(text, at)
        if found is None or found[1]:
            at += 1
            continue
        tag, attributes, at = found[2].lower(), list[tuple[str, str]](), found.end()
        while (part := _NAME.match(text, at)) is not None:
            at, value = part.end(), ""
            if part[2]:
                quote = text[at : at + 1]
                if quote in ("'", '"') and quote:
                    end = text.find(quote, at + 1)
                    end = len(text) if end < 0 else end
                    value, at = text[at + 1 : end], end + 1
                else:
                    bare = _BARE.match(text, at)
                    assert bare is not None, "it matches nothing as well"
                    value, at = bare[0], bare.end()
            attributes.append((part[1].lower(), _plain(value)))
        raw = ""
        if tag in ("script", "style", "textarea", "title", "xmp", "noembed", "noframes"):
            begin = text.find(">", at) + 1 or len(text)
            end = lower.find(f"</{tag}", begin)
            raw, at = text[begin : (end := len(text) if end < 0 else end)], end
        yield tag, attributes, raw


def _plain(value: str) -> str:
    import html

    return html.unescape(value) if "&" in value else value
