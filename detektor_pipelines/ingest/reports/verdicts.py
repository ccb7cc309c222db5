"""A reviewer's verdict, read from the words of its final report: approved, rejected, or null where it does not say.

A verdict counts only where the report itself marks it as one: a label (`Verdict: APPROVE`), a heading (`## Final Verdict` and what stands
below it), or a line that is nothing but an emphasised verdict. Weaker labels (`Status`, `Report`) need unmistakable words. Contradicting
verdicts, a conditional one ("approve once fixed"), a template with all choices and prose that only sounds pleased are null, never guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from detektor_pipelines.ingest.masking import excerpt
from detektor_pipelines.ingest.reports.issues import IssueCounts, issue_counts
from detektor_pipelines.ingest.reports.lines import Line, lines_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Verdict = Literal["approved", "rejected"]

_APPROVED: Final = (
    r"(?:fully |strongly )?approv(?:ed?|al)\b|lgtm\b|looks good to me\b|spec[- ]compliant\b|accept(?:ed)?\b(?! current)|ship it\b"
    r"|(?:ready|safe|good|ok(?:ay)?) (?:for|to) (?:pr\b|merge|be merged|ship|production|release)|merge[- ]ready\b|production[- ]ready\b"
    r"|(?:good to go|mergeable|ship)\b|no changes (?:needed|required|necessary)\b"
    r"|zatwierdz(?:am|one|ono)\b|(?:za)?akcept(?:uj[eę]|owan[eoy])\b"
)
_REJECTED: Final = (
    r"request(?:ed|ing)?[- ]changes\b|changes[- ](?:requested|required|needed|necessary)\b|reject(?:ed)?\b|do not merge\b|don'?t merge\b"
    r"|(?:needs?|requires?) (?:work|changes|revisions?|rework|fixes|major changes|significant changes)\b|not approved\b"
    r"|not (?:yet )?(?:ready|safe|acceptable|approvable|production[- ]ready|merge[- ]ready|spec[- ]compliant|compliant)\b"
    r"|(?:spec )?non[- ]?compliant\b|fix(?:es)? (?:needed|required|before merg\w+)\b|(?:do not|don'?t) ship\b|no[- ]go\b|unsafe to merge\b"
    r"|do poprawy\b|wymaga (?:popraw\w+|zmian)\b|odrzuc(?:am|one|ono)\b|nie zatwierdzam\b"
    r"|block(?:ed)?\b(?! ?(?:ing|er))|send back\b|sent back\b"
)
_PASSED: Final = (
    r"pass(?:ed|es)?\b|compliant\b|clean\b(?! ?up)|no (?:issues|findings|problems)(?: found)?\b"
    r"|merge\b(?! (?:conflicts?|after|once|when|with|only))"
)
_FAILED: Final = r"fail(?:ed|s)?\b|issues found\b(?!\s*[:-]?\s*(?:none|0|no)\b)"
_CONDITION: Final = re.compile(
    r"\b(?:pending|once|after|if|when|until|unless|provided|assuming|subject to|conditional(?:ly)?|contingent|but (?:only|first))\b"
    r"|, or (?:accept|reject|request|wait|fix)",
    re.IGNORECASE,
)
_TEMPLATE: Final = re.compile(rf"(?:{_APPROVED}).{{0,12}}[/|].{{0,4}}(?:{_REJECTED})", re.IGNORECASE)

_CLEAR: Final = (re.compile(_REJECTED, re.IGNORECASE), re.compile(_APPROVED, re.IGNORECASE))
_ANY: Final = (re.compile(f"{_REJECTED}|{_FAILED}", re.IGNORECASE), re.compile(f"{_APPROVED}|{_PASSED}", re.IGNORECASE))

_MARKED: Final = (re.compile(f"{_REJECTED}|issues found\\b", re.IGNORECASE), _CLEAR[1])

_QUALIFIERS: Final = r"(?:(?:the|my|our|final|overall|review|reviewer'?s?|code review|merge|here'?s the|here is the|spec)\s+)*"
_STRONG_LABEL: Final = re.compile(rf"{_QUALIFIERS}(?:verdict|werdykt)(?:\s*\([^()]*\))?\s*(?:[:-]+\s*(?P<value>.*)|)", re.IGNORECASE)
_MIDDLE_LABEL: Final = re.compile(
    rf"(?:{_QUALIFIERS}(?:recommendation|decision|assessment|conclusion|bottom line|tl;dr|rekomendacja|decyzja|ocena)"
    r"|(?:final|overall|review) (?:status|result|outcome))"
    r"\s*(?:[:-]+\s*(?P<value>.*)|)",
    re.IGNORECASE,
)
_WEAK_LABEL: Final = re.compile(r"(?:(?:current|review) )?(?:status|result|report|outcome)\s*[:-]+\s*(?P<value>.*)", re.IGNORECASE)
_QUESTION: Final = re.compile(
    r"(?:is (?:it|this) )?(?:ready|safe|ok(?:ay)?) (?:to|for) (?:merge|pr|ship|release)\??\s*[:?]\s*(?P<value>.+)", re.IGNORECASE
)
_BLOCKS: Final = re.compile(r"critical (?:issues?|bugs?|findings?) \((?:this )?blocks? (?:the )?merge\)", re.IGNORECASE)
_ANNOUNCEMENT: Final = re.compile(r".*\bverdict:", re.IGNORECASE)
_EMPHASISED: Final = re.compile(r"(?:\*\*|__)(?P<value>[^*_]{2,80})(?:\*\*|__)(?P<rest>.*)")
_SYMBOL: Final = re.compile(r"[#*>\s]*(?:(?P<good>[\u2705\u2714\u2611])|(?P<bad>[\u274c\u2717\u2718\U0001f6ab\u26d4]))\ufe0f?\s*")
_ALONE: Final = re.compile(r"(?:approved?|lgtm|rejected|request(?:ed)? changes|changes requested|not approved)[.!]?", re.IGNORECASE)
_CAPITALS: Final = re.compile(r"[A-Z]{4,}")
_ROUND: Final = re.compile(r"\breview-(\d{1,2})\.md\b")
_FOLLOWING: Final = 2
"""A heading's verdict stands in the first lines below it."""


@dataclass(frozen=True, slots=True)
class Review:
    """What a review's final report says. `evidence` is the verdict's line, or the line of the counts: masked, 200 characters at most."""

    verdict: Verdict | None
    issues: IssueCounts
    evidence: str | None
    round: int | None


def read_review(text: str) -> Review:
    """Read verdict, issue counts by severity and the round (from the report's own file name `review-NN.md`) out of a final report."""
    lines = lines_of(text)
    verdict, line = _verdict(lines)
    issues = issue_counts(text, lines)
    evidence = line.raw if line else issues.evidence if issues.known else None
    rounds = [int(number) for number in _ROUND.findall(text)]
    return Review(verdict, issues, excerpt(evidence) if evidence else None, max(rounds) or None if rounds else None)


def _verdict(lines: Sequence[Line]) -> tuple[Verdict | None, Line | None]:
    """The strongest kind of mark that yields a readable verdict decides; within a kind all must agree."""
    for kind in (_strong, _questions, _standing_alone, _middle, _symbols, _weak, _blocking):
        found = list(kind(lines))
        verdicts = {verdict for verdict, _ in found}
        if len(verdicts) > 1:
            return None, None
        if found:
            return found[-1]
    return None, None


def _strong(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    yield from _labelled(lines, _STRONG_LABEL, _ANY)
    for index, line in enumerate(lines[:-1]):
        if _ANNOUNCEMENT.fullmatch(line.text) and not _STRONG_LABEL.fullmatch(line.text):
            yield from _reading(lines[index + 1], lines[index + 1].text, _ANY)


def _middle(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    yield from _labelled(lines, _MIDDLE_LABEL, _CLEAR)


def _weak(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    for line in lines:
        label = _WEAK_LABEL.fullmatch(line.text)
        if label and not line.nested:
            passes = _ANY if line.text.lower().startswith("review ") else _CLEAR
            yield from _reading(line, label["value"], passes)


def _questions(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    """`Ready to merge? Yes`: superpowers' reviewer asks itself; "with fixes" is neither yes nor no."""
    for line in lines:
        question = _QUESTION.fullmatch(line.text)
        answer = question["value"].strip(" .!").lower() if question else ""
        if re.match(r"yes\b", answer) and "fix" not in answer and not _CONDITION.search(answer):
            yield "approved", line
        elif re.match(r"no\b", answer):
            yield "rejected", line


def _standing_alone(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    """An emphasised verdict in capitals at the beginning of its line, as `**APPROVED** - no issues block the merge`."""
    for line in lines:
        emphasised = _EMPHASISED.match(line.raw.strip().lstrip("#> "))
        if line.role not in {"heading", "text"}:
            continue
        if (emphasised and _CAPITALS.search(emphasised["value"])) or (not line.nested and _ALONE.fullmatch(line.text)):
            yield from _reading(line, line.text, _CLEAR)


def _symbols(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    """A line that begins with a tick or a cross and goes on as a verdict: `✅ Spec compliant`, `❌ Issues found: …`."""
    for line in lines:
        symbol = _SYMBOL.match(line.raw) if line.role in {"heading", "text"} and not line.nested else None
        if not symbol:
            continue
        for verdict, found in _reading(line, line.text, _MARKED):
            if (verdict == "approved") == bool(symbol["good"]):
                yield verdict, found


def _blocking(lines: Sequence[Line]) -> Iterator[tuple[Verdict, Line]]:
    for line in lines:
        if line.role == "heading" and _BLOCKS.fullmatch(line.text):
            yield "rejected", line


def _labelled(
    lines: Sequence[Line], label: re.Pattern[str], words: tuple[re.Pattern[str], re.Pattern[str]]
) -> Iterator[tuple[Verdict, Line]]:
    """`Label: value` on one line, or a label alone and its value in the first lines below it."""
    for index, line in enumerate(lines):
        found = label.fullmatch(line.text)
        if not found or line.nested or line.role == "row":
            continue
        if found["value"]:
            yield from _reading(line, found["value"], words)
            continue
        for below in lines[index + 1 : index + 1 + _FOLLOWING]:
            if below.role == "heading" and below.level < line.level:
                break
            reading = list(_reading(below, below.text, words))
            if reading:
                yield from reading
                break


def _reading(line: Line, value: str, words: tuple[re.Pattern[str], re.Pattern[str]]) -> Iterator[tuple[Verdict, Line]]:
    """The verdict that `value` begins with; none when it is conditional or a list of the choices."""
    rejected, approved = words
    value = value.replace("_", " ").strip(" .:-([")
    if _TEMPLATE.search(value):
        return
    if rejected.match(value):
        yield "rejected", line
    elif approved.match(value) and not _CONDITION.search(_first_sentence(value)):
        yield "approved", line


def _first_sentence(text: str) -> str:
    return re.split(r"[.!;]\s", text, maxsplit=1)[0]
