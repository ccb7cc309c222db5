"""`detektor backup` as a person sees it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import get_settings

if TYPE_CHECKING:
    from conftest import Platform


@pytest.fixture
def backed_up(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> str:
    """The platform is what the environment says; returns where its backups are."""
    monkeypatch.setenv("DETEKTOR_HOME", str(platform.settings.home))
    monkeypatch.setenv("DETEKTOR_EXTERNAL_POSTGRES_URL", platform.settings.postgres_dsn)
    monkeypatch.setenv("DETEKTOR_EXTERNAL_REDIS_URL", platform.settings.redis_url)
    get_settings.cache_clear()
    return platform.target.name


def called(*words: str, code: int = 0) -> str:
    done = CliRunner().invoke(build_app(), ["backup", *words])
    if done.exception is not None and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == code, done.output
    return done.output


def test_what_a_person_reads(backed_up: str, platform: Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    public = called("key", str(tmp_path / "key")).strip()
    said = called("create", backed_up)
    assert "400 events" in said
    assert "3 files of MLflow" in said
    assert "It is not encrypted." in said
    first, *_ = platform.target.backups()

    monkeypatch.setenv("DETEKTOR_BACKUP_URL", backed_up)
    monkeypatch.setenv("DETEKTOR_BACKUP_RECIPIENTS", public)
    monkeypatch.setenv("COLUMNS", "200")
    get_settings.cache_clear()
    assert "not encrypted" not in called("create")
    listed = called("list")
    assert listed.count("400") == 2
    assert public in listed
    monkeypatch.setenv("DETEKTOR_BACKUP_IDENTITY_FILE", str(tmp_path / "key"))
    get_settings.cache_clear()
    assert "files have their hashes" in called("verify", "--files-only")
    assert "tables and 400 events theirs" in called("verify", "--backup", first)

    Path(backed_up, "objects", first, "log").rename(tmp_path / "lost")
    assert "is not as it was made" in called("verify", "--files-only", "--backup", first, code=1)
    assert first in called("prune", "--keep", "1")
    assert len(platform.target.backups()) == 2, "nothing without --yes"
    called("prune", "--keep", "1", "--yes")
    assert len(platform.target.backups()) == 1
    with pytest.raises(UserError, match="Something is there already"):
        called("restore")


def test_where_has_to_be_said(settings: object) -> None:
    with pytest.raises(UserError, match="Where backups are kept is not said"):
        called("create")
