"""The storing half of a run: what is done at once, and how often Python looks for cycles meanwhile."""

from __future__ import annotations

import gc
import threading
from typing import TYPE_CHECKING, Any, cast

import pytest

from detektor_pipelines.ingest import cycles, run
from detektor_pipelines.ingest.run import _BackgroundWriter
from detektor_pipelines.stores.raw_log.writer import EventWriter, IngestCounts

if TYPE_CHECKING:
    from collections.abc import Sequence

ONLY_WHEN_IT_FAILS_S = 10


def test_a_batch_is_laid_out_while_the_one_before_is_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    second_is_laid_out = threading.Event()
    stored: list[tuple[Sequence[Any], bool]] = []

    def chunks_of(events: Sequence[Any]) -> list[Any]:
        if events == ["second"]:
            second_is_laid_out.set()
        return list(events)

    class Store:
        def write_chunks(self, chunks: Sequence[Any], _rejections: Sequence[Any]) -> IngestCounts:
            stored.append((chunks, second_is_laid_out.wait(ONLY_WHEN_IT_FAILS_S)))
            return IngestCounts(added=len(chunks))

    monkeypatch.setattr(run, "chunks_of", chunks_of)
    with _BackgroundWriter(cast("EventWriter", Store())) as background:
        background.write(cast("Any", ["first"]), [])
        background.write(cast("Any", ["second"]), [])
    assert stored == [(["first"], True), (["second"], True)]
    assert background.counts == IngestCounts(added=2)


def test_cycles_are_looked_for_as_before_when_it_is_over() -> None:
    before, meanwhile = gc.get_threshold(), []

    @cycles.looked_for_rarely()
    def fails() -> None:
        meanwhile.append(gc.get_threshold())
        raise KeyError

    with pytest.raises(KeyError):
        fails()
    assert meanwhile[0] > before
    assert gc.get_threshold() == before
