"""`pipeline.toml` as text: what was chosen as values, and every other setting beside it as a comment that tells its default."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping

from pipeline.settings.table import SECTIONS, Section, Setting, table_of

ABOVE = """# Settings of this folder: every command that is given here reads them. A flag, or a variable such as PIPELINE_SIZE,
# wins over what stands here; `pipeline config` shows what is in force and where it came from.
"""
NODE = "the node's address may hold a key of yours: it can stand in the environment instead, as PIPELINE_RPC_URL"


def toml_of(chosen: Mapping[str, str]) -> str:
    """The file's text for settings by name, each as a flag would say it. Read again it gives the same settings."""
    return ABOVE + "\n" + "\n".join(_sections(chosen))


def _sections(chosen: Mapping[str, str]) -> Iterator[str]:
    for section in SECTIONS:
        head = f"[{section.section}]\n" if section.section else ""
        yield head + "".join(f"{line}\n" for line in _lines(section, chosen))


def _lines(section: type[Section], chosen: Mapping[str, str]) -> Iterator[str]:
    for line in table_of(section):
        if line.name == "rpc_url":
            yield f"# {NODE}"
        value = _value(line, chosen.get(line.name, line.said(line.default)))
        left = f"{line.field} = {value}" if line.name in chosen else f"# {line.field} = {value}"
        yield left if "\n" in value else f"{left}  # {line.help}"


def _value(line: Setting, text: str) -> str:
    """A value as TOML spells it; JSON's texts are TOML's, but for DEL, which no setting takes."""
    kind = line.form.schema["type"]
    if kind == "boolean":
        return "true" if text == "yes" else "false"
    if kind == "integer" and text.isdigit():
        return text
    if line.form.hint.endswith(",…") and "," in text:
        return json.dumps(text.split(","), ensure_ascii=False)
    if "\n" in text:
        inside = text.replace("\\", "\\\\").replace('"""', '""\\"')
        return f'"""\n{inside}"""'
    return json.dumps(text, ensure_ascii=False)
