"""What real logs look like, as numbers: distributions measured on transcripts of three open-source teams, pooled.

30,672 tool calls, 405 sessions, three teams, January to March 2026. `docs/simulation.md` sets each figure beside the simulated one;
`detektor simulate --figures --compare PATH` measures both again. Where real logs hold nothing (video faults, research packs), the figure is
a guess and says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from detektor_pipelines.simulation.arrays import Floats

_RANKS: Final = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)


@dataclass(frozen=True)
class Curve:
    """A distribution of positive values by eight quantiles: 0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1; log-linear between them."""

    quantiles: tuple[float, float, float, float, float, float, float, float]

    def at(self, share: Floats) -> Floats:
        """Values at these ranks (0 to 1)."""
        return np.asarray(np.exp(np.interp(share, _RANKS, np.log(self.quantiles))), dtype=np.float64)


@dataclass(frozen=True)
class Tool:
    """A tool: share of calls that end in an error, and durations in ms."""

    name: str
    error_rate: float
    duration: Curve


TOOLS: Final = (
    Tool("Bash", 0.081, Curve((8, 88, 374, 1_502, 5_177, 20_375, 291_011, 600_000))),
    Tool("Read", 0.023, Curve((1, 2, 3, 17, 129, 382, 1_657, 6_000))),
    Tool("Edit", 0.052, Curve((1, 4, 13, 127, 5_015, 17_683, 356_894, 900_000))),
    Tool("Grep", 0.018, Curve((120, 243, 272, 398, 549, 993, 2_539, 8_000))),
    Tool("TaskUpdate", 0.002, Curve((1, 1, 1, 3, 3, 8, 498, 2_000))),
    Tool("Glob", 0.036, Curve((120, 249, 325, 467, 1_046, 2_398, 4_120, 9_000))),
    Tool("Write", 0.015, Curve((1, 4, 7, 83, 5_030, 63_032, 327_410, 600_000))),
    Tool("WebSearch", 0.026, Curve((3_000, 4_817, 6_206, 7_532, 14_105, 22_668, 169_145, 240_000))),
    Tool("WebFetch", 0.044, Curve((217, 2_542, 3_430, 4_894, 7_865, 20_000, 59_122, 120_000))),
    Tool("TodoWrite", 0.0, Curve((10, 25, 43, 77, 157, 322, 22_974, 60_000))),
)
TOOL_NAMES: Final = tuple(tool.name for tool in TOOLS)

TOOL_SHARES: Final = {
    #                         Bash  Read  Edit  Grep  TaskU Glob  Write WSrch WFtch TodoW
    "detektor-coder":        (0.32, 0.24, 0.25, 0.09, 0.04, 0.02, 0.02, 0.00, 0.00, 0.02),
    "code-reviewer":         (0.27, 0.38, 0.00, 0.29, 0.00, 0.05, 0.00, 0.00, 0.00, 0.01),
    "deployment-specialist": (0.73, 0.15, 0.03, 0.06, 0.02, 0.01, 0.00, 0.00, 0.00, 0.00),
    "documentation-keeper":  (0.14, 0.36, 0.27, 0.14, 0.02, 0.03, 0.04, 0.00, 0.00, 0.00),
    "architecture-advisor":  (0.14, 0.44, 0.00, 0.30, 0.00, 0.09, 0.01, 0.01, 0.01, 0.00),
    "debugger":              (0.46, 0.28, 0.06, 0.15, 0.02, 0.02, 0.00, 0.01, 0.00, 0.00),
    "pipeline-debugger":     (0.57, 0.23, 0.03, 0.14, 0.01, 0.02, 0.00, 0.00, 0.00, 0.00),
    "pisarz":                (0.04, 0.13, 0.03, 0.05, 0.01, 0.01, 0.06, 0.33, 0.34, 0.00),
}  # fmt: skip
"""Which tools an agent calls. The coder's and the reviewer's are the real ones; a write-less reviewer is its definition."""

ERROR_TYPES: Final = ("exit_code", "not_found", "timeout", "permission", "stale_file")
ERROR_TYPE_SHARES: Final = (0.56, 0.17, 0.09, 0.06, 0.12)

RUN_DURATIONS: Final = {
    "review": Curve((13_778, 42_811, 59_065, 97_300, 180_000, 523_000, 3_600_000, 14_400_000)),
    "implement": Curve((16_346, 52_400, 96_715, 320_000, 680_000, 1_080_000, 7_200_000, 28_800_000)),
    "advise": Curve((67_224, 92_000, 107_433, 160_017, 258_557, 378_238, 961_584, 1_800_000)),
    "research": Curve((63_917, 76_297, 115_241, 230_679, 564_452, 1_286_647, 1_886_647, 3_600_000)),
    # No such agent in the logs seen: guesses in the range of the others.
    "deploy": Curve((20_000, 45_000, 80_000, 150_000, 320_000, 640_000, 2_400_000, 5_400_000)),
    "document": Curve((20_000, 40_000, 65_000, 120_000, 240_000, 480_000, 1_500_000, 3_600_000)),
    "diagnose": Curve((30_000, 75_000, 140_000, 290_000, 640_000, 1_300_000, 5_400_000, 14_400_000)),
}
"""Wall time of a run in ms."""

RUN_TOOL_CALLS: Final = {
    "review": Curve((1, 5, 8, 15, 22, 36, 66, 90)),
    "implement": Curve((2, 8, 12, 18, 28, 41, 73, 120)),
    "advise": Curve((6, 12, 15, 17, 27, 39, 51, 80)),
    "research": Curve((8, 12, 15, 24, 37, 50, 53, 80)),
    "deploy": Curve((1, 3, 5, 8, 12, 18, 35, 50)),
    "document": Curve((1, 4, 6, 9, 15, 24, 45, 70)),
    "diagnose": Curve((2, 7, 11, 18, 28, 42, 75, 120)),
}

MESSAGES_PER_TOOL_CALL: Final = 0.88
MODELS: Final = ("claude-opus-4-6", "claude-sonnet-4-6", "claude-haiku-4-5")
MODEL_SHARES: Final = (0.72, 0.2, 0.08)
OUTPUT_TOKENS: Final = Curve((1, 1, 1, 3, 25, 238, 1_337, 8_000))
"""Of one message as logged: low, because transcripts keep the count of a message's first streamed part."""
INPUT_TOKENS: Final = Curve((1, 1, 1, 3, 8, 9, 82, 4_000))
CACHE_READ_TOKENS: Final = Curve((8_000, 37_546, 57_497, 84_715, 116_092, 138_108, 160_523, 190_000))
CACHE_CREATION_TOKENS: Final = Curve((40, 155, 294, 612, 1_473, 5_340, 82_370, 150_000))
MESSAGE_DURATION: Final = Curve((600, 1_300, 2_000, 3_600, 7_000, 14_000, 60_000, 180_000))
"""Guess: transcripts do not hold it."""

GAP_SIGMA: Final = 1.25
"""Spread of the logarithm of the gaps between a run's steps: a few seconds mostly, half a minute at times (real p50 5 s, p90 33 s)."""
WAITING_RATE: Final = 0.02
WAITING_FACTOR: Final = 120.0
"""Some gaps are somebody's lunch: they are this many times longer."""

TEST_RUN_DURATION: Final = Curve((200, 1_014, 2_220, 5_009, 10_680, 30_813, 212_493, 600_000))
READABLE_VERDICT_RATE: Final = 0.6

WEEKDAYS: Final = (0.98, 1.02, 1.08, 1.05, 0.87, 0.3, 0.32)
"""Monday to Sunday, relative."""

HOURS: Final = (
    0.010, 0.004, 0.002, 0.001, 0.001, 0.004, 0.016, 0.040, 0.092, 0.135, 0.125, 0.085,
    0.080, 0.088, 0.118, 0.092, 0.045, 0.012, 0.008, 0.012, 0.010, 0.010, 0.007, 0.003,
)  # fmt: skip
"""Share of a day's tasks that start in each local hour: one team's working day, its quiet nights, a little after dinner."""

DAY_SIGMA: Final = 0.6
"""Spread of the logarithm of a project's activity from day to day (real: p10 118, p50 434, p90 1,201 calls a day)."""

REAL_FIGURES: Final = {
    "tool calls that end in an error": 0.0466,
    "Bash: errors": 0.0806,
    "Bash: duration, median": 1_500,
    "Bash: duration, p90": 20_300,
    "Read: errors": 0.0227,
    "Read: duration, median": 18,
    "Read: duration, p90": 382,
    "Edit: errors": 0.0523,
    "Edit: duration, median": 127,
    "Edit: duration, p90": 17_600,
    "Grep: errors": 0.0175,
    "Grep: duration, median": 398,
    "Grep: duration, p90": 993,
    "calls in a session, median": 49,
    "calls in a session, p90": 198,
    "gap between calls of a session, median": 5.34,
    "gap between calls of a session, p90": 33.2,
    "calls in the busiest tenth of active minutes": 0.298,
    "calls of a project on an active day, median": 412,
    "calls of a project on an active day, p90": 1_150,
    "a weekend day against a weekday": 0.694,
    "model answers for each tool call": 0.879,
    "output tokens of an answer, median": 3,
    "output tokens of an answer, p90": 238,
    "cached tokens read for an answer, median": 84_700,
    "cached tokens read for an answer, p90": 138_000,
    "review: duration, median": 97_300,
    "review: duration, p90": 523_000,
    "review: tool calls, median": 15,
    "review: tool calls, p90": 36,
    "coding run: duration, median": 320_000,
    "coding run: duration, p90": 1_220_000,
    "coding run: tool calls, median": 18,
    "coding run: tool calls, p90": 47,
    "reviews with a readable verdict": 0.516,
    "of these, sent back": 0.333,
    "test runs that fail": 0.247,
    "deployments (real: git pushes) that fail": 0.0194,
}
"""What `figures.figures` gives for the real logs, durations of tools from call to result; a test holds the simulated ones to them."""
