"""Drift on real PostgreSQL: the first reference pins itself, later ones are a person's, and what was pinned stays."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from support.automation import publish, span
from support.rule_views import view_of
from typer.testing import CliRunner

from detektor_pipelines.errors import UserError
from detektor_pipelines.language import count, days, event, last
from detektor_pipelines.quality.drift import Result, latest, look
from detektor_pipelines.quality.drift.finding import drift, last_found
from detektor_pipelines.quality.drift.references import pin, published
from detektor_pipelines.quality.drift.samples import A_DAY, read
from detektor_pipelines.stores.connections import connect, connect_arrow
from detektor_pipelines.stores.offline.row_tables import ensure_tables, row_table

if TYPE_CHECKING:
    from pathlib import Path

    from detektor_pipelines.settings import Settings

VIEW = view_of(number=(count(), days(7)), seldom=(last(event.issues_found), days(7)))
FIRST = date(2026, 3, 1)
REFERENCE = (date(2026, 3, 8), date(2026, 5, 2))
AGENTS = 8


@pytest.fixture
def history(database: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return settings of a history of ten weeks: a row an agent_id and day, of 0 to 6, the same each week."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    ensure_tables(database, (VIEW,))
    rows(database, FIRST, 7 * 10)
    return database


def rows(settings: Settings, first: date, number: int, times: int = 1) -> None:
    """Write a row for each agent_id and day, true from the end of the day before, and publish the days."""
    begin = datetime(first.year, first.month, first.day, tzinfo=UTC)
    with connect(settings) as connection:
        connection.execute(
            f'INSERT INTO feast."{row_table(VIEW)}" (agent_id, event_timestamp, created_at, written_at, number, seldom)'
            " SELECT 'code-reviewer@p' || agent, at, at, clock_timestamp(),"
            "        %(times)s * ((extract(dow FROM at)::int + agent) %% 7), CASE WHEN agent > 1 THEN 1 END"
            f" FROM generate_series(0, {AGENTS - 1}) AS agent,"
            " generate_series(%(begin)s::timestamptz + interval '1 hour', %(end)s::timestamptz, interval '1 day') AS at",
            {"times": times, "begin": begin, "end": begin + timedelta(days=number)},
        )
    publish(settings, VIEW, span(first, first + timedelta(days=number - 1)), at="2026-05-31 00:00+00")


def said(results: list[Result] | tuple[Result, ...], feature: str = "number", method: str = "psi") -> Result:
    (found,) = [each for each in results if (each.feature, each.method) == (feature, method)]
    return found


def test_the_first_reference_pins_itself_and_is_compared_with_the_newest_week(history: Settings) -> None:
    found = look(history, VIEW)
    assert found.reference is not None
    assert (found.pinned, found.reference.number, found.reference.first, found.reference.last) == (True, 1, *REFERENCE)
    assert "on its own" in found.reference.pinned_by
    one = said(found.results)
    assert (one.level, one.window, one.n_current) == ("calm", (date(2026, 5, 3), date(2026, 5, 9)), 7 * AGENTS)
    again = look(history, VIEW)
    assert (again.pinned, again.reference) == (False, found.reference)
    assert latest(history, [VIEW]) == list(again.results)


def test_what_changed_is_told_and_kept(history: Settings) -> None:
    look(history, VIEW)
    rows(history, FIRST + timedelta(days=70), 7, times=9)
    finding = drift(history, VIEW)
    assert not finding.passed
    assert [(case["feature"], case["of"]) for case in finding.cases] == [("number", "values")]
    assert "detektor drift --view" in finding.fix
    with connect(history) as connection:
        assert last_found(connection, VIEW) == finding
    one = said(latest(history, [VIEW]))
    assert (one.level, one.day) == ("alert", date(2026, 5, 16))
    assert 0.2 < one.score <= one.observed <= one.high
    calm = look(history, VIEW, date(2026, 5, 9))
    assert said(calm.results).level == "calm"
    assert said(latest(history, [VIEW])).level == "alert"  # the newest day's


def test_what_was_pinned_stays_though_its_days_are_published_again(history: Settings) -> None:
    before = look(history, VIEW)
    with connect(history) as connection:
        connection.execute(f"UPDATE feast.\"{row_table(VIEW)}\" SET number = number + 50 WHERE event_timestamp < '2026-05-01'")
        connection.execute("UPDATE ml_learning.partition_state SET hash = 'other' WHERE partition = '2026-04-01'")
    after = look(history, VIEW)
    assert after.results == before.results
    assert "published again since it was pinned" in after.reason


def test_a_further_reference_counts_and_the_earlier_one_is_left(history: Settings) -> None:
    look(history, VIEW)
    second = pin(history, VIEW, date(2026, 3, 22), date(2026, 4, 18), by="somebody")
    assert (second.number, second.pinned_by) == (2, "somebody")
    assert latest(history, [VIEW]) == []  # nothing has been found against it yet
    assert {each.reference for each in look(history, VIEW).results} == {2}
    with connect(history) as connection:
        stored = connection.execute("SELECT number, first_day FROM ml_learning.drift_references ORDER BY number").fetchall()
    assert stored == [(1, REFERENCE[0]), (2, date(2026, 3, 22))]


@pytest.mark.parametrize(
    ("first", "end", "words"),
    [
        ("2026-03-08", "2026-03-20", "are 13 days"),
        ("2026-03-08", "2026-03-21", "are 14 days"),
        ("2026-05-03", "2026-05-23", "14 of the days"),
    ],
)
def test_a_reference_is_whole_published_weeks(history: Settings, first: str, end: str, words: str) -> None:
    with pytest.raises(UserError, match=words):
        pin(history, VIEW, date.fromisoformat(first), date.fromisoformat(end), by="somebody")


def test_a_window_is_seven_published_days_outside_the_reference(history: Settings) -> None:
    look(history, VIEW)
    with pytest.raises(UserError, match="are days of the reference"):
        look(history, VIEW, date(2026, 5, 5))
    with pytest.raises(UserError, match="1 of the seven days up to 2026-05-10 are not published"):
        look(history, VIEW, date(2026, 5, 10))


def test_a_short_history_has_no_reference_yet_and_that_is_no_alarm(database: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DETEKTOR_NOW", "2026-06-01T00:00:00Z")
    ensure_tables(database, (VIEW,))
    assert "once 63 days are published, there are 0" in look(database, VIEW).reason
    rows(database, FIRST, 20)
    finding = drift(database, VIEW)
    assert finding.passed
    assert "there are 20" in finding.summary


def test_a_value_stands_until_the_next_row_and_an_idle_agent_is_away(history: Settings) -> None:
    with connect(history) as connection:
        connection.execute(
            f"DELETE FROM feast.\"{row_table(VIEW)}\" WHERE agent_id = 'code-reviewer@p0' AND event_timestamp > '2026-04-21'"
        )
        connection.execute(
            f'INSERT INTO feast."{row_table(VIEW)}" (agent_id, event_timestamp, created_at, written_at, number)'
            " VALUES ('code-reviewer@p1', '2026-05-05 01:00Z', '2026-05-06', clock_timestamp(), 77)"  # the newest version of that row
        )
    with connect_arrow(history) as arrow:
        week = read(arrow, VIEW, date(2026, 5, 3), date(2026, 5, 9))
    assert week.agent_ids == tuple(f"code-reviewer@p{number}" for number in range(1, AGENTS))
    assert week.present.all()
    assert week.values["number"][0].tolist()[2 * A_DAY : 3 * A_DAY] == [77] * A_DAY
    with connect_arrow(history) as arrow:
        before = read(arrow, VIEW, date(2026, 4, 19), date(2026, 4, 29))
    away = before.present[before.agent_ids.index("code-reviewer@p0")]
    assert away.tolist() == [True] * (8 * A_DAY) + [False] * (3 * A_DAY)


def test_the_command_prints_draws_and_pins(history: Settings, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from detektor_pipelines.cli import build_app
    from detektor_pipelines.cli_commands import drift as command

    def run(*words: str) -> Any:
        return CliRunner().invoke(build_app(), ["drift", *words], env={"COLUMNS": "80"}, catch_exceptions=False)

    monkeypatch.setattr(command, "views_of", lambda _: [VIEW])
    shown = run("--plot", str(tmp_path / "drift.png")).stdout
    assert max(len(line) for line in shown.splitlines() if not line.startswith("Drawn")) <= 80
    assert "reference 1 (2026-03-08 to 2026-05-02)" in " ".join(shown.split())
    assert (tmp_path / "drift.png").stat().st_size > 10_000
    (data,) = json.loads(run("--json").stdout)
    assert {each["method"] for each in data["results"]} == {"psi", "jensen_shannon", "chi_square", "null_share"}
    (pinned,) = json.loads(run("--pin", "--from", "2026-03-08", "--to", "2026-04-04", "--json").stdout)
    assert (pinned["number"], pinned["last"]) == (2, "2026-04-04")
    with connect(history) as connection:
        assert len(published(connection, VIEW)) == 70


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--from", "2026-03-08"), "are days of a reference"),
        (("--plot", "drift.txt"), "has no ending"),
        (("--plot", "/nowhere/drift.png"), "There is no directory"),
        (("--at", "yesterday"), "is not a day"),
    ],
)
def test_options_that_make_no_sense_are_told(words: tuple[str, ...], said: str) -> None:
    from detektor_pipelines.cli import build_app

    with pytest.raises(UserError, match=said):
        CliRunner().invoke(build_app(), ["drift", *words], catch_exceptions=False)
