"""Drift in the report: what the drift check found last, the furthest first, or the command that computes it."""

from __future__ import annotations

from datetime import date
from types import SimpleNamespace

from detektor_pipelines.errors import UserError
from detektor_pipelines.report import quality
from detektor_pipelines.report.page import _drift


def found(feature, method, score, level):
    window = (date(2026, 3, 1), date(2026, 3, 7))
    return SimpleNamespace(
        view="v",
        feature=feature,
        method=method,
        score=score,
        interval=(score, 0.5),
        n_reference=90,
        n_current=30,
        level=level,
        window=window,
    )


def test_the_furthest_come_first_and_each_feature_counts_once(settings, monkeypatch):
    results = [
        found("a", "psi", 0.01, "calm"),
        found("b", "psi", 0.25, "alert"),
        found("b", "js", 0.12, "watch"),
        found("c", "psi", 0.0, "too_few"),
    ]
    monkeypatch.setattr(quality, "_latest", lambda _settings: results)
    drifted, note = quality.drift(settings)
    assert [(each.feature, each.method) for each in drifted] == [("b", "psi"), ("b", "js"), ("a", "psi"), ("c", "psi")]
    assert (drifted[0].interval, drifted[0].window, note) == ("0.250 to 0.500", "2026-03-01 to 2026-03-07", "")
    shown = _drift(drifted)
    assert shown["counts"] == {"alert": 1, "calm": 1, "too_few": 1}
    assert [each.method for each in shown["first"]] == ["psi"]


def test_where_it_was_not_computed_the_command_is_named(settings, monkeypatch):
    monkeypatch.setattr(quality, "_latest", lambda _settings: [])
    assert quality.drift(settings) == (None, "Not computed yet. `detektor drift` computes it; then make this report again.")

    def refused(_settings: object) -> list[object]:
        raise UserError("The database lacks a table of this version.")

    monkeypatch.setattr(quality, "_latest", refused)
    assert quality.drift(settings) == (None, "The database lacks a table of this version. `detektor drift` computes it.")
