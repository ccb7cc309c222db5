"""From the names that agents have in logs, and from what they were called for, to the eight agents of the platform.

The packaged table is `agents.toml` beside this module; `DETEKTOR_HOME/agents.toml` and `--agents FILE` extend and override it.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass, field
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from detektor_pipelines import own_catalog
from detektor_pipelines.errors import UserError
from detektor_pipelines.ingest.readers.purpose import PARTS, Purpose, Rule, compiled, merged, purpose_of
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED, views_operation

if TYPE_CHECKING:
    from collections.abc import Callable

PACKAGED_TABLE: Final = Path(__file__).with_name("agents.toml")
FILE_NAME: Final = "agents.toml"
MAIN_THREAD: Final = "main"
"""`raw_name` of what happens outside every subagent."""

_ALLOWED: Final = (*AGENT_TYPES, UNMAPPED)
_LINE_OF_ERROR: Final = re.compile(r"\(at line (\d+)")


class Called(NamedTuple):
    """Whose work a call is.

    Attributes:
        agent_type: One of the eight agents, or `unmapped`.
        purpose: What it was called for: a purpose of `agents.toml`, the own operation of an agent known by its name, None where unsure.
        derived: Whether description and prompt decided, not the name. The events of such a call are marked as derived.

    """

    agent_type: str
    purpose: str | None
    derived: bool


class _Generic(NamedTuple):
    """In the place of an agent: the name says nothing of the work, which may be of these purposes (None: of any)."""

    purposes: frozenset[str] | None


@dataclass(frozen=True, slots=True)
class _Table:
    """One file's names, lower case, and its rules."""

    exact: dict[str, str | _Generic]
    patterns: tuple[tuple[re.Pattern[str], str | _Generic], ...]
    rules: Callable[[], dict[str, Rule]] = dict

    def find(self, name: str) -> str | _Generic | None:
        found = self.exact.get(name)
        if found is not None:
            return found
        return next((agent for pattern, agent in self.patterns if pattern.fullmatch(name)), None)


_OWN: Final = _Table({agent: agent for agent in AGENT_TYPES}, ())


@dataclass(frozen=True)
class AgentNames:
    """Tables of names, the strongest first; without any, only the eight agents' own names are known."""

    tables: tuple[_Table, ...] = (_OWN,)
    _known: dict[str, str | _Generic] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, *files: Path) -> AgentNames:
        """Read the packaged table and `files`; a later file wins over an earlier one, and all win over the packaged one.

        Raises:
            UserError: A file is not TOML, maps a name to something that is not an agent, or holds a rule that cannot be read.

        """
        given = tuple(_read(file) for file in reversed(files))
        return cls((*given, _OWN, _read(PACKAGED_TABLE)))

    def agent_type(self, raw_name: str) -> str:
        """Return one of the eight agents, or `unmapped`, by the name alone."""
        found = self._find(raw_name)
        return UNMAPPED if isinstance(found, _Generic) else found

    def agent_for(self, raw_name: str, description: str | None = None, prompt: str | None = None) -> Called:
        """Say whose work a call is: by the agent's name, or by what it was called for where the name says nothing.

        Args:
            raw_name: The agent's name in the log; the main session's is `main`.
            description: The call's few words of description.
            prompt: What the agent was told, or the beginning of it.

        """
        found = self._find(raw_name)
        if not isinstance(found, _Generic):
            return Called(found, None if found == UNMAPPED else views_operation(found), derived=False)
        purpose = purpose_of(self._rules, description, prompt)
        if purpose is None or (found.purposes is not None and purpose.name not in found.purposes):
            return Called(UNMAPPED, None, derived=False)
        return Called(purpose.agent_type, purpose.name, derived=purpose.agent_type != UNMAPPED)

    @cached_property
    def _rules(self) -> tuple[Rule, ...]:
        return merged(table.rules() for table in self.tables)

    def _find(self, raw_name: str) -> str | _Generic:
        known = self._known.get(raw_name)
        if known is None:
            name = raw_name.strip().lower()
            known = next((found for table in self.tables if (found := table.find(name)) is not None), UNMAPPED)
            self._known[raw_name] = known
        return known


def agent_names(home: Path, given: Path | None = None) -> AgentNames:
    """Read the tables that count in one installation: the packaged one, `home/agents.toml` where it exists, and the `--agents` file.

    Raises:
        UserError: The given file does not exist, or one of them cannot be read.

    """
    own = home / FILE_NAME
    if given is not None and not given.is_file():
        raise UserError(
            "The table of agent names does not exist.",
            where=str(given),
            fix="Give --agents the path of an existing TOML file, or leave it out.",
        )
    mine = [each.directory / FILE_NAME for each in own_catalog.catalogs() if (each.directory / FILE_NAME).is_file()]
    return AgentNames.load(*mine, *([own] if own.is_file() else []), *([given] if given is not None else []))


def _read(file: Path) -> _Table:
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _LINE_OF_ERROR.search(str(error))
        raise _broken(file, int(line[1]) if line else None, f"it is not TOML: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise _broken(file, None, f"it cannot be read: {error}") from None
    except (ValueError, RecursionError):
        raise _broken(file, None, "it holds a number of too many digits, or tables and lists nested too deep") from None
    known = ("agents", "generic", "purposes")
    strange = [key for key in content if key not in known]
    if strange:
        why = f"[{strange[0]}] means nothing here; the tables are [agents], [generic] and [purposes.NAME]"
        raise _broken(file, _line_of(text, strange[0]), why)
    for key in known:
        if not isinstance(content.get(key, {}), dict):
            raise _broken(file, _line_of(text, key), f"{key} is not a table")
    return _table(file, text, content)


def _table(file: Path, text: str, content: dict[str, Any]) -> _Table:
    exact: dict[str, str | _Generic] = {}
    patterns: list[tuple[re.Pattern[str], str | _Generic]] = []
    for name, agent in (*_agents(file, text, content.get("agents", {})), *_generic(file, text, content.get("generic", {}))):
        lowered = name.strip().lower()
        if any(sign in lowered for sign in "*?["):
            patterns.append((re.compile(fnmatch.translate(lowered)), agent))
        else:
            exact[lowered] = agent
    rules = partial(_rules_of, file, text, content.get("purposes", {}))
    if file != PACKAGED_TABLE:  # to say at once what is wrong
        rules()
    return _Table(exact, tuple(patterns), rules)


def _rules_of(file: Path, text: str, purposes: dict[str, Any]) -> dict[str, Rule]:
    return {name: _rule(file, text, name, parts) for name, parts in purposes.items()}


def _agents(file: Path, text: str, names: dict[str, Any]) -> list[tuple[str, str | _Generic]]:
    for name, agent in names.items():
        if not isinstance(agent, str) or agent not in _ALLOWED:
            raise _broken(file, _line_of(text, name), f"{name!r} maps to {agent!r}, which is not an agent")
    return list(names.items())


def _generic(file: Path, text: str, names: dict[str, Any]) -> list[tuple[str, str | _Generic]]:
    """Names that say nothing; one that is `false` is taken by its name again, as any other that no table maps."""
    found: list[tuple[str, str | _Generic]] = []
    for name, purposes in names.items():
        if isinstance(purposes, bool):
            found.append((name, _Generic(None) if purposes else UNMAPPED))
        elif isinstance(purposes, list) and all(isinstance(purpose, str) for purpose in purposes):
            found.append((name, _Generic(frozenset(purposes))))
        else:
            why = f"{name!r} under [generic] is {purposes!r}, neither true nor false nor a list of purposes"
            raise _broken(file, _line_of(text, name), why)
    return found


def _rule(file: Path, text: str, name: str, parts: Any) -> Rule:
    if not isinstance(parts, dict):
        raise _broken(file, _line_of(text, name), f"purposes.{name} is not a table")
    agent = parts.get("agent", "")
    if "agent" in parts and agent not in _ALLOWED:
        raise _broken(file, _line_in(text, name, "agent"), f"agent of [purposes.{name}] is {agent!r}, which is not an agent")
    strange = [part for part in parts if part not in {"agent", "beside", *PARTS}]
    if strange:
        why = f"{strange[0]!r} means nothing in [purposes.{name}]; it holds agent, beside, {', '.join(PARTS)}"
        raise _broken(file, _line_in(text, name, strange[0]), why)
    lists = {part: _strings(file, text, name, part, parts.get(part, [])) for part in (*PARTS, "beside")}
    patterns = (tuple(_pattern(file, text, name, part, pattern) for pattern in lists[part]) for part in PARTS)
    return Rule(Purpose(name, agent), frozenset(lists["beside"]), *patterns)


def _strings(file: Path, text: str, name: str, part: str, listed: Any) -> list[str]:
    if not isinstance(listed, list) or any(not isinstance(entry, str) for entry in listed):
        raise _broken(file, _line_in(text, name, part), f"{part} of [purposes.{name}] is not a list of texts")
    return listed


def _pattern(file: Path, text: str, name: str, part: str, pattern: str) -> str:
    if file == PACKAGED_TABLE:  # ours are right, and compiling them takes longer than most commands want to wait
        return pattern
    try:
        compiled(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        line = next((number for number, line in enumerate(text.splitlines(), 1) if pattern in line), None)
        why = f"{pattern!r} in {part} of [purposes.{name}] is no regular expression: {error}"
        raise _broken(file, line or _line_in(text, name, part), why) from None
    return pattern


def _line_of(text: str, key: str) -> int | None:
    mention = re.compile(rf"""^\s*\[?\s*(?:purposes\.)?["']?{re.escape(key)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if mention.search(line)), None)


def _line_in(text: str, purpose: str, key: str) -> int | None:
    """The line of a key of one purpose's table."""
    start = _line_of(text, purpose) or 1
    found = _line_of("\n".join(text.splitlines()[start:]), key)
    return start + found if found else start


def _broken(file: Path, line: int | None, why: str) -> UserError:
    return UserError(
        f"The table of agent names cannot be used: {why}.",
        where=f"{file}, line {line}" if line else str(file),
        fix=f'Write lines name = "agent" under [agents]; an agent is one of {", ".join(_ALLOWED)}.'
        " [generic] and [purposes] are described in docs/agent-logs.md.",
    )
