"""Ports that are chosen and not yet listened at: nobody else chooses them meanwhile."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.settings import Settings
from detektor_pipelines.stack import lifecycle, ports
from detektor_pipelines.stack.programs import PROGRAMS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SERVERS = [PROGRAMS[name] for name in ("redis", "registry")]


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[tuple[Settings, Settings]]:
    """Return the settings of two homes that want the same ports."""
    wanted = {"redis_port": ports.free_port(), "registry_port": ports.free_port(second=3)}
    made = Settings(home=tmp_path / "one", **wanted), Settings(home=tmp_path / "other", **wanted)
    yield made
    for each in made:
        ports.release(each.home)


def settled(settings: Settings, *, free_ports: bool = True) -> set[int]:
    found = lifecycle._settle_ports(settings, SERVERS, [], lambda _: None, free_ports=free_ports)
    return {found.redis_port, found.registry_port, found.registry_grpc}


def test_two_at_the_same_moment_choose_different_ports(homes: tuple[Settings, Settings]) -> None:
    """As two `detektor up --free-ports` do of which the second begins before a server of the first listens."""
    first, second = map(settled, homes)
    assert first == {homes[0].redis_port, homes[0].registry_port, homes[0].registry_port + 3}
    assert len(second) == 3
    assert not first & second


def test_without_the_option_the_second_one_is_told(homes: tuple[Settings, Settings]) -> None:
    settled(homes[0])
    with pytest.raises(UserError, match=str(homes[1].redis_port)):
        settled(homes[1], free_ports=False)


def test_a_port_is_given_up_when_its_server_listens_or_nothing_came_of_it(homes: tuple[Settings, Settings]) -> None:
    first = settled(homes[0])
    assert settled(homes[0]) == first, "the same home may ask again"
    ports.release(homes[0].home)
    assert settled(homes[1]) == first


def test_who_listens_at_every_address_is_not_held_up_by_a_claim(homes: tuple[Settings, Settings]) -> None:
    port = homes[0].redis_port
    assert ports.claim({port}, homes[0].home)
    for address in ("127.0.0.1", "0.0.0.0"):  # noqa: S104
        with socket.create_server((address, port)):
            assert not ports.claim({port}, homes[1].home)
