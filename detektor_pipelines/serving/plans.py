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
    from detektor_pipelines.stores.online.values import Lookup, OnlineRow

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
        names = dict.fromkeys(online.keys_of(self.lookups))
        position = {name: number for number, name in enumerate(names)}
        self.keys = [name.encode() for name in names]
        others = set(request.of_others())
        self._parts = [
            _Part(part, lookup, position, of_others=number in others)
            for number, (part, lookup) in enumerate(zip(request.parts, self.lookups, strict=True))
        ]
        self.read = [each for part in self._parts for each in part.read]
        self._head = b'{"metadata":{"feature_names":%b,"value_age_seconds":' % orjson.dumps(names_of(request))
        rows_of = others_of(request)
        self._tail = b"%b},%b" % (
            b',"rows_of":%b' % orjson.dumps(rows_of) if rows_of else b"",
            b'"results":[%b' % orjson.dumps(agents_result(request), option=orjson.OPT_UTC_Z),
        )

    def answer(self, found: Sequence[bytes | None]) -> tuple[bytes, float | None] | None:
        """Return the answer and the age of its oldest value in seconds, None when nothing was found.

        `found`: what Redis holds under `keys`. None instead of both: the request must be refused for what was found.
        """
        now, ages = clock.now_us(), {}
        texts = [self._head, b"", self._tail]
        for part in self._parts:
            theirs = part.text(found, now)
            if theirs is None:
                return None
            texts += (b",", theirs)
            ages[part.name] = part.ages(now)
        texts[1] = orjson.dumps(ages)
        texts.append(b"]}")
        return b"".join(texts), max((age for some in ages.values() for age in some if age is not None), default=None)


class _Part:
    """What is asked of one view, with the values that it was answered from last, and the text of these."""

    __slots__ = ("_asked", "_at", "_lookup", "_mark", "_of_others", "_rows", "_spread", "_text", "_true", "_values", "name", "read")

    def __init__(self, asked: ViewPart, lookup: Lookup, position: dict[str, int], *, of_others: bool) -> None:
        self.name = asked.name
        distinct = list(dict.fromkeys(lookup.agent_ids))
        where = {agent_id: number for number, agent_id in enumerate(distinct)}
        self._asked = asked
        self._lookup = online.Lookup(lookup.project, lookup.view, distinct)
        *self._at, self._mark = (position[key] for key in online.keys_of([self._lookup]))
        self._spread = None if len(distinct) == len(lookup.agent_ids) else [where[each] for each in lookup.agent_ids]
        self._of_others = of_others
        self.read = [(lookup.view.version, agent_id, at) for agent_id, at in zip(distinct, self._at, strict=True)]
        self._values: list[bytes | None] = []
        self._rows: list[OnlineRow | None] = []
        self._true: list[int | None] = []
        self._text: bytes | None = None

    def text(self, found: Sequence[bytes | None], now: int) -> bytes | None:
        """Return the results of the view's features; None when nothing was ever published of others whose features are asked."""
        values = [found[at] for at in self._at]
        mark = found[self._mark]
        if self._text is None or values != self._values or not self._still(mark, now):
            self._values, self._rows = values, online.rows_at(self._lookup, values, mark, now)
            self._true = [None if row is None else row.true_up_to for row in self._rows]
            if self._of_others and not any(self._true):
                self._text = None
                return None
            rows = self._rows if self._spread is None else [self._rows[each] for each in self._spread]
            self._text = orjson.dumps(results_of(self._asked, rows), option=orjson.OPT_UTC_Z)[1:-1]
        return self._text

    def ages(self, now: int) -> list[float | None]:
        """Return the ages in seconds of the rows that `text` has just been made from, by agent."""
        ages = [None if true is None else (now - true) / SECOND for true in self._true]
        return ages if self._spread is None else [ages[each] for each in self._spread]

    def _still(self, mark: bytes | None, now: int) -> bool:
        """Whether every row has the status that it had, by a mark of completeness that may have moved."""
        through, view = online.instants_of(mark), self._lookup.view
        for number, row in enumerate(self._rows):
            if row is None:
                continue
            known = row.as_of if row.snapshot is None else max(row.as_of, through.get(online.shard_of(row.agent_id), 0))
            self._true[number] = known
            if online.is_in_time(view, known, now) is not (row.status == "PRESENT"):
                return False
        return True
