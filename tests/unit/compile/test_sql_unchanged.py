"""The SQL of the eight views, and the stream's fold of them, to the byte: a new word of the language must not touch what does not use it.

Whoever changes how views are computed changes these digests on purpose (the assertion shows the new ones), and says in the commit what it
does to a backfill's time.
"""

from __future__ import annotations

import hashlib
from itertools import product
from typing import TYPE_CHECKING, Final

import pytest

from detektor_pipelines.catalog import DECLARED
from detektor_pipelines.compile.fold import fold
from detektor_pipelines.compile.moments import moments_sql
from detektor_pipelines.compile.plan import plan
from detektor_pipelines.compile.sql import DUCKDB, POSTGRES, Span, states_sql
from detektor_pipelines.language.windows import DAY

if TYPE_CHECKING:
    from detektor_pipelines.language import FeatureView

DIGESTS: Final = {
    "code_review_features": "583a4432dcfb998c",
    "deployment_features": "62ae63ee43febbf0",
    "coding_features": "41c3fe02395782cd",
    "documentation_features": "72a7eacffb56bc8c",
    "architecture_features": "78532dc413c1d774",
    "debugging_features": "a717b6401e33edd9",
    "pipeline_debugging_features": "e00e94ed051866da",
    "content_features": "592bc912c93bc0f0",
}


def digest(view: FeatureView) -> str:
    compiled = plan(view)
    texts = [
        states_sql(compiled, Span(0, DAY), form=form, late=late, revised=revised, dialect=dialect)
        for form, late, revised, dialect in product(("served", "known_now"), (False, True), (False, True), (DUCKDB, POSTGRES))
    ]
    return hashlib.sha256("".join([*texts, moments_sql(compiled, 100), fold(compiled).source]).encode()).hexdigest()[:16]


@pytest.mark.parametrize("view", DECLARED, ids=lambda view: view.name)
def test_the_sql_of_a_view_is_what_it_was(view: FeatureView) -> None:
    assert digest(view) == DIGESTS[view.name]
