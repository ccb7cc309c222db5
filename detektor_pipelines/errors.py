"""The one exception that a person is meant to read.

Belongs here: `UserError`. Does not belong here: errors that only our own code catches; they stand beside what raises them.
"""


class UserError(Exception):
    """A mistake or a missing server that a person can fix: printed without a traceback, exit code 1.

    Args:
        what: What went wrong, one sentence.
        where: The file, line, address, port or option it happened at.
        fix: What to do about it, best a command that can be copied.

    """

    def __init__(self, what: str, *, where: str | None = None, fix: str | None = None) -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.fix = fix

    def __str__(self) -> str:
        """Give all three parts, one a line, for logs and for Dagster's pages."""
        lines = [self.what]
        if self.where:
            lines.append(f"where: {self.where}")
        if self.fix:
            lines.append(f"what to do: {self.fix}")
        return "\n".join(lines)
