"""Labels: what became of an agent's decision, declared beside its features. A model learns a label from the features of its instant.

A label looks at one decision at a time: an event of its agent for which ``where`` is TRUE. Its value is said by that event (``value``
over the event itself) or by what follows: with ``within_next`` by the later events of the same task for which ``later`` is TRUE.
"""

import keyword
import re
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

from detektor_pipelines.language.events import AGENT_TYPES
from detektor_pipelines.language.expressions import MAXIMUM_DEPTH, DefinitionError, Operand, Predicate, depth, event
from detektor_pipelines.language.windows import Window

LabelType: TypeAlias = Literal["bool", "float64"]

_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,59}\Z")

STARTED: Final = event.occurred_at - event.duration_ms * 1_000
"""When the deciding event's work began, µs UTC: events stand in the log with the instant of their end."""


@dataclass(frozen=True, eq=False)
class Label:
    """One label of an agent's decisions.

    Args:
        name: lower_snake_case.
        value: a condition (the label is true or false) or an integer value (the label is a number). Unknown and null are no label: the
            decision is left out of a training set, and counted.
        agent: whose decisions.
        where: which of its events are decisions.
        description: one sentence a person understands.
        unit: unit of a number, ``truth`` by default.
        null_means: what a decision without a value says.
        decided_at: the instant of which the features are, as µs UTC over the deciding event: by default when its work began. Where that is
            null, it is the task's first event after the decision before it, else the deciding event itself.
        later: with ``within_next``, which later events of the same task say the value. A condition is true when it is so for one of them,
            a number is that of the first.
        within_next: for how long after the deciding event one looks. The label is known when that time is over, and not before,
            whatever it is: else what comes true would be known sooner than what does not, and the newest labels would all be true.
        otherwise: with ``within_next``, what it means that no later event says anything: false, true, or no label.

    Raises:
        DefinitionError: for a name, a text or an expression that cannot be.
    """

    name: str
    value: Predicate | Operand
    agent: str
    where: Predicate
    description: str
    unit: str = "truth"
    null_means: str = ""
    decided_at: Operand = STARTED
    later: Predicate | None = None
    within_next: Window | None = None
    otherwise: bool | None = None

    def __post_init__(self) -> None:
        if not _NAME.match(self.name) or keyword.iskeyword(self.name):
            raise DefinitionError(f"label name {self.name!r}: use lower_snake_case of 2 to 60 characters")
        if self.agent not in AGENT_TYPES:
            raise DefinitionError(f"label {self.name}: {self.agent!r} is none of the agents {', '.join(AGENT_TYPES)}")
        if not self.description or not self.unit:
            raise DefinitionError(f"label {self.name}: a description and a unit are needed")
        self._check_expressions()
        self._check_later()
        if self.otherwise is None and not self.null_means:
            raise DefinitionError(f"label {self.name}: say what it means that a decision has no value (null_means=…)")

    def _check_expressions(self) -> None:
        if not isinstance(self.where, Predicate):
            raise DefinitionError(f"label {self.name}: where takes a condition, such as event.operation == 'review'")
        if not isinstance(self.value, Predicate) and not (isinstance(self.value, Operand) and self.value.kind == "integer"):
            raise DefinitionError(f"label {self.name}: a value is a condition (event.verdict == 'rejected') or an integer value")
        if not isinstance(self.decided_at, Operand) or self.decided_at.kind not in ("instant", "integer"):
            raise DefinitionError(f"label {self.name}: decided_at is an instant, such as event.occurred_at")
        for each in (self.value, self.where, self.decided_at, self.later):
            if each is not None and (nested := depth(each)) > MAXIMUM_DEPTH:
                raise DefinitionError(f"label {self.name}: an expression is nested {nested} deep, at most {MAXIMUM_DEPTH} can be")

    def _check_later(self) -> None:
        if (self.later is None) is not (self.within_next is None):
            raise DefinitionError(f"label {self.name}: later and within_next belong together: which events, and for how long")
        if self.within_next is None:
            if self.otherwise is not None:
                raise DefinitionError(f"label {self.name}: otherwise says what no later event means; there is no within_next")
            return
        if not isinstance(self.within_next, Window) or not isinstance(self.later, Predicate):
            raise DefinitionError(f"label {self.name}: within_next is a length of time (days(7)), later a condition")
        if self.otherwise is not None and not isinstance(self.value, Predicate):
            raise DefinitionError(f"label {self.name}: the value is a number; otherwise is for conditions")

    @property
    def value_type(self) -> LabelType:
        """``bool`` of a condition, ``float64`` of a number."""
        return "bool" if isinstance(self.value, Predicate) else "float64"

    def columns(self) -> frozenset[str]:
        """Names of the event columns that the label depends on, beside the identity and the instants."""
        found = self.value.columns() | self.where.columns() | self.decided_at.columns()
        found |= self.later.columns() if self.later is not None else frozenset()
        return (found | {"task_id"}) - {"occurred_at", "project"}
