"""One agent's features as a program gets them: attributes and a mapping, neither to be changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Literal, NoReturn, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Self

Status: TypeAlias = Literal["PRESENT", "NULL_VALUE", "NOT_FOUND", "OUTSIDE_MAX_AGE"]
Value: TypeAlias = int | float | str | datetime | None


class AgentValues(Mapping[str, Value]):
    """Features of one agent, each an attribute and an item; a subclass for each view declares them, with their types.

    As a mapping it holds the features that were asked for, in the view's order. A value is None when it is null, and all are None when
    the agent was never published: `status` tells.
    """

    AGENT: ClassVar[str]
    VIEW: ClassVar[str]
    FEATURES: ClassVar[tuple[str, ...]]
    INSTANTS: ClassVar[frozenset[str]]
    """Features that are instants: datetimes in UTC, of whole seconds."""

    agent_id: str
    """`code-reviewer`, or `code-reviewer@project`."""
    status: Status
    """PRESENT, NOT_FOUND when nothing was ever published, OUTSIDE_MAX_AGE when the values are older than the view allows."""
    statuses: Mapping[str, Status]
    """Of each feature; NULL_VALUE for one that is null."""
    age: timedelta | None
    """How long ago the values were last known to be true; None when nothing was found."""
    event_timestamp: datetime | None
    """The instant of the row they stand in, UTC; None when nothing was found."""
    source: str
    """What the server answered from: redis, cache, or fallback."""

    def __init__(self, values: Mapping[str, Value], **about: Any) -> None:
        self.__dict__.update(about, _values=dict(values), **values)

    @classmethod
    def from_answer(cls, content: Mapping[str, Any], source: str) -> list[Self]:
        """Return the agents of an answer of Feast's HTTP API, in its order.

        Raises:
            KeyError, IndexError, TypeError, ValueError: It is none.

        """
        metadata, results = content["metadata"], content["results"]
        columns = dict(zip(metadata["feature_names"], results, strict=True))
        agent_ids = columns.pop("agent_id")["values"]
        ages = metadata.get("value_age_seconds", {}).get(cls.VIEW) or [None] * len(agent_ids)
        names = [name for name in cls.FEATURES if name in columns]
        return [cls._from_columns(columns, names, place, agent_id, ages[place], source) for place, agent_id in enumerate(agent_ids)]

    @classmethod
    def _from_columns(
        cls, columns: Mapping[str, Any], names: Sequence[str], place: int, agent_id: str, age: float | None, source: str
    ) -> Self:
        found = {name: columns[name]["values"][place] for name in names}
        statuses: dict[str, Status] = {name: columns[name]["statuses"][place] for name in names}
        for name in names:
            if name in cls.INSTANTS and found[name] is not None:
                found[name] = datetime.fromtimestamp(found[name], UTC)
        whole = next((each for each in statuses.values() if each in {"NOT_FOUND", "OUTSIDE_MAX_AGE"}), "PRESENT")
        at = None if whole == "NOT_FOUND" else datetime.fromisoformat(columns[names[0]]["event_timestamps"][place])
        span = None if age is None else timedelta(seconds=age)
        return cls(found, agent_id=agent_id, status=whole, statuses=statuses, age=span, event_timestamp=at, source=source)

    @property
    def is_fallback(self) -> bool:
        """Whether Redis was away and these are the values that the server kept; `age` says how old they are."""
        return self.source == "fallback"

    def as_dict(self) -> dict[str, Value]:
        """Return the values by the features' names."""
        return dict(self._all())

    def __getitem__(self, name: str) -> Value:
        values = self._all()
        if name not in values:
            raise KeyError(self._lacks(name))
        return values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def __repr__(self) -> str:
        values = ", ".join(f"{name}={value!r}" for name, value in self.items())
        return f"{type(self).__name__}(agent_id={self.agent_id!r}, status={self.status!r}, age={self.age!r}, {values})"

    if not TYPE_CHECKING:  # the declared attributes are all there are

        def __getattr__(self, name: str) -> NoReturn:
            if name.startswith("_"):
                raise AttributeError(name)
            raise AttributeError(self._lacks(name), name=name, obj=self)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"{name} cannot be set: this is what the server answered", name=name, obj=self)

    def __delattr__(self, name: str) -> None:
        raise AttributeError(f"{name} cannot be deleted: this is what the server answered", name=name, obj=self)

    def _all(self) -> dict[str, Value]:
        found: dict[str, Value] = self.__dict__["_values"]
        return found

    def _lacks(self, name: str) -> str:
        if name in self.FEATURES:
            return f"{name} was not asked for: get(names=…) left it out"
        return f"{self.VIEW} has no feature {name}; it has {', '.join(self.FEATURES)}"
