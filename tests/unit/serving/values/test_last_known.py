from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.serving.values.last_known import FILE, LastKnown

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


def write(last: LastKnown, values: dict[str, bytes]) -> None:
    last._values, last.written_at = values, "2026-11-24T00:00:00Z"
    asyncio.run(last._write())


def test_what_was_written_is_read_again(settings: Settings) -> None:
    last = LastKnown(settings)
    assert not last
    write(last, {"feast:a": b"\x00\xde", "feast:b": b""})
    again = LastKnown(settings)
    assert again.get(["feast:b", "feast:c", "feast:a"]) == [b"", None, b"\x00\xde"]
    assert again.written_at == last.written_at
    assert [each.name for each in settings.home.iterdir()] == [FILE], "nothing is left beside it"


@pytest.mark.parametrize(
    "content", [b"", b"{", b"[]", b"{}", b'{"written_at": 1, "values": []}', b'{"written_at": 1, "values": {"a": "?"}}']
)
def test_a_damaged_file_is_no_values(settings: Settings, content: bytes, caplog: pytest.LogCaptureFixture) -> None:
    settings.home.mkdir(parents=True)
    (settings.home / FILE).write_bytes(content)
    assert not LastKnown(settings)
    assert "cannot be read" in caplog.text


def test_a_write_that_fails_leaves_the_old_file(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    last = LastKnown(settings)
    write(last, {"feast:a": b"1"})
    before = (settings.home / FILE).read_bytes()

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="No space"):
        write(last, {"feast:a": b"2"})
    assert (settings.home / FILE).read_bytes() == before
    assert list(json.loads(before)) == ["written_at", "values"]
    assert [each.name for each in settings.home.iterdir()] == [FILE]
    assert LastKnown(settings).get(["feast:a"]) == [b"1"]


def test_a_lost_cancellation_does_not_keep_the_server_from_ending(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    async def deaf_once(_: LastKnown) -> None:
        with suppress(asyncio.CancelledError):
            await asyncio.sleep(60)
        await asyncio.sleep(60)

    async def run() -> None:
        async with asyncio.timeout(10), LastKnown(settings).keeping():
            await asyncio.sleep(0)
        assert asyncio.all_tasks() == {asyncio.current_task()}

    monkeypatch.setattr(LastKnown, "_keep", deaf_once)
    asyncio.run(run())
