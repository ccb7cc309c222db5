"""What a backup takes, the next one, its verification, and the way back to the first value online.

    .venv/bin/python benchmarks/bench_backup.py [--events 1000000] [--encrypt] [--json]

A history of six months in eight views, computed and published, in servers set up as those of `detektor up`; without the tables of
Dagster and MLflow. `next_s` is the backup after 1,000 more events. `restore_s` is into the database of a second cluster with an empty
Redis, up to the end of writing the values online; `first_read_s` up to the first value read there, which has to be what the first Redis
holds.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import measuring
from measuring import timed

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings

MORE = 1_000


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--encrypt", action="store_true", help="encrypt it, to a key made for it")
    arguments = parser.parse_args()
    measuring.stop_the_clock()
    figures = measuring.machine()
    figures["events"] = arguments.events
    with measuring.servers() as (first,), measuring.servers() as (second,), tempfile.TemporaryDirectory() as directory:
        _fill(first, arguments.events)
        _measure(first, second, Path(directory), figures, encrypt=arguments.encrypt)
    measuring.show(figures, as_json=arguments.json)


def _fill(settings: Settings, events: int) -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.backfill import backfill
    from detektor_pipelines.stores.raw_log.bulk import append_table

    measuring.say(f"Simulating and computing {events:,} events")
    append_table(settings, measuring.history(events, 25, 184))
    for each in backfill(settings, VIEWS, measuring.last_days(184)):
        measuring.say(each.view.name)


def _measure(first: Settings, second: Settings, directory: Path, figures: dict[str, float], *, encrypt: bool) -> None:
    from detektor_pipelines.catalog import VIEWS
    from detektor_pipelines.engine.online import publish_online
    from detektor_pipelines.recovery import verify
    from detektor_pipelines.recovery.create import create
    from detektor_pipelines.recovery.restore import restore
    from detektor_pipelines.recovery.sealing import Opener, make_key
    from detektor_pipelines.recovery.target import Target
    from detektor_pipelines.stores.connections_redis import redis_client
    from detektor_pipelines.stores.online.values import read
    from detektor_pipelines.stores.raw_log.bulk import append_table

    target, key = Target(str(directory / "backups")), directory / "key"
    recipients = [make_key(key)] if encrypt else []
    opener = Opener(second, key if encrypt else None)
    with timed(figures, "first_s"):
        made = create(first, target, recipients)
    figures["bytes"] = made.written
    more = measuring.history(MORE, 1, 2)
    names = [f"more-{number}" for number in range(more.num_rows)]
    append_table(first, more.set_column(more.column_names.index("event_id"), "event_id", [names]))
    with timed(figures, "next_s"):
        made = create(first, target, recipients)
    figures["next_bytes"] = made.written
    publish_online(first, VIEWS[0])
    measuring.say("Verifying")
    with timed(figures, "verify_s"):
        problems = verify.whole(target, made.manifest, opener).problems
    if problems:
        raise SystemExit("\n".join(problems))
    measuring.say("Restoring")
    with timed(figures, "first_read_s"), redis_client(second) as there, redis_client(first) as here:
        with timed(figures, "restore_s"):
            done = restore(second, target, made.manifest, opener, tell=measuring.say)
        (found,), (wanted,) = (read(each, first.project, VIEWS[0], [VIEWS[0].agent]) for each in (there, here))
        if found is None or wanted is None or (found.status, found.values) != (wanted.status, wanted.values):
            raise SystemExit(f"{found} is not {wanted}")
    figures |= {f"  {name}_s": seconds for name, seconds in done.seconds.items()}


if __name__ == "__main__":
    main()
