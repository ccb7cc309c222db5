"""What runs in Spark's environment: the days of one view that Dagster Pipes names, each part told as soon as it is published.

The process of `orchestration.spark` starts it by `python -m`; no person does.
"""

from __future__ import annotations

import sys
from datetime import date
from typing import TYPE_CHECKING

from dagster_pipes import open_dagster_pipes

from detektor_pipelines.catalog import view_named
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.engine.spark import SparkCalculator, spark_session
from detektor_pipelines.errors import UserError
from detektor_pipelines.orchestration.spark import as_data, definition
from detektor_pipelines.settings import get_settings
from detektor_pipelines.stores.connections import PostgresAwayError

if TYPE_CHECKING:
    from dagster_pipes import PipesContext

    from detektor_pipelines.engine.materialize import Materialization


def main() -> None:
    """Do what Pipes asks for; when it is refused, a message says so."""
    with open_dagster_pipes() as pipes:
        try:
            _report(pipes, _materialize(pipes), whole=True)
        except UserError as error:
            told = {"what": error.what, "where": error.where, "fix": error.fix, "away": isinstance(error, PostgresAwayError)}
            pipes.report_custom_message({"refused": told})


def _materialize(pipes: PipesContext) -> Materialization:
    settings, view = get_settings(), view_named(pipes.get_extra("view"))
    if definition(view) != pipes.get_extra("definition"):
        raise UserError(
            f"Spark's environment knows another definition of {view.name} than Dagster.",
            where=sys.executable,
            fix="Install the same version and catalogue in both.",
        )
    days = [date.fromisoformat(each) for each in pipes.get_extra("days")]
    with spark_session(settings) as session:
        return materialize(
            settings,
            view,
            days,
            resume=pipes.get_extra("resume"),
            on_part=lambda part: _report(pipes, part, whole=False),
            calculator=SparkCalculator(settings, session),
        )


def _report(pipes: PipesContext, part: Materialization, *, whole: bool) -> None:
    pipes.report_custom_message({"part": as_data(part), "whole": whole})


if __name__ == "__main__":
    main()
