from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from string import Template

import pytest
import yaml

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.compile import feast_repo
from detektor_pipelines.compile.feast import fingerprint
from detektor_pipelines.settings import Settings
from detektor_pipelines.stores.feast.registry import environment

ROOT = Path(__file__).parents[3]
VIEW = VIEWS[0]


def test_the_checked_in_files_are_the_generated_ones() -> None:
    for path, text in feast_repo.render().items():
        assert (ROOT / path).read_text(encoding="utf-8") == text, f"{path} is not what `detektor generate` writes"


def test_each_view_is_an_attribute_of_the_module() -> None:
    text = feast_repo.render()[feast_repo.DEFINITIONS_FILE]
    assert re.findall(r"^(\w+_features) = ", text, re.MULTILINE) == [view.name for view in VIEWS]


def test_the_store_file_names_only_bare_variables_that_the_environment_gives() -> None:
    text = feast_repo.render()[feast_repo.STORE_FILE]
    assert set(re.findall(r"\$\{(.*?)\}", text)) == environment(Settings()).keys()


@pytest.mark.parametrize("password", ["plain", "p'\"\\ ${HOME} $x: #,@/é%"])
def test_no_password_breaks_the_yaml(password: str) -> None:
    settings = Settings(postgres_password=password, redis_password=password)
    text = Template(feast_repo.render()[feast_repo.STORE_FILE]).safe_substitute(environment(settings))
    config = yaml.safe_load(text)
    assert config["offline_store"]["dsn"] == settings.postgres_dsn
    assert config["online_store"]["connection_string"] == settings.redis_url
    assert config["registry"]["path"] == settings.sqlalchemy_url("feast", driver="psycopg")
    assert config["project"] == "detektor"


def test_whatever_changes_a_view_changes_its_fingerprint() -> None:
    variants = [VIEW, replace(VIEW, description="x"), replace(VIEW, version="9.9.9"), replace(VIEW, features=VIEW.features[:5])]
    variants.append(replace(VIEW, owner="x"))
    assert len({fingerprint(each) for each in variants}) == len(variants)


@pytest.mark.parametrize(
    "module", ["stores.online.values", "stores.online.versions", "stores.feast.registry", "compile.feast", "compile.feast_repo"]
)
def test_importing_does_not_import_feast(module: str) -> None:
    code = f"import sys, detektor_pipelines.{module}; print([m for m in ('feast', 'pandas', 'pyarrow', 'redis') if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert answer.stdout.strip() == "[]"
