"""From the names that agents have in logs to the eight agents of the platform.

The packaged table is `agents.toml` beside this module; `DETEKTOR_HOME/agents.toml` and `--agents FILE` extend and override it.
"""

from __future__ import annotations

import fnmatch
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from detektor_pipelines import own_catalog
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.events import AGENT_TYPES, UNMAPPED

PACKAGED_TABLE: Final = Path(__file__).with_name("agents.toml")
FILE_NAME: Final = "agents.toml"
MAIN_THREAD: Final = "main"
"""`raw_name` of what happens outside every subagent."""

_ALLOWED: Final = (*AGENT_TYPES, UNMAPPED)
_LINE_OF_ERROR: Final = re.compile(r"\(at line (\d+)")


@dataclass(frozen=True, slots=True)
class _Table:
    """One file's names, lower case."""

    exact: dict[str, str]
    patterns: tuple[tuple[re.Pattern[str], str], ...]

    def find(self, name: str) -> str | None:
        found = self.exact.get(name)
        if found is not None:
            return found
        return next((agent for pattern, agent in self.patterns if pattern.fullmatch(name)), None)


_OWN: Final = _Table({agent: agent for agent in AGENT_TYPES}, ())


@dataclass(frozen=True, slots=True)
class AgentNames:
    """Tables of names, the strongest first; without any, only the eight agents' own names are known."""

    tables: tuple[_Table, ...] = (_OWN,)
    _known: dict[str, str] = field(default_factory=dict, compare=False, repr=False)

    @classmethod
    def load(cls, *files: Path) -> AgentNames:
        """Read the packaged table and `files`; a later file wins over an earlier one, and all win over the packaged one.

        Raises:
            UserError: A file is not TOML, or maps a name to something that is not an agent.

        """
        given = tuple(_read(file) for file in reversed(files))
        return cls((*given, _OWN, _read(PACKAGED_TABLE)))

    def agent_type(self, raw_name: str) -> str:
        """Return one of the eight agents, or `unmapped`."""
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
    strange = [key for key in content if key != "agents"]
    if strange:
        raise _broken(file, _line_of(text, strange[0]), f"[{strange[0]}] means nothing here; the only table is [agents]")
    return _table(file, text, content.get("agents", {}))


def _table(file: Path, text: str, names: Any) -> _Table:
    if not isinstance(names, dict):
        raise _broken(file, _line_of(text, "agents"), "agents is not a table")
    exact: dict[str, str] = {}
    patterns: list[tuple[re.Pattern[str], str]] = []
    for name, agent in names.items():
        if not isinstance(agent, str) or agent not in _ALLOWED:
            raise _broken(file, _line_of(text, name), f"{name!r} maps to {agent!r}, which is not an agent")
        lowered = name.strip().lower()
        if any(sign in lowered for sign in "*?["):
            patterns.append((re.compile(fnmatch.translate(lowered)), agent))
        else:
            exact[lowered] = agent
    return _Table(exact, tuple(patterns))


def _line_of(text: str, key: str) -> int | None:
    mention = re.compile(rf"""^\s*\[?\s*["']?{re.escape(key)}["']?\s*[\].=]""")
    return next((number for number, line in enumerate(text.splitlines(), 1) if mention.search(line)), None)


def _broken(file: Path, line: int | None, why: str) -> UserError:
    return UserError(
        f"The table of agent names cannot be used: {why}.",
        where=f"{file}, line {line}" if line else str(file),
        fix=f'Write lines name = "agent" under [agents]; an agent is one of {", ".join(_ALLOWED)}.',
    )
