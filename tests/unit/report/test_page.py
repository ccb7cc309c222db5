"""The page: nothing from a log becomes markup, nothing is loaded, and it can be used by keyboard and by a screen reader."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime
from html.parser import HTMLParser
from itertools import pairwise

import pytest

from detektor_pipelines.report.contents import (
    NULL,
    Did,
    Drifted,
    EventBehind,
    Looked,
    Period,
    Quality,
    Reading,
    Rejected,
    Report,
    Series,
    StandsOut,
    Tokens,
    ViewSeries,
)
from detektor_pipelines.report.page import buckets_of, render, with_code

HOSTILE = "</td></style><script>alert(1)</script><img src=x onerror=alert(2)>\"'&{{7*7}}{% raw %}\u202e"
VOID = {"meta", "link", "br", "img", "line", "path", "rect", "circle", "input", "hr"}


class Page(HTMLParser):
    """The elements of a page, and whether they are closed in order."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        assert self._open == []

    def handle_starttag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self._open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self._open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)

    def named(self, tag):
        return [attributes for name, attributes in self.elements if name == tag]


def report(text: str = "plain", *, days: int = 3) -> Report:
    """A report in which every text that can come from a log or a definition is `text`."""
    period = Period(date(2026, 3, 1), date(2026, 3, days))
    event = EventBehind(text, datetime(2026, 3, 1, tzinfo=UTC), text, text, text)
    values = (NULL, 0.5, 0.25)[:days]
    series = Series("rejection_rate", "share", text, text, "float64", values)
    did = Did(
        "code-reviewer",
        mapped=True,
        names=(text,),
        events=3,
        operations={"review": 3},
        projects={text: 3},
        work=[1] * days,
        failed=[0] * days,
    )
    did.tokens, did.tokens_by_day = Tokens(1, 2, 3, 4), [10] + [0] * (days - 1)
    other = Did(
        text, mapped=False, names=(text,), events=2, operations={text: 2}, work=[1] * days, failed=[0] * days, tokens_by_day=[0] * days
    )
    return Report(
        period,
        datetime(2026, 3, 3, tzinfo=UTC),
        clock_set=True,
        simulated=False,
        definitions="abc",
        sessions=2,
        did=(did, other),
        idle=("debugger",),
        views=(ViewSeries("code_review_features", "1.0.0", "code-reviewer", text, text, 3, (series,)),),
        stands_out=(
            StandsOut(text, text, tested=True, agent=text, events=(event,), events_in_all=7, chance=0.001),
            StandsOut(text, text, tested=False, agent=text, events=(event,), events_in_all=1),
        ),
        looked=Looked(4, 3, 1, 1999),
        quality=(Quality("code_review_features", 3, 3, 3, (), (), True, text, 0.3, text, text),),  # noqa: FBT003  a row of a table
        reading=Reading(((text, 3),), 5, ((text, 2),), 9, (Rejected(text, 2, text, text),), 1, {
            "at": "2026-03-03T00:00:00+00:00", "paths": [text], "files": {text: 1}, "skipped_files": 2, "skipped": [text], "lines": 5,
            "added": 3, "known": 0, "rejected": 2,
        }),
        drift=(Drifted("code_review_features", "rejection_rate", text, 0.3, "alert", 100, 20, "0.1 to 0.4", text),),
    )  # fmt: skip


def test_no_text_becomes_markup():
    page = Page(render(report(HOSTILE)))
    tags = {tag for tag, _ in page.elements}
    assert not tags & {"script", "img", "iframe", "object", "link"}
    assert not [
        name for _, attributes in page.elements for name in attributes if name.startswith("on") or name in {"src", "action", "formaction"}
    ]
    said = "".join(page.text)
    assert said.count("<script>alert(1)</script>") >= 20
    assert "{{7*7}}" in said
    assert "49" not in said


def test_nothing_is_loaded_from_anywhere():
    text = render(report())
    assert not re.findall(r"https?:|//[a-z]|@import|url\((?!#)", text)
    assert all(each["href"].startswith("#") for each in Page(text).named("a"))
    (policy,) = [each["content"] for each in Page(text).named("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")


def test_links_and_labels_lead_somewhere_and_names_are_unique():
    page = Page(render(report()))
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [each["href"][1:] for each in page.named("a")]
    labels = [name for _, each in page.elements for name in (each.get("aria-labelledby") or "").split()]
    assert set(targets) | set(labels) <= set(ids)


def test_it_can_be_read_by_keyboard_and_by_a_screen_reader():
    text = render(report())
    page = Page(text)
    assert page.named("html")[0]["lang"] == "en"
    assert page.named("a")[0]["class"] == "skip"
    assert all((each.get("role") == "img" and each["aria-labelledby"]) or each.get("aria-hidden") == "true" for each in page.named("svg"))
    assert all("scope" in each for each in page.named("th"))
    scrolled = [each for each in page.named("div") if each.get("class") == "scroll"]
    assert scrolled
    assert all(each["tabindex"] == "0" and each["role"] == "region" and each["aria-label"] for each in scrolled)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(later <= earlier + 1 for earlier, later in pairwise(levels))
    assert not [each for _, each in page.elements if int(each.get("tabindex") or 0) > 0]


def test_what_is_tested_and_what_is_a_record_are_told_apart_in_words():
    said = " ".join("".join(Page(render(report())).text).split())
    assert "1 changed by more than chance explains" in said
    assert "change beyond chance" in said
    assert "a fact, no finding" in said
    assert "▲ alert" in said


def test_without_drift_the_command_is_named():
    import dataclasses

    text = render(dataclasses.replace(report(), drift=None, drift_note="Not computed yet. `detektor drift` computes it."))
    assert "<code>detektor drift</code> computes it." in text


@pytest.mark.parametrize(("days", "parts", "by_week"), [(1, 1, False), (59, 59, False), (60, 9, True), (184, 27, True)])
def test_weeks_are_counted_back_from_the_end(days, parts, by_week):
    period = Period(date(2026, 1, 1), date.fromordinal(date(2026, 1, 1).toordinal() + days - 1))
    found = buckets_of(period.days)
    assert (len(found.spans), found.by_week) == (parts, by_week)
    assert found.sums([1] * days)[-1] == (7 if by_week else 1)
    assert sum(found.sums([1] * days)) == days


def test_code_in_a_text_is_escaped_too():
    assert str(with_code("run `a <b>` & see")) == "run <code>a &lt;b&gt;</code> &amp; see"
