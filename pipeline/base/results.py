"""Results: frozen dataclasses, and the one way that they become JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, dataclass, fields, is_dataclass
from typing import Any

JSON_NAME = "json"  # in a field's metadata: its name in JSON, where Python keeps that word for itself


@dataclass(frozen=True, slots=True)
class Trait:
    """A trait as a result tells it."""

    trait_type: str
    value: str | int | float


def as_json(value: Any) -> Any:
    """Plain values of a result: its fields by name, a verdict `ok` that is a property first; paths and CIDs as text."""
    if is_dataclass(value) and not isinstance(value, type):
        verdict = {"ok": getattr(value, "ok", None)} if isinstance(getattr(type(value), "ok", None), property) else {}
        return verdict | {_name(field): as_json(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def _name(field: Field[Any]) -> str:
    name: str = field.metadata.get(JSON_NAME, field.name)
    return name
