"""How many issues a review reports, by severity, read from its final report.

Three severities: critical (blocking, must fix), major (important, high, should fix), minor (medium, low, suggestion, nit, nice to have).
Counts come, strongest first, from numbers that the report states ("Issues found: 1 critical, 2 high", "Critical Issues (3)"), from its
saying that there are none, and from counting the items below a severity's heading. A severity that the report does not mention is null,
not 0; the total is known only when every mentioned severity is and nothing else in the report lists findings.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from detektor_pipelines.ingest.reports.clean import says_clean
from detektor_pipelines.ingest.reports.findings_json import json_findings
from detektor_pipelines.ingest.reports.levels import LEVEL, LEVELS, LIST_OF_LEVELS, severity_of
from detektor_pipelines.ingest.reports.lines import BOLD_LINE_LEVEL, CUT_MARK, Line, is_cut, plain
from detektor_pipelines.ingest.reports.numbered import numbered_findings

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from detektor_pipelines.ingest.reports.levels import Severity

_NOUNS: Final = r"(?:issues?|findings?|problems?|concerns?|bugs?|items?|suggestions?|recommendations?|improvements?|fixes|nits)"
_SEVERITY_HEADING: Final = re.compile(
    rf"(?:(?:remaining|new|potential|other|key|security|code)\s+)*(?P<levels>{LIST_OF_LEVELS})(?:[- ](?:severity|priority))?"
    rf"(?:(?:\s+[\w-]+){{0,2}}\s+{_NOUNS}|\s+before\s+\w+)?(?:\s*\([^()]*\))?(?:\s*[:-]+\s*(?P<value>.*))?",
    re.IGNORECASE,
)
_SEVERITY_IN_BRACKETS: Final = re.compile(
    rf"[^()]*\b(?:{_NOUNS}|cases|areas|considerations?|consideration|gaps)[^()]*\((?P<levels>{LIST_OF_LEVELS})\b[^()]*\):?", re.IGNORECASE
)
_STATED_LIST: Final = re.compile(rf"(?:issues?|findings?)(?: found| identified)?\s*:\s*(?P<list>\d+ {LEVELS}\b.*)", re.IGNORECASE)
_STATED_PART: Final = re.compile(rf"(\d{{1,4}}) ({LEVELS})\b", re.IGNORECASE)
_STATED_IN_HEADING: Final = re.compile(r"\((?:[^()]*?[-:,]\s*)?(\d{1,4})(?: (?:items?|issues?|findings?))?\)", re.IGNORECASE)
_NONE: Final = re.compile(
    r"(?:none|nothing|no issues?|n/?a|no (?:critical|blocking|important|major|minor|such|high|low)?\s*(?:issues?|findings?|problems?))"
    r"(?: (?:were |was )?(?:found|identified|detected|remaining))?(?:\s*[.,;(-].*)?",
    re.IGNORECASE,
)
_NOTHING_AT_ALL: Final = re.compile(
    r"(?:none|nothing|no issues?|n/?a|no (?:such )?(?:issues?|findings?|problems?))"
    r"(?: (?:were |was )?(?:found|identified|detected|remaining))?(?:\s*[.,;(-].*)?",
    re.IGNORECASE,
)
_NO_SEVERITY: Final = re.compile(
    rf"(?:there (?:are|were) )?(?:no|none\s*[-:])\s*(?P<list>{LEVELS}(?:(?:,| or| and|/| severity|-severity)+\s*{LEVELS})*)"
    r"(?:[- ]severity)?(?:\s*(?:issues?|findings?|problems?|concerns?))?(?:\s+(?:were |was )?(?:found|identified|detected))?(?:[.;!].*)?",
    re.IGNORECASE,
)
_SECTION_WITHOUT_SEVERITY: Final = re.compile(
    r"\b(?:issues?|findings?|problems?|concerns?|deviations?|missing|gaps?|notable|observations?|opportunit(?:y|ies)|improvements?)\b",
    re.IGNORECASE,
)
_SINGULAR: Final = re.compile(r"\b(?:issue|finding|problem|concern|suggestion|bug|recommendation)\b", re.IGNORECASE)
_MUST: Final = re.compile(r"(?:must|should|could) (?:be )?fix|nice to have|consider|not blocking|blocking", re.IGNORECASE)
_PRAISE: Final = re.compile(r"\b(?:good|well|praise|strengths?|positives?|positive|done|correct(?:ly)?|previous|fixed)\b", re.IGNORECASE)
_ISSUES_HEADING: Final = re.compile(r"(?:new |key )?(?:issues?|findings?|problems?)(?: found| identified| summary)?", re.IGNORECASE)
_NUMBERED_SEVERITY: Final = re.compile(rf"({LEVELS})(?: issue)?[- ]#?\d+\b.*", re.IGNORECASE)
_LABELLED_ITEM: Final = re.compile(
    rf"(?:\[(?P<bracketed>{LEVELS})\]:?\s+"
    rf"|(?P<label>{LEVELS}|nice[- ]to[- ]have|must[- ]fix|should[- ]fix|optional)(?: \([^)]*\))?(?::\s*|\s+-\s+))(?P<rest>.+)",
    re.IGNORECASE,
)
_TAGGED_ITEM: Final = re.compile(
    rf"[(\[](?:severity:?\s*)?(?P<tag>{LEVELS})(?:[- ](?:severity|priority|risk))?[)\]]|(?:^|\s)-\s+(?P<dashed>{LEVELS})\s+-\s",
    re.IGNORECASE,
)
_DESCRIBING: Final = frozenset({"issue", "finding", "title", "description", "problem", "summary", "bug", "details", "uwaga", "opis"})
_GRAVITY: Final = frozenset(
    {"severity", "category", "priority", "risk level", "risk", "sev", "level", "prio", "waga", "poziom", "priorytet"}
)
_CLOSING: Final = re.compile(
    r"(?:(?:final|overall|my|the|review|merge|code|summary and)\s+)*"
    r"(?:verdict|recommendation|decision|assessment|conclusion|status|result|outcome|summary|bottom line|next steps?|tl;dr"
    r"|werdykt|podsumowanie"
    r"|approved?|approve with .*|rejected?|request(?:ed)? changes|changes requested|lgtm|ready (?:to|for) \w+)\b(?:\s*[:?-].*)?"
    r"|estimated .*|files? (?:modified|reviewed|changed|analy[sz]ed).*|test(?:s|ing)? (?:results?|status).*|verification.*",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class IssueCounts:
    """Issues of a review; None means that the report does not say.

    `evidence` is the line that the counts begin with, unmasked. `partly`: it mentions a severity without telling how many; `unlisted`: it
    lists points without a severity.
    """

    found: int | None = None
    critical: int | None = None
    major: int | None = None
    minor: int | None = None
    evidence: str | None = None
    partly: bool = field(default=False, compare=False, repr=False)
    unlisted: bool = field(default=False, compare=False, repr=False)

    @property
    def known(self) -> dict[str, int]:
        """The measures of a `review` event that are known."""
        named = {"issues_found": self.found, "issues_critical": self.critical, "issues_major": self.major, "issues_minor": self.minor}
        return {name: count for name, count in named.items() if count is not None}


@dataclass(slots=True)
class _Section:
    """What stands below one heading, up to the next of its rank."""

    heading: Line
    lines: list[Line]
    last: bool

    def count(self, *, cut: bool) -> int | None:
        """Its items; None when it holds prose only, or may go on in a missing part."""
        stated = _STATED_IN_HEADING.search(self.heading.text)
        if stated:
            return int(stated[1])
        said = re.split(r"(?::| -+) ", re.sub(r"\([^()]*\)", "", self.heading.text), maxsplit=1)
        if len(said) > 1 and said[1] and not _MUST.match(said[1]):
            return 0 if _NONE.fullmatch(said[1]) else None
        if self.lines and _NONE.fullmatch(self.lines[0].text):
            return 0
        if cut and (self.last or any(CUT_MARK.search(line.raw) for line in self.lines)):
            return None
        items = _items(self.lines)
        return None if items and items > 1 and _SINGULAR.search(self.heading.text) else items


class _Tally:
    """Counts of the severities mentioned so far; None once one of its parts is unknown or two parts contradict each other."""

    def __init__(self) -> None:
        self.counts: dict[Severity, int | None] = {}
        self.evidence: Line | None = None
        self._words: dict[Severity, set[str]] = {}
        self._headed: set[Severity] = set()

    def add(self, severity: Severity, count: int | None, line: Line) -> None:
        """Count one more issue, or issues, that no other line repeats."""
        before = self.counts.get(severity, 0)
        self.counts[severity] = None if before is None or count is None else before + count
        self.evidence = self.evidence or line

    def section(self, word: str, count: int | None, line: Line) -> None:
        """Take a section's count. Two sections of the same severity are one said twice; only minor ones have several names that add up."""
        severity, known = severity_of(word), self.counts.get(severity_of(word))
        self._headed |= {severity} if count else set()
        words = self._words.setdefault(severity, set())
        if severity not in self.counts or (severity == "minor" and word.lower() not in words):
            self.add(severity, count, line)
        elif known != count:
            self.counts[severity] = None
        words.add(word.lower())

    def headed(self, words: Iterable[str]) -> bool:
        """Whether issues of one of these severities were counted under a heading of their own: a list that labels some says them twice."""
        return any(severity_of(word) in self._headed for word in words)

    def result(self, total: int | None) -> IssueCounts:
        evidence = self.evidence.raw if self.evidence else None
        return IssueCounts(
            total,
            self.counts.get("critical"),
            self.counts.get("major"),
            self.counts.get("minor"),
            evidence,
            partly=None in self.counts.values(),
        )


def issue_counts(text: str, lines: Sequence[Line]) -> IssueCounts:
    """Count the issues that a report states; see this module's rules."""
    return _json(text) or _stated(lines) or _table(lines) or _none_at_all(lines) or _listed(text, lines)


def _json(text: str) -> IssueCounts | None:
    found = json_findings(text)
    if found is None:
        return None
    total, of = found
    if of is None:
        return IssueCounts(total, evidence="JSON")
    return IssueCounts(total, of.get("critical"), of.get("major"), of.get("minor"), "JSON") if total else IssueCounts(0, 0, 0, 0, "JSON")


def _listed(text: str, lines: Sequence[Line]) -> IssueCounts:
    """Sections and labels by severity; where they count nothing, one numbered list of findings, or the word that there is nothing."""
    counts = _sections(lines, cut=is_cut(text))
    if any(counts.known.values()) or counts.partly or is_cut(text):
        return counts
    tagged = _tagged(lines)
    if tagged and not counts.known:
        first = next(line for line in lines if line.number is not None)
        return IssueCounts(sum(tagged.values()), tagged.get("critical"), tagged.get("major"), tagged.get("minor"), first.raw)
    numbered = numbered_findings(lines)
    if numbered:
        return replace(counts, found=numbered[0], evidence=counts.evidence or numbered[1].raw)
    clean = None if counts.unlisted else says_clean(lines)
    return IssueCounts(0, 0, 0, 0, clean.raw) if clean else counts


def _stated(lines: Sequence[Line]) -> IssueCounts | None:
    for line in lines:
        found = _STATED_LIST.fullmatch(line.text)
        if found:
            tally = _Tally()
            for count, level in _STATED_PART.findall(found["list"]):
                tally.add(severity_of(level), int(count), line)
            return tally.result(sum(count or 0 for count in tally.counts.values()))
    return None


def _table(lines: Sequence[Line]) -> IssueCounts | None:
    """The one table that has a column of severities; each row is an issue, unless it says that there is none."""
    headers = [index for index, line in enumerate(lines) if line.role == "row" and _severity_column(_cells(line)) is not None]
    if len(headers) != 1:
        return None
    column = _severity_column(_cells(lines[headers[0]])) or 0
    tally = _Tally()
    for line in lines[headers[0] + 1 :]:
        cells = _cells(line)
        if line.role != "row":
            break
        if all(set(cell) <= set("-: ") for cell in cells):
            continue
        level = LEVEL.fullmatch(cells[column].removesuffix("s")) if column < len(cells) else None
        if not level:
            return None
        empty = any(_NONE.fullmatch(cell) for cell in cells if cell is not cells[column])
        tally.add(severity_of(level[0]), 0 if empty else 1, line)
    return tally.result(sum(count or 0 for count in tally.counts.values())) if tally.counts else None


def _cells(line: Line) -> list[str]:
    return [plain(cell) for cell in line.text.strip().strip("|").split("|")]


def _severity_column(cells: list[str]) -> int | None:
    lowered = [cell.lower() for cell in cells]
    described = any(cell in _DESCRIBING for cell in lowered)
    return next((index for index, cell in enumerate(lowered) if described and cell in _GRAVITY), None)


def _none_at_all(lines: Sequence[Line]) -> IssueCounts | None:
    """`Issues found: None`, as a label or as a heading; the only section of its kind."""
    headings = [index for index, line in enumerate(lines) if line.role == "heading" and _ISSUES_HEADING.fullmatch(line.text.rstrip(":"))]
    for index in headings:
        if index + 1 < len(lines) and _NOTHING_AT_ALL.fullmatch(lines[index + 1].text) and not _mentions_severity(lines[index + 1 :]):
            return IssueCounts(0, 0, 0, 0, f"{lines[index].text}: {lines[index + 1].text}")
    for line in lines:
        label, _, value = line.text.partition(":")
        if (
            value
            and _ISSUES_HEADING.fullmatch(label.strip())
            and _NOTHING_AT_ALL.fullmatch(value.strip())
            and not _mentions_severity(lines)
        ):
            return IssueCounts(0, 0, 0, 0, line.raw)
    return None


def _mentions_severity(lines: Sequence[Line]) -> bool:
    return any(line.role == "heading" and line.number is None and _levels_of_heading(line) for line in lines)


def _sections(lines: Sequence[Line], *, cut: bool) -> IssueCounts:
    tally = _Tally()
    complete = not cut
    index = 0
    while index < len(lines):
        line = lines[index]
        if line.role == "heading" and line.number is None and not _PRAISE.search(line.text) and not _nothing_of(line):
            counted = _NUMBERED_SEVERITY.fullmatch(line.text)
            if not counted:
                index, complete = _take_section(lines, index, tally, complete=complete, cut=cut)
                continue
            tally.add(severity_of(counted[1]), 1, line)
        elif line.role == "item" and not line.nested:
            index, complete = _take_list(lines, index, tally, complete=complete)
            continue
        elif line.role == "text" and not line.nested and (inline := _inline(line)):
            complete = _take_inline(inline, line, tally) and complete
        for word in _nothing_of(line):
            tally.section(word, 0, line)
        index += 1
    return replace(tally.result(_total(tally, complete=complete)), unlisted=not complete)


def _take_list(lines: Sequence[Line], index: int, tally: _Tally, *, complete: bool) -> tuple[int, bool]:
    """Count a list whose items carry their severity as a label (`- **Minor:** …`); when only some do, those severities are unknown."""
    end = index
    while end < len(lines) and (lines[end].role == "item" or lines[end].nested):
        end += 1
    items = [line for line in lines[index:end] if line.role == "item" and not line.nested]
    labels = [label for line in items if (label := _LABELLED_ITEM.fullmatch(line.text))]
    unclear = len(labels) != len(items) or tally.headed(_word_of(label) for label in labels)
    for label in labels:
        none = bool(_NONE.fullmatch(label["rest"]))
        tally.add(severity_of(_word_of(label)), None if unclear else 0 if none else 1, items[0])
    return end, complete and len(labels) in {0, len(items)}


def _nothing_of(line: Line) -> list[str]:
    """The severities of which a line says that there are none: `No critical or high severity issues`."""
    if line.role == "row" or line.nested:
        return []
    found = [match for sentence in re.split(r"(?<=[.!;])\s+", line.text) if (match := _NO_SEVERITY.fullmatch(sentence))]
    return [word for match in found for word in re.findall(LEVELS, match["list"], re.IGNORECASE)]


def _total(tally: _Tally, *, complete: bool) -> int | None:
    """The sum, when each severity is known and at least one lists something; "no critical issues" alone says nothing of the rest."""
    counts = list(tally.counts.values())
    known = [count for count in counts if count is not None]
    return sum(known) if complete and counts and len(known) == len(counts) and any(known) else None


def _take_section(lines: Sequence[Line], index: int, tally: _Tally, *, complete: bool, cut: bool) -> tuple[int, bool]:
    """Count the section that begins at `index`; return where to go on, and whether the total can still be known."""
    heading = lines[index]
    words = _levels_of_heading(heading)
    section = _section(lines, index, flat=bool(words))
    after = index + 1 + len(section.lines)
    if not words:
        listed = _SECTION_WITHOUT_SEVERITY.search(heading.text) and _directly_listed(section.lines)
        if not listed:
            return index + 1, complete
        tagged = {} if any(CUT_MARK.search(line.raw) for line in section.lines) else _tagged(section.lines)
        for severity, of_severity in tagged.items():
            tally.add(severity, of_severity, heading)
        return (after, complete) if tagged else (index + 1, False)
    count = section.count(cut=cut)
    severities = {severity_of(word) for word in words}
    if len(severities) > 1 and count != 0:
        count = None
    for word in dict.fromkeys(words) if len(severities) > 1 else words[:1]:
        tally.section(word, count, heading)
    return after, complete


def _levels_of_heading(heading: Line) -> list[str]:
    """The words for a severity that a heading consists of: `Important (Should Fix)`, `Critical/High: None`, `Missing Cases (Minor)`."""
    found = _SEVERITY_HEADING.fullmatch(heading.text) or _SEVERITY_IN_BRACKETS.fullmatch(heading.text)
    return LEVEL.findall(found["levels"]) if found else []


def _section(lines: Sequence[Line], index: int, *, flat: bool) -> _Section:
    """Everything up to the next heading of the same rank or a higher one; numbered headings and bold lines are items of it.

    A `flat` section also ends at a deeper heading that names a severity, and at one that praises.
    """
    level = lines[index].level
    end = index + 1
    while end < len(lines):
        line = lines[end]
        if line.role == "heading":
            is_item = line.number is not None and (line.level > level or line.level == level == BOLD_LINE_LEVEL)
            ends_flat = flat and bool(_levels_of_heading(line) or _PRAISE.search(line.text) or _CLOSING.fullmatch(line.text))
            if not is_item and (line.level <= level or ends_flat):
                break
        elif flat and line.role == "text" and not line.nested and _inline(line):
            break
        end += 1
    return _Section(lines[index], list(lines[index + 1 : end]), last=end == len(lines))


def _items(lines: Sequence[Line]) -> int | None:
    """Items of the outermost kind: numbered headings, else numbered entries, else bullets. Prose only is unknown."""
    headings = [line for line in lines if line.role == "heading" and line.number is not None]
    if headings:
        outer = min(line.level for line in headings)
        return sum(line.level == outer for line in headings)
    listed = [line for line in lines if line.role == "item" and not line.nested]
    numbered = [line for line in listed if line.number is not None]
    plain_headings = [line for line in lines if line.role == "heading"]
    if plain_headings and not numbered:
        return None
    return len(numbered or listed) or None


def _directly_listed(lines: Sequence[Line]) -> bool:
    """Whether items stand below a heading before any other heading, or as numbered headings."""
    for line in lines:
        if line.role == "heading":
            return line.number is not None
        if line.role == "item":
            return not (_LABELLED_ITEM.fullmatch(line.text) or _NO_SEVERITY.fullmatch(line.text))
    return False


def _tagged(lines: Sequence[Line]) -> dict[Severity, int]:
    """Numbered items that each carry their severity in brackets: `1. **Missing tests (Critical)**`; empty unless all do."""
    numbered = [line for line in lines if line.role in {"item", "heading"} and line.number is not None and not line.nested]
    counts: dict[Severity, int] = {}
    for line in numbered:
        tag = _TAGGED_ITEM.search(line.text)
        label = _LABELLED_ITEM.fullmatch(line.text)
        if not tag and not label:
            return {}
        word = tag["tag"] or tag["dashed"] if tag else _word_of(label) if label else ""
        severity = severity_of(word)
        counts[severity] = counts.get(severity, 0) + 1
    return counts


def _word_of(label: re.Match[str]) -> str:
    return str(label["bracketed"] or label["label"])


def _inline(line: Line) -> tuple[list[str], str] | None:
    """`Critical/High: None`, `Low Severity: timeouts, names`: a severity and what it holds on one line, emphasised as a label."""
    if not line.raw.lstrip().startswith(("**", "__")):
        return None
    label, colon, value = line.text.partition(":")
    words = LEVEL.findall(label.partition("(")[0]) if _SEVERITY_HEADING.fullmatch(label) else []
    if not colon or not words or not value.strip() or len(label) > 40:  # noqa: PLR2004 (a label, not a sentence)
        return None
    return words, value.strip()


def _take_inline(inline: tuple[list[str], str], line: Line, tally: _Tally) -> bool:
    words, value = inline
    none = bool(_NONE.fullmatch(value))
    for word in words:
        tally.section(word, 0 if none else None, line)
    return none
