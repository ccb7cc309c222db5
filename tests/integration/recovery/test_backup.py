"""What a backup holds, what of it the next one keeps, and that nothing is taken for whole which is not."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg
import pyarrow as pa
import pytest

from detektor_pipelines.errors import UserError
from detektor_pipelines.recovery import create as creating
from detektor_pipelines.recovery import listing, log_chunks, tools, verify
from detektor_pipelines.recovery import manifest as manifests
from detektor_pipelines.recovery.sealing import Opener, make_key, recipients
from detektor_pipelines.recovery.target import Target
from detektor_pipelines.settings import Settings

from .conftest import EVENT, events, rows

if TYPE_CHECKING:
    from conftest import Platform

    from detektor_pipelines.recovery.manifest import Manifest

IDS = "SELECT event_id FROM ml_learning.agent_events ORDER BY 1"


def held(platform: Platform, manifest: Manifest) -> list[str]:
    """The event_ids of a backup's pieces, read from its files as anybody could."""
    found = []
    for chunk in manifest.chunks:
        if chunk.object:
            content = platform.target._files.cat_file(platform.target._path("objects", chunk.object.name))
            text = pa.CompressedInputStream(io.BytesIO(content), "zstd").read().decode()
            ids = [line.split("\t")[0] for line in text.splitlines()]
            assert len(ids) == chunk.contents.rows
            found += ids
    return sorted(found)


def logged(settings: Settings) -> list[str]:
    return [name for (name,) in rows(settings, IDS)]


@pytest.fixture
def small_pieces(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_chunks, "ROWS", 2)
    monkeypatch.setattr(log_chunks, "FEW", 1)


def test_the_next_backup_writes_only_what_came_since(platform: Platform, small_pieces: None) -> None:
    first = platform.backup()
    for number in range(5):
        platform.add(f"a{number}")
    second = platform.backup()
    assert held(platform, second.manifest) == logged(platform.settings)
    old = [chunk for chunk in first.manifest.chunks if chunk.end is not None]
    assert second.manifest.chunks[: len(old)] == old, "a piece that is over stays, with its file"
    assert len(second.manifest.chunks) >= len(old) + 2, "two rows a piece"
    assert (second.kept_chunks, second.changed_chunks) == (len(old), 0)
    assert second.manifest.artifacts == first.manifest.artifacts, "the same file is not stored twice"
    before = {one.name for one in first.manifest.objects}
    new = {one.name: one.size for one in second.manifest.objects if one.name not in before}
    assert second.written == sum(new.values()), "nothing that the first backup has is written again"
    assert sum(each.object not in first.manifest.objects for each in second.manifest.artifacts) == 0
    ends = [0, *(chunk.end for chunk in second.manifest.chunks)]
    assert [chunk.first for chunk in second.manifest.chunks] == ends[:-1], "no gap between them"
    assert ends[-1] is None
    assert platform.backup(full=True).written > second.written


def test_a_last_piece_of_few_rows_is_written_with_what_came_since(platform: Platform) -> None:
    numbers = []
    for number in range(3):
        platform.add(f"a{number}")
        made = platform.backup().manifest
        numbers.append(len(made.chunks))
        assert held(platform, made) == logged(platform.settings)
    assert numbers[-1] <= 2, "one that is over, and one that is not"


def test_a_transaction_that_ends_after_the_backup_is_in_the_next_one(platform: Platform, small_pieces: None) -> None:
    with psycopg.connect(platform.settings.postgres_dsn) as straggler:
        straggler.execute(EVENT, ["straggler"])
        platform.add("after", "after too")
        first = platform.backup().manifest
        assert held(platform, first) == logged(platform.settings), "what is committed is there, whatever runs below"
    platform.add("later")
    second = platform.backup().manifest
    assert "straggler" in held(platform, second)
    assert held(platform, second) == logged(platform.settings)


def test_what_is_committed_during_the_backup_is_in_no_part_of_it(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    dump = tools.dump

    def meanwhile(*words: Any) -> None:
        with psycopg.connect(platform.settings.postgres_dsn) as connection:
            connection.execute(EVENT, ["meanwhile"])
            connection.execute("DELETE FROM ml_learning.partition_state")
        dump(*words)

    before = events(platform.settings)
    states = rows(platform.settings, "SELECT * FROM ml_learning.partition_state ORDER BY 1, 2, 3")
    monkeypatch.setattr(tools, "dump", meanwhile)
    platform.backup()
    platform.restore(online=False)
    assert len(events(platform.settings)) == len(before) + 1
    assert events(platform.elsewhere) == before
    assert rows(platform.elsewhere, "SELECT * FROM ml_learning.partition_state ORDER BY 1, 2, 3") == states


def test_erased_rows_leave_the_pieces_and_stay_in_backups_of_before(platform: Platform, small_pieces: None) -> None:
    for name in "abcdef":
        platform.add(name)
    first = platform.backup().manifest
    with psycopg.connect(platform.settings.postgres_dsn) as connection:
        connection.execute("DELETE FROM ml_learning.agent_events WHERE event_id = 'c'")
    second = platform.backup()
    assert second.changed_chunks == 1
    assert "c" not in held(platform, second.manifest)
    assert held(platform, second.manifest) == logged(platform.settings)
    assert "c" in held(platform, first)
    third = platform.backup()
    assert third.changed_chunks == 0
    going, files = listing.prune(platform.target, 1, delete=False)
    assert going == [first.backup, second.manifest.backup]
    listing.prune(platform.target, 1)
    assert platform.target.backups() == [third.manifest.backup]
    assert set(platform.target.sizes()) == {each.name for each in third.manifest.objects}
    assert any("log-" in name for name in files), "the piece with it is gone"
    assert verify.files(platform.target, third.manifest, Opener(platform.settings)).problems == []


def test_an_interrupted_backup_looks_like_none(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    platform.backup()
    put, calls = Target.put, []

    def dies(self: Target, name: str, file: Path) -> tuple[int, str]:
        calls.append(name)
        if len(calls) > 2:
            raise KeyboardInterrupt
        return put(self, name, file)

    with monkeypatch.context() as patch:
        patch.setattr(Target, "put", dies)
        with pytest.raises(KeyboardInterrupt):
            platform.backup(full=True)
    assert len(platform.target.backups()) == 1
    assert list((platform.settings.home / creating.WORK).iterdir()) == []
    left = {name for name in platform.target.sizes() if name.partition("/")[0] != platform.target.backups()[0]}
    assert left
    assert listing.prune(platform.target, 1)[1] == [], "it may be under way still"
    monkeypatch.setattr(listing, "UNFINISHED", -listing.UNFINISHED)
    assert set(listing.prune(platform.target, 1)[1]) == left
    made = platform.backup().manifest
    assert verify.files(platform.target, made, Opener(platform.settings)).problems == []


def test_a_file_that_the_storage_lost_is_written_again(platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
    first = platform.backup().manifest
    lost = next(chunk.object for chunk in first.chunks if chunk.object)
    platform.target.delete([lost.name])
    monkeypatch.setattr(log_chunks, "FEW", 0)
    second = platform.backup().manifest
    assert held(platform, second) == logged(platform.settings)
    assert (
        f"{lost.name}: The storage of the backups does not give"
        in verify.files(platform.target, first, Opener(platform.settings)).problems[0]
    )


def test_one_at_a_time(platform: Platform) -> None:
    with creating.working_directory(platform.settings), pytest.raises(UserError, match="Another backup or restore is under way"):
        platform.backup()


def test_on_other_storages(platform: Platform, remote: Target) -> None:
    platform.target = remote
    platform.backup()
    platform.add("later")
    platform.backup()
    listing.prune(remote, 1)
    platform.restore(online=False)
    assert events(platform.elsewhere) == events(platform.settings)


def test_encrypted(platform: Platform, tmp_path: Path) -> None:
    public, other = make_key(tmp_path / "key"), make_key(tmp_path / "other")
    assert (tmp_path / "key").stat().st_mode & 0o777 == 0o600
    plain = platform.backup().manifest
    made = platform.backup(public).manifest
    assert {each.name for each in made.objects}.isdisjoint(each.name for each in plain.objects), "nothing readable is kept"
    stored = b"".join(path.read_bytes() for path in Path(platform.target.name, "objects", made.backup).rglob("*") if path.is_file())
    assert b"model.skops" not in stored
    assert stored.count(b"age-encryption.org/v1") == len(made.objects)
    again = platform.backup(public)
    assert again.manifest.artifacts == made.artifacts, "what is encrypted to the same keys is kept"

    right, wrong = Opener(platform.settings, tmp_path / "key"), Opener(platform.settings, tmp_path / "other")
    assert verify.whole(platform.target, made, right).problems == []
    found = verify.files(platform.target, made, wrong)
    assert "cannot be decrypted" in found.problems[0]
    assert "no key was given" in verify.files(platform.target, made, Opener(platform.settings)).problems[0]
    changed = Settings(backup_identity=(tmp_path / "key").read_text(), backup_recipients=f"{public},{other}")
    assert verify.files(platform.target, made, Opener(changed)).problems == []
    assert recipients(changed) == tuple(sorted({public, other}))
    with pytest.raises(UserError, match="holds a private key"):
        recipients(changed, [str(tmp_path / "key")])
    with pytest.raises(UserError, match="no public key"):
        platform.backup("age1nonsense")
    with pytest.raises(UserError, match="not there yet"):
        make_key(tmp_path / "key")


def damaged(platform: Platform, made: Manifest, name: str) -> None:
    """Change one byte in the middle of a file."""
    file = Path(platform.target.name, "objects", name)
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


def test_a_damaged_file_is_named_and_nothing_restored(platform: Platform) -> None:
    made = platform.backup().manifest
    chunk = next(each.object for each in made.chunks if each.object)
    damaged(platform, made, chunk.name)
    assert verify.whole(platform.target, made, Opener(platform.settings)).problems == [
        f"{chunk.name}: A file of the backup is damaged: its SHA-256 is another one."
    ]
    with pytest.raises(UserError, match="is damaged"):
        platform.restore()
    assert rows(platform.elsewhere, "SELECT count(*) FROM pg_class WHERE relname = 'agent_events'") == [(0,)]


def test_tables_that_are_not_as_they_were_are_found(platform: Platform) -> None:
    """The files are as they were written, and yet not what the database held."""
    made = platform.backup().manifest
    chunk, name = made.chunks[0], "ml_learning.partition_state"
    tables = {**made.tables, name: replace(made.tables[name], hash="1")}
    other = replace(made, chunks=[replace(chunk, contents=replace(chunk.contents, rows=7)), *made.chunks[1:]], tables=tables)
    found = verify.whole(platform.target, other, Opener(platform.settings)).problems
    assert [problem.partition(":")[0] for problem in found] == [name, "log from 0"]


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"format": 99, "release": "9.0.0"}, "format 99, and this release reads format 1"),
        ({"backup": "another"}, "its hash is another one"),
        (None, "is damaged"),
    ],
)
def test_manifests_that_cannot_be_used(platform: Platform, change: dict[str, Any] | None, says: str) -> None:
    made = platform.backup().manifest
    file = Path(platform.target.name, "manifests", f"{made.backup}.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | change) if change else file.read_text()[:500])
    with pytest.raises(UserError, match=says):
        listing.chosen(platform.target, None)
    assert verify.files(platform.target, platform.backup().manifest, Opener(platform.settings)).problems == [], "the next one is whole"


def test_what_a_manifest_says_is_what_it_read(platform: Platform) -> None:
    made = platform.backup().manifest
    assert listing.chosen(platform.target, made.backup) == made
    assert manifests.read(made.as_bytes(), "here") == made
    with pytest.raises(UserError, match="no backup nonsense"):
        listing.chosen(platform.target, "nonsense")


def test_storages_that_are_none(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="needs another package"):
        Target("s3://bucket/x")
    with pytest.raises(UserError, match="no address of a storage"):
        Target("nonsense://bucket/x")
    assert Target("memory://name:secret@host/x").name == "memory://host/x"
    with pytest.raises(UserError, match="There is no backup"):
        listing.chosen(Target(str(tmp_path)), None)
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match="does not take"):
        Target(str(tmp_path / "file")).put("a/b", tmp_path / "file")
