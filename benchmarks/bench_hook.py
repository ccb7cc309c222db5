"""How long an agent waits for `detektor-hook`: the whole process, from its start to its end, and what of it is Python itself.

    .venv/bin/python benchmarks/bench_hook.py [--turns 100] [--json]

Each turn starts every command once, in turn, so that a busy moment falls on all of them. Wall time as Claude Code sees it, and processor
time, which other programs disturb less. `quick_*` is the command that `detektor hook install` writes, `dense` with a report of 32 KB that
asks for every rule; `script_*` the console script of the virtual environment; `python_*` and `bare_*` are `python -c pass` and
`python -I -S -c pass`.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import measuring

from detektor_pipelines import hook, masks

REPORT = "All good, but for one thing.\n" * 300 + "Verdict: APPROVE\n"
CALL = {
    "hook_event_name": "PostToolUse",
    "session_id": "6b0f7a5e",
    "transcript_path": "/home/ada/.claude/projects/shop/6b0f7a5e.jsonl",
    "cwd": "/home/ada/shop",
    "tool_name": "Read",
    "tool_use_id": "toolu_01",
    "tool_input": {"file_path": "/home/ada/shop/app.py"},
    "tool_response": {"type": "text", "file": {"content": "x = 1\n" * 2_000}},
    "duration_ms": 12,
}
ALL_RULES = " ".join(word for rule in masks.RULES for gate in rule.gates for word in gate)
RICH = (f"password = Juniper9, ada@example.org, /home/ada/shop {ALL_RULES}\n" * 40)[: hook.TEXT_LIMIT]
STOP = {**CALL, "hook_event_name": "SubagentStop", "agent_id": "a1", "agent_type": "reviewer", "last_assistant_message": REPORT}


DENSE = {**STOP, "last_assistant_message": RICH}
_CHILD_S = 0.15
"""In which the child that masks a report is done: it is not to be on the next command's processor."""


def main() -> None:
    """Measure and print."""
    parser = measuring.options(__doc__)
    parser.add_argument("--turns", type=int, default=100)
    arguments = parser.parse_args()
    figures = measuring.machine()
    with tempfile.TemporaryDirectory() as scratch:
        quick = (sys.executable, "-I", "-S", hook.__file__, scratch)
        script = (str(Path(sys.executable).with_name("detektor-hook")), scratch)
        call, stop = json.dumps(CALL).encode(), json.dumps(STOP).encode()
        commands = {
            "python": ((sys.executable, "-c", "pass"), b""),
            "bare": ((sys.executable, "-I", "-S", "-c", "pass"), b""),
            "quick_call": (quick, call),
            "quick_stop": (quick, stop),
            "quick_dense": (quick, json.dumps(DENSE).encode()),
            "script_call": (script, call),
        }
        commands = {name: command for name, command in commands.items() if Path(command[0][0]).exists()}
        wall: dict[str, list[float]] = {name: [] for name in commands}
        busy: dict[str, list[float]] = {name: [] for name in commands}
        for turn in range(arguments.turns + 1):
            for name, (command, text) in commands.items():
                before, started = os.times(), time.perf_counter()
                subprocess.run(command, input=text, check=True, capture_output=True)
                spent, after = time.perf_counter() - started, os.times()
                if text not in {b"", call}:
                    time.sleep(_CHILD_S)
                if turn:
                    wall[name].append(spent * 1_000)
                    used = after.children_user + after.children_system - before.children_user - before.children_system
                    busy[name].append(used * 1_000)
    for name in commands:
        ordered = sorted(wall[name])
        figures |= {f"{name}_p50_ms": statistics.median(ordered), f"{name}_p95_ms": ordered[int(len(ordered) * 0.95)]}
        figures |= {f"{name}_best_ms": ordered[0], f"{name}_processor_ms": statistics.fmean(busy[name])}
    measuring.show(figures, as_json=arguments.json)


if __name__ == "__main__":
    main()
