#!/usr/bin/env bash
# MLflow's traces of Claude Code: more than half of the output tokens are missing, and a call of 40 seconds took half a second
#
# Expected: the trace that `mlflow autolog claude` makes of a transcript has the tokens of its answers and how long each answer and each
#   tool call took: its page promises tool calls, token usage per call and timing of each step.
# Happens: Claude Code writes an answer as one line for each piece of it, at the instant when the piece is complete. The trace makes a step of
#   each line with text: it has that line's usage (3 tokens, a placeholder, for an answer of 500), and begins where the line ended, so
#   its time is the wait for the line after it. An answer that only calls tools has no step, and its tokens are nowhere. A tool call
#   lasts from its line to the next line: of two calls in one answer the first one's time is the distance of the two lines.
# Seen: mlflow-skinny 3.17.2 with sqlalchemy 2.0.58 on SQLite, 2026-11-29. The transcript is made here, in the form of Claude Code 2.1. (That
#   tokens of answers with tools are left out is known to its makers, of their TypeScript package; the times and the placeholder are not.)
# Matters to: whoever makes features of agents from such traces: in transcripts of agents most answers call a tool, and of 12,306 tool
#   calls in two public sets of them 981 follow another of the same answer. Read the transcript: usage by message id, times by the ids of calls.
. "$(dirname "$0")/common"

python_packages mlflow-skinny==3.17.2 sqlalchemy==2.0.58 alembic==1.20.1 pandas==2.3.3 numpy==2.4.6 sqlparse==0.6.1
cat >"$work/program.py" <<'PYTHON'
import json
import os
from pathlib import Path

os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"

import mlflow
from mlflow.claude_code.tracing import process_transcript

SESSION = "11111111-1111-4111-8111-111111111111"


def line(second, role, **message):
    common = {"sessionId": SESSION, "version": "2.1.300", "isSidechain": False, "uuid": f"00000000-0000-4000-8000-{int(second * 1000):012d}"}
    return common | {"type": role, "timestamp": f"2026-11-20T10:{int(second) // 60:02d}:{second % 60:06.3f}Z", "message": {"role": role} | message}


def answer(second, name, content, output):
    usage = {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": output}
    return line(second, "assistant", id=f"msg_{name}", type="message", model="claude-test", content=[content], stop_reason=None, usage=usage)


def call(number, tool):
    return {"type": "tool_use", "id": f"toolu_{number}", "name": tool, "input": {"command": "make test"}}


def result(second, number):
    back = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "ok"}
    return line(second, "user", content=[back]) | {"toolUseResult": {"stdout": "ok", "stderr": "", "interrupted": False}}


RECORDS = [
    line(0, "user", content="Run the tests."),
    answer(20, "A", {"type": "text", "text": "I run both."}, 3),
    answer(21, "A", call(1, "Bash"), 500), answer(21.5, "A", call(2, "Read"), 500), result(22, 2), result(61, 1),
    answer(80, "B", call(3, "Bash"), 400), result(110, 3),
    answer(130, "C", {"type": "text", "text": "Done."}, 700),
]  # fmt: skip
Path("session.jsonl").write_text("".join(json.dumps(each) + "\n" for each in RECORDS))

mlflow.set_tracking_uri("sqlite:///mlflow.db")
trace = process_transcript("session.jsonl", SESSION)
print("3 answers with 500, 400 and 700 output tokens; calls of 40 s, 0.5 s and 30 s; answers after 20 s, 19 s and 20 s")
used = trace.info.token_usage
print("the trace: input", used["input_tokens"], "output", used["output_tokens"])
for span in trace.data.spans:
    if span.parent_id:
        usage = span.attributes.get("mlflow.chat.tokenUsage") or {}
        print(f"  {span.name}: {(span.end_time_ns - span.start_time_ns) / 1e9:.1f} s, output {usage.get('output_tokens', 'none')}")
PYTHON

seen=$(run program.py | grep -v '^[0-9/]* [0-9:]* INFO')
compare "$seen" <<'SEEN'
3 answers with 500, 400 and 700 output tokens; calls of 40 s, 0.5 s and 30 s; answers after 20 s, 19 s and 20 s
the trace: input 20 output 703
  llm: 1.0 s, output 3
  tool_Bash: 0.5 s, output none
  tool_Read: 0.5 s, output none
  tool_Bash: 30.0 s, output none
  llm: 1.0 s, output 700
SEEN
