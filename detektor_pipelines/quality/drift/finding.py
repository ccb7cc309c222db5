"""A look at a view's drift as a check's verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from detektor_pipelines.quality.drift.look import Look, look, of_view
from detektor_pipelines.quality.drift.references import newest
from detektor_pipelines.quality.drift.results import ALERT
from detektor_pipelines.quality.findings import DRIFT, SHOWN, Finding, listed

if TYPE_CHECKING:
    import psycopg

    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.quality.drift.results import Result
    from detektor_pipelines.quality.findings import Case, Figure
    from detektor_pipelines.settings import Settings


def drift(settings: Settings, view: FeatureView) -> Finding:
    """Compare the last seven published days with the view's reference, keep what was found, and judge it.

    Raises:
        UserError: The database cannot be read.

    """
    return judged(look(settings, view))


def last_found(connection: psycopg.Connection, view: FeatureView) -> Finding:
    """Judge what was found last, and compute nothing."""
    reference = newest(connection, view)
    results = tuple(of_view(connection, view)) if reference else ()
    return judged(Look(view.name, reference, results, "" if results else "no look has found anything yet; `detektor drift` looks."))


def judged(found: Look) -> Finding:
    """Return the verdict of what was found: features with an alert by PSI, of their values or of their nulls, do not pass."""
    if not found.results:
        return Finding(DRIFT.name, passed=True, summary=f"Not judged: {found.reason[:1].lower()}{found.reason[1:]}")
    first, last = found.results[0].window
    drifted = [each for each in found.results if each.level == "alert" and each.method in ("psi", "null_share")]
    features = {each.feature for each in found.results}
    words = found.reference.words if found.reference else ""
    figures: dict[str, Figure] = {
        "features": len(features),
        "drifted": len({each.feature for each in drifted}),
        "too_few": len({each.feature for each in found.results if each.level == "too_few" and each.method == "psi"}),
        "greatest_psi": round(max(each.score for each in found.results if each.method == "psi"), 4),
        "window": f"{first} to {last}",
        "reference": words,
    }
    if not drifted:
        summary = f"The values of {first} to {last} are those of the {words}, as far as chance lets one tell. {found.reason}".strip()
        return Finding(DRIFT.name, passed=True, summary=summary, figures=figures)
    names = sorted({each.feature for each in drifted})
    return Finding(
        DRIFT.name,
        passed=False,
        summary=f"More than {ALERT} of drift that chance does not explain, {first} to {last} against the {words}: {listed(names)}.",
        fix=f"`detektor drift --view {found.view} --plot drift.png` shows both beside each other, `detektor features explain` the events"
        " behind a value. If a reader broke, fix it and run `detektor reingest`; if the agents work otherwise now, look whether models"
        f" still hold, then `detektor drift --pin --view {found.view}` makes the new weeks the reference.",
        cases=tuple(_case(each) for each in sorted(drifted, key=lambda each: -each.score)[:SHOWN]),
        figures=figures,
    )


def _case(each: Result) -> Case:
    return {
        "feature": each.feature,
        "of": "nulls" if each.method == "null_share" else "values",
        "beyond chance": f"{each.score:.2f}",
        "PSI": f"{each.observed:.2f}",
        "at most": f"{each.high:.2f}",
        "days of agent_ids": f"{each.n_current:,} against {each.n_reference:,}",
        "note": each.note,
    }
