"""Compares what readers get with what the rules of `docs/semantics.md` allow, after every action."""

from __future__ import annotations

from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from torture import truth
from torture.ledger import NoSuchMomentError
from torture.stage import HEADER, day_of, midnight, split, with_other_number, without_knowledge
from torture.truth import DAY, HOUR, MINUTE
from torture.views import AGENT, GREATEST_SANE

from detektor_pipelines.clock import from_us, to_text, to_us
from detektor_pipelines.engine.explain import read_row
from detektor_pipelines.quality.read import read_at
from detektor_pipelines.stores.offline.rows import row_table
from detektor_pipelines.stores.online import values as online

if TYPE_CHECKING:
    from collections.abc import Mapping
    from random import Random

    from torture.actions import Done
    from torture.stage import Stage, Version

    from detektor_pipelines.language import FeatureView
    from detektor_pipelines.stores.online.values import OnlineRow

AHEAD_LIMIT = MINUTE
"""Rule 25: what lies further ahead of a reader's clock is not trusted."""
PARITY = 0.15
"""How often parity is asked when all is right."""
EXACT = 0.1
"""How often an exact value is asked for."""
COMPUTED = 0.03
"""How often a read that has to be computed from the log is tried; each takes as long as fifty others."""
NOBODY = f"{AGENT}@nowhere"


class WrongAnswerError(Exception):
    """An answer that the rules do not allow. `kind` is one word for what went wrong."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(f"[{kind}] {text}")
        self.kind = kind


class Judge:
    """Holds what a stage answers against its ledger."""

    def __init__(self, stage: Stage) -> None:
        self._stage = stage
        self._values = lru_cache(maxsize=None)(self._computed)
        self._seen: dict[tuple[str, str], dict[bytes, bytes]] = {}

    def check(self, done: Done, rng: Random) -> None:
        """Look at every reader's answers after an action; `rng` chooses the instants of the point-in-time reads.

        Raises:
            WrongAnswerError: One of them is not allowed.

        """
        self._log_is_as_written()
        stage = self._stage
        for version in stage.versions:
            fresh = done.ticked and not stage.is_ahead and all(version.view in each.views for each in stage.workers)
            if fresh:
                version.vouched = stage.ledger.moment
            rows = self._online(version, fresh=fresh)
            served = done.ran is version and not stage.is_ahead
            if served:
                self._is_served_after_a_run(version, rows)
            self._offline(version, rng)
            if rng.random() < EXACT:
                self._exact(version, rng)
            if fresh and (done.plant or rng.random() < PARITY):
                self._parity_is_content(version)
            if fresh and done.plant:
                self._parity_finds(version, rng)
        if done.feast:
            self._feast(stage.versions[-1], rng)

    def keys(self, version: Version) -> list[str]:
        """Every key of the log."""
        return truth.all_keys(version.view, self._stage.ledger.records())

    # The log -----------------------------------------------------------------------------------------------------------------

    def _log_is_as_written(self) -> None:
        stage = self._stage
        stage.note_numbers()
        rows = stage.admin.execute(
            "SELECT event_id, revision, occurred_at, known_at, project, retracted FROM ml_learning.agent_events"
        ).fetchall()
        there = {(event_id, revision): (to_us(ts), to_us(known), *rest) for event_id, revision, ts, known, *rest in rows}
        wanted = {(each.event_id, each.revision): (each.ts, each.known, each.project, each.retracted) for each in stage.ledger.records()}
        if there != wanted:
            differing = [(key, there.get(key), wanted.get(key)) for key in sorted({*there, *wanted}) if there.get(key) != wanted.get(key)]
            said = "; ".join(f"{key}: stored {stored}, right {right}" for key, stored, right in differing[:3])
            raise WrongAnswerError("log", said)

    # Online ------------------------------------------------------------------------------------------------------------------

    def _online(self, version: Version, *, fresh: bool) -> dict[str, OnlineRow | None]:
        stage = self._stage
        keys = [*self.keys(version), NOBODY]
        rows = dict(zip(keys, online.read(stage.redis, stage.settings.project, version.view, keys), strict=True))
        for key, row in rows.items():
            if row is None:
                self._may_be_missing(version, key, fresh=fresh)
                continue
            self._is_what_it_says(version, key, row)
            if row.status == "PRESENT":
                self._is_right(version, key, row)
                version.was_online.add(key)
                self._remember(version, key)
            elif row.status == "OUTSIDE_MAX_AGE":
                self._may_be_outside(version, key, row, fresh=fresh)
            else:
                raise WrongAnswerError("status", f"{key} is {row.status}")
        return rows

    def _remember(self, version: Version, key: str) -> None:
        """Keep a computed value: it will be an older one some day."""
        packed = self._stage.redis.get(self._stage.key(version.view, key))
        if isinstance(packed, bytes) and split(version.view, packed)[1]:
            self._seen.setdefault((version.view.version, key), {})[_body(version.view, packed)] = packed

    def _may_be_missing(self, version: Version, key: str, *, fresh: bool) -> None:
        stage = self._stage
        if key in version.was_online:
            raise WrongAnswerError("lost", f"{key} of {version.view.version} was online and is NOT_FOUND; Redis lost nothing")
        if not fresh:
            return
        instant = stage.now + min(0, *(each.offset for each in stage.workers))
        inside = truth.in_a_window(version.view, stage.ledger.records(), key, instant)
        if inside:
            raise WrongAnswerError("missing", f"{key} is NOT_FOUND though the stream is up to date; it has {inside[0]}")

    def _is_what_it_says(self, version: Version, key: str, row: OnlineRow) -> None:
        """D of a value: made from what its snapshot sees, at its own instant."""
        moment = self._moment(key, row)
        if moment is None:
            version.floor.pop(key, None)
            return
        right = self._values(version.view, moment, key, row.as_of, None)
        if row.values != right:
            raise WrongAnswerError(
                "stamp",
                f"{key} is of {to_text(row.as_of)} with what {row.snapshot} sees (commit {moment}), but {_apart(row.values, right)}",
            )
        known = version.floor.get(key, 0)
        if moment < known:
            raise WrongAnswerError("less", f"{key} knew commit {known} and now only {moment}")
        version.floor[key] = moment

    def _is_right(self, version: Version, key: str, row: OnlineRow) -> None:
        stage = self._stage
        claimed = true_up_to(row)
        if claimed > stage.now + AHEAD_LIMIT:
            raise WrongAnswerError("ahead", f"{key} is PRESENT, true up to {to_text(claimed)}: ahead of the clock {to_text(stage.now)}")
        if stage.now - claimed > version.view.max_age.size:
            raise WrongAnswerError("age", f"{key} is PRESENT, true up to {to_text(claimed)} at {to_text(stage.now)}")
        least = max(version.vouched, self._moment(key, row) or 0)
        wrong = {}
        for moment in range(stage.ledger.moment, least - 1, -1):
            records = stage.ledger.records(moment)
            for t in (claimed, *truth.changes(version.view, records, key, claimed, stage.now)):
                right = self._values(version.view, moment, key, t, None)
                if right == row.values:
                    return
                wrong.setdefault((moment, t), right)
        (moment, t), right = next(iter(wrong.items()))
        raise WrongAnswerError(
            "value",
            f"{key} is PRESENT, of {to_text(row.as_of)}, snapshot {row.snapshot}, true up to {to_text(claimed)} at {to_text(stage.now)};"
            f" with all {moment} commits (at least {least}) at {to_text(t)} {_apart(row.values, right)}",
        )

    def _may_be_outside(self, version: Version, key: str, row: OnlineRow, *, fresh: bool) -> None:
        stage = self._stage
        claimed = true_up_to(row)
        through = row.valid_through or 0
        ahead = max(claimed, row.as_of, through) > stage.now + AHEAD_LIMIT
        if not ahead and stage.now - claimed <= version.view.max_age.size:
            raise WrongAnswerError("outside", f"{key} is OUTSIDE_MAX_AGE though true up to {to_text(claimed)} at {to_text(stage.now)}")
        if fresh:
            raise WrongAnswerError(
                "stuck", f"{key} is OUTSIDE_MAX_AGE, true up to {to_text(claimed)} at {to_text(stage.now)}, though the stream is up to date"
            )

    def _is_served_after_a_run(self, version: Version, rows: Mapping[str, OnlineRow | None]) -> None:
        """Rule 22: a run puts every key online that it can know of, true up to the end of what is covered."""
        stage, view = self._stage, version.view
        parts = {day: each.covers(day, view.grain) for day, each in version.published.items()}
        last = stage.now - stage.now % view.grain  # what a clock that was ahead published of the days to come is not covered yet
        instant = max((min(end, last) for day, end in parts.items() if min(end, last) > midnight(day)), default=0)
        for key, row in rows.items():
            if row is not None:
                if row.snapshot is not None and true_up_to(row) < instant:
                    raise WrongAnswerError("batch", f"{key} is true up to {to_text(true_up_to(row))} after a run, right {to_text(instant)}")
                continue
            for record in truth.in_a_window(view, stage.ledger.records(), key, instant):
                entered = truth.up(record.ts, view.grain)
                published = version.published.get(day_of(entered))
                covered = published is not None and entered <= parts[day_of(entered)]
                heard = published is not None and record in stage.ledger.records(published.moment)
                if heard if covered else not self._gate_may_fail():
                    raise WrongAnswerError("batch", f"{key} is NOT_FOUND after a run; it has {record}, of a day that is {published}")

    def _gate_may_fail(self) -> bool:
        return any(
            int(record.said.get("issues_found") or 0) > GREATEST_SANE for record in truth.counting(self._stage.ledger.records(), None)
        )

    def _moment(self, key: str, row: OnlineRow) -> int | None:
        if row.snapshot is None:
            return None
        try:
            return self._stage.ledger.moment_of(getattr(row, "epoch", 1), row.snapshot)
        except NoSuchMomentError as error:
            raise WrongAnswerError("snapshot", f"{key}: {error}") from None

    # From the log ------------------------------------------------------------------------------------------------------------

    def _exact(self, version: Version, rng: Random) -> None:
        """`features get --at --known`: the value of any microsecond, with what was known at any other."""
        stage = self._stage
        keys = self.keys(version)
        if not keys:
            return
        key, at = rng.choice(keys), stage.now - rng.randrange(10 * DAY)
        known = rng.choice((None, at, stage.now, rng.randrange(at, stage.now + 1)))
        found = read_at(stage.settings, version.view, key, from_us(at), None if known is None else from_us(known))
        got = {each.name: _number(each.value) for each in found.values}
        right = self._values(version.view, stage.ledger.moment, key, at, at if known is None else known)
        nothing = truth.values(version.view, [], key, at)
        if got != right and not (right == nothing and set(got.values()) == {None}):
            said = f"{key} at {to_text(at)} as known at {to_text(known or at)}"
            raise WrongAnswerError("exact", f"{said}: {_apart(got, right)}")

    # Parity ------------------------------------------------------------------------------------------------------------------

    def _parity_is_content(self, version: Version) -> None:
        found = self._stage.parity(version)
        if found.errors:
            raise WrongAnswerError("parity", f"all is right, and parity says {found.states}: {found.mismatches[:3]}")
        instant = self._stage.now + min(0, *(each.offset for each in self._stage.workers))
        records = self._stage.ledger.records()
        if not found.compared and any(truth.in_a_window(version.view, records, key, instant) for key in self.keys(version)):
            raise WrongAnswerError("parity", "it compared nothing")

    def _parity_finds(self, version: Version, rng: Random) -> None:
        """Put wrong values online, one after the other, and take each back; the counts of the view are all integers of a value."""
        stage, view = self._stage, version.view
        present = [key for key in self.keys(version) if stage.redis.get(stage.key(view, key)) is not None]
        if not present:
            return
        key = rng.choice(present)
        packed = stage.redis.get(stage.key(view, key))
        assert isinstance(packed, bytes)
        wrong = with_other_number(view, packed, rng.choice([each.name for each in view.features if each.name.startswith(("n_", "tasks"))]))
        others = [each for body, each in self._seen.get((view.version, key), {}).items() if body != _body(view, packed)]
        older = others[-1] if others else None
        for name, planted in (
            ("another number", wrong),
            ("one that says nothing", without_knowledge(view, wrong)),
            ("an older one", older),
        ):
            if planted is older and not self._is_moving(version, key):
                continue
            if planted is not None:
                stage.redis.set(stage.key(view, key), planted)
                found = stage.parity(version)
                if not found.errors and stage.redis.get(stage.key(view, key)) == planted:  # else a worker put it right meanwhile
                    raise WrongAnswerError("blind", f"{name} was put in the place of {key}'s value, and parity says {found.states}")
                stage.redis.set(stage.key(view, key), packed)

    def _is_moving(self, version: Version, key: str) -> bool:
        """Whether the workers move `valid_through` of a key's shard.

        One whose clock is behind where a run has put it does not, until its clock gets there. So long nobody vouches for more, and an older
        value that was right there and then claims nothing that it does not keep.
        """
        stage = self._stage
        (instants,) = online.shard_instants(stage.redis, stage.settings.project, [version.view])
        return all(stage.now + each.offset > instants.get(online.shard_of(key), 0) for each in stage.workers)

    # Feast -------------------------------------------------------------------------------------------------------------------

    def _feast(self, version: Version, rng: Random) -> None:
        stage, view = self._stage, version.view
        keys = [*self.keys(version), NOBODY]
        rows = online.read(stage.redis, stage.settings.project, view, keys)
        for key, row, (values, statuses) in zip(keys, rows, stage.feast.online(view, keys), strict=True):
            right = {name: None if row is None else row.values[name] for name in values}
            said = {"NOT_FOUND"} if row is None else {row.status_of(name) for name in values}
            if row is not None and values != right:
                raise WrongAnswerError("feast", f"Feast's online read of {key}: {_apart(values, right)}")
            if statuses != said:
                raise WrongAnswerError("feast", f"Feast's online read of {key} says {statuses}, right {said}")
        if not version.published:
            return  # Feast refuses to read what was never computed
        labels = [(key, stage.now - rng.randrange(9 * DAY)) for key in keys for _ in range(3)]
        for (key, at), got in zip(labels, stage.feast.historical(view, labels), strict=True):
            t = at - at % view.grain
            published = self._published_at(version, key, t)
            allowed = self._from_the_log(version, key, t) if published is None else published
            # Where a gap may hide the row Feast says nothing; it reads no log
            if any(value is not None for value in got.values()) and got not in allowed:
                right = next((each for each in allowed if each is not None), dict.fromkeys(got))
                raise WrongAnswerError("feast", f"Feast's historical read of {key} at {to_text(at)}: {_apart(got, right)}")
            here = version.published.get(day_of(at))
            behind = here is None or at > here.covers(
                day_of(at), view.grain
            )  # a label inside the hour after the cut-off: Feast may say nothing
            if all(value is None for value in got.values()) and published is not None and None not in published and not behind:
                raise WrongAnswerError("feast", f"Feast's historical read of {key} at {to_text(at)} gives nothing, right: {published[0]}")

    # Offline -----------------------------------------------------------------------------------------------------------------

    def _offline(self, version: Version, rng: Random) -> None:
        now = self._stage.now
        chosen = [now, now - rng.randrange(2 * DAY), now - rng.randrange(10 * DAY), now - now % DAY - rng.choice((0, DAY))]
        for at in sorted(set(chosen)):
            for key in (*self.keys(version), NOBODY):
                self._read_at(version, key, at, rng)

    def _read_at(self, version: Version, key: str, at: int, rng: Random) -> None:
        view = version.view
        t = at - at % view.grain
        allowed = self._published_at(version, key, t)
        if allowed is None:
            if rng.random() > COMPUTED:
                return
            allowed = self._from_the_log(version, key, t)
        else:  # what the log says by now of a day that is stale is right too
            allowed = [*allowed, *self._from_the_log(version, key, t)]
        row = read_row(self._stage.arrow, view, key, from_us(at))
        got = None if row is None else {name: _number(value) for name, value in row.values.items()}
        if got not in allowed:
            right = next((each for each in allowed if each is not None), None)
            raise WrongAnswerError(
                "offline",
                f"a read of {key} at {to_text(at)} gives {'nothing' if row is None else f'the row of {row.event_timestamp}, '}"
                f"{'' if got is None or right is None else _apart(got, right)}; right: {right}",
            )

    def _published_at(self, version: Version, key: str, t: int) -> list[dict[str, Any] | None] | None:
        """The answers that the published rows give at an instant of the grain; None where they do not say.

        They do not where a gap may hide a row, or where a later day knows less than the row's own: what only the row knows may have left
        on it.
        """
        view, published = version.view, version.published
        day = day_of(t)
        longest = truth.windows_of(view)[-1]
        back = t - longest - truth.hop_of(longest)
        end, least = t, self._stage.ledger.moment
        while end > back:
            here = published.get(day)
            if here is None or end > here.covers(day, view.grain) or here.moment > least:
                return None
            least = here.moment
            rows = truth.instants(view, self._stage.ledger.records(here.moment), key, midnight(day), end)
            if rows:
                return [self._values(view, here.moment, key, rows[-1], rows[-1])]
            end, day = midnight(day), day - timedelta(days=1)
        return [None, truth.values(view, [], key, t)]

    def _from_the_log(self, version: Version, key: str, t: int) -> list[dict[str, Any] | None]:
        """Where a gap lies before an instant: what the log says of it."""
        found = [self._values(version.view, moment, key, t, t) for moment in range(self._stage.ledger.moment, -1, -1)]
        return [*found, None] if truth.values(version.view, [], key, t) in found else found

    def has_row(self, version: Version, key: str) -> bool:
        """Whether the offline store has a row of a key that is not later than the clock."""
        found = self._stage.admin.execute(
            f'SELECT EXISTS (SELECT FROM feast."{row_table(version.view)}" WHERE agent_id = %s AND event_timestamp <= %s)',
            (key, from_us(self._stage.now)),
        ).fetchone()
        return found == (True,)

    def _computed(self, view: Any, moment: int, key: str, t: int, known: int | None) -> dict[str, Any]:
        return truth.values(view, self._stage.ledger.records(moment), key, t, known)


def true_up_to(row: OnlineRow) -> int:
    """Rule 19: a computed value up to the later of its own instant and its shard's, another up to its own."""
    return row.as_of if row.snapshot is None else max(row.as_of, row.valid_through or 0)


def _body(view: FeatureView, packed: bytes) -> bytes:
    """The features of a packed value, behind its three instants."""
    return split(view, packed)[0][HEADER:]


def _number(value: Any) -> Any:
    return to_us(value) if hasattr(value, "tzinfo") else value


def _apart(got: Mapping[str, Any], right: Mapping[str, Any]) -> str:
    """The features in which two answers differ."""
    return ", ".join(f"{name} is {got.get(name)!r}, right {right[name]!r}" for name in right if got.get(name) != right[name])


__all__ = ["HOUR", "Judge", "WrongAnswerError", "true_up_to"]
