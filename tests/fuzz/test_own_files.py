"""Files that a person writes, bent: tables of agents, catalogues, their views. Whatever is wrong is one sentence that names the file."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest
from hypothesis import HealthCheck, given, settings
from support.examples import examples
from support.mangled import bent_text, not_for_ever

from detektor_pipelines import own_catalog
from detektor_pipelines.catalog import outside
from detektor_pipelines.cli_commands import skeletons
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.canonical import from_canonical, to_canonical
from detektor_pipelines.language.hashes import data_hash

if TYPE_CHECKING:
    from pathlib import Path

AGENTS: Final = (
    skeletons.AGENTS_TOML.replace("release-scribe", "debugger")
    + """
[generic]
worker = ["review", "deploy"]
"*-helper" = true

[purposes.review]
agent = "code-reviewer"
beside = ["deploy"]
description = ["\\\\breview\\\\b", "look at .{1,20} again"]
"""
)
VIEW: Final = (
    skeletons.VIEW.replace('"release-scribe"', '"documentation-keeper"')
    .replace("event.extra.entries_written", "event.docs_updated")
    .replace('event.extra.channel == "beta"', 'event.doc_kind == "adr"')
)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("own")


def refused(error: UserError, file: Path) -> None:
    assert error.what
    assert error.fix
    assert str(file.parent) in str(error.where)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(content=bent_text(AGENTS))
def test_a_table_of_agents(content: bytes, place: Path) -> None:
    file = place / "agents.toml"
    file.write_bytes(content)
    with not_for_ever():
        try:
            names = AgentNames.load(file)
        except UserError as error:
            return refused(error, file)
        assert names.agent_for("worker", "please review it", "look at this again").agent_type
    return None


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(content=bent_text(skeletons.DETEKTOR_TOML))
def test_a_catalogues_declarations(content: bytes, place: Path) -> None:
    file = place / own_catalog.FILE
    file.write_bytes(content)
    with not_for_ever():
        try:
            assert own_catalog.read(place).directory == place
        except UserError as error:
            refused(error, file)


@settings(max_examples=examples(25), suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture], deadline=None)
@given(content=bent_text(VIEW))
def test_a_view_of_ones_own(content: bytes, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (place / own_catalog.FILE).write_text("[catalog]\nreplace = true\n")
    file = place / own_catalog.VIEWS / "release.py"
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(content)
    monkeypatch.setenv(own_catalog.VARIABLE, str(place))
    own_catalog.catalogs.cache_clear()
    with not_for_ever():
        try:
            loaded = outside.load()
        except UserError as error:
            return refused(error, file)
        finally:
            own_catalog.catalogs.cache_clear()
        for each in loaded:
            assert data_hash(from_canonical(to_canonical(each.view))) == data_hash(each.view)
            plan(each.view)
    return None


@pytest.mark.parametrize("name", ["agents.toml", own_catalog.FILE])
@pytest.mark.parametrize("content", ["a = " + "[" * 3_000, "a = " + "9" * 5_000])
def test_what_toml_itself_cannot_read_is_a_sentence(name: str, content: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(content)
    with pytest.raises(UserError) as error:
        AgentNames.load(tmp_path / name) if name == "agents.toml" else own_catalog.read(tmp_path)
    refused(error.value, tmp_path / name)


@pytest.mark.parametrize("pattern", ["a{99999999999}", "(" * 5_000 + ")" * 5_000])
def test_a_pattern_that_is_too_large_is_a_sentence(pattern: str, tmp_path: Path) -> None:
    (tmp_path / "agents.toml").write_text(f"[purposes.review]\nagent = 'code-reviewer'\ndescription = ['{pattern}']\n")
    with pytest.raises(UserError) as error:
        AgentNames.load(tmp_path / "agents.toml")
    refused(error.value, tmp_path / "agents.toml")
