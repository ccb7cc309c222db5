"""A split in the order of time: learn from the earlier, choose by the later, judge by the latest, with an embargo before each border.

    |------- train -------|· embargo ·|--- validation ---|· embargo ·|----- test -----|
    |----------------------- refit -----------------------|· embargo ·|----- test -----|

The embargo is the longest window of the features: without it the features just after a border would be made of the events whose labels
were learnt just before it. A label that was not yet known at the border is not learnt from either, however old its decision is. The borders
lie where the three parts, after the embargo, come nearest to SHARES: in half a year two embargoes of a month leave out a third.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from detektor_pipelines import clock
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Places = NDArray[np.int64]
    Instants = NDArray[np.int64]
    Truths = NDArray[np.bool_]

SHARES: Final = (0.5, 0.2, 0.3)
"""Of what the embargo leaves: to learn from, to choose by, to judge by."""
_TRIED: Final = 400
"""Places for a border, evenly spaced over the rows."""
MINIMUM: Final = 40
"""Labels in each part."""
MINIMUM_OF_A_CLASS: Final = 8
"""True ones and false ones in each part: with fewer a metric says nothing."""


@dataclass(frozen=True)
class Split:
    """Places of the rows of each part; `validation_from` and `test_from` are the borders, µs UTC; `embargo` µs."""

    train: Places
    validation: Places
    refit: Places
    test: Places
    validation_from: int
    test_from: int
    embargo: int
    embargoed: int


def split(decided_at: Instants, known_at: Instants, labels: Truths, embargo: int) -> Split:
    """Split rows in the order of time.

    Args:
        decided_at: Ascending, µs UTC.
        known_at: From when each label is known, µs UTC.
        labels: True or false.
        embargo: The longest window of the features, µs.

    Raises:
        UserError: Too little data, or of one class only; says how much there was and how much it takes.

    """
    import numpy as np

    _check_classes(labels)
    validation_from, test_from = borders(decided_at, embargo)

    def learnable(border: int) -> NDArray[np.bool_]:
        found: NDArray[np.bool_] = (decided_at < border - embargo) & (known_at < border)
        return found

    later = decided_at >= validation_from
    made = Split(
        train=np.flatnonzero(learnable(validation_from)),
        validation=np.flatnonzero(later & learnable(test_from)),
        refit=np.flatnonzero(learnable(test_from)),
        test=np.flatnonzero(decided_at >= test_from),
        validation_from=validation_from,
        test_from=test_from,
        embargo=embargo,
        embargoed=int(np.count_nonzero((decided_at < test_from) & ~learnable(test_from))),
    )
    _check(made, decided_at, labels)
    return made


def borders(decided_at: Instants, embargo: int) -> tuple[int, int]:
    """Return from when on rows are to choose by, and from when on to judge by, µs UTC: where the parts come nearest to SHARES."""
    import numpy as np

    rows = len(decided_at)
    tried = np.unique(decided_at[np.linspace(0, rows - 1, min(rows, _TRIED)).astype(np.int64)])
    before, until_embargo = np.searchsorted(decided_at, tried), np.searchsorted(decided_at, tried - embargo)
    train, validation = until_embargo[:, None], until_embargo[None, :] - before[:, None]
    parts = (train / SHARES[0], validation / SHARES[1], (rows - before)[None, :] / SHARES[2])
    least = np.minimum(np.minimum(parts[0], parts[1]), parts[2])
    first, second = np.unravel_index(int(least.argmax()), least.shape)
    return int(tried[first]), int(tried[second])


def _check_classes(labels: Truths) -> None:
    import numpy as np

    true, rows = int(np.count_nonzero(labels)), len(labels)
    if true in (0, rows):
        raise UserError(
            f"All {rows:,} labels are {'true' if true else 'false'}: there is nothing to tell apart.",
            fix=f"It takes at least {MINIMUM_OF_A_CLASS} of both in each of three parts. Take a longer range, or another label.",
        )


def _check(made: Split, decided_at: Instants, labels: Truths) -> None:
    import numpy as np

    parts = {"to learn from": made.train, "to choose by": made.validation, "to judge by": made.test}
    of_class = {name: (int(np.count_nonzero(labels[rows])), len(rows)) for name, rows in parts.items()}
    short = any(count < MINIMUM or min(true, count - true) < MINIMUM_OF_A_CLASS for true, count in of_class.values())
    if not short:
        return
    days = (int(decided_at[-1]) - int(decided_at[0])) / DAY
    found = ", ".join(f"{count:,} {name} ({true:,} true)" for name, (true, count) in of_class.items())
    apart = made.embargo / DAY
    raise UserError(
        f"Too little data: {len(decided_at):,} labels over {days:,.0f} days leave {found}.",
        where=f"decisions from {clock.to_text(int(decided_at[0]))} to {clock.to_text(int(decided_at[-1]))}",
        fix=f"It takes {MINIMUM} labels in each of the three parts, {MINIMUM_OF_A_CLASS} of each class, and before each of the two borders "
        f"{apart:g} days (the longest window of the views used) are left out. Collect more logs, or take a label with more decisions "
        "(`detektor labels`).",
    )
