"""`detektor generate`: write every file that is made from the definitions; `--check` says which of them are out of date.

A further generator is one line in `render`: a function that returns texts by path from the repository's root.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Final

import typer

from detektor_pipelines import installation

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

REPOSITORY: Final = installation.ROOT
OWNED: Final = ("docs/self-learning-agents/*.md", "docs/runbooks/*.md", "monitoring/prometheus/**/*.yml")
"""Directories that hold nothing but generated files: one that nothing renders any more is deleted."""

_DIFF_LINES: Final = 12


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("generate")(generate)


def generate(
    *,
    check: Annotated[bool, typer.Option("--check", help="Change nothing; exit 1 if a file differs.")] = False,
) -> None:
    """Write what is made from the definitions: docs, JSON Schema, Feast repository, client, lock of versions, monitoring, runbooks.

    Refuses when the numbers of a view have changed and its version has not followed: it says which features, and which bump they need.

    Examples: [bold]detektor generate[/], [bold]detektor generate --check[/]
    """
    installation.refuse_without_clone("generate")
    rendered = render()
    changed = differing(REPOSITORY, rendered)
    if not changed:
        typer.echo(f"{len(rendered)} generated files are up to date.")
        return
    if check:
        for path in changed:
            typer.echo(f"{path} is out of date:")
            for line in difference(REPOSITORY, path, rendered):
                typer.echo(f"  {line}")
        typer.echo(f"{len(changed)} of {len(rendered)} generated files differ. Run: detektor generate")
        raise typer.Exit(1)
    write(REPOSITORY, rendered)
    for path in changed:
        typer.echo(f"{'wrote' if path in rendered else 'deleted'} {path}")


def render() -> dict[str, str]:
    """Return every generated file's text by its path from the repository's root."""
    from detektor_pipelines.compile import client, docs, feast_repo
    from detektor_pipelines.ingest import schema
    from detektor_pipelines.monitoring import dashboard, pages, prometheus
    from detektor_pipelines.settings import Settings
    from detektor_pipelines.versions import lock

    return {
        **docs.render(),
        **feast_repo.render(),
        **client.render(),
        **lock.render(),
        **dashboard.render(),
        **pages.render(),
        **{f"monitoring/prometheus/{name}": text for name, text in prometheus.render(Settings.model_construct()).items()},
        "docs/agent-events.schema.json": schema.render(),
    }


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
