"""What was written to the log, commit by commit: so that a snapshot can be read as "the first n commits"."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, TypeAlias

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torture.truth import Record

Identity: TypeAlias = tuple[str, int]
"""event_id and revision."""


class NoSuchMomentError(Exception):
    """A snapshot that is not one of the log's moments."""


class Ledger:
    """Records in the order of their commits. A moment is a number of commits."""

    def __init__(self) -> None:
        self._commits: list[tuple[Record, ...]] = []
        self._xids: dict[int, dict[Identity, int]] = defaultdict(dict)
        self.live: set[str] = set()
        """Events of which something was heard live; of the others all comes from files."""

    @property
    def moment(self) -> int:
        """How many commits there are."""
        return len(self._commits)

    def commit(self, records: Iterable[Record]) -> None:
        """Take note of one transaction's records."""
        self._commits.append(tuple(records))

    def records(self, moment: int | None = None) -> list[Record]:
        """Everything that was committed by a moment, or by now."""
        return [record for commit in self._commits[:moment] for record in commit]

    def newest(self) -> list[Record]:
        """Of each event the highest revision, in the order of first appearance."""
        found: dict[str, Record] = {}
        for record in self.records():
            if record.event_id not in found or found[record.event_id].revision < record.revision:
                found[record.event_id] = record
        return list(found.values())

    def numbered(self, epoch: int, xids: Mapping[Identity, int]) -> None:
        """Take note of which transactions wrote the records, as the log says in one life of it."""
        self._xids[epoch].update(xids)

    def moment_of(self, epoch: int, snapshot: str) -> int:
        """The moment at which the log looked as a snapshot of an epoch sees it.

        Raises:
            NoSuchMomentError: There is none.

        """
        _, end, running = snapshot.split(":")
        below, busy = int(end), {int(xid) for xid in running.split(",") if xid}
        xids = self._xids[epoch]
        seen = []
        for commit in self._commits:
            # What a later life of the log wrote has no number in this one
            wrote = [xids.get((record.event_id, record.revision)) for record in commit]
            seen.append(all(xid is not None and xid < below and xid not in busy for xid in wrote))
        moment = sum(seen)
        if not all(seen[:moment]):
            message = f"snapshot {snapshot} sees a later commit and not an earlier one: {seen}"
            raise NoSuchMomentError(message)
        return moment
