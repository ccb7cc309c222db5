"""`detektor drift`: whether features are still what they were, and pinning what that is."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from detektor_pipelines.cli_commands.backfill import FromOption, ToOption, ViewOption, day_of, views_of
from detektor_pipelines.cli_commands.output import JsonOption, check_place, print_json, print_table, say, styled
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift import Look, Reference, Result
    from detektor_pipelines.settings import Settings

_LEVELS = {
    "alert": styled("alert", "bold red"),
    "watch": styled("watch", "yellow"),
    "calm": styled("calm"),
    "too_few": styled("too few", "dim"),
}

AtOption = Annotated[
    str | None, typer.Option("--at", help="Last of the seven days; default: the newest that is published and over.", show_default=False)
]
PinOption = Annotated[bool, typer.Option("--pin", help="Pin --from to --to, by default the last eight weeks, as the new reference.")]
PlotOption = Annotated[
    Path | None, typer.Option("--plot", help="Draw reference and now to this file (.png, .svg, .pdf).", show_default=False)
]


def register(app: typer.Typer) -> None:
    """Add this group's commands."""
    app.command("drift")(drift)


def drift(
    *,
    view: ViewOption = None,
    at: AtOption = None,
    pin: PinOption = False,
    first: FromOption = None,
    last: ToOption = None,
    plot: PlotOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare each feature's values of the last seven days with its pinned reference.

    What counts is what chance does not explain: below 0.1 is calm, above 0.2 alerts. The first reference is pinned on its own.

    Examples: [bold]detektor drift[/], [bold]detektor drift --view code-reviewer --plot drift.png[/],
    [bold]detektor drift --pin --from 2026-05-04 --to 2026-06-28[/]
    """
    from detektor_pipelines.settings import get_settings

    settings, views = get_settings(), views_of(view)
    if (first or last) and not pin:
        raise UserError("--from and --to are days of a reference.", fix="Add --pin, or choose the window by its last day: --at 2026-06-07.")
    if pin:
        _pin(settings, views, first, last, as_json=as_json)
        return
    _writable(plot)
    from detektor_pipelines.quality.drift import look

    day = day_of(at, "--at")
    found = [look(settings, each, day) for each in views]
    if plot:
        _draw(settings, views, found, plot)
    if as_json:
        print_json([_as_data(each) for each in found])
        return
    for each in found:
        _print(each)
    _say(found, plot)


def _pin(settings: Settings, views: Sequence[FeatureView], first: str | None, last: str | None, *, as_json: bool) -> None:
    import getpass

    from detektor_pipelines.quality.drift.references import pin

    pinned = [pin(settings, each, *_days(settings, each, first, last), by=f"detektor drift --pin, {getpass.getuser()}") for each in views]
    if as_json:
        print_json([_of_reference(each) for each in pinned])
        return
    print_table(
        ("view", "reference", "first day", "last day", "rows"),
        [(each.view, each.number, each.first, each.last, each.rows_hash[:12]) for each in pinned],
        "Pinned",
    )


def _days(settings: Settings, view: FeatureView, first: str | None, last: str | None) -> tuple[date, date]:
    """Return the days to pin: as given, else eight weeks that end with the last published day, or begin or end where one is given."""
    from datetime import timedelta

    from detektor_pipelines.quality.drift.references import WEEKS, published
    from detektor_pipelines.stores.connections import connect

    span = timedelta(days=7 * WEEKS - 1)
    begin, end = day_of(first, "--from"), day_of(last, "--to")
    if end:
        return begin or end - span, end
    if begin:
        return begin, begin + span
    with connect(settings) as connection:
        known = published(connection, view)
    if not known:
        raise UserError(f"No day of {view.name} is published and over.", fix=f"detektor backfill --view {view.name}")
    return max(known) - span, max(known)


def _writable(plot: Path | None) -> None:
    if plot is None:
        return
    if plot.suffix not in (".png", ".svg", ".pdf"):
        raise UserError(f"{plot.name} has no ending that says what to draw.", where="--plot", fix="End it with .png, .svg or .pdf.")
    check_place(plot, "--plot")


def _draw(settings: Settings, views: Sequence[FeatureView], found: Sequence[Look], plot: Path) -> None:
    from detektor_pipelines.quality.drift.pictures import draw, pictures

    shown = [picture for view, each in zip(views, found, strict=True) for picture in pictures(settings, view, each)]
    windows = sorted({each.results[0].window for each in found if each.results})
    if not shown:
        raise UserError("There is nothing to draw.", where="--plot", fix=" ".join(dict.fromkeys(each.reason for each in found)))
    which = found[0].view if len(found) == 1 else f"{len(found)} views"
    title = f"{which}, {windows[0][0]} to {windows[-1][1]}; drift beyond chance, of the drift that is seen (PSI)"
    draw(shown, title).savefig(plot, dpi=130)


def _print(found: Look) -> None:
    if not found.results:
        say(f"{found.view}: {found.reason}")
        return
    first, last = found.results[0].window
    assert found.reference is not None  # noqa: S101  results have one
    title = f"{found.view}, {first} to {last}, {found.reference.words}"
    print_table(("feature", "level", "beyond", "PSI", "JS", "p", "nulls"), [_row(each) for each in _by_feature(found.results)], title)
    for words in dict.fromkeys(text for text in (found.reason, found.results[0].note) if text):
        say(f"  {words}")


def _row(said: dict[str, Result]) -> tuple[object, ...]:
    psi, nulls = said["psi"], said["null_share"]
    level = _LEVELS[nulls.level]
    nulled = styled(f"{nulls.score:.2f} {level}", level.style) if nulls.level in ("watch", "alert") else f"{nulls.score:.2f}"
    distance, p_value = said["jensen_shannon"].observed, said["chi_square"].p_value
    return psi.feature, _LEVELS[psi.level], f"{psi.score:.2f}", f"{psi.observed:.2f}", f"{distance:.2f}", f"{p_value:.2g}", nulled


def _by_feature(results: Sequence[Result]) -> list[dict[str, Result]]:
    found: dict[str, dict[str, Result]] = {}
    for each in results:
        found.setdefault(each.feature, {})[each.method] = each
    return list(found.values())


def _say(found: Sequence[Look], plot: Path | None) -> None:
    drifted = [f"{each.view}:{each.feature}" for one in found for each in one.results if each.level == "alert" and each.method == "psi"]
    compared = sum(len(_by_feature(each.results)) for each in found)
    if compared:
        say("beyond: PSI that chance does not explain; 0.1 is calm, 0.2 alerts.")
        say("JS: Jensen-Shannon distance; p: chi-square test; nulls: beyond, of their share.")
        say(f"{len(drifted)} of {compared} features drifted" + (f": {', '.join(drifted)}" if drifted else "."))
    if plot:
        say(f"Drawn: {plot}")


def _as_data(found: Look) -> dict[str, Any]:
    return {
        "view": found.view,
        "reference": _of_reference(found.reference) if found.reference else None,
        "reason": found.reason,
        "results": [_of_result(each) for each in found.results],
    }


def _of_reference(each: Reference) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(each)


def _of_result(each: Result) -> dict[str, Any]:
    from dataclasses import asdict

    return asdict(each)
