"""The tools of Claude Code of whose calls more is read than their name."""

from __future__ import annotations

from typing import Final

SUBAGENT_TOOLS: Final = frozenset({"Task", "Agent"})
SHELL_TOOLS: Final = frozenset({"Bash", "PowerShell"})
EDIT_TOOLS: Final = frozenset({"Edit", "MultiEdit", "Write", "NotebookEdit"})
LOOKED_INTO: Final = SUBAGENT_TOOLS | SHELL_TOOLS | EDIT_TOOLS
