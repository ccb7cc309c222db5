#!/usr/bin/env bash
# OpenLineage: the column lineage of INSERT INTO t (columns) SELECT names the columns of the SELECT, not those of the table
#
# Expected: in "insert into features (agent, tokens) select agent_id, total from events" the output columns are agent and tokens,
#   matched by position, as every database does.
# Happens: the list of columns is read and not used. The lineage says columns agent_id and total, which the table does not have; where
#   names overlap it is the wrong way round: "(errors, calls) select calls, errors" gives errors from errors. Aliases are taken.
#   A window that is written inline makes the value depend on its partition and order columns, a named one (WINDOW w AS) does not.
# Seen: openlineage-sql 1.54.0 (the SQL parser of the OpenLineage project), dialect postgres, 2026-11-28.
# Matters to: whoever finds by lineage which features come from a column of the log before it is changed or deleted: a feature is
#   missed or accused wrongly. With an alias of the column's own name for each expression the answer is right.
. "$(dirname "$0")/common"

python_packages openlineage-sql==1.54.0
cat >"$work/program.py" <<'PYTHON'
from openlineage_sql import parse

for sql in (
    "insert into features (agent, tokens) select agent_id, total from events",
    "insert into features (errors, calls) select calls, errors from events",
    "insert into features (agent, tokens) select agent_id as agent, total as tokens from events",
    "insert into features select sum(total) over (partition by agent_id order by ts) as tokens from events",
    "insert into features select sum(total) over w as tokens from events window w as (partition by agent_id order by ts)",
):
    print(sql)
    found = parse([sql], dialect="postgres")
    assert not found.errors
    for column in sorted(found.column_lineage, key=lambda each: each.descendant.name):
        print("  ", column.descendant.name, "<-", *sorted(f"{origin.origin}.{origin.name}" for origin in column.lineage))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
insert into features (agent, tokens) select agent_id, total from events
   agent_id <- events.agent_id
   total <- events.total
insert into features (errors, calls) select calls, errors from events
   calls <- events.calls
   errors <- events.errors
insert into features (agent, tokens) select agent_id as agent, total as tokens from events
   agent <- events.agent_id
   tokens <- events.total
insert into features select sum(total) over (partition by agent_id order by ts) as tokens from events
   tokens <- events.agent_id events.total events.ts
insert into features select sum(total) over w as tokens from events window w as (partition by agent_id order by ts)
   tokens <- events.total
SEEN
