"""What a model has to beat: forecasts that need no feature.

prior rate    the share of true labels among all that were learnt from
last rate     the share among the latest labels of the same agent_id that were known by then, drawn towards the prior rate
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from detektor_pipelines.training.learning.inputs import Examples

LATEST: Final = 20
"""Labels of an agent_id that its last rate is of."""
PRIOR_WEIGHT: Final = 5
"""The prior rate counts as so many labels, so that one label does not make a rate of 0 or 1."""


def prior_rate(found: Examples, learnt: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the share of true labels among `learnt`, for each of `rows`."""
    import numpy as np

    return np.full(len(rows), float(found.labels[learnt].mean()))


def last_rate(found: Examples, learnt: NDArray[np.int64], rows: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return for each of `rows` the share of true ones among the LATEST labels of its agent_id known before it was decided."""
    import numpy as np

    prior = float(found.labels[learnt].mean())
    known = np.lexsort((np.arange(len(found.known_at)), found.known_at))
    latest: dict[str, deque[bool]] = defaultdict(lambda: deque(maxlen=LATEST))
    made = np.empty(len(rows))
    place = 0
    for number, row in enumerate(rows):
        while place < len(known) and found.known_at[known[place]] < found.decided_at[row]:
            latest[found.agent_ids[known[place]]].append(bool(found.labels[known[place]]))
            place += 1
        own = latest[found.agent_ids[row]]
        made[number] = (sum(own) + PRIOR_WEIGHT * prior) / (len(own) + PRIOR_WEIGHT)
    return made
