"""Feast's access to the offline rows: point-in-time joins, and what `feast materialize` reads, over ADBC.

Belongs here: Feast's offline store interface on the row tables. Does not belong here: the SQL (`point_in_time`), and making, publishing or
repairing those tables.

What differs from Feast's own PostgreSQL store: each input row gives one output row and no two keys can be taken for each other; labels go
to a temporary table by COPY and each is answered from the index; by default a read takes the rows as they were served then, else of rows
with one event time the latest knowledge, then the latest writing; a row from before a day that was never published counts for no label
after it; writing a batch is there, as an insert, for views that are none of ours; saved datasets are there (`saved_datasets`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from feast.errors import FeastEntityDFMissingColumnsError
from feast.infra.offline_stores import offline_utils
from feast.infra.offline_stores.contrib.postgres_offline_store import postgres
from feast.infra.offline_stores.offline_store import RetrievalMetadata
from feast.on_demand_feature_view import OnDemandFeatureView
from feast.types import from_feast_to_pyarrow_type
from feast.utils import compute_non_entity_date_range, make_tzaware
from pydantic import model_validator

from detektor_pipelines import clock, sessions
from detektor_pipelines.compile.feast import AGENT, DATA_HASH, EVENT_TIMESTAMP, SCHEMA, WRITTEN_COLUMN
from detektor_pipelines.errors import UserError
from detektor_pipelines.language.hashes import SHORT
from detektor_pipelines.stores.feast import saved_datasets
from detektor_pipelines.stores.feast.gaps import Gaps, version_of_registered
from detektor_pipelines.stores.feast.labels import TABLE, FrameLabels, Labels, QueryLabels, connected, fetch, plain
from detektor_pipelines.stores.offline import point_in_time, row_tables
from detektor_pipelines.stores.offline.newest import quoted
from detektor_pipelines.stores.offline.point_in_time import Relation

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    import pandas as pd
    import pyarrow as pa
    from feast import FeatureView, RepoConfig
    from feast.data_source import DataSource
    from feast.infra.registry.base_registry import BaseRegistry
    from feast.saved_dataset import SavedDatasetStorage

_CLASS: Final = "detektor_pipelines.stores.feast_offline.DetektorOfflineStore"
_KINDS: Final = {"INT64": "int64", "DOUBLE": "float64", "UNIX_TIMESTAMP": "instant", "STRING": "text"}


class DetektorOfflineStoreConfig(postgres.PostgreSQLOfflineStoreConfig):
    """The section `offline_store` of feature_store.yaml.

    `dsn`: `postgresql://…`, from which the fields of Feast's own store follow. `as_known_now`: let historical reads see what was learnt
    after a label's instant too; by default they see what was served then.
    """

    type: Literal["detektor_pipelines.stores.feast_offline.DetektorOfflineStore"] = _CLASS  # type: ignore[assignment]
    dsn: str
    as_known_now: bool = False

    @model_validator(mode="before")
    @classmethod
    def _from_dsn(cls, values: dict[str, Any]) -> dict[str, Any]:
        parts = urlsplit(str(values.get("dsn", "")))
        given = {
            "host": parts.hostname or "127.0.0.1",
            "port": parts.port or 5432,
            "user": unquote(parts.username or "detektor"),
            "password": unquote(parts.password or ""),
            "database": unquote(parts.path.lstrip("/")) or "detektor",
            "sslmode": "prefer",
        }
        return given | values


class DetektorRetrievalJob(postgres.PostgreSQLRetrievalJob):
    """A query that runs when its result is asked for, and gives Arrow without a Python object a value."""

    def __init__(
        self,
        query: str,
        config: RepoConfig,
        run: Callable[[], pa.Table],
        *,
        full_feature_names: bool = False,
        on_demand: list[OnDemandFeatureView] | None = None,
        metadata: RetrievalMetadata | None = None,
    ) -> None:
        super().__init__(query, config, full_feature_names, on_demand, metadata)
        self._run = run

    def _to_arrow_internal(self, timeout: int | None = None) -> pa.Table:
        del timeout
        return self._run()

    def persist(self, storage: SavedDatasetStorage, allow_overwrite: bool | None = False, timeout: int | None = None) -> None:  # noqa: FBT001, FBT002 - Feast's signature
        """Write the result into a table (`saved_datasets`).

        Raises:
            UserError: Nothing can be saved there, or there is nothing to save.
            SavedDatasetLocationAlreadyExists: There is such a table, and it may not be overwritten.

        """
        saved_datasets.save(self.config.offline_store.dsn, self.to_arrow(timeout=timeout), storage, overwrite=bool(allow_overwrite))


class DetektorOfflineStore(postgres.PostgreSQLOfflineStore):
    """Feast's interface to the row tables."""

    @staticmethod
    def get_historical_features(  # noqa: PLR0913, PLR0917 - Feast's signature
        config: RepoConfig,
        feature_views: list[FeatureView],
        feature_refs: list[str],
        entity_df: pd.DataFrame | str | None,
        registry: BaseRegistry,
        project: str,
        full_feature_names: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        filter_by_created_timestamp: bool = False,  # noqa: FBT001, FBT002 - Feast's signature
        **kwargs: Any,
    ) -> DetektorRetrievalJob:
        """Join feature rows to labels: one output row an input row, in the input's order, its columns unchanged.

        Labels are a data frame or an SQL query; without either, every (agent_id, instant) between `start_date` and `end_date` at which a
        view has a row. Of our own views the rows as served then count (`created_at` is their instant), of others those with
        `created_at <= label's instant`, unless the store is configured `as_known_now` and `filter_by_created_timestamp` is not given.
        A label of which a day that was not published may hide the row has no value; a warning says how many there are, once.

        Raises:
            UserError: The registered version of a view was never computed.

        """
        dsn = config.offline_store.dsn
        _check_computed(dsn, feature_views)
        known_at_label = filter_by_created_timestamp or not config.offline_store.as_known_now
        relations = _relations(feature_views, feature_refs, registry, project, full_feature_names=full_feature_names)
        if entity_df is None:
            start, end = compute_non_entity_date_range(feature_views, kwargs.get("start_date"), kwargs.get("end_date"))
            entity_df = point_in_time.instants_of(relations, EVENT_TIMESTAMP, _iso(start), _iso(end), known_at_label=known_at_label)
        labels: Labels = QueryLabels(dsn, entity_df) if isinstance(entity_df, str) else FrameLabels(dsn, entity_df)
        keys = _keys(feature_views)
        if missing := {*keys, labels.at} - labels.schema.keys():
            raise FeastEntityDFMissingColumnsError({*keys, labels.at}, missing)  # type: ignore[no-untyped-call]
        query = point_in_time.join(TABLE, labels.joined, relations, known_at_label=known_at_label)
        unpublished = Gaps(relations)
        return DetektorRetrievalJob(
            query,
            config,
            lambda: unpublished.told(labels.answer(query, keys, unpublished.prepare)),
            full_feature_names=full_feature_names,
            on_demand=OnDemandFeatureView.get_requested_odfvs(feature_refs, project, registry),
            metadata=RetrievalMetadata(feature_refs, [name for name in labels.schema if name != labels.at], *labels.extent()),
        )

    @staticmethod
    def pull_latest_from_table_or_query(  # noqa: PLR0913, PLR0917 - Feast's signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None,
        start_date: datetime,
        end_date: datetime,
    ) -> DetektorRetrievalJob:
        """Read each key's newest row in [start_date, end_date]."""
        relation = _source(data_source, join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = point_in_time.newest_of_each(relation, _iso(start_date), _iso(end_date))
        return DetektorRetrievalJob(query, config, lambda: fetch(config.offline_store.dsn, query))

    @staticmethod
    def pull_all_from_table_or_query(  # noqa: PLR0913, PLR0917 - Feast's signature
        config: RepoConfig,
        data_source: DataSource,
        join_key_columns: list[str],
        feature_name_columns: list[str],
        timestamp_field: str,
        created_timestamp_column: str | None = None,
        start_date: datetime | None = None,
        end_date: datetime | None = None,
    ) -> DetektorRetrievalJob:
        """Read all rows in [start_date, end_date]; of one written several times, the last writing. A saved dataset is read whole."""
        if saved_datasets.is_one(data_source):
            whole = saved_datasets.whole(data_source)
            return DetektorRetrievalJob(whole, config, lambda: fetch(config.offline_store.dsn, whole))
        relation = _source(data_source, join_key_columns, feature_name_columns, timestamp_field, created_timestamp_column)
        query = point_in_time.newest_writing_of_each(
            relation, _iso(start_date) if start_date else None, _iso(end_date) if end_date else None
        )
        return DetektorRetrievalJob(query, config, lambda: fetch(config.offline_store.dsn, query))

    @staticmethod
    def offline_write_batch(config: RepoConfig, feature_view: FeatureView, table: pa.Table, progress: Callable[[int], Any] | None) -> None:
        """Insert rows into the table that is the source of a view of somebody's own; nothing is updated.

        Raises:
            UserError: The view is one of ours, whose rows say what the log gives, or its source is no table.

        """
        if _is_ours(feature_view):
            raise UserError(
                f"{feature_view.name} is computed from the log: a row that is pushed would be history that no event explains.",
                where="push to the offline store, or write_to_offline_store",
                fix="Give the event instead (`detektor emit`, `detektor ingest`): features follow. Rows of other views can be pushed.",
            )
        name = getattr(getattr(feature_view.batch_source, "_postgres_options", None), "_table", "")
        if not name:
            raise UserError(
                f"The source of {feature_view.name} is no table of PostgreSQL's, so nothing can be inserted.",
                where="push to the offline store, or write_to_offline_store",
                fix="Declare its batch source as PostgreSQLSource(table=…).",
            )
        schema, table_name = saved_datasets.place(name)
        with connected(config.offline_store.dsn) as connection, connection.cursor() as cursor:
            cursor.execute(f"SELECT * FROM {quoted(schema)}.{quoted(table_name)} LIMIT 0")
            wanted = plain(cursor.fetch_arrow_table()).schema
            rows = table.select(wanted.names).cast(wanted, safe=False)
            cursor.adbc_ingest(table_name, rows, mode="append", db_schema_name=schema)
            connection.commit()
        if progress:
            progress(table.num_rows)


def make_tables(dsn: str, views: Sequence[Any]) -> None:
    """Make the tables of the registered versions that have none yet, and let the plain names show what is registered."""
    import psycopg

    versions = [
        row_tables.TableVersion(
            view.name,
            view.tags[AGENT],
            view.tags[DATA_HASH],
            tuple((each.name, _KINDS[each.dtype.to_value_type().name]) for each in view.features),
        )
        for view in views
        if _is_ours(view)
    ]
    with psycopg.connect(sessions.fixed(dsn)) as connection:
        row_tables.register(connection, versions)


def _keys(feature_views: list[FeatureView]) -> dict[str, pa.DataType]:
    """Return the columns that labels must have to be joined, with their types, in alphabetical order."""
    found = {
        view.projection.join_key_map.get(column.name, column.name): from_feast_to_pyarrow_type(column.dtype)
        for view in feature_views
        for column in view.entity_columns
    }
    return dict(sorted(found.items()))


def _relations(
    feature_views: list[FeatureView], feature_refs: list[str], registry: BaseRegistry, project: str, *, full_feature_names: bool
) -> list[Relation]:
    """Return what of each view is asked for, by Feast's own reading of the feature references."""
    any_extent = (clock.EPOCH, clock.EPOCH)  # Feast's own queries would cut at it
    contexts = offline_utils.get_feature_view_query_context(feature_refs, feature_views, registry, project, any_extent)
    views = {view.projection.name_to_use(): view for view in feature_views}  # type: ignore[no-untyped-call]
    relations = []
    for context in contexts:
        view = views[context.name]
        prefix = f"{context.name}__" if full_feature_names else ""
        relations.append(
            Relation(
                # Older registrations, also those of an older version (code_review_features@v1:…), name the plain name as their source.
                f"{SCHEMA}.{quoted(_row_table(view))}" if _is_ours(view) else context.table_subquery,
                tuple((column, label) for column, _, label in (each.partition(" AS ") for each in context.entity_selections)),
                tuple((column, prefix + context.field_mapping.get(column, column)) for column in context.features),
                context.timestamp_field,
                context.created_timestamp_column or None,
                view.batch_source.tags.get(WRITTEN_COLUMN) if view.batch_source else None,
                context.ttl,
                version_of_registered(view) if DATA_HASH in view.tags else None,
            ),
        )
    return relations


def _source(source: DataSource, keys: list[str], features: list[str], timestamp: str, created: str | None) -> Relation:
    columns = [*keys, *features, timestamp, *([created] if created else [])] if features else []
    return Relation(
        source.get_table_query_string(),
        tuple((key, key) for key in keys),
        tuple((name, name) for name in columns),
        timestamp,
        created,
        source.tags.get(WRITTEN_COLUMN),
    )


def _is_ours(view: Any) -> bool:
    """Whether what is registered is one of our definitions, whose versions each have a table."""
    source = getattr(view, "batch_source", None)
    return DATA_HASH in view.tags and source is not None and WRITTEN_COLUMN in source.tags


def _check_computed(dsn: str, views: list[FeatureView]) -> None:
    """Refuse to read a version that nobody has computed: every feature would be null, and nobody could tell.

    Raises:
        UserError: The version has no table, or there is no row in it and none of its days was ever published.

    """
    with connected(dsn) as connection, connection.cursor() as cursor:
        for view in filter(_is_ours, views):
            cursor.execute(f"SELECT to_regclass('{SCHEMA}.{quoted(_row_table(view))}') IS NOT NULL")
            if cursor.fetchone()[0]:
                cursor.execute(
                    f"SELECT EXISTS (SELECT FROM {SCHEMA}.{quoted(_row_table(view))}) OR EXISTS (SELECT FROM ml_learning.partition_state"
                    f" WHERE view = '{view.name}' AND data_hash = '{view.tags[DATA_HASH]}')"
                )
                if cursor.fetchone()[0]:
                    continue
            raise UserError(
                f"{view.name} {view.tags.get('feature_version', '')} was never computed as it is registered: there is nothing to read.",
                where=f"table {SCHEMA}.{_row_table(view)}",
                fix=f"`detektor backfill --view {view.name}`; a version before (`{view.name}@v0:…`) is read as it was.",
            )


def _row_table(view: FeatureView) -> str:
    """Return the name of the registered version's own table, in schema `feast`."""
    return f"{view.name}__{view.tags[DATA_HASH][:SHORT]}"


def _iso(instant: datetime) -> str:
    return make_tzaware(instant).isoformat()
