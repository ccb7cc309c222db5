"""What an agent was called for, read from the description and the prompt of its call, by rules that are data (`agents.toml`).

Needed for the names that say nothing of the work: `general-purpose`, `Explore`, forks. Where the rules are unsure, nothing is claimed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from detektor_pipelines.ingest.reports.lines import CUT_MARK
from detektor_pipelines.language.events import UNMAPPED

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

READ_OF_PROMPT: Final = 600
"""Characters of a prompt that are looked at: what is asked for stands at its beginning, material for it further down."""

FIRST_SENTENCES: Final = 4
"""How many sentences (or lines) of a prompt may tell what it asks for."""

_SENTENCE: Final = re.compile(r"\s*\n\s*|(?<=[.!?:])\s+")
_NUMBERING: Final = re.compile(
    r"""(?:
        [\[(](?:[^\])]{1,24})[\])][\s:-]*                                                       # [ENT-108], (2/3)
      | \#?\d{1,3}(?:[/.]\d{1,3})*\s*[.):-]\s*                                                  # 3. or 2/3:
      | (?:task|step|phase|wave|part|batch|round|stage|pass|agent|worker|subtask|chunk|group|unit|ticket|krok|zadanie|etap|faza)s?
        \s*\#?(?:\d+(?:[.\-/]\d+)*[a-z]?|[a-z])\s*(?:[:.)-]+\s+|\s*[:-]\s*)                     # Task 3: or Phase 2a -
      | [a-z]{2,8}-\d{1,6}\s*[:-]\s*                                                            # ENT-108:
      | (?:please|now|quick(?:ly)?|parallel|background|fresh|bitte|prosz[eę])[:,]?\s+
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_PICTURES: Final = re.compile(r"[^\w\[($/]+")


class Purpose(NamedTuple):
    """What a call is for.

    Attributes:
        name: `review`, `implement`, `analysis`, …: the purpose's table in `agents.toml`.
        agent_type: Whose work it is; `unmapped` for a purpose that is nobody's.

    """

    name: str
    agent_type: str


@dataclass(frozen=True, slots=True)
class Rule:
    """One purpose's patterns; each list is any-of, upper and lower case are the same.

    Attributes:
        purpose: What they tell.
        beside: Purposes that the prompt may seem to ask for all the same.
        starts: How a description of such a call begins, once numbering (`Task 3:`) is off.
        says: What stands anywhere in the description.
        prompt: How one of the prompt's first sentences begins: asked when the description says nothing, and able to contradict it.
        unless: What speaks against it in the description.
        prompt_unless: What speaks against it in the prompt's first characters.

    """

    purpose: Purpose
    beside: frozenset[str] = frozenset()
    starts: tuple[str, ...] = ()
    says: tuple[str, ...] = ()
    prompt: tuple[str, ...] = ()
    unless: tuple[str, ...] = ()
    prompt_unless: tuple[str, ...] = ()


PARTS: Final = ("starts", "says", "prompt", "unless", "prompt_unless")
"""The lists of patterns of a rule, in the order of its fields."""


def purpose_of(rules: Sequence[Rule], description: str | None, prompt: str | None) -> Purpose | None:
    """Say what a call is for; None where the rules are unsure.

    The beginning of the description decides, then what it says anywhere, then the prompt's beginning; in each the first rule that fits.
    A rule that fits but is spoken against leaves the call undecided, and so do a description and a prompt that ask for two agents' work.
    """
    short = _without_numbering(description or "")
    asked = CUT_MARK.split(prompt or "", maxsplit=1)[0].strip()[:READ_OF_PROMPT]
    of_prompt = _of_prompt(rules, asked)
    rule = (_matching(rules, "starts", short) or _searching(rules, short)) if short else None
    if rule is None:
        rule = of_prompt
    elif of_prompt is not None and _contradicts(rule, of_prompt):
        return None
    if rule is None or _any(rule.unless, short) or _any(rule.prompt_unless, asked):
        return None
    return rule.purpose


def _contradicts(rule: Rule, of_prompt: Rule) -> bool:
    agents = {rule.purpose.agent_type, of_prompt.purpose.agent_type}
    return len(agents) > 1 and UNMAPPED not in agents and of_prompt.purpose.name not in rule.beside


def merged(tables: Iterable[Mapping[str, Rule]]) -> tuple[Rule, ...]:
    """Join rules of several tables, the strongest first: patterns add up, the first table that names an agent decides on it."""
    found: dict[str, Rule] = {}
    for table in tables:
        for name, rule in table.items():
            known = found.get(name)
            found[name] = rule if known is None else _joined(known, rule)
    return tuple(rule if rule.purpose.agent_type else _joined(rule, Rule(Purpose("", UNMAPPED))) for rule in found.values())


def _joined(strong: Rule, weak: Rule) -> Rule:
    agent = strong.purpose.agent_type or weak.purpose.agent_type
    patterns = (getattr(strong, part) + getattr(weak, part) for part in PARTS)
    return Rule(Purpose(strong.purpose.name, agent), strong.beside | weak.beside, *patterns)


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Compile a rule's pattern when it is first needed: all of them take longer than a small log does.

    Raises:
        re.error: It is no regular expression.

    """
    return re.compile(pattern, re.IGNORECASE)


def _any(patterns: Iterable[str], text: str) -> bool:
    return any(compiled(pattern).search(text) for pattern in patterns)


def _matching(rules: Sequence[Rule], part: Literal["starts", "prompt"], text: str) -> Rule | None:
    return next((rule for rule in rules if any(compiled(pattern).match(text) for pattern in getattr(rule, part))), None)


def _searching(rules: Sequence[Rule], text: str) -> Rule | None:
    return next((rule for rule in rules if _any(rule.says, text)), None)


def _of_prompt(rules: Sequence[Rule], asked: str) -> Rule | None:
    """What the first of the prompt's first sentences tells that tells anything."""
    sentences = [_without_numbering(sentence) for sentence in _SENTENCE.split(asked) if sentence.strip()]
    found = (_matching(rules, "prompt", sentence) for sentence in sentences[:FIRST_SENTENCES])
    return next((rule for rule in found if rule is not None), None)


def _without_numbering(text: str) -> str:
    """Drop what only orders calls among each other: pictures, `Task 3:`, `[ENT-108]`, `please`."""
    before = None
    while before != text:
        before = text
        text = _PICTURES.sub("", text, count=1) if _PICTURES.match(text) else text
        numbering = _NUMBERING.match(text)
        text = text[numbering.end() :] if numbering else text
    return text.strip()
