#!/usr/bin/env bash
# Temporian with numpy 2: the sum over a window ending at an event is that of the last event there is, for every event
#
# Expected: moving_sum(1.5) at an instant is the sum of what happened in the 1.5 seconds before it and at it; cumsum what happened so far.
#   Temporian asks for pandas 1.5.2 or later and for no numpy, so pip takes numpy 2, and it imports and computes.
# Happens: every row has the last row's value, in moving_sum, moving_count, cumsum, simple_moving_average and moving_max: what an agent did
#   last stands in all rows before it. With an index (an agent each) there are no rows at all. Nothing is raised or logged. lag and
#   since_last are right, and with numpy 1.26.4 and pandas 2.2.3 all of them are.
# Seen: temporian 0.9.0 with numpy 2.4.6, pandas 2.3.3 and protobuf 7.36.2, 2026-11-29.
# Matters to: whoever makes features of event logs with it, its purpose: a training set whose every row knows the future looks excellent, and
#   the one by agent is empty. Install numpy below 2, and hold one window against a sum by hand.
. "$(dirname "$0")/common"

python_packages temporian==0.9.0 numpy==2.4.6 pandas==2.3.3 protobuf==7.36.2
cat >"$work/program.py" <<'PYTHON'
import temporian as tp

SECONDS, TOKENS = [0, 1, 1, 2, 5], [1, 10, 100, 1000, 10000]
events = list(zip(SECONDS, TOKENS, strict=True))
calls = tp.event_set(timestamps=SECONDS, features={"tokens": TOKENS})
by_agent = tp.event_set(timestamps=SECONDS, features={"tokens": TOKENS, "agent": ["a", "a", "b", "b", "a"]}, indexes=["agent"])


def values(made):
    return made.get_arbitrary_index_data().features[0].tolist()


def window(at):
    return [tokens for second, tokens in events if at - 1.5 < second <= at]


print("moving_sum by hand", [sum(window(at)) for at in SECONDS])
print("moving_sum        ", values(calls.moving_sum(1.5)))
print("moving_count by hand", [len(window(at)) for at in SECONDS])
print("moving_count        ", values(calls.moving_count(1.5)))
print("cumsum by hand", [sum(tokens for second, tokens in events if second <= at) for at in SECONDS])
print("cumsum        ", values(calls.cumsum()))
print("since_last", values(calls.since_last()))
print("rows by agent:", {agent: len(data.timestamps) for (agent,), data in sorted(by_agent.moving_sum(1.5).data.items())})
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
moving_sum by hand [1, 111, 111, 1110, 10000]
moving_sum         [10000, 10000, 10000, 10000, 10000]
moving_count by hand [1, 3, 3, 3, 1]
moving_count         [1, 1, 1, 1, 1]
cumsum by hand [1, 111, 111, 1111, 11111]
cumsum         [11111, 11111, 11111, 11111, 11111]
since_last [nan, 1.0, 0.0, 1.0, 3.0]
rows by agent: {b'a': 0, b'b': 0}
SEEN
