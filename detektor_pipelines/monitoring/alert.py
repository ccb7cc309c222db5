"""What an alert is: when it fires, and the page that somebody reads at night."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final, Literal

_DURATION: Final = re.compile(r"\$(\d+)([smhd])")
_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86_400}


@dataclass(frozen=True, slots=True)
class Alert:
    """One alert. Durations in `when` and `lasting` are written `$5m`: a test's variant of the rules shortens them.

    Attributes:
        name: As people see it.
        page: Its page in docs/runbooks, without the suffix; several alerts may have one.
        when: PromQL.
        lasting: For how long that must hold before anybody is told.
        severity: `critical` wakes somebody up, `warning` waits for the morning.
        says: One sentence with the value, as a template of Prometheus.

    """

    name: str
    page: str
    when: str
    lasting: str
    severity: Literal["critical", "warning"]
    says: str


@dataclass(frozen=True, slots=True)
class Recording:
    """A value that Prometheus computes and keeps: `name` as level:metric:operation, `value` PromQL with `$5m`."""

    name: str
    value: str


@dataclass(frozen=True, slots=True)
class Runbook:
    """A page in docs/runbooks.

    Attributes:
        page: Its name, without the suffix.
        title: What has happened, in a few words.
        means: What that means for readers of features.
        look: What to look at, in order; each a sentence, commands in backquotes.
        do: What to do, in order.
        worked: How to see that it has worked.

    """

    page: str
    title: str
    means: str
    look: tuple[str, ...]
    do: tuple[str, ...]
    worked: str


def scaled(text: str, scale: float = 1.0) -> str:
    """Replace each `$5m` by a duration of Prometheus: itself, or shorter by `scale`, to the millisecond."""

    def duration(match: re.Match[str]) -> str:
        number, unit = match.groups()
        if scale == 1:
            return f"{number}{unit}"
        return f"{max(round(int(number) * _SECONDS[unit] * scale * 1_000), 1)}ms"

    return _DURATION.sub(duration, text)
