r"""Hypothesis strategies that bend valid records as hostile and broken programs do, and a guard against what never ends.

Bent are types, depths, lengths and numbers of single places; keys go missing or stand twice; lines are cut, joined, filled with NULs or
written in another encoding. What `json.dumps` cannot write (a key twice, 1e400, ten thousand brackets) is a mark, replaced in the text.
"""

from __future__ import annotations

import copy
import json
import signal
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from hypothesis import strategies as st

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from types import FrameType

_MARKS: Final = {
    "@deep200@": "[" * 200 + "]" * 200,
    "@deep400@": "[" * 400 + "]" * 400,
    "@deep900@": '{"a":' * 900 + "1" + "}" * 900,
    "@deep9999@": "[" * 9_999 + "]" * 9_999,
    "@huge@": "9" * 400,
    "@digits@": "9" * 5_000,
    "@over@": "1e400",
    "@half@": '"\\ud83d"',
    "@halves@": '"\\udc00\\ud800 end"',
}
_TWICE: Final = "@twice@"

STRANGE: Final = st.sampled_from(
    (
        *(None, True, False, 0, -1, 1, 2**31, 2**53 + 1, 2**63, -(2**63) - 1, 10**18, 1e15, 1.5, -0.0, 1e308, float("nan"), float("inf")),
        *("", " ", "0", "\x00", "a\x00b", "\ufeff", "\u202e", "[/red]", "\x1b[2J", "x" * 300, "ż" * 70_000, "9" * 5_000, "٣", "²"),
        *(
            "Exit Code: " + "9" * 5_000,
            "../../../../etc",
            "/",
            "/dev",
            "\\\\host\\share",
            "C:\\",
            "~",
            "-",
            "nan",
            "Infinity",
            "null",
            "{}",
            "[]",
        ),
        *(
            "<task-notification>",
            "<task-notification><task-id>a</task-id><status>x</status><result>",
            f"<tool_uses>{'9' * 5_000}</tool_uses>",
        ),
        *("0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00", "2026-W10-4", "1969-12-31T23:59:59Z", "2026-03-05", "20260305T100000Z"),
        *([], {}, [[]], [None], [{}], [1, "a", {}], ["x"] * 1_000, {"type": []}, {"type": {}}, {"id": [1]}, {"": ""}, {"a\x00": "\x00"}),
        *_MARKS,
    )
).map(copy.deepcopy)


@st.composite
def bent(draw: st.DrawFn, record: Any) -> Any:
    """Draw a copy of a JSON value in which up to three places are bent."""
    whole = {"": copy.deepcopy(record)}
    for _ in range(draw(st.integers(1, 3))):
        holder, key = draw(st.sampled_from(_places(whole)))
        _bend(draw, holder, key)
    return whole[""]


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Return every (holder, key) of a tree, the root's first."""
    found: list[tuple[Any, Any]] = []
    waiting = [value]
    while waiting:
        holder = waiting.pop()
        for key, each in list(holder.items() if isinstance(holder, dict) else enumerate(holder)):
            found.append((holder, key))
            if isinstance(each, dict | list):
                waiting.append(each)
    return found


def _bend(draw: st.DrawFn, holder: Any, key: Any) -> None:
    way = draw(st.sampled_from(("value", "value", "value", "value", "value", "gone", "twice", "wrapped", "renamed", "moved")))
    if way == "gone" and key != "":
        del holder[key]
    elif way == "twice" and isinstance(holder, dict) and key != "":
        holder[f"{key}{_TWICE}"] = draw(STRANGE)
    elif way == "wrapped":
        holder[key] = draw(
            st.sampled_from(([holder[key]], {"value": holder[key]}, [holder[key]] * 3, json.dumps(holder[key], default=str)))
        )
    elif way == "renamed" and isinstance(holder, dict) and key != "":
        holder[draw(st.sampled_from(("type", "id", "\x00", "sessionId", "", "message")))] = holder.pop(key)
    elif way == "moved":
        holder[key] = copy.deepcopy(next(iter(holder.values()))) if isinstance(holder, dict) and key else {}
    else:
        holder[key] = draw(STRANGE | st.text(max_size=8) | st.integers() | st.floats())


def written(value: Any) -> bytes:
    """Write a bent value as JSON, its marks replaced; half surrogates stay escaped."""
    text = json.dumps(value)
    for mark, put in _MARKS.items():
        text = text.replace(f'"{mark}"', put)
    return text.replace(_TWICE, "").encode()


@st.composite
def lines_of(draw: st.DrawFn, records: Sequence[Any]) -> list[bytes]:
    """Draw the lines of a log: the valid records, of which some are bent, out of order, left out, there twice or torn."""
    found: list[bytes] = []
    for record in records:
        fate = draw(st.sampled_from(("kept", "kept", "kept", "bent", "bent", "gone", "twice", "torn")))
        if fate == "gone":
            continue
        line = written(draw(bent(record)) if fate in {"bent", "torn"} else record)
        found += [line, line] if fate == "twice" else [draw(torn(line)) if fate == "torn" else line]
    return draw(st.permutations(found)) if draw(st.integers(0, 4)) == 0 else found


@st.composite
def torn(draw: st.DrawFn, line: bytes) -> bytes:
    """Draw what a dying disk or another encoding makes of a line; it may hold line ends."""
    place = draw(st.integers(0, len(line)))
    ways = (
        line[:place],
        line[place:],
        line[:place] + b"\x00" * 40 + line[place:],
        line[:place] + b"\xff\xfe\x80" + line[place:],
        line[:place] + line,
        line + line,
        line.decode().encode("utf-16"),
        b"\xef\xbb\xbf" + line,
        b"\x00" * 30,
        b"[" + line + b"]",
        line[:place] + b"\r" + line[place:],
        line.replace(b"{", b"[", 1),
        draw(st.binary(max_size=30)),
    )
    return draw(st.sampled_from(ways))


STRANGE_WORDS: Final = (
    *("9" * 5_000, "1e999", "-1", "nan", "inf", "0x" + "f" * 5_000, "2026-02-30", "true", "[]", "{}", '""', '"\\u0000"', "'''", '"""'),
    *("[" * 2_000, "[" * 40 + "]" * 40, "a = " + "[" * 2_000 + "]" * 2_000, "(" * 300, '"(?P<a>"', '"(a"', '"a{99999999999}"', '"[z-a]"'),
    *(
        '"' + "(" * 3_000 + ")" * 3_000 + '"',
        '"*["',
        '"?"',
        "\x00",
        "\ufeff",
        "\ud800",
        "\r",
        "=",
        "[agents]",
        "[[agents]]",
        "[a.b.c]",
        "#",
    ),
    *("None", "object()", "1/0", "exit()", "raise SystemExit(3)", "VIEW", "days(0)", "days(10**9)", "count()", "event.x", "lambda: 0"),
    *("float('nan')", "10**40", "'x' * 10**6", "__import__('os').nothing", "()", "b''", "[VIEW] * 3", "print", "days(-1)", "days(1.5)"),
)


@st.composite
def bent_text(draw: st.DrawFn, text: str) -> bytes:
    """Draw a text in which some words or lines are others, gone or doubled; sometimes cut, or in another encoding."""
    lines = text.splitlines()
    for _ in range(draw(st.integers(1, 3))):
        where = draw(st.integers(0, len(lines) - 1))
        way = draw(st.sampled_from(("word", "word", "word", "gone", "twice", "line", "cut")))
        words = lines[where].split(" ")
        if way == "word":
            words[draw(st.integers(0, len(words) - 1))] = draw(st.sampled_from(STRANGE_WORDS)) + draw(st.sampled_from(("", "", ",")))
            lines[where] = " ".join(words)
        elif way == "gone" and len(lines) > 1:
            del lines[where]
        elif way == "twice":
            lines.insert(where, lines[where])
        elif way == "line":
            lines.insert(where, draw(st.sampled_from(STRANGE_WORDS)))
        else:
            lines[where] = lines[where][: draw(st.integers(0, len(lines[where])))]
    return "\n".join(lines).encode(draw(st.sampled_from(("utf-8", "utf-8", "utf-8", "utf-16"))), errors="surrogatepass")


@contextmanager
def not_for_ever(seconds: float = 5.0) -> Iterator[None]:
    """Fail when the body takes more processor time than this: no figure of speed, but a guard against what grows without bound."""

    def expired(_signal: int, _frame: FrameType | None) -> None:
        message = f"more than {seconds} s of processor time"
        raise AssertionError(message)

    before = signal.signal(signal.SIGVTALRM, expired)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
