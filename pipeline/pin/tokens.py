"""Secrets of services: from the environment or the desktop's keyring, and from nowhere else."""

from __future__ import annotations

from collections.abc import Mapping

from pipeline.base.errors import BadArgument

KEYRING = "nft-pipeline"  # the service name under which the keyring has them


def token(name: str, environ: Mapping[str, str], what: str) -> str:
    """The secret called `name`: `PIPELINE_<NAME>`, or the keyring's entry of that name. Raises BadArgument.

    `what` completes the sentence «expected …» for whoever has none.
    """
    variable = f"PIPELINE_{name.upper()}"
    found = environ.get(variable) or _from_keyring(name)
    if not found:
        raise BadArgument(
            name=variable,
            value="",
            expected=what,
            hint=f"export {variable}, or `keyring set {KEYRING} {name}`; it is never an argument and never stored",
        )
    if not found.isprintable() or not found.isascii() or found != found.strip():
        raise BadArgument(name=variable, value="(hidden)", expected=f"{what}, in printable ASCII without spaces around")
    return found


def _from_keyring(name: str) -> str:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError:
        return ""
    try:
        return keyring.get_password(KEYRING, name) or ""
    except KeyringError:  # a machine without a desktop has none
        return ""
