#!/usr/bin/env bash
# pandera: the same str_matches check accepts other names on polars than on pandas
#
# Expected: str_matches asks that a value starts with a match of the pattern, on either kind of frame, so "code-reviewer|debugger"
#   refuses "xx-debugger", and a compiled pattern keeps its flags.
# Happens: on polars the pattern is only given a "^" in front, which binds to the first alternative: "xx-debugger" passes as a value
#   that holds "debugger" somewhere. Of a compiled pattern only the text is used: with re.IGNORECASE, "Code-Reviewer" passes on pandas
#   and fails on polars. A pattern in one group, with flags written inside it, means the same on both.
# Seen: pandera 0.35.0 with pandas 2.3.3 and polars 2.1.0, 2026-11-28.
# Matters to: whoever validates names of agents, tools or verdicts and moves a schema from pandas to polars: rows that were refused
#   are published, or the other way round, with no error in either schema.
. "$(dirname "$0")/common"

python_packages pandera[polars]==0.35.0 pandas==2.3.3 polars==2.1.0 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import re

import pandas as pd
import pandera.errors
import pandera.pandas
import pandera.polars
import polars as pl

NAMES = ["code-reviewer", "debugger", "xx-debugger", "Code-Reviewer"]


def passing(module, frames, pattern):
    schema = module.DataFrameSchema({"agent": module.Column(str, module.Check.str_matches(pattern))})
    kept = []
    for name in NAMES:
        try:
            schema.validate(frames.DataFrame({"agent": [name]}))
            kept.append(name)
        except pandera.errors.SchemaError:
            pass
    return kept


for said, pattern in (
    ("code-reviewer|debugger", "code-reviewer|debugger"),
    ("code-reviewer, ignoring case", re.compile("code-reviewer", re.IGNORECASE)),
    ("(?i)^(code-reviewer|debugger)$", "(?i)^(code-reviewer|debugger)$"),
):
    print(said)
    print("  pandas passes", passing(pandera.pandas, pd, pattern))
    print("  polars passes", passing(pandera.polars, pl, pattern))
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
code-reviewer|debugger
  pandas passes ['code-reviewer', 'debugger']
  polars passes ['code-reviewer', 'debugger', 'xx-debugger']
code-reviewer, ignoring case
  pandas passes ['code-reviewer', 'Code-Reviewer']
  polars passes ['code-reviewer']
(?i)^(code-reviewer|debugger)$
  pandas passes ['code-reviewer', 'debugger', 'Code-Reviewer']
  polars passes ['code-reviewer', 'debugger', 'Code-Reviewer']
SEEN
