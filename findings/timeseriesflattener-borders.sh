#!/usr/bin/env bash
# timeseriesflattener: what happens at the very time of a prediction is in the features and in the outcome, and a slope knows whole days only
#
# Expected: features look behind a prediction, outcomes ahead of it: an event belongs to one of them, and to one of two windows that follow
#   each other. The slope of 1, 3, 5 at one-hour steps is 2 an hour, 48 a day; where nothing can be computed there is the fallback.
# Happens: windows are closed at both ends. The event at the time of prediction counts as known and as what is to be foretold; one that is
#   exactly a day old is in the last day and in the day before it. The slope takes the instants cut to days: nan, not the fallback, for
#   events of one day, and 3 a day, for 48, where midnight is among them.
# Seen: timeseriesflattener 2.5.2, polars 2.1.0, 2026-11-29. Its tests have a slope of values a day apart, the pages no word on the ends.
# Matters to: whoever makes training sets of logs with it: decisions are logged at the time of the event that they are about, so a model learns
#   from its own label, and serving does not have it. Take a microsecond off the time of prediction, and make slopes yourself.
. "$(dirname "$0")/common"

python_packages timeseriesflattener==2.5.2 attrs==26.1.0 polars==2.1.0 pandas==3.1.1 numpy==2.4.6 pyarrow==26.0.1
cat >"$work/program.py" <<'PYTHON'
import contextlib
import datetime as dt
import io

import polars as pl
import timeseriesflattener as tsf

DAY, HOUR = dt.timedelta(days=1), dt.timedelta(hours=1)
NOON = dt.datetime(2026, 11, 20, 12)
ENDS = [("predictor", "lookbehind_distances", tsf.PredictorSpec), ("outcome", "lookahead_distances", tsf.OutcomeSpec)]


def values(events, side, spans, aggregator):
    _, distances, spec = ENDS[side]
    rows = pl.DataFrame({"agent": "a", "time": list(events), "calls": [float(value) for value in events.values()]})
    frame = tsf.ValueFrame(init_df=rows, entity_id_col_name="agent", value_timestamp_col_name="time")
    asked = spec(value_frame=frame, aggregators=[aggregator], fallback=0, column_prefix="p", **{distances: spans})
    noon = tsf.PredictionTimeFrame(
        init_df=pl.DataFrame({"agent": ["a"], "time": [NOON]}), entity_id_col_name="agent", timestamp_col_name="time"
    )
    with contextlib.redirect_stdout(io.StringIO()):
        made = tsf.Flattener(predictiontime_frame=noon).aggregate_timeseries(specs=[asked]).df
    return [made[name][0] for name in made.columns if name.startswith("p_")]


at_noon = {NOON - HOUR: 1, NOON: 10, NOON + HOUR: 100}
for side, (name, *_) in enumerate(ENDS):
    (total,) = values(at_noon, side, [DAY], tsf.SumAggregator())
    print(f"1 before noon, 10 at noon, 100 after it: the {name} of noon is {total:.0f}")

days = {NOON - HOUR: 1, NOON - DAY: 10, NOON - DAY - HOUR: 100}
last, before = values(days, 0, [(dt.timedelta(), DAY), (DAY, 2 * DAY)], tsf.SumAggregator())
print(f"1 of the last day, 10 a day ago, 100 before: the last day {last:.0f}, the day before {before:.0f}")

MIDNIGHT = dt.datetime(2026, 11, 20)
for said, times in {
    "hours, of one day": [MIDNIGHT + hours * HOUR for hours in (8, 9, 10)],
    "hours, over midnight": [MIDNIGHT + hours * HOUR for hours in (-2, -1, 0)],
    "days": [MIDNIGHT + days * DAY for days in (-2, -1, 0)],
}.items():
    (slope,) = values(dict(zip(times, (1, 3, 5), strict=True)), 0, [7 * DAY], tsf.SlopeAggregator(timestamp_col_name="time"))
    print(f"1, 3, 5 by {said}: by hand {2 * DAY / (times[1] - times[0]):.0f} a day, slope {slope:.0f}")
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
1 before noon, 10 at noon, 100 after it: the predictor of noon is 11
1 before noon, 10 at noon, 100 after it: the outcome of noon is 110
1 of the last day, 10 a day ago, 100 before: the last day 11, the day before 110
1, 3, 5 by hours, of one day: by hand 48 a day, slope nan
1, 3, 5 by hours, over midnight: by hand 48 a day, slope 3
1, 3, 5 by days: by hand 2 a day, slope 2
SEEN
