"""From a view's asset to what else there is about it: the file that declares it, its page of the docs, the columns it is made from."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import dagster as dg

from detektor_pipelines import catalog
from detektor_pipelines.compile.docs import DIRECTORY
from detektor_pipelines.compile.lineage import KEY_COLUMNS, columns_read
from detektor_pipelines.orchestration.keys import RAW_LOG

if TYPE_CHECKING:
    from collections.abc import Mapping

    from detektor_pipelines.language.views import FeatureView

_CATALOGUE: Final = Path(catalog.__file__).parent
_ROOT: Final = _CATALOGUE.parents[1]
_DECLARED: Final = "VIEW = "


def of_view(view: FeatureView, source_url: str | None) -> Mapping[str, Any]:
    """Return the view's code reference and its page of the docs; as addresses below `source_url` where the repository has one."""
    page, file = f"{DIRECTORY}/{view.name}.md", _CATALOGUE / f"{view.group}.py"
    docs = dg.MetadataValue.url(f"{source_url.rstrip('/')}/{page}") if source_url else dg.MetadataValue.path(str(_ROOT / page))
    return {"docs": docs} | ({"dagster/code_references": _code(file, source_url)} if file.is_file() else {})


def from_log(view: FeatureView) -> dg.TableColumnLineage:
    """Return which columns of the raw log each column of the view's rows is made from."""
    return dg.TableColumnLineage(
        {column: [dg.TableColumnDep(RAW_LOG, read) for read in columns] for column, columns in columns_read(view).items()}
    )


def from_features(view: FeatureView, features: dg.AssetKey) -> dg.TableColumnLineage:
    """Return that each online column is the one of the same name in the view's rows."""
    names = [*KEY_COLUMNS, *(each.name for each in view.features)]
    return dg.TableColumnLineage({name: [dg.TableColumnDep(features, name)] for name in names})


def _code(file: Path, source_url: str | None) -> dg.CodeReferencesMetadataValue:
    lines = file.read_text(encoding="utf-8").splitlines()
    number = next((number for number, line in enumerate(lines, 1) if line.startswith(_DECLARED)), 1)
    path = file.relative_to(_ROOT)
    reference: dg.LocalFileCodeReference | dg.UrlCodeReference = (
        dg.UrlCodeReference(url=f"{source_url.rstrip('/')}/{path}#L{number}", label=str(path))
        if source_url
        else dg.LocalFileCodeReference(file_path=str(file), line_number=number, label=str(path))
    )
    return dg.CodeReferencesMetadataValue(code_references=[reference])
