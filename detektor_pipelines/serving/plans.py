"""Requests that come again: what a body asks for, understood once, and its answer, of which only what has changed is made again.

A client asks for the same features of the same agent again and again, with the same bytes. Its values are read from Redis each time; when
they are the very bytes that they were, their part of the answer is the text that it was. What depends on the time, ages and statuses, is
worked out each time.

Belongs here: requests of current versions, of a bearable size. All others, and whatever is wrong with one, are `online_request`'s, which
says what every answer means; that both say the same is tested.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import TYPE_CHECKING, Final

import orjson

from detektor_pipelines import clock
from detektor_pipelines.language.windows import SECOND
from detektor_pipelines.serving.online_request import (
    ServiceNeededError,
    VersionsNeededError,
    agents_result,
    names_of,
    others_of,
    parse,
    results_of,
)
from detektor_pipelines.stores.online import values as online
from detektor_pipelines.web.problems import ProblemError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from detektor_pipelines.serving.online_request import OnlineRequest
    from detektor_pipelines.serving.requested import ViewPart
    from detektor_pipelines.stores.online.values import Lookup

BODY_LIMIT: Final = 16_384
VALUES_LIMIT: Final = 2_000
"""Bytes of a body, and values of an answer, up to which a request is worth to be remembered."""

KEPT_VALUES: Final = 200_000
"""Values of all that is remembered, some 100 bytes each; what has not come for longest is forgotten first."""

_A_PLAN: Final = 50
"""What a plan counts for beside its values."""


class Plans:
    """The requests that were understood; `project`: whose features."""

    def __init__(self, project: str, entities_limit: int) -> None:
        self._project = project
        self._entities_limit = entities_limit
        self._plans: OrderedDict[bytes, Plan] = OrderedDict()
        self._size = 0

    def of(self, body: bytes) -> Plan | None:
        """Return what a body asks for, None when it is not for this module."""
        plan = self._plans.get(body)
        if plan is not None:
            self._plans.move_to_end(body)
            return plan
        if len(body) > BODY_LIMIT:
            return None
        try:
            request = parse(body, self._entities_limit)
        except (ProblemError, VersionsNeededError, ServiceNeededError):
            return None
        if request.why or request.numbers is not None or request.values > VALUES_LIMIT:
            return None
        return self._kept(body, Plan(request, self._project))

    def __len__(self) -> int:
        """Return how many are remembered."""
        return len(self._plans)

    def _kept(self, body: bytes, plan: Plan) -> Plan:
        self._plans[body] = plan
        self._size += plan.size
        while self._size > KEPT_VALUES:
            self._size -= self._plans.popitem(last=False)[1].size
        return plan


class Plan:
    """A request, the keys to read for it, each once, and what of its answer is always the same."""

    __slots__ = ("_head", "_parts", "_tail", "agents", "keys", "lookups", "read", "size")

    def __init__(self, request: OnlineRequest, project: str) -> None:
        self.lookups = request.lookups(project)
        self.agents = len(request.agent_ids)
        self.size = request.values + _A_PLAN
        position: dict[str, int] = {}
        others = set(request.of_others())
        self._parts = [
            _Part(part, lookup, position, of_others=number in others)
            for number, (part, lookup) in enumerate(zip(request.parts, self.lookups, strict=True))
        ]
        self.keys = [name.encode() for name in position]
        self.read = [each for part in self._parts for each in part.read]
        self._head = b'{"metadata":{"feature_names":%b,"value_age_seconds":{' % orjson.dumps(names_of(request))
        rows_of = others_of(request)
        self._tail = b"}%b},%b" % (
            b',"rows_of":%b' % orjson.dumps(rows_of) if rows_of else b"",
            b'"results":[%b' % orjson.dumps(agents_result(request), option=orjson.OPT_UTC_Z),
        )

    def answer(self, found: Sequence[bytes | None]) -> tuple[bytes, float | None] | None:
        """Return the answer and the age of its oldest value in seconds, None when nothing was found.

        `found`: what Redis holds under `keys`. None instead of both: the request must be refused for what was found.
        """
        now, ages, oldest = clock.now_us(), [], None
        texts = [self._head, b"", self._tail]
        for part in self._parts:
            theirs = part.text(found, now)
            if theirs is None:
                return None
            texts += (b",", theirs)
            ages.append(part.ages(now))
            if part.oldest is not None and (oldest is None or part.oldest < oldest):
                oldest = part.oldest
        texts[1] = b",".join(ages)
        texts.append(b"]}")
        return b"".join(texts), None if oldest is None else (now - oldest) / SECOND


class _Part:
    """What is asked of one view, with the values that it was answered from last, and the text of these.

    `position`: of the keys that are read, each once; it adds its own.

    `oldest`: the least of the instants up to which these are known to be true, µs UTC; None when there are none.
    """

    def __init__(self, asked: ViewPart, lookup: Lookup, position: dict[str, int], *, of_others: bool) -> None:
        self._name = orjson.dumps(asked.name)
        distinct = list(dict.fromkeys(lookup.agent_ids))
        self._asked = asked
        self._lookup = online.Lookup(lookup.project, lookup.view, distinct)
        *self._at, self._mark_at = [position.setdefault(key, len(position)) for key in online.keys_of([self._lookup])]
        self._agents = len(lookup.agent_ids)
        self._spread: list[int] | None = None
        if 1 < len(distinct) < self._agents:
            where = {agent_id: number for number, agent_id in enumerate(distinct)}
            self._spread = [where[each] for each in lookup.agent_ids]
        self._of_others = of_others
        self.read = [(lookup.view.version, agent_id, at) for agent_id, at in zip(distinct, self._at, strict=True)]
        self.oldest: int | None = None
        self._values: list[bytes | None] = []
        self._mark: bytes | None = None
        self._true: list[int | None] = []
        self._statuses: Sequence[str | None] = ()
        self._since = self._until = 0
        self._text: bytes | None = None

    def text(self, found: Sequence[bytes | None], now: int) -> bytes | None:
        """Return the results of the view's features; None when nothing was ever published of others whose features are asked."""
        values, mark = [found[at] for at in self._at], found[self._mark_at]
        same = values == self._values
        if not (same and mark == self._mark and self._since <= now <= self._until):
            self._make(values, mark, now, same=same)
        return self._text

    def ages(self, now: int) -> bytes:
        """Return the view's name and the ages in seconds, by agent, of the rows that `text` has just been made from."""
        ages = [None if true is None else (now - true) / SECOND for true in self._true]
        if len(ages) == 1:
            return b"%b:[%b]" % (self._name, b",".join([orjson.dumps(ages[0])] * self._agents))
        return b"%b:%b" % (self._name, orjson.dumps(ages if self._spread is None else [ages[each] for each in self._spread]))

    def _make(self, values: list[bytes | None], mark: bytes | None, now: int, *, same: bool) -> None:
        """Look at the values, and make the text again unless it is that of the `same` ones and no status is another."""
        rows = online.rows_at(self._lookup, values, mark, now)
        self._values, self._mark = values, mark
        self._true = [None if row is None else row.true_up_to for row in rows]
        there = [true for true in self._true if true is not None]
        self.oldest = min(there, default=None)
        self._since, self._until = online.status_holds(self._lookup.view, there, now)
        statuses = [None if row is None else row.status for row in rows]
        if same and self._text is not None and statuses == self._statuses:
            return
        self._statuses = statuses
        if self._of_others and not there:
            self._text = None
            return
        shown = rows if self._spread is None else [rows[each] for each in self._spread]
        self._text = orjson.dumps(results_of(self._asked, shown, self._agents // len(shown)), option=orjson.OPT_UTC_Z)[1:-1]
