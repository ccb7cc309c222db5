"""`detektor training-set` and `detektor labels`, as a person calls them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.clock import parse_instant
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import MINUTE
from detektor_pipelines.training.sets import TrainingSet

if TYPE_CHECKING:
    from pathlib import Path

    from click.testing import Result

    from detektor_pipelines.settings import Settings

ORIGIN = parse_instant("2026-03-05T10:00:00Z")


def call(*words: str) -> Result:
    return CliRunner().invoke(build_app(), list(words), env={"COLUMNS": "200"})


def refused(*words: str) -> UserError:
    error = call(*words).exception
    assert isinstance(error, UserError)
    return error


@pytest.fixture
def reviews(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a log of five reviews, one of them without a verdict."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    partition_log(database)
    verdicts = ("rejected", "approved", None, "rejected", "approved")
    insert(
        database,
        [
            Event(
                f"e{number}",
                ORIGIN + number * 60 * MINUTE,
                ORIGIN + number * 60 * MINUTE,
                "shop",
                values={"operation": "review", "verdict": verdict, "task_id": f"t{number}", "duration_ms": 60_000},
            )
            for number, verdict in enumerate(verdicts)
        ],
    )
    return database


@pytest.mark.usefixtures("reviews")
def test_a_set_is_written_and_what_was_left_out_is_told(tmp_path: Path) -> None:
    out = tmp_path / "set.parquet"
    done = call("training-set", "--agent", "code-reviewer", "--label", "rejected", "--features", "v1.1.0", "--out", str(out))
    assert done.exit_code == 0, done.output
    found = TrainingSet.read(out)
    assert found.table["label"].to_pylist() == [False, True, False]
    for text in ("3 rejected of code-reviewer", "1 true, 2 false", found.set_hash, str(out)):
        assert text in done.stdout
    assert "no value: The review's verdict could not be read." in done.stdout
    assert "decided before the first event of its agent_id" in done.stdout
    assert "Null for every label: avg_issues_per_review" in done.stderr


@pytest.mark.usefixtures("reviews")
def test_json_has_everything_but_the_rows(tmp_path: Path) -> None:
    done = call("training-set", "--agent", "code-reviewer", "--label", "rejected", "--json")
    facts = json.loads(done.stdout)
    assert facts["rows"] == 3
    assert facts["classes"] == {"true": 1, "false": 2}
    assert facts["out"] is None
    assert facts["views"][0]["name"] == "code_review_features"
    assert len(facts["references"]) == 12
    again = call("training-set", "--agent", "code-reviewer", "--label", "rejected", "--json", "--snapshot", facts["snapshot"])
    assert json.loads(again.stdout)["set_hash"] == facts["set_hash"]


@pytest.mark.usefixtures("reviews")
def test_labels_of_ones_own_and_references(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("agent_id,decided_at,label\ncode-reviewer@shop,2026-03-05T12:30:00+01:00,true\n")
    words = ("--features", "code_review_features:recent_reviews_count,code_review_features@all:weekly_reviews_count")
    done = call("training-set", "--agent", "code-reviewer", "--labels", str(path), *words, "--json")
    facts = json.loads(done.stdout)
    assert facts["label_name"] == "given"
    assert facts["references"] == ["code_review_features:recent_reviews_count", "code_review_features@all:weekly_reviews_count"]
    table = call("training-set", "--agent", "code-reviewer", "--labels", str(path), *words)
    assert "All labels are true" in table.stderr


@pytest.mark.usefixtures("reviews")
def test_a_range_is_given_by_instants() -> None:
    done = call(
        "training-set",
        "--agent",
        "code-reviewer",
        "--label",
        "rejected",
        "--from",
        "2026-03-05T12:30",
        "--to",
        "2026-03-05T13:30",
        "--json",
    )
    assert json.loads(done.stdout)["rows"] == 1
    assert "is not a timestamp" in refused("training-set", "--agent", "code-reviewer", "--label", "rejected", "--from", "noon").what


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((), "One of --label and --labels"),
        (("--label", "rejected", "--labels", "mine.csv"), "One of --label and --labels"),
        (("--label", "rejected", "--features", "v1.2.0"), "no version 1.2.0"),
        (("--label", "rejected", "--features", "v1.1.0", "--features", "1.0.0"), "Two versions are asked for"),
        (("--label", "rejected", "--features", "code-reviewer/rejection_rate"), "no feature reference"),
        (("--labels", "none.csv"), "There is no such file"),
        (("--label", "rejected", "--from", "2026-03-06", "--to", "2026-03-05"), "Nothing lies from 2026-03-06 on and before 2026-03-05"),
        (("--label", "rejected", "--out", "/no/such/directory/set.parquet"), "There is no directory /no/such/directory"),
        (("--label", "rejected", "--out", "."), "is a directory"),
    ],
)
def test_what_cannot_be_asked_for_is_one_message(words: tuple[str, ...], message: str) -> None:
    assert message in refused("training-set", "--agent", "code-reviewer", *words).what


def test_the_labels_are_listed() -> None:
    assert "rejected_again" in call("labels", "code-reviewer").stdout
    listed = json.loads(call("labels", "--json").stdout)
    assert {each["agent"] for each in listed} >= {"pisarz", "debugger"}
    assert "There is no agent" in refused("labels", "writer").what
