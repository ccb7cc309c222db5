"""`detektor generate`: what it writes is in the tree, and `--check` says what is not."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands import generate


def test_the_tree_holds_what_is_generated() -> None:
    assert generate.differing(generate.REPOSITORY, generate.render()) == [], "run: detektor generate"


def test_generators_return_the_files_that_others_rely_on() -> None:
    assert {"docs/self-learning-agents/feature-guide.md", "docs/agent-events.schema.json", "feature_repo/feature_store.yaml"} <= set(
        generate.render()
    )


def test_files_are_written_once_and_then_up_to_date(tmp_path: Path) -> None:
    rendered = {"docs/a.md": "a\n", "b.txt": "b\n"}

    assert generate.differing(tmp_path, rendered) == ["b.txt", "docs/a.md"]
    generate.write(tmp_path, rendered)
    assert generate.differing(tmp_path, rendered) == []
    assert (tmp_path / "docs/a.md").read_text() == "a\n"


def test_a_page_that_is_rendered_no_more_is_deleted(tmp_path: Path) -> None:
    page = "docs/self-learning-agents/old_view.md"
    generate.write(tmp_path, {page: "old\n"})

    assert generate.differing(tmp_path, {}) == [page]
    generate.write(tmp_path, {})
    assert not (tmp_path / page).exists()


def test_check_names_the_file_its_difference_and_the_command_that_mends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.md").write_text("one\ntwo\n")
    monkeypatch.setattr(generate, "REPOSITORY", tmp_path)
    monkeypatch.setattr(generate, "render", lambda: {"a.md": "one\nthree\n"})

    result = CliRunner().invoke(build_app(), ["generate", "--check"])

    assert result.exit_code == 1
    assert "a.md is out of date" in result.output
    assert "-two" in result.output
    assert "+three" in result.output
    assert "Run: detektor generate" in result.output
    assert (tmp_path / "a.md").read_text() == "one\ntwo\n"


def test_a_long_difference_is_cut(tmp_path: Path) -> None:
    lines = list(generate.difference(tmp_path, "a.md", {"a.md": "x\n" * 100}))

    assert len(lines) == 13
    assert lines[-1] == "… 91 more lines"
