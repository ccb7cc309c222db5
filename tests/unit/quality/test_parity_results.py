"""What the last comparison left in Redis, read by another build or after somebody else wrote there."""

from __future__ import annotations

import json

import pytest

from detektor_pipelines.quality.parity.check import _of_this_build


def test_what_this_build_wrote_comes_back() -> None:
    results = {"at": 1, "views": {"one": {"known": 2, "states": {"same": 2}}}}
    assert _of_this_build(json.dumps(results).encode()) == results


@pytest.mark.parametrize(
    "text", [b"", b"\xff", b"[]", b"{}", b'{"views": []}', b'{"views": {"one": 1}}', b'{"views": {"one": {}}}', b"[" * 20_000]
)
def test_what_cannot_be_its_is_none(text: bytes) -> None:
    assert _of_this_build(text) is None
