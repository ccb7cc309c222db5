"""Files that are replaced as a whole, and turns that end with their holder."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from detektor_pipelines.files import replace_file, turn

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

HOLDER = """
import sys, pathlib
from detektor_pipelines.files import turn
with turn(pathlib.Path(sys.argv[1])) as mine:
    print(mine, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("durable", [True, False])
def test_a_file_is_replaced_with_its_mode_and_nothing_is_left_beside_it(tmp_path: Path, *, durable: bool) -> None:
    file = tmp_path / "state.json"
    replace_file(file, "first")
    assert file.stat().st_mode & 0o777 == 0o600
    replace_file(file, [b"sec", b"ond \xc5\xbc"], mode=0o644, durable=durable)
    assert file.stat().st_mode & 0o777 == 0o644
    assert file.read_text(encoding="utf-8") == "second ż"
    assert list(tmp_path.iterdir()) == [file]


def test_what_cannot_be_written_whole_changes_nothing(tmp_path: Path) -> None:
    def breaking() -> Iterator[bytes]:
        yield b"a part"
        raise OSError(28, "No space left on device")

    file = tmp_path / "state.json"
    replace_file(file, "whole")
    with pytest.raises(OSError, match="No space"):
        replace_file(file, breaking())
    assert file.read_text(encoding="utf-8") == "whole"
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("kind", ["file", "directory"])
def test_one_process_holds_the_turn_and_its_end_frees_it(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock" if kind == "file" else tmp_path
    with subprocess.Popen([sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "True\n"
        with turn(path) as mine:
            assert not mine
        other.kill()
    with turn(path, wait=True) as mine:
        assert mine
        with turn(path) as again:
            assert not again
    with turn(path) as mine:
        assert mine
