#!/usr/bin/env bash
# River: a window of three hours counts what came late from before it, and a rolling correlation is 77 million
#
# Expected: utils.TimeRolling keeps what is younger than its period and drops what is too old; an event may come out of order, it is sorted
#   in by its time. Rolling(PearsonCorr) is the correlation of the last n pairs, 0 where a side does not vary (as without a window),
#   and never above 1.
# Happens: what is older than the period is added all the same, and stays until an event comes that is newer than all before: a call of 100 s
#   from eight hours ago makes the mean of 4 a 52, and a further event at the newest time does not take it out. Where the last three pairs
#   are equal, what rounding left of the earlier ones is divided: 77490641.4, while the same pairs alone give 0.
# Seen: river 0.26.1, 2026-11-29.
# Matters to: whoever makes features of agents' calls with it, whose logs come late and in bursts: rows are wrong exactly when something came
#   late, until the next new event, and no training set made in order of time shows it. Drop what is too old before update.
. "$(dirname "$0")/common"

python_packages river==0.26.1
cat >"$work/program.py" <<'PYTHON'
import datetime as dt

from river import stats, utils

MIDNIGHT = dt.datetime(2026, 11, 20)
EVENTS = [(0, 1), (1, 2), (10, 4), (2, 100), (11, 6), (3, 1000), (11, 8), (12, 6)]
mean, total = (utils.TimeRolling(each, period=dt.timedelta(hours=3)) for each in (stats.Mean, stats.Sum))
seen = []
for hour, seconds in EVENTS:
    mean.update(seconds, t=MIDNIGHT + dt.timedelta(hours=hour))
    total.update(seconds, t=MIDNIGHT + dt.timedelta(hours=hour))
    seen.append((hour, seconds))
    newest = max(each for each, _ in seen)
    inside = [value for each, value in seen if each > newest - 3]
    truth = f"by hand sum {sum(inside)}, mean {sum(inside) / len(inside):.2f}"
    print(f"{hour:02d}:00 {seconds}: {truth}; river sum {total.get():.0f}, mean {mean.get():.2f}")

PAIRS = [(1, 2), (5, 3), (2, 9), (8, 1), (3, 4), (3, 4), (3, 4)]
rolling, alone = utils.Rolling(stats.PearsonCorr, window_size=3), stats.PearsonCorr()
for pair in PAIRS:
    rolling.update(*pair)
for pair in PAIRS[-3:]:
    alone.update(*pair)
print(f"the last three pairs {PAIRS[-3:]}: correlation alone {alone.get():.1f}, rolling {rolling.get():.1f}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
00:00 1: by hand sum 1, mean 1.00; river sum 1, mean 1.00
01:00 2: by hand sum 3, mean 1.50; river sum 3, mean 1.50
10:00 4: by hand sum 4, mean 4.00; river sum 4, mean 4.00
02:00 100: by hand sum 4, mean 4.00; river sum 104, mean 52.00
11:00 6: by hand sum 10, mean 5.00; river sum 10, mean 5.00
03:00 1000: by hand sum 10, mean 5.00; river sum 1010, mean 336.67
11:00 8: by hand sum 18, mean 6.00; river sum 1018, mean 254.50
12:00 6: by hand sum 24, mean 6.00; river sum 24, mean 6.00
the last three pairs [(3, 4), (3, 4), (3, 4)]: correlation alone 0.0, rolling 77490641.4
SEEN
