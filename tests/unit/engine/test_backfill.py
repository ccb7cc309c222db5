"""Several views at once: each view's result in the views' order, an error in its place, and nothing begun after it."""

from __future__ import annotations

import threading
from datetime import date
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.engine import backfill as module
from detektor_pipelines.engine.backfill import backfill
from detektor_pipelines.errors import UserError

if TYPE_CHECKING:
    from detektor_pipelines.language.views import FeatureView
    from detektor_pipelines.settings import Settings

DAYS = [date(2026, 3, 5)]
SETTINGS: Settings = SimpleNamespace()  # type: ignore[assignment]  # nothing here asks for it


@pytest.fixture
def done(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Names of the views that were published online, in the order in which they were."""
    found: list[str] = []
    monkeypatch.setattr(module, "materialize", lambda _, view, days: (view.name, days))
    monkeypatch.setattr(module, "publish_online", lambda _, view: found.append(view.name))
    return found


def test_results_come_in_the_order_of_the_views(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    others = threading.Barrier(2)
    begun = threading.Event()

    def materialize(_: Settings, view: FeatureView, days: Any) -> Any:
        if view is VIEWS[0]:
            assert begun.wait(10), "two views do not run beside the first"
        elif not begun.is_set():
            others.wait(10)
            begun.set()
        return view.name, days

    monkeypatch.setattr(module, "materialize", materialize)

    results: list[Any] = list(backfill(SETTINGS, VIEWS, DAYS))

    assert [each.view for each in results] == list(VIEWS)
    assert [each.materialization for each in results] == [(view.name, DAYS) for view in VIEWS]
    assert sorted(done) == sorted(view.name for view in VIEWS)


def test_an_error_comes_after_the_views_before_it_and_ends_the_rest(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    def materialize(_: Settings, view: FeatureView, __: Any) -> Any:
        if view is VIEWS[1]:
            raise UserError("PostgreSQL does not answer.", where="here", fix="Run `detektor up`.")

    monkeypatch.setattr(module, "materialize", materialize)
    results = backfill(SETTINGS, VIEWS, DAYS)

    assert next(results).view is VIEWS[0]
    with pytest.raises(UserError, match="does not answer"):
        next(results)
    assert VIEWS[1].name not in done


def test_who_stops_listening_stops_what_has_not_begun(done: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on = [], threading.Event()

    def materialize(_: Settings, view: FeatureView, __: Any) -> None:
        begun.append(view.name)
        if view is not VIEWS[0]:
            assert go_on.wait(10)

    monkeypatch.setattr(module, "materialize", materialize)
    results = backfill(SETTINGS, VIEWS, DAYS)
    next(results)
    threading.Timer(0.1, go_on.set).start()

    results.close()  # type: ignore[attr-defined]

    assert len(begun) <= 4
    assert sorted(begun) == sorted(done)
