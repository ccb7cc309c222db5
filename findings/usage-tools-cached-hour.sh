#!/usr/bin/env bash
# Agent logs: what is kept in the cache for an hour costs 1.6 times what is kept for five minutes, to half of the usage tools the same
#
# Expected: tools that price a transcript by the provider's list agree on answers of one model. Claude Code writes beside an answer's
#   cache_creation_input_tokens how many of them are kept for five minutes and how many for an hour; the list has a price for each, 1.25
#   and 2 times that of input.
# Happens: ccusage takes all for five minutes, 3.77 for 6.02 USD. aiburn, cctrack, and genai-prices when it is given the whole usage, tell
#   them apart; genai-prices given the sum alone cannot, and says 3.77. cc-cost says 18.83 both times: a model that it has no price of,
#   here claude-sonnet-4-20250514, costs what Opus does. The numbers of tokens are the same in all.
# Seen: ccusage 18.0.11, aiburn 0.4.5, cctrack 0.11.0, cc-cost 1.1.0, genai-prices 0.2.3, on Node.js 20, 2026-11-29. The logs are made here, in
#   the form of Claude Code 2.1, ten answers of 100,000 tokens written to the cache.
# Matters to: whoever makes a feature, a budget or an alert of costs: where the hour is used a cost is short by three eighths, and a step in
#   it may be one of how long the cache is kept and not of what agents do. Keep both numbers, and price them yourself.
. "$(dirname "$0")/common"

npm_packages ccusage@18.0.11
python_packages aiburn==0.4.5 cctrack==0.11.0 cc-cost==1.1.0 genai-prices==0.2.3

cat >"$work/program.py" <<'PYTHON'
import json
import subprocess
from pathlib import Path

from genai_prices import extract_usage

MODEL, ANSWERS, WRITTEN = "claude-sonnet-4-20250514", 10, 100_000
SESSION = "11111111-1111-4111-8111-111111111111"
LIST = {"input": 3, "output": 15, "5m": 3.75, "1h": 6}  # USD per million tokens
FILE = Path("home/.claude/projects/-work-demo") / f"{SESSION}.jsonl"


def usage(kept):
    parts = {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0} | {f"ephemeral_{kept}_input_tokens": WRITTEN}
    whole = {"input_tokens": 10, "cache_creation_input_tokens": WRITTEN, "cache_read_input_tokens": 0, "output_tokens": 100}
    return whole | {"cache_creation": parts, "service_tier": "standard"}


def line(number, kept):
    answer = {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": MODEL, "content": [{"type": "text", "text": "Done."}]}
    answer |= {"stop_reason": "end_turn", "stop_sequence": None, "usage": usage(kept)}
    return {
        "parentUuid": None, "isSidechain": False, "userType": "external", "cwd": "/work/demo", "sessionId": SESSION,
        "version": "2.1.300", "gitBranch": "main", "type": "assistant", "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "timestamp": f"2026-11-20T10:00:{number:02d}.000Z", "requestId": f"req_{number}", "message": answer,
    }  # fmt: skip


def said(*command):
    return json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def listed(of):
    return float(extract_usage({"model": MODEL, "usage": of}, provider_id="anthropic").calc_price().total_price) * ANSWERS


FILE.parent.mkdir(parents=True)
for kept in ("5m", "1h"):
    FILE.write_text("".join(json.dumps(line(number, kept)) + "\n" for number in range(ANSWERS)))
    by_hand = ANSWERS * (10 * LIST["input"] + 100 * LIST["output"] + WRITTEN * LIST[kept]) / 1e6
    sum_alone = {name: value for name, value in usage(kept).items() if name != "cache_creation"}
    ccusage = said("node_modules/.bin/ccusage", "daily", "--json", "--offline")["totals"]["totalCost"]
    (group,) = said("env/bin/aiburn", "daily", "--claude", "--json")["groups"]
    (session,) = said("env/bin/cctrack", "--json", "--agent", "claude")["sessions"]
    print(
        f"kept for {kept}: by hand {by_hand:.2f} USD; ccusage {ccusage:.2f}, aiburn {group['cost']:.2f}, cctrack {session['cost_usd']:.2f}, "
        f"genai-prices {listed(usage(kept)):.2f}, of the sum {listed(sum_alone):.2f}, "
        f"cc-cost {said('env/bin/cc-cost', '--json')['total']['cost_usd']:.2f}"
    )  # fmt: skip
PYTHON

seen=$(run program.py)
compare "$seen" <<'SEEN'
kept for 5m: by hand 3.77 USD; ccusage 3.77, aiburn 3.77, cctrack 3.77, genai-prices 3.77, of the sum 3.77, cc-cost 18.83
kept for 1h: by hand 6.02 USD; ccusage 3.77, aiburn 6.02, cctrack 6.02, genai-prices 6.02, of the sum 3.77, cc-cost 18.83
SEEN
