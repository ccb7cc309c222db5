#!/usr/bin/env bash
# Lance: with an index on a column of booleans, "not (approved is true)" no longer finds the rows without a value, nor deletes them
#
# Expected: an index makes a filter quicker and changes none of its rows. "is true" of a missing value is false, so "not (approved is true)"
#   is what was refused or has no answer, the same as "approved is not true".
# Happens: so it is without an index and with one of zones. With BTREE or BITMAP the two rows without a value are gone, from a scan, a count
#   and a delete, also inside a longer filter; "not (approved is false)" loses them too. "approved is not true" finds all in each case.
# Seen: pylance 14.0.2 with pyarrow 25.0.1, 2026-11-29.
# Matters to: whoever keeps reviews or labels in Lance, where "no answer yet" is a null: on the day somebody makes an index, a set of what is
#   not approved gets smaller, and a delete leaves rows that it took the day before. Write "is not true", or "is null or".
. "$(dirname "$0")/common"

python_packages pylance==14.0.2 pyarrow==25.0.1 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import lance
import pyarrow as pa

reviews = pa.table({"id": range(6), "approved": [True, None, False, True, None, False]})
FILTERS = [
    "not (approved is true)", "approved is not true", "not (approved is false)", "approved is not false", "approved is null",
    "not (approved is true) and id > 1",
]  # fmt: skip


def table(kind):
    stored = lance.write_dataset(reviews, f"{kind}.lance")
    if kind != "none":
        stored.create_scalar_index("approved", kind)
    return lance.dataset(f"{kind}.lance")


print("reviews:", dict(enumerate(reviews["approved"].to_pylist())))
tables = {kind: table(kind) for kind in ("none", "ZONEMAP", "BTREE", "BITMAP")}
for where in FILTERS:
    found = {kind: sorted(each.to_table(filter=where, columns=["id"])["id"].to_pylist()) for kind, each in tables.items()}
    print(f"{where}: " + ", ".join(f"{kind} {ids}" for kind, ids in found.items()))
where = FILTERS[0]
print("counted:", {kind: each.count_rows(where) for kind, each in tables.items()})
for each in tables.values():
    each.delete(where)
print("left by a delete:", {kind: sorted(lance.dataset(f"{kind}.lance").to_table()["id"].to_pylist()) for kind in tables})
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
reviews: {0: True, 1: None, 2: False, 3: True, 4: None, 5: False}
not (approved is true): none [1, 2, 4, 5], ZONEMAP [1, 2, 4, 5], BTREE [2, 5], BITMAP [2, 5]
approved is not true: none [1, 2, 4, 5], ZONEMAP [1, 2, 4, 5], BTREE [1, 2, 4, 5], BITMAP [1, 2, 4, 5]
not (approved is false): none [0, 1, 3, 4], ZONEMAP [0, 1, 3, 4], BTREE [0, 3], BITMAP [0, 3]
approved is not false: none [0, 1, 3, 4], ZONEMAP [0, 1, 3, 4], BTREE [0, 1, 3, 4], BITMAP [0, 1, 3, 4]
approved is null: none [1, 4], ZONEMAP [1, 4], BTREE [1, 4], BITMAP [1, 4]
not (approved is true) and id > 1: none [2, 4, 5], ZONEMAP [2, 4, 5], BTREE [2, 5], BITMAP [2, 5]
counted: {'none': 4, 'ZONEMAP': 4, 'BTREE': 2, 'BITMAP': 2}
left by a delete: {'none': [0, 3], 'ZONEMAP': [0, 3], 'BTREE': [0, 1, 3, 4], 'BITMAP': [0, 1, 3, 4]}
SEEN
