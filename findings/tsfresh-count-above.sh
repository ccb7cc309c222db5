#!/usr/bin/env bash
# tsfresh: "values higher than t" counts those that equal t, so that with counts `count_above__t_0` is 1 for everybody
#
# Expected: count_above is the share of values that are higher than t, count_below of those lower (so say their docstrings and the list
#   of features), and the two add up to 1 at most. number_crossing_m counts two values in a row of which one is lower than m and the
#   other greater: counts of errors, never below 0, cross 0 never.
# Happens: both include what equals t. Of 0, 0, 0, 0, 3 the share above 0 is 1.0 and the share below 0 is 0.8. t = 0 is what the default
#   settings ask for, so on whatever is never negative the first is a constant and the second the share of zeros. number_crossing_m
#   takes "not greater" for lower: 1, 0, 1, 0, 1 crosses 0 four times. longest_strike_above_mean and count_above_mean leave the equal out.
# Seen: tsfresh 0.21.2 with pandas 2.3.3, 2026-11-29.
# Matters to: whoever makes features of errors, retries or tokens by it: what is called the share of calls with an error is 1 for an
#   agent without any, and select_features then drops it as saying nothing. Ask for t = 0.5, or count by hand.
. "$(dirname "$0")/common"

python_packages tsfresh==0.21.2 pandas==2.3.3 numpy==2.4.6 scipy==1.17.1 statsmodels==0.15.0 scikit-learn==1.9.1
cat >"$work/program.py" <<'PYTHON'
import pandas as pd
from tsfresh import extract_features
from tsfresh.feature_extraction import ComprehensiveFCParameters

ERRORS = {"never fails": [0, 0, 0, 0, 0], "fails once": [0, 0, 0, 0, 3], "fails in turn": [1, 0, 1, 0, 1], "always fails": [2, 1, 4, 1, 3]}
rows = [(agent, second, errors) for agent, each in ERRORS.items() for second, errors in enumerate(each)]
calls = pd.DataFrame(rows, columns=["agent", "second", "errors"])

asked = ("count_above", "count_below", "number_crossing_m")
usual = {name: [each for each in ComprehensiveFCParameters()[name] if each.get("t", each.get("m")) == 0] for name in asked}
print("asked for by the default settings:", usual)
seen = extract_features(
    calls, column_id="agent", column_sort="second", default_fc_parameters=usual, n_jobs=0, disable_progressbar=True
)  # fmt: skip
for agent, errors in ERRORS.items():
    above, below, crossing = (seen.loc[agent, f"errors__{name}__{'m' if 'cross' in name else 't'}_0"] for name in asked)
    truth = f"above {sum(e > 0 for e in errors) / 5}, below {sum(e < 0 for e in errors) / 5}"
    print(f"{agent} {errors}: by hand {truth}; tsfresh above {float(above)}, below {float(below)}, crossings {int(crossing)}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
asked for by the default settings: {'count_above': [{'t': 0}], 'count_below': [{'t': 0}], 'number_crossing_m': [{'m': 0}]}
never fails [0, 0, 0, 0, 0]: by hand above 0.0, below 0.0; tsfresh above 1.0, below 1.0, crossings 0
fails once [0, 0, 0, 0, 3]: by hand above 0.2, below 0.0; tsfresh above 1.0, below 0.8, crossings 1
fails in turn [1, 0, 1, 0, 1]: by hand above 0.6, below 0.0; tsfresh above 1.0, below 0.4, crossings 4
always fails [2, 1, 4, 1, 3]: by hand above 1.0, below 0.0; tsfresh above 1.0, below 0.0, crossings 0
SEEN
