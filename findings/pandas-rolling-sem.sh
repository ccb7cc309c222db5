#!/usr/bin/env bash
# pandas: the standard error of a rolling or expanding mean is another than that of the same values
#
# Expected: rolling(n).sem() of n values is Series.sem() of them: the standard deviation divided by the square root of their number.
# Happens: it is divided by the square root of the number less one (less ddof, whatever that is). Of two values it is 1.41 times, of four
#   1.15 times too large, and infinite for as many values as ddof. groupby().sem(), Series.sem() and agg are right. The docstring
#   speaks of the standard error of the mean and shows an example with these numbers.
# Seen: pandas 2.3.3, 2026-11-29; mended in pandas 3.0, which feast 0.67.0 does not allow.
# Matters to: whoever puts a band around a mean duration or error rate of an agent: for the few calls that a window holds it is a half too
#   wide, so a change goes unseen, and the numbers move with the upgrade. Divide std() by the root of count().
. "$(dirname "$0")/common"

python_packages pandas==2.3.3 numpy==2.4.6
cat >"$work/program.py" <<'PYTHON'
import pandas as pd

SECONDS = [10.0, 20.0, 30.0, 50.0]
calls = pd.Series(SECONDS, index=pd.date_range("2026-11-20", periods=4, freq="h"))
for count in (2, 3, 4):
    last = calls.tail(count)
    by_hand = last.std() / count**0.5
    print(
        f"{count} calls: by hand {by_hand:.4f}, Series.sem {last.sem():.4f}, groupby {last.groupby([0] * count).sem()[0]:.4f}, "
        f"rolling {calls.rolling(count).sem().iloc[-1]:.4f}, of hours {calls.rolling(f'{count}h').sem().iloc[-1]:.4f}, "
        f"expanding {last.expanding().sem().iloc[-1]:.4f}"
    )  # fmt: skip
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
2 calls: by hand 10.0000, Series.sem 10.0000, groupby 10.0000, rolling 14.1421, of hours 14.1421, expanding 14.1421
3 calls: by hand 8.8192, Series.sem 8.8192, groupby 8.8192, rolling 10.8012, of hours 10.8012, expanding 10.8012
4 calls: by hand 8.5391, Series.sem 8.5391, groupby 8.5391, rolling 9.8601, of hours 9.8601, expanding 9.8601
SEEN
