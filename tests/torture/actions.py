"""What can happen to a platform: each action is a name and a seed from which it draws all it needs, so any part of a history is one."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta
from random import Random
from typing import TYPE_CHECKING, Final, TypeAlias

from torture import truth
from torture.stage import SECOND_US, Version, day_of
from torture.truth import DAY, HOUR, MINUTE, Record
from torture.views import FIRST, PROJECTS
from torture.views import second as second_version

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import date

    from torture.stage import Stage

Action: TypeAlias = tuple[str, int]
"""A name of ACTIONS and a seed."""


@dataclass(frozen=True)
class Done:
    """What an action leaves behind. `ticked`: the workers are up to date; `ran`: this version has just been computed and published."""

    ticked: bool = False
    ran: Version | None = None
    feast: bool = False
    """Feast's reads are to be looked at too."""
    plant: bool = False
    """Parity is to be tried on wrong values."""


NOTHING: Final = Done()
_NUMBERS: Final = (None, 0, 1, 2, 3, 5, 8, 12)
_MILLISECONDS: Final = (None, 10, 250, 60_000, 604_800_000)
_BAD: Final = 5_000


@dataclass(frozen=True)
class History:
    """A view of FIRST, and what happens to it."""

    view: str
    actions: tuple[Action, ...]


def generate(seed: int, *, longest: int = 26) -> History:
    """A history: what was there before, then 10 to `longest` actions."""
    rng = Random(seed)
    names = [name for name, (weight, _) in ACTIONS.items() for _ in range(weight)]
    # What is rare in a platform's life is common in some histories: each favours a few actions
    favoured = rng.sample(sorted(ACTIONS), 4)
    names += favoured * (len(names) // 16)
    before = ["files", *rng.choices(("files", "hours", "backfill", "start", "run"), k=rng.randint(1, 4))]
    drawn = [*before, *rng.choices(names, k=rng.randint(10, longest))]
    return History(rng.choice(sorted(FIRST)), tuple((name, rng.randrange(2**31)) for name in drawn))


def perform(stage: Stage, action: Action) -> Done:
    """Do one action, a second after the last one."""
    name, seed = action
    stage.advance(SECOND_US)
    return ACTIONS[name][1](stage, Random(seed))


# Time ------------------------------------------------------------------------------------------------------------------------


def minutes(stage: Stage, rng: Random) -> Done:
    return _pass(stage, rng, rng.randrange(90 * MINUTE))


def hours(stage: Stage, rng: Random) -> Done:
    return _pass(stage, rng, rng.randrange(HOUR, 14 * HOUR))


def days(stage: Stage, rng: Random) -> Done:
    return _pass(stage, rng, rng.randrange(DAY // 2, 4 * DAY))


def past_midnight(stage: Stage, rng: Random) -> Done:
    return _pass(stage, rng, -stage.now % DAY + rng.choice((0, 5 * MINUTE, 15 * MINUTE)))


def to_a_change(stage: Stage, rng: Random) -> Done:
    """Let time pass until something enters or leaves a window, or a microsecond less."""
    records, view = stage.ledger.records(), stage.versions[-1].view
    found = {t for key in truth.all_keys(view, records) for t in truth.changes(view, records, key, stage.now + 1, stage.now + 2 * DAY)}
    return _pass(stage, rng, rng.choice(sorted(found)) - stage.now - rng.choice((0, 0, 1))) if found else NOTHING


def _pass(stage: Stage, rng: Random, us: int) -> Done:
    """Let time pass, in which workers that run most often tick."""
    stage.advance(us)
    return tick(stage, rng) if rng.random() < 0.7 else NOTHING


# Events ----------------------------------------------------------------------------------------------------------------------


def live(stage: Stage, rng: Random) -> Done:
    """An event is heard: at once, late, or from a clock that is a little ahead."""
    age = rng.choice((0, rng.randrange(5 * MINUTE), rng.randrange(8 * HOUR), rng.randrange(9 * DAY), -rng.randrange(4 * SECOND_US)))
    record = _draw(stage, rng, "live", age)
    record = replace(record, known=stage.now)
    assert stage.hear(record)
    stage.ledger.live.add(record.event_id)
    stage.ledger.commit([record])
    return _maybe_tick(stage, rng)


def files(stage: Stage, rng: Random) -> Done:
    """A file of history is read."""
    reach = rng.choice((HOUR, DAY, 8 * DAY, 40 * DAY))
    records = [_draw(stage, rng, "file", rng.randrange(reach), number) for number in range(rng.randint(1, 7))]
    stage.read_files(records)
    stage.ledger.commit(records)
    return _maybe_tick(stage, rng)


def fuller(stage: Stage, rng: Random) -> Done:
    """A fuller record of an event comes: heard, or read from a file."""
    empty = ("verdict", "outcome", "issues_found", "duration_ms")
    chosen = _choose(stage, rng, lambda each: any(each.said.get(name) is None for name in empty))
    if chosen is None:
        return NOTHING
    name = rng.choice([name for name in empty if chosen.said.get(name) is None])
    value = {"verdict": "rejected", "outcome": "failure", "issues_found": 7, "duration_ms": 90_000}[name]
    heard = rng.random() < 0.5
    if heard:  # a revision of what was read from files, too, is known from when it is heard
        stage.ledger.live.add(chosen.event_id)
    known = stage.now if chosen.event_id in stage.ledger.live else chosen.ts
    record = replace(chosen, revision=chosen.revision + 1, known=known, said={**chosen.said, name: value})
    if heard:
        assert stage.hear(record)
    else:
        stage.read_files([record])
    stage.ledger.commit([record])
    return _maybe_tick(stage, rng)


def move(stage: Stage, rng: Random) -> Done:
    """A log is read again, and an event turns out to be another project's."""
    chosen = _choose(stage, rng)
    if chosen is None:
        return NOTHING
    known = stage.now if chosen.event_id in stage.ledger.live else chosen.ts
    project = rng.choice([each for each in PROJECTS if each != chosen.project])
    there = replace(chosen, revision=chosen.revision + 2, project=project, known=known)
    stage.read_files([there], again=True)
    stage.ledger.commit([replace(chosen, revision=chosen.revision + 1, retracted=True, known=known), there])
    return _maybe_tick(stage, rng)


def retract(stage: Stage, rng: Random) -> Done:
    """An event is taken back."""
    chosen = _choose(stage, rng, raw=True)
    if chosen is None:
        return NOTHING
    known = stage.now if chosen.event_id in stage.ledger.live else chosen.ts
    return _write_past_checks(stage, rng, replace(chosen, revision=chosen.revision + 1, retracted=True, known=known))


def bad(stage: Stage, rng: Random) -> Done:
    """An event comes with a number that no gate lets pass."""
    record = _draw(stage, rng, "raw", rng.choice((rng.randrange(4 * HOUR), rng.randrange(3 * DAY))))
    return _write_past_checks(stage, rng, replace(record, said={**record.said, "issues_found": _BAD}))


def repair_bad(stage: Stage, rng: Random) -> Done:
    """Such an event is put right."""
    chosen = _choose(stage, rng, lambda each: each.said.get("issues_found") == _BAD, raw=True)
    if chosen is None:
        return NOTHING
    return _write_past_checks(stage, rng, replace(chosen, revision=chosen.revision + 1, said={**chosen.said, "issues_found": 4}))


def begin(stage: Stage, rng: Random) -> Done:
    """A writer begins a transaction and is slow to end it."""
    if stage.open is None:
        record = _draw(stage, rng, "raw", rng.randrange(6 * HOUR))
        if rng.random() < 0.5:
            record = replace(record, known=stage.now)
            stage.ledger.live.add(record.event_id)
        stage.begin(record)
    return NOTHING


def end(stage: Stage, rng: Random) -> Done:
    """The slow writer commits, or breaks off."""
    if rng.random() < 0.8:
        stage.commit_open()
    else:
        stage.roll_back()
    return _maybe_tick(stage, rng)


def _draw(stage: Stage, rng: Random, kind: str, age: int, number: int = 0) -> Record:
    ts = stage.now - age
    if rng.random() < 0.15:
        ts -= ts % HOUR
    said = {
        "issues_found": rng.choice(_NUMBERS),
        "duration_ms": rng.choice(_MILLISECONDS),
        "verdict": rng.choice((None, "approved", "rejected")),
        "outcome": rng.choice((None, "success", "failure")),
        "task_id": rng.choice((None, "t1", "t2", "t3")),
    }
    return Record(f"{kind}-{stage.now}-{number}", 1, ts, ts, rng.choice(PROJECTS), said={k: v for k, v in said.items() if v is not None})


def _choose(stage: Stage, rng: Random, fits: Callable[[Record], bool] = lambda _: True, *, raw: bool = False) -> Record | None:
    found = [
        each
        for each in stage.ledger.newest()
        if not each.retracted and (raw or not each.event_id.startswith("raw")) and fits(each) and stage.now - each.ts < 35 * DAY
    ]
    return rng.choice(found) if found else None


def _write_past_checks(stage: Stage, rng: Random, record: Record) -> Done:
    with stage.admin.transaction():
        stage.insert(stage.admin, record)
    stage.ledger.commit([record])
    return _maybe_tick(stage, rng)


def _maybe_tick(stage: Stage, rng: Random) -> Done:
    return tick(stage, rng) if rng.random() < 0.6 else NOTHING


# Batch -----------------------------------------------------------------------------------------------------------------------


def run(stage: Stage, rng: Random) -> Done:
    """The hourly run computes the open day."""
    version = _version(stage, rng)
    failed = stage.run(version, [_today(stage)])
    return NOTHING if failed else Done(ran=version)


def close(stage: Stage, rng: Random) -> Done:
    """The nightly run closes the day before."""
    stage.run(_version(stage, rng), [_today(stage) - timedelta(days=1)])
    return NOTHING


def backfill(stage: Stage, rng: Random) -> Done:
    """Days are computed, up to the open one or the one before; most often few."""
    version = _version(stage, rng)
    last = _today(stage) - timedelta(days=rng.choice((0, 1, 1)))
    wanted = [last - timedelta(days=number) for number in range(rng.choice((1, 2, 4, 8, 33)))]
    failed = stage.run(version, sorted(wanted))
    return Done(ran=version) if last == _today(stage) and not failed else NOTHING


def repair(stage: Stage, rng: Random) -> Done:
    """Stale days are computed again: all, or as many as a run got to before it was stopped."""
    version = _version(stage, rng)
    stale = stage.stale(version)
    if stale:
        stage.run(version, stale if rng.random() < 0.7 else stale[: rng.randint(1, len(stale))])
    return NOTHING


def ahead(stage: Stage, rng: Random) -> Done:
    """A run on a host whose clock is hours ahead."""
    offset = rng.randrange(HOUR, 40 * HOUR)
    today = day_of(stage.now + offset + 1)
    stage.run(_version(stage, rng), [today - timedelta(days=number) for number in reversed(range(rng.choice((1, 2, 3))))], offset=offset)
    stage.ahead_until = max(stage.ahead_until, stage.now + offset)
    return NOTHING


def repair_online(stage: Stage, rng: Random) -> Done:
    """`detektor online repair`."""
    stage.repair_online()
    stage.ahead_until = 0
    return _maybe_tick(stage, rng)


def _version(stage: Stage, rng: Random) -> Version:
    """The newest version; now and then an earlier one, whose run was still under way."""
    return stage.versions[0] if rng.random() < 0.15 else stage.versions[-1]


def _today(stage: Stage) -> date:
    return day_of(stage.now + 1)


# The stream ------------------------------------------------------------------------------------------------------------------


def tick(stage: Stage, rng: Random) -> Done:
    """The workers tick until they have nothing left to do."""
    del rng
    if not stage.workers:
        return NOTHING
    for _ in range(14 if stage.disturbed else 4):
        stage.round()
    stage.disturbed = False
    return Done(ticked=True)


def start(stage: Stage, rng: Random) -> Done:
    """A worker starts, on a host whose clock may be a little off; two at most."""
    if len(stage.workers) < 2:
        stage.start(rng.choice((0, 0, rng.randrange(-20, 20))) * SECOND_US)
    return tick(stage, rng)


def kill(stage: Stage, rng: Random) -> Done:
    """A worker is killed; often another takes over at once."""
    if stage.workers:
        stage.kill(rng.randrange(len(stage.workers)))
        if rng.random() < 0.6:
            return start(stage, rng)
    return NOTHING


def cut(stage: Stage, rng: Random) -> Done:
    """A worker loses its connection to PostgreSQL."""
    if not stage.workers:
        return NOTHING
    stage.cut(rng.randrange(len(stage.workers)))
    return tick(stage, rng)


# Redis -----------------------------------------------------------------------------------------------------------------------


def flush(stage: Stage, rng: Random) -> Done:
    """Redis comes back empty."""
    stage.redis.flushdb()
    stage.lost()
    return _maybe_tick(stage, rng)


def evict(stage: Stage, rng: Random) -> Done:
    """Redis drops a few keys to make room."""
    keys = sorted(stage.all_keys())
    for key in rng.sample(keys, min(len(keys), rng.randint(1, 3))):
        stage.redis.delete(key)
    stage.lost()
    return _maybe_tick(stage, rng)


def save(stage: Stage, rng: Random) -> Done:
    """A copy of Redis is made."""
    del rng
    stage.copy = stage.all_keys()
    return NOTHING


def put_back(stage: Stage, rng: Random) -> Done:
    """Redis comes back as the copy that was made once."""
    if stage.copy is None:
        return NOTHING
    stage.put_back(stage.copy)
    stage.lost()
    return _maybe_tick(stage, rng)


# Feast -----------------------------------------------------------------------------------------------------------------------


def push(stage: Stage, rng: Random) -> Done:
    """Somebody writes one agent's values online through Feast; they are right at that instant."""
    records, view = stage.ledger.records(), stage.versions[-1].view
    keys = truth.all_keys(view, records)
    if keys:
        key = rng.choice(keys)
        values = truth.values(view, records, key, stage.now)
        if not (values.get("failed_at") or 0) % SECOND_US:  # Feast's instants are whole seconds
            stage.feast.push(view, key, stage.now, values)
    return NOTHING


def feast(stage: Stage, rng: Random) -> Done:
    """Somebody reads through Feast."""
    del rng
    return Done(feast=bool(stage.feast))


def plant(stage: Stage, rng: Random) -> Done:
    """A wrong value is put online behind everybody's back: parity is to find it."""
    return Done(ticked=tick(stage, rng).ticked, plant=True)


# The rest --------------------------------------------------------------------------------------------------------------------


def second(stage: Stage, rng: Random) -> Done:
    """Another version of the view comes into use; workers that run go on with the old one, or are started again."""
    if len(stage.versions) > 1:
        return NOTHING
    stage.versions.append(Version(second_version(stage.versions[0].view)))
    if stage.workers and rng.random() < 0.7:
        while stage.workers:
            stage.kill(0)
        return start(stage, rng)
    return NOTHING


def restore(stage: Stage, rng: Random) -> Done:
    """The database is restored into another cluster, whose transactions are counted again; or a copy of the cluster is promoted."""
    if rng.random() < 0.7:
        stage.restore()
    else:
        stage.promote()
    return start(stage, rng) if rng.random() < 0.5 else NOTHING


ACTIONS: Final[dict[str, tuple[int, Callable[[Stage, Random], Done]]]] = {
    "minutes": (5, minutes),
    "hours": (4, hours),
    "days": (2, days),
    "past_midnight": (3, past_midnight),
    "to_a_change": (4, to_a_change),
    "live": (8, live),
    "files": (4, files),
    "fuller": (3, fuller),
    "move": (2, move),
    "retract": (1, retract),
    "bad": (1, bad),
    "repair_bad": (1, repair_bad),
    "begin": (2, begin),
    "end": (3, end),
    "run": (8, run),
    "close": (4, close),
    "backfill": (2, backfill),
    "repair": (3, repair),
    "ahead": (1, ahead),
    "repair_online": (1, repair_online),
    "tick": (4, tick),
    "start": (4, start),
    "kill": (2, kill),
    "cut": (1, cut),
    "flush": (1, flush),
    "evict": (1, evict),
    "save": (1, save),
    "put_back": (1, put_back),
    "push": (1, push),
    "feast": (1, feast),
    "plant": (2, plant),
    "second": (1, second),
    "restore": (1, restore),
}
"""Name → how often it is drawn, and what it does."""
