"""Views of one's own as a process loads them that was told of their directory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import pytest

from detektor_pipelines import own_catalog
from detektor_pipelines.cli_commands import skeletons

NEW: Final = skeletons.NEW_VIEW.format(agent="triager", work="diagnose", view="triager_features")
TOML: Final = skeletons.DETEKTOR_TOML + skeletons.NEW_AGENT.format(agent="triager", work="diagnose")


def project(directory: Path, toml: str = TOML, **views: str) -> Path:
    (directory / own_catalog.VIEWS).mkdir(parents=True)
    (directory / own_catalog.FILE).write_text(toml, encoding="utf-8")
    for name, text in {"release_scribe": skeletons.VIEW, **views}.items():
        (directory / own_catalog.VIEWS / f"{name}.py").write_text(text, encoding="utf-8")
    return directory


def python(code: str, catalog: Path, *arguments: str, **variables: str) -> Any:
    """Run code in a process that has a catalogue of its own, and return what it prints as JSON."""
    environment = os.environ | {"DETEKTOR_CATALOG": str(catalog)} | variables
    done = subprocess.run([sys.executable, "-c", code, *arguments], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


LOADED = """
import json
from detektor_pipelines.catalog import DECLARED, LABELS, VIEWS
from detektor_pipelines.compile import client, docs, feast_repo
from detektor_pipelines.ingest import schema
from detektor_pipelines.ingest.readers.names import agent_names
from detektor_pipelines.language import data_hash
from detektor_pipelines.language.canonical import from_canonical, to_canonical
from detektor_pipelines.language.events import AGENT_TYPES, views_operation
from pathlib import Path
view, typed = VIEWS[-1], {}
exec(client.render()[client.FILE], typed)
print(json.dumps({
    "agents": [each.agent for each in VIEWS],
    "known": list(AGENT_TYPES),
    "work": views_operation(view.agent),
    "labels": [label.name for label in LABELS if label.agent == view.agent],
    "same": data_hash(from_canonical(json.loads(json.dumps(to_canonical(view))))) == data_hash(view),
    "guide": "extra.entries_written" in docs.render()["docs/self-learning-agents/release_features.md"],
    "client": typed["AgentFeatures"]("release-scribe").agent,
    "feast": "release_features = feature_view" in feast_repo.render()[feast_repo.DEFINITIONS_FILE],
    "schema": json.loads(schema.render())["properties"]["extra"]["properties"]["channel"]["enum"],
    "named": [agent_names(Path("/nowhere")).agent_type(name) for name in ("Changelog-Writer", "release-scribe", "x:release-notes", "main")],
}))
"""


def test_everything_made_from_definitions_hears_of_an_own_agent(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine", skeletons.DETEKTOR_TOML)
    (mine / "agents.toml").write_text(skeletons.AGENTS_TOML, encoding="utf-8")

    found = python(LOADED, mine)

    assert found["agents"][8:] == ["release-scribe"] == found["known"][8:]
    assert (found["work"], found["labels"]) == ("document", ["finished"])
    assert [found[each] for each in ("same", "guide", "client", "feast")] == [True, True, "release-scribe", True]
    assert found["schema"] == ["stable", "beta", None]
    assert found["named"] == ["release-scribe", "release-scribe", "release-scribe", "unmapped"]


@pytest.mark.parametrize(("replace", "left"), [("true", 0), ('["code-reviewer", "pisarz"]', 6), ("false", 8)])
def test_own_views_stand_beside_the_eight_or_in_their_place(tmp_path: Path, replace: str, left: int) -> None:
    mine = project(tmp_path / "mine", skeletons.DETEKTOR_TOML.replace("replace = false", f"replace = {replace}"))
    code = "import json; from detektor_pipelines.catalog import LABELS, VIEWS\n"

    agents, labelled = python(f"{code}print(json.dumps([[v.agent for v in VIEWS], sorted({{l.agent for l in LABELS}})]))", mine)

    assert len(agents) == left + 1
    assert set(labelled) == set(agents)


def test_what_is_to_give_way_has_to_be_there(tmp_path: Path) -> None:
    """A name mistyped would leave the packaged view in its place without a word."""
    text = skeletons.DETEKTOR_TOML.replace("replace = false", 'replace = ["code-reveiwer", "pisarz"]')
    mine = project(tmp_path / "mine", text)
    code = """
import json
from detektor_pipelines.errors import UserError
try:
    import detektor_pipelines.catalog
except UserError as error:
    print(json.dumps([error.what, error.where, error.fix]))
"""
    what, where, fix = python(code, mine)
    assert what == "replace names 'code-reveiwer', of which the package has no view."
    line = next(number for number, each in enumerate(text.splitlines(), 1) if "code-reveiwer" in each)
    assert where == f"{mine / 'detektor.toml'}, line {line}"
    assert "code-reviewer" in fix


BROKEN: Final[dict[str, tuple[str, str, int | None]]] = {
    "never closed": ("VIEW = FeatureView(\n", "'(' was never closed", 1),
    "a name of nobody": (NEW.replace("= event.operation", "= evnt.operation"), "NameError: name 'evnt' is not defined", 7),
    "a measure of nobody": (NEW.replace('event.operation == "diagnose"', "event.extra.stps > 3"), "no measure or category 'stps' is", 7),
    "a column of nobody": (NEW.replace("event.operation", "event.opration"), "an event has no column 'opration'", 7),
    "a value of nobody": (NEW.replace('"diagnose"', '"diagnos"'), "event.operation is never 'diagnos'", 7),
    "a window too long": (NEW.replace("days(7)", "days(99999)"), "a window of 99,999 days", 19),
    "a word of nobody": (NEW.replace("unit=", "units="), "unexpected keyword argument 'units'", 16),
    "a wrong import": (NEW.replace("import Feature,", "import Featur,"), "cannot import name 'Featur'", 3),
    "an unknown agent": (NEW.replace('"triager"', '"trager"'), "'trager' is not one of the agents", 9),
    "no view": ("X = 3\n", "triager.py holds no view", None),
    "two views of one agent": (
        NEW.replace('"triager"', '"release-scribe"'),
        "There is a view of the agent release-scribe already",
        11,
    ),
    "the agent of the package": (NEW.replace('"triager"', '"pisarz"'), "There is a view of the agent pisarz already, in the package", 11),
    "two views of one name": (NEW.replace("triager_features", "release_features"), "There is a view called release_features already", 10),
    "a label of another": (
        f"{NEW}\nfrom detektor_own_catalog.release_scribe import LABELS\n",
        "The label finished is of release-scribe",
        None,
    ),
    "no labels": (f"{NEW}\nLABELS = 3\n", "LABELS is not a tuple of labels", 28),
}

EACH = """
import json, sys
from pathlib import Path
from detektor_pipelines.catalog import PACKAGED, outside
from detektor_pipelines.errors import UserError
file, said = Path(sys.argv[1]), {}
for name, text in json.loads(sys.argv[2]).items():
    file.write_text(text)
    try:
        outside.kept(PACKAGED, outside.load())
    except UserError as error:
        said[name] = [error.what, error.where, error.fix]
print(json.dumps(said))
"""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> dict[str, list[str]]:
    mine = project(tmp_path_factory.mktemp("broken") / "mine", triager=NEW)
    file = mine / own_catalog.VIEWS / "triager.py"
    found: dict[str, list[str]] = python(EACH, mine, str(file), json.dumps({name: text for name, (text, *_) in BROKEN.items()}))
    return found


@pytest.mark.parametrize("name", BROKEN)
def test_a_mistake_in_a_view_file_is_what_where_and_what_to_do(told: dict[str, list[str]], name: str) -> None:
    _, said, line = BROKEN[name]
    what, where, fix = told[name]

    assert said in what
    assert where.endswith("triager.py" if line is None else f"triager.py, line {line}")
    assert fix
    assert "\n" not in what + where + fix


def test_a_program_says_it_in_three_lines(tmp_path: Path) -> None:
    mine = project(tmp_path / "mine", triager="VIEW = FeatureView(\n")
    command = [str(Path(sys.executable).with_name("detektor")), "stream"]
    environment = os.environ | {"DETEKTOR_CATALOG": str(mine), "COLUMNS": "300"}

    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=120)

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 3
    assert "triager.py, line 1" in done.stderr


def test_a_file_that_others_import_is_no_view(tmp_path: Path) -> None:
    shared = NEW.replace('WORK = event.operation == "diagnose"\n', "from detektor_own_catalog._words import WORK\n")
    words = 'from detektor_pipelines.language import event\nWORK = event.operation == "diagnose"\n'
    mine = project(tmp_path / "mine", triager=shared, _words=words)

    code = "import json; from detektor_pipelines.catalog import VIEWS; print(json.dumps([v.name for v in VIEWS][8:]))"
    assert python(code, mine) == ["release_features", "triager_features"]
