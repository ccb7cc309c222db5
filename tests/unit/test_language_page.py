"""docs/language.md: every word of the language stands there with an example, and each example gives what stands behind it."""

from __future__ import annotations

import datetime as dt
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pytest
from support.engine_cases import event_table
from support.oracle import Event, values

import detektor_pipelines.language as words
from detektor_pipelines import clock
from detektor_pipelines.engine.as_of import values_at
from detektor_pipelines.language import Aggregation, DefinitionError, Derived, Feature, FeatureView, count, days, event, total
from detektor_pipelines.language.events import MEASURES
from detektor_pipelines.language.expressions import Predicate

if TYPE_CHECKING:
    from collections.abc import Iterator

PAGE: Final = (Path(__file__).resolve().parents[2] / "docs/language.md").read_text()
NOON: Final = clock.parse_instant("2026-03-05T12:00:00Z")
BLOCKS: Final = re.findall(r"^```python\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)


def is_list_of_examples(block: str) -> bool:
    return all("  # " in line for line in block.splitlines())


def namespace() -> dict[str, Any]:
    """The words, and what the page's whole files define."""
    space = {name: getattr(words, name) for name in words.__all__}
    for block in BLOCKS:
        if not is_list_of_examples(block):
            exec(compile(block, "docs/language.md", "exec"), space)  # noqa: S102  our own page
    return space


def examples() -> Iterator[tuple[str, str]]:
    for block in BLOCKS:
        if is_list_of_examples(block):
            for line in block.splitlines():
                text, _, wanted = line.partition("  # ")
                yield text, wanted


EXAMPLES: Final = list(examples())
SPACE: Final = namespace()


def events() -> list[Event]:
    """The page's table."""
    lines = [
        [cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if re.match(r"\| (occurred_at|2026)", line)
    ]
    found = []
    for cells in lines[1:]:
        row: dict[str, Any] = {name: cell or None for name, cell in zip(lines[0], cells, strict=True)}
        at, name, project = clock.parse_instant(row.pop("occurred_at")), row.pop("event_id"), row.pop("project")
        row = {key: int(value) if value is not None and key in MEASURES else value for key, value in row.items()}
        found.append(Event(name, at, at, project, values=row))
    return found


def feature_of(name: str, value: Aggregation | Derived, **more: Any) -> Feature:
    over = days(7) if isinstance(value, Aggregation) else None
    return Feature(name, value, over=over, description="x", unit="x", null_means="x", **more)


def computed(*features: Feature) -> dict[str, Any]:
    view = FeatureView("some_features", "code-reviewer", "1.0.0", "x", "x", features)
    found = values_at(view, event_table(view, events()), NOON)[view.agent]
    assert found == values(view, events(), NOON, as_served=False)
    return dict(zip((each.name for each in features), found, strict=True))


def shown(feature: Feature, value: Any) -> str:
    if value is None:
        return "null"
    return f"{clock.from_us(value).astimezone(dt.UTC):%Y-%m-%dT%H:%M:%SZ}" if feature.value_type == "instant" else str(value)


def test_the_table_of_events_is_read() -> None:
    assert [each.event_id for each in events()] == ["r1", "r2", "r3", "c1", "r4"]
    assert len(EXAMPLES) > 60


def test_every_word_has_an_example() -> None:
    code = "\n".join(BLOCKS)
    without = {"Aggregation", "Derived", "Expression", "DefinitionError"}  # what the words make, and what they raise
    assert [name for name in words.__all__ if name not in without and not re.search(rf"\b{name}\b", code)] == []


@pytest.mark.parametrize(("text", "wanted"), [each for each in EXAMPLES if each[1].startswith("refused: ")])
def test_what_the_page_says_is_refused_is(text: str, wanted: str) -> None:
    with pytest.raises(DefinitionError) as error:
        feature_of("some_value", eval(text, SPACE))  # noqa: S307  our own page
    said = wanted.removeprefix("refused: ")
    assert str(error.value) == said or (said.endswith(" …") and str(error.value).startswith(said.removesuffix("…")))


def test_each_example_gives_what_stands_behind_it() -> None:
    made = {text: eval(text, SPACE) for text, wanted in EXAMPLES if not wanted.startswith("refused: ")}  # noqa: S307  our own page
    parts = [feature_of("count", count()), feature_of("total", total(event.issues_found)), feature_of("zero", total(event.issues_critical))]
    features = {
        text: feature_of(f"f{number}", value)
        for number, (text, value) in enumerate(made.items())
        if isinstance(value, Aggregation | Derived)
    }
    found = computed(*parts, *features.values())
    for text, wanted in EXAMPLES:
        if wanted.startswith("refused: "):
            continue
        value = made[text]
        if isinstance(value, Predicate):
            assert f"passes {sum(value.evaluate(each.row()) is True for each in events())}" == wanted, text
        elif text in features:
            assert shown(features[text], found[features[text].name]) == wanted, text
        else:
            assert str(value) == wanted, text


def test_the_counts_by_category_are_those_of_the_page() -> None:
    found = computed(*SPACE["FEATURES"])
    assert all(f"`{name}` ({value})" in PAGE for name, value in found.items()), found
    assert sum(value for name, value in found.items() if name.startswith("verdicts")) == 3
    assert sum(value for name, value in found.items() if name.startswith("calls")) == 1


def test_the_view_of_the_page_is_computed_with_the_oracles_values() -> None:
    assert computed(*SPACE["VIEW"].features) == {"reviews_count": 4, "rejected_rate": 2 / 3, "rejected_percent": 2 / 3 * 100}
