"""Random histories of the platform: nights, gaps, clocks, restores, evictions, versions, kills; every answer held against the rules.

`make test` plays the histories that once went wrong (`failed.jsonl`) and a few seeds, `make test-long` five hundred. A history that goes
wrong is made shorter and printed with its seed and the command that plays it again; its line "as data" goes into `failed.jsonl` with the
change that fixes it.
"""

from __future__ import annotations

import sys
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from support.clusters import dump, restore
from torture.actions import History
from torture.histories import from_data, generate, play, shrunk

from detektor_pipelines.settings import Settings
from detektor_pipelines.stack.servers import embedded

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

FAILED = Path(__file__).with_name("failed.jsonl")
SHORT = range(1, 3)
LONG = range(1, 501)
RESTORE = ("restore", 1)
BATCH = 25
"""Seeds of one test of the long form: an xdist worker takes them together, on one database."""


@pytest.fixture
def platform(servers: Settings, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """Return a platform that the histories empty themselves; the clock is put back afterwards."""
    monkeypatch.setenv("DETEKTOR_NOW", "2026-03-10T08:30:00Z")
    return servers


def hold(platform: Settings, seed: int, history: History) -> None:
    failure = play(platform, history)
    if failure is not None:
        pytest.fail(shrunk(platform, failure).told(seed), pytrace=False)


def seeds_of(text: str) -> list[int]:
    """Read "17" or "100-150,9"."""
    found: list[int] = []
    for part in text.split(","):
        first, _, last = part.partition("-")
        found += range(int(first), int(last or first) + 1)
    return found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Play what the command line asks for instead of the short form, if it asks."""
    if "seed" in metafunc.fixturenames:
        asked = metafunc.config.getoption("--seeds", None)
        metafunc.parametrize("seed", seeds_of(asked) if asked else SHORT)
    if "line" in metafunc.fixturenames:
        file = metafunc.config.getoption("--history", None) or FAILED
        metafunc.parametrize("line", file.read_text().splitlines())


@pytest.mark.slow
def test_no_reader_gets_a_wrong_answer(platform: Settings, seed: int) -> None:
    hold(platform, seed, generate(seed))


@pytest.mark.slow
def test_what_once_went_wrong_does_not_again(platform: Settings, line: str) -> None:
    hold(platform, 0, from_data(line))


@pytest.mark.long
@pytest.mark.timeout(1_800)
@pytest.mark.parametrize("first", LONG[::BATCH])
def test_no_reader_gets_a_wrong_answer_in_500_histories(platform: Settings, first: int) -> None:
    for seed in range(first, first + BATCH):
        sys.stdout.write(f"seed {seed}\n")
        hold(platform, seed, generate(seed))


@pytest.fixture
def elsewhere(postgres_server: embedded.PostgresServer, tmp_path: Path) -> Iterator[Callable[[Settings], Settings]]:
    """Return what dumps a database and restores it into the other one of two clusters."""
    with embedded.start_postgres(tmp_path / "second") as second:
        servers, numbers = (postgres_server, second), count(1)

        def move(settings: Settings) -> Settings:
            number = next(numbers)
            file = dump(settings.postgres_dsn, tmp_path / f"{number}.dump")
            address = Settings(external_postgres_url=restore(file, servers[number % 2], f"moved_{number}"))
            postgres = address.model_dump(include={name for name in Settings.model_fields if "postgres" in name})
            return settings.model_copy(update=postgres)

        yield move


@pytest.mark.long
@pytest.mark.timeout(1_800)
def test_no_reader_gets_a_wrong_answer_after_real_restores(platform: Settings, elsewhere: Callable[[Settings], Settings]) -> None:
    for seed in range(501, 511):
        drawn = generate(seed, longest=16)
        moved = History(drawn.view, (*drawn.actions[:8], RESTORE, *drawn.actions[8:16], RESTORE, *drawn.actions[16:]))
        failure = play(platform, moved, elsewhere=elsewhere)
        assert failure is None, failure.told(seed)
