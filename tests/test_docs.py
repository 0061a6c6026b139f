"""Whatever a user can name is documented: verbs, settings, metrics, events, entry points, extras, names of the API."""

from __future__ import annotations

import re
import tomllib

import pytest
from conftest import REPOSITORY

from pipeline.cli.main import VERBS
from pipeline.serve.metrics import Metrics
from pipeline.settings import every_setting

DOCS = REPOSITORY / "docs"
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]


def page(name: str) -> str:
    return (REPOSITORY / name).read_text()


def test_every_verb_is_in_the_readme() -> None:
    assert [verb.name for verb in VERBS if f"`pipeline {verb.name}" not in page("README.md")] == []


def test_every_setting_is_on_its_page_by_every_name() -> None:
    text = page("docs/settings.md")
    names = [name for line in every_setting() for name in (line.flag, line.name)]
    assert [name for name in names if name not in text] == []


def test_every_metric_is_on_the_services_page() -> None:
    source = (REPOSITORY / "pipeline" / "serve" / "metrics.py").read_text()
    metrics = set(re.findall(r'"(pipeline_[a-z_]+)"', source))
    assert len(metrics) > 10 and Metrics is not None
    assert [name for name in sorted(metrics) if name not in page("docs/service.md")] == []


def test_every_event_of_the_contract_is_declared_in_its_outer_face() -> None:
    """Comments there say what each means; the standards' own stand in a group of theirs."""
    emitted = set(re.findall(r"\bemit (\w+)", page("contracts/Collection.sol")))
    face = page("contracts/ICollection.sol")
    assert {"Transfer", "BatchMetadataUpdate"} <= emitted
    assert [name for name in sorted(emitted) if f"event {name}(" not in face] == []


def test_every_state_that_a_jobs_events_are_called_by_is_on_the_services_page() -> None:
    states = re.search(r"state IN \('queued'[^)]*\)", page("pipeline/ledger/schema.py"))
    assert states
    text = page("docs/service.md") + page("docs/design.md")
    assert [state for state in re.findall(r"'(\w+)'", states[0]) if state not in text] == []


def test_every_entry_point_and_extra_is_documented() -> None:
    groups = set(re.findall(r'^ENTRY_POINTS = "([\w.]+)"', _all_sources(), re.MULTILINE))
    assert {"pipeline.generators", "pipeline.pinners"} <= groups
    assert [group for group in sorted(groups) if f"`{group}`" not in page("docs/plugins.md")] == []
    inside = ("test", "node", "go")
    extras = [name for name in PROJECT["optional-dependencies"] if name not in inside]
    assert [name for name in extras if f"[{name}]" not in page("README.md")] == []


@pytest.mark.parametrize("name", ["mint", "draw", "bill", "verify", "owners", "transfer", "export", "train"])
def test_every_function_of_the_api_says_what_it_gives(name: str) -> None:
    import pipeline.api

    assert (getattr(pipeline.api, name).__doc__ or "").strip() and name in pipeline.__all__


def test_every_page_is_linked_from_the_readme_or_the_design() -> None:
    linked = page("README.md") + page("docs/design.md")
    assert [path.name for path in DOCS.glob("*.md") if path.name not in linked] == []


def _all_sources() -> str:
    return "\n".join(path.read_text() for path in (REPOSITORY / "pipeline").rglob("*.py"))
