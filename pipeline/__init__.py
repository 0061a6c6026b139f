"""From seed to pixels to CID to token, and back.

    import pipeline

    settings = pipeline.Settings.of(size=256, workspace="lino")
    minted = pipeline.mint(settings, count=50)

`pipeline.api` describes the functions. Each name is imported when it is asked for: importing the package loads none of the
libraries that it stands on.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

from pipeline.base import __version__

if TYPE_CHECKING:
    from pipeline.after.report import Drawn, Holding, Minted, MintedToken, Owners
    from pipeline.after.transfer import Transferred
    from pipeline.after.verify import ContractReport, Proof, Report, Scope, Step
    from pipeline.api import abandon, bill, draw, export, mint, owners, train, transfer, verify
    from pipeline.art.train.runs import Report as Training
    from pipeline.base import errors
    from pipeline.base.errors import (
        ChainError,
        GenerationError,
        Interrupted,
        PinError,
        PipelineError,
        UsageError,
        WorkspaceError,
    )
    from pipeline.base.observer import Observer
    from pipeline.base.results import as_json
    from pipeline.base.workspace import Workspace
    from pipeline.flow.abandon import Abandoned, Withdrawn
    from pipeline.flow.bill import Bill
    from pipeline.flow.consent import Person
    from pipeline.settings import Settings

__all__ = [
    "Abandoned",
    "Bill",
    "ChainError",
    "ContractReport",
    "Drawn",
    "GenerationError",
    "Holding",
    "Interrupted",
    "Minted",
    "MintedToken",
    "Observer",
    "Owners",
    "Person",
    "PinError",
    "PipelineError",
    "Proof",
    "Report",
    "Scope",
    "Settings",
    "Step",
    "Training",
    "Transferred",
    "UsageError",
    "Withdrawn",
    "Workspace",
    "WorkspaceError",
    "__version__",
    "abandon",
    "as_json",
    "bill",
    "draw",
    "errors",
    "export",
    "mint",
    "owners",
    "train",
    "transfer",
    "verify",
]

_PLACES = {
    "pipeline.after.report": ("Drawn", "Holding", "Minted", "MintedToken", "Owners"),
    "pipeline.after.transfer": ("Transferred",),
    "pipeline.after.verify": ("ContractReport", "Proof", "Report", "Scope", "Step"),
    "pipeline.api": ("abandon", "bill", "draw", "export", "owners", "train", "transfer", "verify"),
    "pipeline.base.errors": (
        *("ChainError", "GenerationError", "Interrupted", "PinError", "PipelineError", "UsageError", "WorkspaceError"),
    ),
    "pipeline.base.observer": ("Observer",),
    "pipeline.base.results": ("as_json",),
    "pipeline.base.workspace": ("Workspace",),
    "pipeline.flow.abandon": ("Abandoned", "Withdrawn"),
    "pipeline.flow.bill": ("Bill",),
    "pipeline.flow.consent": ("Person",),
    "pipeline.settings": ("Settings",),
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}


def __getattr__(name: str) -> Any:
    if name == "mint":
        return import_module("pipeline.mint")
    if name == "errors":
        return import_module("pipeline.base.errors")
    if name == "Training":
        return import_module("pipeline.art.train.runs").Report
    if name in _HOME:
        return getattr(import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__


class _Mint(ModuleType):
    """The room `pipeline.mint`, which can be called: it is `pipeline.api.mint` then."""

    def __call__(self, *arguments: Any, **options: Any) -> Any:
        from pipeline.api import mint

        return mint(*arguments, **options)


class _House(ModuleType):
    """Whoever imports `pipeline.mint.…` binds that room here, where the function of its name is expected: it is both."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "mint" and isinstance(value, ModuleType):
            value.__class__ = _Mint
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _House
