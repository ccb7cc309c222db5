"""`detektor generate`: write every file that is made from the definitions; `--check` says which of them are out of date.

With a catalogue of one's own everything is written into that one's directory, the package stays as it is.

A further generator is one line in `render`: a function that returns texts by path from the repository's root.
"""

from __future__ import annotations

import difflib
import re
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines import installation, own_catalog

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REPOSITORY: Final = installation.ROOT
OWNED: Final = ("docs/self-learning-agents/*.md", "docs/runbooks/*.md", "monitoring/prometheus/**/*.yml", "docs/json/*.schema.json")
"""Directories that hold nothing but generated files: one that nothing renders any more is deleted."""

_DIFF_LINES: Final = 12
_CLIENT: Final = "client/agents.py"
_UPWARD: Final = re.compile(r"\[([^\]]+)\]\(\.\./[^)]*\)")
"""A link to a page that stands in the repository only."""


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("generate")(generate)


def generate(
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if a file differs.")] = False,
) -> None:
    """Write what is made from the definitions: docs, JSON Schemas, Feast repository, client, lock of versions, monitoring, runbooks.

    Refuses when the numbers of a view have changed and its version has not followed: it says which features, and which bump they need.

    Examples: [bold]detektor generate[/], [bold]detektor generate --check[/]
    """
    root, rendered = _root(), render()
    changed = differing(root, rendered)
    if not changed:
        typer.echo(f"{len(rendered)} generated files are up to date.")
        return
    if check:
        for path in changed:
            typer.echo(f"{path} is out of date:")
            for line in difference(root, path, rendered):
                typer.echo(f"  {line}")
        typer.echo(f"{len(changed)} of {len(rendered)} generated files differ. Run: detektor generate")
        raise typer.Exit(1)
    write(root, rendered)
    for path in changed:
        typer.echo(f"{'wrote' if path in rendered else 'deleted'} {path}")


def render() -> dict[str, str]:
    """Return every generated file's text by its path from the repository's root."""
    from detektor_pipelines.cli_commands import schemas
    from detektor_pipelines.compile import client, docs, feast_repo
    from detektor_pipelines.ingest import schema
    from detektor_pipelines.monitoring import dashboard, pages, prometheus
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.versions import lock

    if (own := own_catalog.own()) is not None:
        return _render_own(own)
    return {
        **docs.render(),
        **feast_repo.render(),
        **client.render(),
        **lock.render(),
        **dashboard.render(),
        **pages.render(),
        **{f"monitoring/prometheus/{name}": text for name, text in prometheus.render(Settings.model_construct()).items()},
        "docs/agent-events.schema.json": schema.render(),
        **schemas.render(),
    }


def _root() -> Path:
    """Return what files are written below: a catalogue of one's own, or this repository, where there is one."""
    own = own_catalog.directory()
    if own is None:
        installation.refuse_without_clone("generate")
    return REPOSITORY if own is None else own


def _render_own(own: own_catalog.OwnCatalog) -> dict[str, str]:
    """Return what is made from the definitions for a catalogue of one's own, by path from its directory."""
    from detektor_pipelines.compile import client, docs, feast_repo
    from detektor_pipelines.ingest import schema
    from detektor_pipelines.monitoring import prometheus
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.versions import lock

    rendered = {
        **{path: _UPWARD.sub(r"\1", text) for path, text in docs.render().items()},
        **feast_repo.render(),
        _CLIENT: client.render()[client.FILE],
        **lock.render_own(own),
        **{f"monitoring/prometheus/{name}": text for name, text in prometheus.render(Settings.model_construct()).items()},
        "docs/agent-events.schema.json": schema.render(),
    }
    if find_spec("grafana_foundation_sdk") is None:
        typer.echo("The dashboard is left out: it needs the package grafana-foundation-sdk.", err=True)
        return rendered
    from detektor_pipelines.monitoring import dashboard

    return rendered | dashboard.render()


def differing(root: Path, rendered: Mapping[str, str]) -> list[str]:
    """Paths whose file is absent, another, or rendered no more; sorted."""
    changed = [path for path, text in rendered.items() if _read(root / path) != text]
    obsolete = [str(file.relative_to(root)) for pattern in OWNED for file in root.glob(pattern)]
    return sorted({*changed, *(path for path in obsolete if path not in rendered)})


def difference(root: Path, path: str, rendered: Mapping[str, str]) -> Iterator[str]:
    """The first lines of a unified diff from the file to what it would be."""
    before = _read(root / path) or ""
    lines = list(
        difflib.unified_diff(before.splitlines(), rendered.get(path, "").splitlines(), "in the tree", "generated", lineterm="", n=1)
    )
    yield from lines[:_DIFF_LINES]
    if len(lines) > _DIFF_LINES:
        yield f"… {len(lines) - _DIFF_LINES} more lines"


def write(root: Path, rendered: Mapping[str, str]) -> None:
    """Make the files what they are rendered as, and delete those that are rendered no more."""
    for path in differing(root, rendered):
        file = root / path
        if path in rendered:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(rendered[path], encoding="utf-8", newline="\n")
        else:
            file.unlink()


def _read(file: Path) -> str | None:
    try:
        return file.read_bytes().decode("utf-8")
    except FileNotFoundError:
        return None
