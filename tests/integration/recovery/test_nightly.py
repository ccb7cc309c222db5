"""Dagster's nightly backup is there when it is said where to, and makes one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from conftest import Platform

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::dagster.BetaWarning")]


def test_it_backs_up_and_keeps_as_many_as_it_is_told(platform: Platform, tmp_path: Path) -> None:
    from detektor_pipelines.orchestration.backups import JOB
    from detektor_pipelines.orchestration.build import build_definitions

    names = [each.name for each in build_definitions(settings=platform.settings).resolve_all_job_defs()]
    assert JOB not in names
    where = str(tmp_path / "nightly")
    settings = Settings.model_validate(platform.settings.model_dump() | {"backup_url": where})
    definitions = build_definitions(settings=settings)
    assert definitions.resolve_schedule_def("nightly_backup").job_name == JOB
    for _ in range(3):
        done = definitions.resolve_job_def(JOB).execute_in_process({"ops": {"make_backup": {"config": {"keep": 2}}}})
        assert done.success
    assert len(list(Path(where, "manifests").iterdir())) == 2
