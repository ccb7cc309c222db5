from __future__ import annotations

from datetime import date

import pytest

from detektor_pipelines.stack import supported

TODAY = date(2026, 11, 29)


@pytest.mark.parametrize(
    ("version", "external", "result"),
    [
        (130022, True, "failed"),
        (140020, True, "warning"),
        (150017, True, "ok"),
        (180004, False, "ok"),
        (190001, True, "ok"),
    ],
)
def test_a_postgresql_that_is_no_longer_mended_is_named(version: int, result: str, *, external: bool) -> None:
    found = supported.postgres(version, TODAY, external=external)
    assert found.result == result
    assert f"PostgreSQL {version // 10_000}.{version % 10_000}" in found.found
    assert bool(found.fix) == (result != "ok")


@pytest.mark.parametrize(
    ("kind", "version", "external", "result"),
    [
        ("redis", "5.0.14", True, "failed"),
        ("redis", "6.2.14", True, "ok"),
        ("redis", "6.2.14", False, "ok"),
        ("redis", "7.0.15", True, "warning"),
        ("redis", "7.2.11", True, "ok"),
        ("redis", "7.4.1", True, "ok"),
        ("redis", "8.2.1", True, "ok"),
        ("valkey", "7.2.11", True, "ok"),
        ("valkey", "8.1.8", False, "ok"),
        ("redis", "unstable", True, "ok"),
    ],
)
def test_a_redis_that_is_no_longer_mended_is_named(kind: str, version: str, result: str, *, external: bool) -> None:
    found = supported.redis(kind, version, TODAY, external=external)
    assert found.result == result
    assert version in found.found


def test_a_release_is_named_from_the_day_after_its_last() -> None:
    last = supported.POSTGRES[15]
    assert supported.postgres(150017, last, external=True).result == "ok"
    assert supported.postgres(150017, date.fromordinal(last.toordinal() + 1), external=True).result == "warning"
