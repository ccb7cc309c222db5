"""Makes `release-0.1.0.sql`: a small database as release 0.1.0 left it, written by the code of 0.1.0 itself.

    make old-database

The code is taken from Git and run in a process of its own, on a PostgreSQL of its own. The data is made up (`simulate_table`): five days of
one project, three of them published for two views, then two events that come late, so that days of both are stale. Of one view the numbers
are the same since, the other one has a new version.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Final

COMMIT: Final = "188f6c6"
"""The last commit of 0.1.0."""

FILE: Final = Path(__file__).with_name("release-0.1.0.sql")
ROOT: Final = Path(__file__).resolve().parents[3]

PROGRAM: Final = """
import datetime as dt
import subprocess
import sys
from pathlib import Path

import psycopg

from detektor_pipelines import __version__
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine.materialize import materialize
from detektor_pipelines.ingest.simulator import simulate_table
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import binaries, embedded, postgres
from detektor_pipelines.stores import feast_repo
from detektor_pipelines.stores.events import append_table
from detektor_pipelines.stores.schema import migrate

LATE = '''
INSERT INTO ml_learning.agent_events (event_id, revision, agent_type, raw_name, project, operation, occurred_at, known_at, ingested_at,
    derived, simulated, source, reader_revision, duration_ms, outcome)
SELECT 'late-' || agent_type, 1, agent_type, raw_name, project, CASE agent_type WHEN 'code-reviewer' THEN 'review' ELSE 'implement' END,
    occurred_at, '2026-11-02 00:00+00', '2026-11-02 00:00+00', false, true, 'late', 1, 60000, 'success'
FROM (SELECT DISTINCT ON (agent_type) * FROM ml_learning.agent_events
    WHERE agent_type IN ('code-reviewer', 'detektor-coder') AND occurred_at > '2026-10-31' ORDER BY agent_type, event_id) AS latest
'''
REJECTED = '''
INSERT INTO ml_learning.rejected_events (source, line, reason, excerpt, event_id, rejected_at, fingerprint)
VALUES ('made-up.jsonl', 7, 'no time', '{"agent": "code-reviewer"}', NULL, '2026-11-01 00:00+00', md5('made up')::uuid)
'''

assert __version__ == "0.1.0"
directory, dump = map(Path, sys.argv[1:])
end = dt.date(2026, 11, 1)
with embedded.start_postgres(directory / "postgres") as server:
    postgres.create_database(server.dsn(), "detektor")
    postgres.create_schemas(server.dsn("detektor"))
    settings = Settings(home=directory / "home", external_postgres_url=server.dsn("detektor"))
    migrate(settings)
    append_table(settings, simulate_table(days=5, projects=1, seed=1, end=end, events=60))
    days = [end - dt.timedelta(days=number) for number in (3, 2, 1)]
    views = [view for view in VIEWS if view.name in {"code_review_features", "coding_features"}]
    for view in views:
        materialize(settings, view, days)
    feast_repo.apply(settings, views)
    with psycopg.connect(settings.postgres_dsn) as connection:
        connection.execute(LATE)
        connection.execute(REJECTED)
    words = [binaries.postgres("pg_dump"), "--no-owner", "--no-privileges", "-n", "ml_learning", "-n", "feast", server.dsn("detektor")]
    dump.write_bytes(subprocess.run(words, check=True, capture_output=True).stdout)
"""


def main() -> None:
    """Write the file again; the numbers of transactions in it are those of the cluster that it was made on."""
    with tempfile.TemporaryDirectory(prefix="detektor-0.1.0-") as name:
        directory = Path(name)
        directory.chmod(0o755)  # PostgreSQL may run as another user of the machine
        code = directory / "code"
        code.mkdir()
        unpack(code)
        (code / "make.py").write_text(PROGRAM, encoding="utf-8")
        environment = {key: value for key, value in os.environ.items() if not key.startswith("DETEKTOR_")}
        environment |= {"PYTHONPATH": str(code), "DETEKTOR_NOW": "2026-11-01T00:00:00Z", "DETEKTOR_HOME": str(directory / "home")}
        subprocess.run([sys.executable, code / "make.py", directory, FILE], check=True, env=environment, cwd=code)


def unpack(directory: Path) -> None:
    """Put the code of 0.1.0 into a directory."""
    what = ["detektor_pipelines", "dagster_home", "pyproject.toml"]
    archive = subprocess.run(["git", "archive", COMMIT, *what], cwd=ROOT, check=True, capture_output=True).stdout
    subprocess.run(["tar", "x", "-C", directory], input=archive, check=True)


if __name__ == "__main__":
    main()
