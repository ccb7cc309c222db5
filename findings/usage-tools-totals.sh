#!/usr/bin/env bash
# Agent logs: five usage tools make three totals of one Claude Code transcript and two of one Codex rollout
#
# Expected: tools whose purpose is to add up the tokens of such logs agree on two answers of 500 and 700 output tokens, 1,200.
# Happens: Claude Code writes an answer as one line for each content block, each with the usage known at that moment: the same message
#   id, the same input, and for output a placeholder until the last line. ccusage keeps the first line (703), cc-cost and
#   agent-session-otel add up all (1,206, and input twice), aiburn and cctrack take the last or largest (1,200).
#   Codex repeats its token_count record with nothing new in it (as when only the rate limits moved): ccusage-codex and
#   agent-session-otel add last_token_usage each time (4,400 of 2,200 input tokens), aiburn and cctrack see the running total.
# Seen: ccusage 18.0.11 and @ccusage/codex 18.0.11, aiburn 0.4.5, cctrack 0.11.0, cc-cost 1.1.0, agent-session-otel 0.2.0, on
#   Node.js 20, 2026-11-28. The logs are made here, in the form of Claude Code 2.1 and Codex 0.142. (ccusage 20 is a compiled
#   program whose packages for this machine were not to be had.)
# Matters to: whoever compares costs or token features with such a tool, or bases a budget on one: at many tool calls an answer the
#   output is short by more than half, or input is counted as often as an answer has blocks. The message id is what to group by,
#   and the largest output what to take; in Codex the differences of total_token_usage.
. "$(dirname "$0")/common"

npm_packages ccusage@18.0.11 @ccusage/codex@18.0.11
python_packages aiburn==0.4.5 cctrack==0.11.0 cc-cost==1.1.0 agent-session-otel==0.2.0

cat >"$work/logs.py" <<'PYTHON'
import json
from pathlib import Path

CLAUDE = "11111111-1111-4111-8111-111111111111"
CODEX = "01900000-0000-7000-8000-000000000001"


def write(path, records):
    path = Path("home") / path
    path.parent.mkdir(parents=True)
    path.write_text("".join(json.dumps(record) + "\n" for record in records))


def block(number, message, second, content, output):
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": output}
    answer = {"id": f"msg_{message}", "type": "message", "role": "assistant", "model": "claude-sonnet-4-20250514", "content": [content]}
    answer |= {"stop_reason": None, "stop_sequence": None, "usage": usage}
    return {
        "parentUuid": None, "isSidechain": False, "userType": "external", "cwd": "/work/demo", "sessionId": CLAUDE,
        "version": "2.1.300", "gitBranch": "main", "type": "assistant", "uuid": f"00000000-0000-4000-8000-{number:012d}",
        "timestamp": f"2026-11-20T10:00:{second:02d}.000Z", "requestId": f"req_{message}", "message": answer,
    }  # fmt: skip


write(f".claude/projects/-work-demo/{CLAUDE}.jsonl", [
    block(1, "A", 0, {"type": "thinking", "thinking": "...", "signature": "s"}, 3),
    block(2, "A", 2, {"type": "text", "text": "I look."}, 3),
    block(3, "A", 5, {"type": "tool_use", "id": "toolu_1", "name": "Bash", "input": {"command": "ls"}}, 500),
    block(4, "B", 9, {"type": "text", "text": "Done."}, 700),
])  # fmt: skip


def tokens(input_, cached, output, reasoning):
    return {
        "input_tokens": input_, "cached_input_tokens": cached, "output_tokens": output, "reasoning_output_tokens": reasoning,
        "total_tokens": input_ + output,
    }  # fmt: skip


def record(second, kind, payload):
    return {"timestamp": f"2026-11-20T10:01:{second:02d}.000Z", "type": kind, "payload": payload}


def count(second, total, last):
    info = {"total_token_usage": total, "last_token_usage": last, "model_context_window": 272000}
    return record(second, "event_msg", {"type": "token_count", "info": info, "rate_limits": None})


first, second, both = tokens(1000, 800, 100, 60), tokens(1200, 900, 50, 30), tokens(2200, 1700, 150, 90)
head = {"id": CODEX, "timestamp": "2026-11-20T10:01:00.000Z", "cwd": "/work/demo", "originator": "codex_cli_rs"}
write(f".codex/sessions/2026/11/20/rollout-2026-11-20T10-01-00-{CODEX}.jsonl", [
    record(0, "session_meta", head | {"cli_version": "0.142.0", "model_provider": "openai", "git": {}}),
    record(1, "turn_context", {"cwd": "/work/demo", "approval_policy": "never", "model": "gpt-5", "summary": "auto"}),
    count(10, first, first), count(11, first, first), count(20, both, second), count(21, both, second),
])  # fmt: skip
PYTHON

cat >"$work/program.py" <<'PYTHON'
import json
import re
import subprocess


def said(*command):
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def show(tool, input_, output):
    print(f"  {tool}: input {input_}, output {output}")


print("Claude Code: 2 answers in 4 lines, each with 10 input tokens beside the cache, output 500 and 700")
total = json.loads(said("node_modules/.bin/ccusage", "daily", "--json", "--offline"))["totals"]
show("ccusage", total["inputTokens"], total["outputTokens"])
(group,) = json.loads(said("env/bin/aiburn", "daily", "--claude", "--json"))["groups"]
show("aiburn", group["input"], group["output"])
(session,) = json.loads(said("env/bin/cctrack", "--json", "--agent", "claude"))["sessions"]
show("cctrack", session["tokens"]["input"], session["tokens"]["output"])
total = json.loads(said("env/bin/cc-cost", "--json"))["total"]
show("cc-cost", total["input"], total["output"])
show("agent-session-otel", *re.search(r"input=(\d+) output=(\d+)", said("env/bin/agent-session-otel", "inspect", "--vendor", "claude-code")).groups())

print("Codex: 2 answers in 4 token_count records, input 2200 (1700 of it cached), output 150")
total = json.loads(said("node_modules/.bin/ccusage-codex", "daily", "--json", "--offline"))["totals"]
show("ccusage-codex", total["inputTokens"], total["outputTokens"])
(group,) = json.loads(said("env/bin/aiburn", "daily", "--codex", "--json"))["groups"]
show("aiburn", group["input"] + group["cache"], group["output"])
(session,) = json.loads(said("env/bin/cctrack", "--json", "--agent", "codex"))["sessions"]
show("cctrack", session["tokens"]["input"] + session["tokens"]["cache_read"], session["tokens"]["output"])
show("agent-session-otel", *re.search(r"input=(\d+) output=(\d+)", said("env/bin/agent-session-otel", "inspect", "--vendor", "codex")).groups())
PYTHON

run logs.py
seen=$(run program.py)
compare "$seen" <<'SEEN'
Claude Code: 2 answers in 4 lines, each with 10 input tokens beside the cache, output 500 and 700
  ccusage: input 20, output 703
  aiburn: input 20, output 1200
  cctrack: input 20, output 1200
  cc-cost: input 40, output 1206
  agent-session-otel: input 40, output 1206
Codex: 2 answers in 4 token_count records, input 2200 (1700 of it cached), output 150
  ccusage-codex: input 4400, output 300
  aiburn: input 2200, output 150
  cctrack: input 2200, output 150
  agent-session-otel: input 4400, output 300
SEEN
