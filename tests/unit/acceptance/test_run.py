"""Going through the rows: what counts as passed, and that one which breaks does not end the others."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
from rich.console import Console

from detektor_pipelines.acceptance import run
from detektor_pipelines.acceptance.commands import percentile
from detektor_pipelines.acceptance.findings import Part, Result, Row, failed, passed, unchecked
from detektor_pipelines.acceptance.rows import ROWS
from detektor_pipelines.cli_commands import acceptance
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Say
    from detektor_pipelines.settings import Settings


def row(*parts: Part, error: Exception | None = None, name: str = "T1") -> Row:
    def check(settings: Settings, say: Say) -> Iterator[Part]:
        say("now")
        yield from parts
        if error:
            raise error

    return Row(name, "a row", check)


def found(settings, *rows: Row) -> list[Result]:
    return list(run.run(settings, rows, lambda *_: None))


def test_the_rows_are_t1_to_t20():
    assert [row.name for row in ROWS] == [f"T{number}" for number in range(1, 21)]


@pytest.mark.parametrize(
    ("parts", "state"),
    [
        ((passed("a"), passed("b")), "passed"),
        ((passed("a"), unchecked("b", "install it")), "not checked"),
        ((unchecked("a", "install it"), failed("b", "mend it"), passed("c")), "failed"),
        ((), "not checked"),
    ],
)
def test_a_row_is_as_good_as_its_worst_part(settings, parts, state):
    assert [each.state for each in found(settings, row(*parts))] == [state]


def test_what_breaks_fails_and_the_others_are_looked_at(settings):
    mistake = UserError("Redis is away.", where="127.0.0.1:1", fix="detektor up redis")
    broken, bug, well = found(settings, row(passed("a"), error=mistake), row(error=KeyError("x")), row(passed("a")))
    assert [each.state for each in (broken, bug, well)] == ["failed", "failed", "passed"]
    assert broken.parts[1] == failed("Redis is away. (127.0.0.1:1)", "detektor up redis")
    assert "KeyError" in bug.parts[0].text


def test_only_the_rows_that_are_named():
    assert [each.name for each in run.chosen("t12, T8")] == ["T8", "T12"]
    assert len(run.chosen(None)) == 20
    for wrong in ("T21", "T8,review", ","):
        with pytest.raises(UserError, match="There is no row"):
            run.chosen(wrong)


def test_the_table_fits_eighty_columns(settings):
    words = "a sentence that is long enough to be folded: " * 5 + "x" * 100
    results = found(settings, row(passed(words)), row(failed(words, words), name="T20"), row(unchecked(words, words), name="T3"))
    text = io.StringIO()
    Console(file=text, width=80).print(acceptance._table(results))
    assert max(map(len, text.getvalue().splitlines())) <= 80
    assert "FAIL" in text.getvalue()
    assert "what to do" in text.getvalue()
    said = acceptance._summary(results)
    assert "1 of 3 rows passed; failed: T20; not checked: T3." in said


def test_percentiles_are_values_that_were_measured():
    values = [5.0, 1.0, 4.0, 2.0, 3.0]
    assert [percentile(values, share) for share in (0.01, 0.5, 0.95, 1)] == [1.0, 2.0, 5.0, 5.0]
