"""Going through the rows: one after another, and a row that breaks does not keep the others from being looked at."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from detektor_pipelines.acceptance.findings import Result, failed
from detektor_pipelines.acceptance.rows import ROWS
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from detektor_pipelines.acceptance.findings import Part, Row
    from detektor_pipelines.settings import Settings


def chosen(names: str | None, rows: Sequence[Row] = ROWS) -> list[Row]:
    """Return the rows that `T8,T12` names, in the list's order; all for None.

    Raises:
        UserError: There is no such row.

    """
    if names is None:
        return list(rows)
    wanted = {each.strip().upper() for each in names.split(",") if each.strip()}
    if unknown := sorted(wanted - {row.name for row in rows}) or ([] if wanted else ["nothing"]):
        raise UserError(f"There is no row {', '.join(unknown)}.", where="--only", fix=f"Name some of T1 to T{len(rows)}: --only T8,T12")
    return [row for row in rows if row.name in wanted]


def run(settings: Settings, rows: Sequence[Row], say: Callable[[Row, str], None]) -> Iterator[Result]:
    """Check the rows in order and yield what was found of each; `say` is told the row and what it is about just now."""
    for row in rows:
        say(row, "")
        started = time.monotonic()
        parts = tuple(_parts(settings, row, say))
        yield Result(row, parts, time.monotonic() - started)


def _parts(settings: Settings, row: Row, say: Callable[[Row, str], None]) -> Iterator[Part]:
    try:
        yield from row.check(settings, lambda text: say(row, text))
    except UserError as error:
        where = f" ({error.where})" if error.where else ""
        yield failed(f"{error.what}{where}", error.fix or "detektor doctor says what is wrong with this installation.")
    except Exception as error:  # noqa: BLE001 - whatever a row breaks on, the others are looked at
        yield failed(f"{type(error).__name__}: {error}", "detektor doctor; if it finds nothing, this is a fault of ours.")
