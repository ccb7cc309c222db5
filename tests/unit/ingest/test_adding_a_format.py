"""The page that says how a format is added: its example is taken as it stands, and read."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

from detektor_pipelines.ingest.dispatch import Reading
from detektor_pipelines.ingest.files import Journal, find_logs
from detektor_pipelines.ingest.readers import formats
from detektor_pipelines.ingest.readers.interface import ReadContext
from detektor_pipelines.ingest.readers.names import AgentNames
from detektor_pipelines.language.records import AgentEvent

if TYPE_CHECKING:
    import pytest

PAGE = (Path(__file__).parents[3] / "docs" / "adding-a-log-format.md").read_text(encoding="utf-8")


def blocks(language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


def test_the_example_reads_its_log_and_comes_to_what_the_page_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module, entry = blocks("python")
    (tmp_path / "lathe_of_the_page.py").write_text(module)
    monkeypatch.syspath_prepend(str(tmp_path))
    made = eval(entry.replace("detektor_pipelines.ingest.readers.sessions.lathe", "lathe_of_the_page"), {"Format": formats.Format})  # noqa: S307
    monkeypatch.setattr(formats, "FORMATS", (made, *formats.FORMATS))
    logs = tmp_path / "logs"
    logs.mkdir()
    (logs / "L-17.jsonl").write_text(blocks("jsonl")[0] + '{"type": "summary", "leafUuid": "claude"}\n')
    journal = Journal()
    reading = Reading(find_logs([logs], journal), journal, ReadContext(names=AgentNames.load()))
    events = {event.event_id: event for event in reading.records() if isinstance(event, AgentEvent)}
    told = re.findall(r"^\| `(\w+:[\w-]+)` \| ([\w-]+).*?\| `(\w+)`: (.*?) \|$", PAGE, re.MULTILINE)
    assert {event_id for event_id, *_ in told} == set(events)
    for event_id, name, operation, said in told:
        event = events[event_id]
        assert (event.raw_name, event.operation, event.project, event.session_id) == (name, operation, "kiosk", "L-17")
        held = {str(value) for value in (*event.categories.values(), *event.measures.values())}
        assert set(re.findall(r"[a-z_]+_code|success|failure|approved|[\d,]*\d", said)) <= {
            f"{int(each):,}" if each.isdigit() else each for each in held
        }
    assert reading.stats["lathe"].strange == {"ping": 1}
    assert reading.stats["claude-code"].types == {"summary": 1}
