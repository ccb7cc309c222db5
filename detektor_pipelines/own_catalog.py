"""The catalogue of one's own: which directory it is, and what its `detektor.toml` declares beside the views.

    my-agents/                     what DETEKTOR_CATALOG names; `detektor init` makes one
        detektor.toml              agents, measures and categories; whether the eight's views give way
        agents.toml                names in logs → agents (`ingest.readers.names` reads it)
        catalog/*.py               views and labels (`catalog.outside` loads them)

Packaged catalogues that are off by default have the same form and stand in `catalog/also/NAME/`; `[catalog] also = ["NAME"]` or
DETEKTOR_EXTRA_VIEWS=NAME switches one on. Without any of this there are the eight agents and nothing here is read.

Belongs here: finding and reading that one file, with standard library alone, for `language.events` asks at import. Does not belong here:
what an agent or a measure is (`language.events`), or loading a view.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from detektor_pipelines.errors import UserError
from detektor_pipelines.files import HOME_VARIABLE, home

VARIABLE: Final = "DETEKTOR_CATALOG"
ALSO_VARIABLE: Final = "DETEKTOR_EXTRA_VIEWS"
FILE: Final = "detektor.toml"
VIEWS: Final = "catalog"
"""The directory of view files within a catalogue's own."""

REMEMBERED: Final = "catalog-directory"
"""In the home directory: which catalogue its programs were started with."""

ALSO_REMEMBERED: Final = "extra-views"
"""In the home directory: the packaged views that are switched on for it, as DETEKTOR_EXTRA_VIEWS names them."""

ALSO: Final = Path(__file__).with_name("catalog") / "also"

_AGENT: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{1,39}\Z")
_AGENT_LIMIT: Final = 40
_INT64: Final = 2**63 - 1
_LINE_OF_ERROR: Final = re.compile(r"\(at line (\d+)")
_TABLES: Final = ("catalog", "agents", "measures", "categories")


@dataclass(frozen=True, slots=True)
class DeclaredAgent:
    """An agent of one's own; `work` is the operation that its work is."""

    name: str
    decides: str
    work: str
    where: str


@dataclass(frozen=True, slots=True)
class DeclaredMeasure:
    """An integer quantity of one's own."""

    name: str
    unit: str
    minimum: int
    maximum: int
    description: str
    where: str


@dataclass(frozen=True, slots=True)
class DeclaredCategory:
    """A text of one's own; without `values` any text."""

    name: str
    values: tuple[str, ...]
    description: str
    where: str


@dataclass(frozen=True, slots=True)
class OwnCatalog:
    """What one `detektor.toml` says. `replace`: whose packaged views give way; True stands for all of them."""

    directory: Path
    packaged: bool
    replace: bool | frozenset[str] = False
    also: tuple[str, ...] = ()
    agents: tuple[DeclaredAgent, ...] = ()
    measures: tuple[DeclaredMeasure, ...] = ()
    categories: tuple[DeclaredCategory, ...] = ()

    @property
    def file(self) -> Path:
        """The file that says it."""
        return self.directory / FILE

    @property
    def views(self) -> Path:
        """The directory of its view files."""
        return self.directory / VIEWS


def directory() -> Path | None:
    """Return the directory that DETEKTOR_CATALOG names, None without one.

    Raises:
        UserError: There is no catalogue.

    """
    given = os.environ.get(VARIABLE, "").strip()
    if not given:
        return None
    path = Path(given).expanduser().absolute()
    path = path.parent if path.name == FILE else path
    if not (path / FILE).is_file():
        raise UserError(
            f"There is no catalogue of one's own: {path} holds no {FILE}.",
            where=f"environment variable {VARIABLE}",
            fix=f"Make one with `detektor init {path.name}`, or unset {VARIABLE}.",
        )
    return path


def find() -> None:
    """Let this process, and those that it starts, use the catalogue that is meant: called once, by the command line.

    The first of these counts: DETEKTOR_CATALOG, a `detektor.toml` in the working directory (its state is then kept beside it, unless
    DETEKTOR_HOME says otherwise), the one that the programs of DETEKTOR_HOME were started with. Packaged views that are switched on for
    DETEKTOR_HOME are too, unless DETEKTOR_EXTRA_VIEWS says something else.
    """
    _find_own()
    if not os.environ.get(ALSO_VARIABLE) and (told := _note(home() / ALSO_REMEMBERED)):
        os.environ[ALSO_VARIABLE] = told


def switch_on(name: str, place: Path) -> None:
    """Have a home directory, and this process, use packaged views that are off by default; before anything asks which agents there are."""
    names = [each.strip() for each in os.environ.get(ALSO_VARIABLE, "").split(",") if each.strip()]
    os.environ[ALSO_VARIABLE] = ",".join(dict.fromkeys([*names, name]))
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    (place / ALSO_REMEMBERED).write_text(f"{os.environ[ALSO_VARIABLE]}\n", encoding="utf-8")


def _find_own() -> None:
    if os.environ.get(VARIABLE):
        return
    here = Path.cwd()
    if (here / FILE).is_file():
        os.environ[VARIABLE] = str(here)
        if not os.environ.get(HOME_VARIABLE):
            os.environ[HOME_VARIABLE] = str(here / ".detektor")
        return
    told = _note(home() / REMEMBERED)
    if told and (Path(told) / FILE).is_file():
        os.environ[VARIABLE] = told


def _note(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def remember(place: Path) -> None:
    """Note in a home directory which catalogue its programs are started with."""
    own, note = directory(), place / REMEMBERED
    if own is not None:
        place.mkdir(mode=0o700, parents=True, exist_ok=True)
        note.write_text(f"{own}\n", encoding="utf-8")
    else:
        note.unlink(missing_ok=True)


@lru_cache(maxsize=1)
def catalogs() -> tuple[OwnCatalog, ...]:
    """Return the catalogues that are in use beside the eight's: packaged ones that are switched on, then one's own. Read once.

    Raises:
        UserError: One of them cannot be used; says where and why.

    """
    own = directory()
    mine = [] if own is None else [read(own)]
    names = [*(each.strip() for each in os.environ.get(ALSO_VARIABLE, "").split(",")), *(name for each in mine for name in each.also)]
    wanted = dict.fromkeys(name for name in names if name)
    there = also_available()
    for name in wanted:
        if name not in there:
            raise UserError(
                f"There are no packaged views {name!r} to switch on.",
                where=ALSO_VARIABLE if name in names[: len(names) - sum(len(each.also) for each in mine)] else str(mine[0].file),
                fix=f"There are {', '.join(there)}." if there else "There are none in this release: leave the name out.",
            )
    return (*(read(ALSO / name, packaged=True) for name in wanted), *mine)


def also_available() -> tuple[str, ...]:
    """Return the names of the packaged catalogues that are off by default."""
    return tuple(sorted(each.parent.name for each in ALSO.glob(f"*/{FILE}")))


def own() -> OwnCatalog | None:
    """Return the catalogue of one's own, None without one."""
    return next((each for each in catalogs() if not each.packaged), None)


def files() -> list[Path]:
    """Return the files that a catalogue of one's own is made of, also when one of them is wrong."""
    given = os.environ.get(VARIABLE, "").strip()
    root = Path(given).expanduser() if given else None
    root = root.parent if root is not None and root.name == FILE else root
    return [] if root is None else [each for each in (root / FILE, *sorted((root / VIEWS).glob("*.py"))) if each.is_file()]


def read(directory: Path, *, packaged: bool = False) -> OwnCatalog:
    """Read one catalogue's `detektor.toml`.

    Raises:
        UserError: It is not TOML, or says something that cannot be.

    """
    import tomllib

    file = directory / FILE
    try:
        text = file.read_text(encoding="utf-8")
        content = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        line = _LINE_OF_ERROR.search(str(error))
        raise _Text(file, "").wrong(f"it is not TOML: {error}", int(line[1]) if line else None) from None
    except (OSError, UnicodeDecodeError) as error:
        raise _Text(file, "").wrong(f"it cannot be read: {error}") from None
    except (ValueError, RecursionError):
        raise _Text(file, "").wrong("it holds a number of too many digits, or tables and lists nested too deep") from None
    source = _Text(file, text)
    source.only(content, _TABLES, "")
    catalog = source.table(content, "catalog")
    source.only(catalog, ("replace", "also"), "catalog")
    found = OwnCatalog(
        directory,
        packaged,
        _replace(source, catalog),
        tuple(source.texts(catalog, "also", "catalog")),
        tuple(_agent(source, name, each) for name, each in source.tables(content, "agents")),
        tuple(_measure(source, name, each) for name, each in source.tables(content, "measures")),
        tuple(_category(source, name, each) for name, each in source.tables(content, "categories")),
    )
    both = {each.name for each in found.measures} & {each.name for each in found.categories}
    if both:
        raise source.wrong(f"{min(both)} is declared as a measure and as a category", source.line("categories", min(both)))
    return found


@dataclass(frozen=True, slots=True)
class _Text:
    """A TOML file's text, and what to say of it."""

    file: Path
    text: str
    lines: list[str] = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "lines", self.text.splitlines())

    def wrong(self, why: str, line: int | None = None) -> UserError:
        """Make the error that says what is wrong with the file, and where."""
        place = f"{self.file}, line {line}" if line else str(self.file)
        return UserError(f"The catalogue's {FILE} cannot be used: {why}.", where=place, fix=_FIX)

    def place(self, table: str, name: str) -> str:
        """Return the file and line of a declaration, for errors that are found later."""
        line = self.line(table, name)
        return f"{self.file}, line {line}" if line else str(self.file)

    def line(self, table: str, name: str, key: str | None = None) -> int | None:
        """Return the line of `[table.name]`, or of a key below it."""
        header = f"[{table}.{name}]" if name else f"[{table}]"
        start = next((number for number, line in enumerate(self.lines, 1) if _bare(line) == header), None)
        if key is None:
            return start
        rest = enumerate(self.lines[start or 0 :], (start or 0) + 1)
        return next((number for number, line in rest if _bare(line).startswith((f"{key}=", f"{key}."))), start)

    def top(self, key: str) -> int | None:
        """Return the first line of a table or key of the file itself."""
        starts = (f"[{key}]", f"[{key}.", f"{key}=")
        return next((number for number, line in enumerate(self.lines, 1) if _bare(line).startswith(starts)), None)

    def only(self, content: dict[str, Any], allowed: tuple[str, ...], table: str) -> None:
        """Refuse keys that mean nothing."""
        for key in content:
            if key not in allowed:
                where = self.line(table, "", key) if table else self.top(key)
                raise self.wrong(f"{key} means nothing {'here' if not table else f'in [{table}]'}; there are {', '.join(allowed)}", where)

    def table(self, content: dict[str, Any], key: str) -> dict[str, Any]:
        """Return the table under a key, an empty one where there is none."""
        found = content.get(key, {})
        if not isinstance(found, dict):
            raise self.wrong(f"{key} is not a table", self.top(key))
        return found

    def tables(self, content: dict[str, Any], key: str) -> list[tuple[str, dict[str, Any]]]:
        """Return the tables `[key.NAME]` by their names."""
        found = []
        for name, each in self.table(content, key).items():
            if not isinstance(each, dict):
                raise self.wrong(f"{name} in [{key}] is not a table: write [{key}.{name}]", self.line(key, "", name))
            found.append((name, each))
        return found

    def said(self, content: dict[str, Any], key: str, table: str, name: str) -> str:
        """Return a text that has to be there."""
        found = content.get(key)
        if not isinstance(found, str) or not found.strip():
            raise self.wrong(f'[{table}.{name}] needs {key} = "…"', self.line(table, name, key if key in content else None))
        return found

    def texts(self, content: dict[str, Any], key: str, table: str, name: str = "") -> list[str]:
        """Return a list of texts, an empty one where there is none."""
        found = content.get(key, [])
        if not isinstance(found, list) or any(not isinstance(each, str) or not each or "\0" in each for each in found):
            raise self.wrong(f"{key} is not a list of texts", self.line(table, name, key))
        return found

    def whole(self, content: dict[str, Any], key: str, table: str, name: str) -> int:
        """Return an integer that has to be there."""
        found = content.get(key)
        if not isinstance(found, int) or isinstance(found, bool) or abs(found) > _INT64:
            why = f"[{table}.{name}] needs {key}, a whole number that int64 holds: ranges of sums are proved from it"
            raise self.wrong(why, self.line(table, name, key if key in content else None))
        return found


def _bare(line: str) -> str:
    """Return a line of TOML without quotes, spaces and what stands behind a closing bracket."""
    bare = line.replace(" ", "").replace('"', "").replace("'", "").strip()
    return bare.partition("]")[0] + "]" if bare.startswith("[") else bare


_FIX: Final = "Correct the line; docs/own-agents.md shows each table. `detektor features list` says whether it can be used."


def _replace(source: _Text, catalog: dict[str, Any]) -> bool | frozenset[str]:
    found = catalog.get("replace", False)
    if isinstance(found, bool):
        return found
    if isinstance(found, list) and all(isinstance(each, str) for each in found):
        return frozenset(found)
    raise source.wrong("replace is true, false, or a list of agents whose packaged view gives way", source.line("catalog", "", "replace"))


def _agent(source: _Text, name: str, content: dict[str, Any]) -> DeclaredAgent:
    if not _AGENT.match(name) or len(name) > _AGENT_LIMIT:
        why = f"an agent is not called {name!r}: use lower case, digits and single hyphens, {_AGENT_LIMIT} characters at most"
        raise source.wrong(why, source.line("agents", name))
    if {"decides", "work"} - content.keys():
        raise source.wrong(f'[agents.{name}] needs decides = "…" and work = "…"', source.line("agents", name))
    _only(source, content, ("decides", "work"), "agents", name)
    decides, work = (source.said(content, key, "agents", name) for key in ("decides", "work"))
    return DeclaredAgent(name, decides, work, source.place("agents", name))


def _measure(source: _Text, name: str, content: dict[str, Any]) -> DeclaredMeasure:
    _named(source, "measures", name)
    _only(source, content, ("unit", "minimum", "maximum", "description"), "measures", name)
    unit, description = (source.said(content, key, "measures", name) for key in ("unit", "description"))
    minimum, maximum = (source.whole(content, key, "measures", name) for key in ("minimum", "maximum"))
    if minimum > maximum:
        raise source.wrong(f"no value of {name} lies between {minimum} and {maximum}", source.line("measures", name))
    return DeclaredMeasure(name, unit, minimum, maximum, description, source.place("measures", name))


def _category(source: _Text, name: str, content: dict[str, Any]) -> DeclaredCategory:
    _named(source, "categories", name)
    _only(source, content, ("values", "description"), "categories", name)
    values = tuple(source.texts(content, "values", "categories", name))
    return DeclaredCategory(name, values, source.said(content, "description", "categories", name), source.place("categories", name))


def _named(source: _Text, table: str, name: str) -> None:
    if not _NAME.match(name):
        why = f"{name!r} is no name of a measure or category: use lower_snake_case of 2 to 40 characters"
        raise source.wrong(why, source.line(table, name))


def _only(source: _Text, content: dict[str, Any], allowed: tuple[str, ...], table: str, name: str) -> None:
    for key in content:
        if key not in allowed:
            raise source.wrong(f"{key} means nothing in [{table}.{name}]; there are {', '.join(allowed)}", source.line(table, name, key))
