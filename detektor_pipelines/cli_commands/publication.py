"""What `backfill` and `demo` share: Dagster runs in this process, one after another, behind one progress bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from detektor_pipelines.engine.materialize import DayResult
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.orchestration.backfill import Backfill, Batch
    from detektor_pipelines.settings import Settings


def publish(settings: Settings, wanted: Sequence[Batch], console: Console, *, everything: bool = False) -> Backfill:
    """Run the batches, and show meanwhile how many (view, day) pairs are done.

    Args:
        settings: Where the servers are.
        wanted: What to run.
        console: Where the bar is shown; it is gone when this returns.
        everything: Compute again also the days that are published and not stale.

    Raises:
        UserError: There is no such partition, or PostgreSQL does not answer.
        KeyboardInterrupt: Ctrl-C came before the first run began or after the last ended; within a run it cancels that one.

    """
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = (TextColumn("{task.description:<34}"), BarColumn(), MofNCompleteColumn(), TextColumn("days"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("Loading Dagster", total=sum(batch.due for batch in wanted))
        from detektor_pipelines.orchestration.backfill import run_batches

        def on_day(view: FeatureView, day: DayResult) -> None:
            progress.update(task, advance=int(everything or day.status != "kept"), description=view.name)

        return run_batches(settings, wanted, everything=everything, on_day=on_day)
