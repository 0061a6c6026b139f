"""Verbs about what files say of themselves: `detect`, `certificate`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.base.errors import BadArgument, KeyRefused
from pipeline.base.keyfiles import known_password
from pipeline.base.secrets import CERTIFICATE_PASSWORD, IMPORTED_PASSWORD
from pipeline.cli.call import Call, Verb, say
from pipeline.cli.tables import print_json, print_table
from pipeline.settings import Scope

if TYPE_CHECKING:
    from pipeline.after.detect import Detection

CERTIFICATE = "certificate.pem"
MARKED, UNMARKED = 0, 3


def _detect(call: Call) -> int:
    from pipeline.after.detect import detect

    found = list(detect(call.arguments.files, call.workspace, call.config))
    if call.as_json:
        print_json(found)
    else:
        print_table(
            ("file", "credential", "watermark", "token"),
            [(one.file, _credential(one), _watermark(one), _token(one)) for one in found],
            wrap=True,
        )
    return MARKED if found and all(one.is_marked for one in found) else UNMARKED


def _credential(found: Detection) -> str:
    signed = found.credential
    if signed is None:
        return found.fault or "none"
    return f"by {signed.issuer}" if signed.is_sound else f"by {signed.issuer}, broken: {signed.reason}"


def _watermark(found: Detection) -> str:
    if found.watermark is None:
        return "" if found.fault else "none"
    return f"{found.watermark}, of a cut picture" if found.cut else found.watermark


def _token(found: Detection) -> str:
    if found.token_id is None:
        return ""
    where = found.collection or found.contract or "a collection that is not known here"
    standing = {"this file": "; the very file", "a copy": "; a copy, changed since"}.get(found.known or "", "")
    owner = f"; owned by {found.owner}" if found.owner else ""
    return f"{found.token_id} of {where}{standing}{owner}"


def _certificate(call: Call) -> int:
    from pipeline.mark.certificate import read_certificate

    action, out = call.arguments.action, Path(call.arguments.out)
    password = _written(call, action, out) if action != "show" else _password(str(out), new=False)
    identity = read_certificate(out, password)
    rows = {"subject": identity.subject, "sha256": identity.sha256, "file": str(out)}
    if call.as_json:
        print_json(rows)
    else:
        print_table(("", ""), list(rows.items()), wrap=True)
    if action != "show":
        say(
            f"{identity.subject!r} will stand in every file that it signs, for ever. Readers that do not know its root say"
        )
        say("'untrusted': nobody but you vouches for it. Keep a copy of the file and its password in a safe place.")
        call.next("signs what it draws", "mint", "--count", 50, "--certificate", out)
    return 0


def _written(call: Call, action: str, out: Path) -> str:
    """Make the certificate, or keep one that was made elsewhere; return the password of its key."""
    from pipeline.mark.certificate import import_certificate, write_certificate

    subject, chain, key = call.arguments.subject, call.arguments.certificates, call.arguments.key
    if out.exists():
        raise KeyRefused(what=out, reason="it is there already", hint="it is left as it was; choose --out")
    if action == "new":
        subject = subject or _asked("Name that stands in every signed file: ")
        password = _password("the certificate", new=True)
        write_certificate(out, subject, password)
    else:
        if not (chain and key):
            raise BadArgument(
                name="certificate import", value="", expected="--certificates FILE and --key FILE, both PEM"
            )
        password = _password("the certificate", new=True)
        import_certificate(out, Path(chain), Path(key), _ask_password(f"Password of {key}, if it has one: "), password)
    return password


def _asked(question: str) -> str:
    from pipeline.cli.terminal import person_here

    ask = person_here().ask
    if ask is None:
        raise BadArgument(
            name="--subject", value="", expected="whose certificate it is: an artist's or a studio's public name"
        )
    return ask(question).strip()


def _ask_password(prompt: str) -> str | None:
    from pipeline.cli.terminal import person_here

    ask = person_here().ask_password
    return (ask(prompt) or None) if ask else os.environ.get(IMPORTED_PASSWORD)


def _password(what: str, *, new: bool) -> str:
    from pipeline.cli.terminal import person_here

    return known_password(what, CERTIFICATE_PASSWORD, os.environ, person_here().ask_password, new=new)


VERBS = (
    Verb(
        "certificate",
        _certificate,
        "whose signature stands in files: make a certificate, import one, show it",
        (
            "certificate new --subject 'Zoë Ħ.'",
            "certificate import --certificates chain.pem --key key.pem",
            "certificate show",
        ),
        (),
        (
            ("action", {"metavar": "new|import|show", "choices": ("new", "import", "show"), "help": "what to do"}),
            (
                "--subject",
                {"metavar": "NAME", "default": "", "help": "name that stands in every signed file, in public"},
            ),
            (
                "--certificates",
                {"metavar": "FILE", "default": "", "help": "import: certificates, PEM, the signing one first"},
            ),
            ("--key", {"metavar": "FILE", "default": "", "help": "import: its key, PEM"}),
            ("--out", {"metavar": "FILE", "default": CERTIFICATE, "help": f"the file ({CERTIFICATE})"}),
        ),
    ),
    Verb(
        "detect",
        _detect,
        "which token a picture is of, by the marks in it",
        ("detect picture.png", "detect downloads --json", "detect https://example.org/7.png"),
        (Scope.NODE,),
        (("files", {"metavar": "FILE|FOLDER|URL", "nargs": "+", "help": "pictures, folders of them, addresses"}),),
    ),
)
