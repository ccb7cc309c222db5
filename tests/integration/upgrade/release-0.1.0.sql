--
-- PostgreSQL database dump
--

\restrict Laq8aYMsh2qQkatGbwYwEhY4wraLv9p3y9nTHbM3eEDSolHyLDhRLvHNsBI6Xct

-- Dumped from database version 18.4
-- Dumped by pg_dump version 18.4

SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;

--
-- Name: feast; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA feast;


--
-- Name: ml_learning; Type: SCHEMA; Schema: -; Owner: -
--

CREATE SCHEMA ml_learning;


SET default_tablespace = '';

SET default_table_access_method = heap;

--
-- Name: code_review_features__1102e0fbb60a; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.code_review_features__1102e0fbb60a (
    agent_id text NOT NULL,
    event_timestamp timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    written_at timestamp with time zone NOT NULL,
    recent_reviews_count bigint,
    weekly_reviews_count bigint,
    avg_issues_per_review double precision,
    issues_per_review_std double precision,
    critical_review_rate double precision,
    rejection_rate double precision,
    first_round_approval_rate double precision,
    max_review_round bigint,
    review_duration_p90_ms bigint,
    reviewed_tasks_count bigint,
    last_rejection_at timestamp with time zone,
    review_load_trend double precision
);


--
-- Name: code_review_features; Type: VIEW; Schema: feast; Owner: -
--

CREATE VIEW feast.code_review_features AS
 SELECT agent_id,
    event_timestamp,
    created_at,
    written_at,
    recent_reviews_count,
    weekly_reviews_count,
    avg_issues_per_review,
    issues_per_review_std,
    critical_review_rate,
    rejection_rate,
    first_round_approval_rate,
    max_review_round,
    review_duration_p90_ms,
    reviewed_tasks_count,
    last_rejection_at,
    review_load_trend
   FROM feast.code_review_features__1102e0fbb60a;


--
-- Name: VIEW code_review_features; Type: COMMENT; Schema: feast; Owner: -
--

COMMENT ON VIEW feast.code_review_features IS 'detektor: code-reviewer 1102e0fbb60ab05b31662cef00ce7dedb7c432baed5c30bf6ffdc8cfe3f3b930';


--
-- Name: coding_features__2c714a440313; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.coding_features__2c714a440313 (
    agent_id text NOT NULL,
    event_timestamp timestamp with time zone NOT NULL,
    created_at timestamp with time zone NOT NULL,
    written_at timestamp with time zone NOT NULL,
    weekly_implementations_count bigint,
    worked_tasks_count bigint,
    avg_completion_time double precision,
    completion_time_std_ms double precision,
    first_attempt_success_rate double precision,
    rework_rate double precision,
    max_attempts bigint,
    green_test_run_rate double precision,
    tests_added_total bigint,
    lines_changed_total bigint,
    tests_per_1000_lines double precision,
    bugfix_rate double precision,
    tool_error_rate double precision,
    avg_feedback_score_milli double precision,
    last_failure_at timestamp with time zone
);


--
-- Name: coding_features; Type: VIEW; Schema: feast; Owner: -
--

CREATE VIEW feast.coding_features AS
 SELECT agent_id,
    event_timestamp,
    created_at,
    written_at,
    weekly_implementations_count,
    worked_tasks_count,
    avg_completion_time,
    completion_time_std_ms,
    first_attempt_success_rate,
    rework_rate,
    max_attempts,
    green_test_run_rate,
    tests_added_total,
    lines_changed_total,
    tests_per_1000_lines,
    bugfix_rate,
    tool_error_rate,
    avg_feedback_score_milli,
    last_failure_at
   FROM feast.coding_features__2c714a440313;


--
-- Name: VIEW coding_features; Type: COMMENT; Schema: feast; Owner: -
--

COMMENT ON VIEW feast.coding_features IS 'detektor: detektor-coder 2c714a4403135f377e184489b3dad61c1696fc70874c9b42b19bd98c574c29df';


--
-- Name: agent_features_historical; Type: VIEW; Schema: feast; Owner: -
--

CREATE VIEW feast.agent_features_historical AS
 SELECT 'code_review_features'::text AS feature_view,
    'code-reviewer'::text AS agent_type,
    r.agent_id,
    r.event_timestamp,
    r.created_at,
    r.written_at,
    (to_jsonb(r.*) - ARRAY['agent_id'::text, 'event_timestamp'::text, 'created_at'::text, 'written_at'::text]) AS features
   FROM feast.code_review_features r
UNION ALL
 SELECT 'coding_features'::text AS feature_view,
    'detektor-coder'::text AS agent_type,
    r.agent_id,
    r.event_timestamp,
    r.created_at,
    r.written_at,
    (to_jsonb(r.*) - ARRAY['agent_id'::text, 'event_timestamp'::text, 'created_at'::text, 'written_at'::text]) AS features
   FROM feast.coding_features r;


--
-- Name: data_sources; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.data_sources (
    data_source_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    data_source_proto bytea NOT NULL
);


--
-- Name: entities; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.entities (
    entity_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    entity_proto bytea NOT NULL
);


--
-- Name: feast_metadata; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.feast_metadata (
    project_id character varying(255) NOT NULL,
    metadata_key character varying(50) NOT NULL,
    metadata_value text NOT NULL,
    last_updated_timestamp bigint NOT NULL
);


--
-- Name: feature_services; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.feature_services (
    feature_service_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    feature_service_proto bytea NOT NULL
);


--
-- Name: feature_view_version_history; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.feature_view_version_history (
    feature_view_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    version_number integer NOT NULL,
    feature_view_type character varying(50) NOT NULL,
    feature_view_proto bytea NOT NULL,
    created_timestamp bigint NOT NULL,
    description text,
    version_id character varying(36) NOT NULL
);


--
-- Name: feature_views; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.feature_views (
    feature_view_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    materialized_intervals bytea,
    feature_view_proto bytea NOT NULL,
    user_metadata bytea
);


--
-- Name: label_views; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.label_views (
    feature_view_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    feature_view_proto bytea NOT NULL,
    user_metadata bytea
);


--
-- Name: managed_infra; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.managed_infra (
    infra_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    infra_proto bytea NOT NULL
);


--
-- Name: on_demand_feature_views; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.on_demand_feature_views (
    feature_view_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    feature_view_proto bytea NOT NULL,
    user_metadata bytea
);


--
-- Name: permissions; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.permissions (
    permission_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    permission_proto bytea NOT NULL
);


--
-- Name: projects; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.projects (
    project_id character varying(255) NOT NULL,
    project_name character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    project_proto bytea NOT NULL
);


--
-- Name: saved_datasets; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.saved_datasets (
    saved_dataset_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    saved_dataset_proto bytea NOT NULL
);


--
-- Name: stream_feature_views; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.stream_feature_views (
    feature_view_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    feature_view_proto bytea NOT NULL,
    user_metadata bytea
);


--
-- Name: validation_references; Type: TABLE; Schema: feast; Owner: -
--

CREATE TABLE feast.validation_references (
    validation_reference_name character varying(255) NOT NULL,
    project_id character varying(255) NOT NULL,
    last_updated_timestamp bigint NOT NULL,
    validation_reference_proto bytea NOT NULL
);


--
-- Name: agent_events; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.agent_events (
    event_id text NOT NULL,
    revision integer NOT NULL,
    agent_type text NOT NULL,
    raw_name text NOT NULL,
    project text,
    session_id text,
    task_id text,
    operation text NOT NULL,
    occurred_at timestamp with time zone NOT NULL,
    known_at timestamp with time zone NOT NULL,
    ingested_at timestamp with time zone NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() NOT NULL,
    derived boolean NOT NULL,
    simulated boolean NOT NULL,
    retracted boolean DEFAULT false NOT NULL,
    source text NOT NULL,
    reader_revision integer NOT NULL,
    attributes jsonb,
    duration_ms bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_creation_tokens bigint,
    tool_calls bigint,
    tool_errors bigint,
    issues_found bigint,
    issues_critical bigint,
    issues_major bigint,
    issues_minor bigint,
    fixes_suggested bigint,
    review_round bigint,
    attempt bigint,
    files_changed bigint,
    lines_added bigint,
    lines_removed bigint,
    tests_added bigint,
    tests_passed bigint,
    tests_failed bigint,
    lead_time_ms bigint,
    health_check_ms bigint,
    docs_checked bigint,
    docs_in_sync bigint,
    docs_updated bigint,
    sync_lag_ms bigint,
    options_considered bigint,
    components_affected bigint,
    coupling_milli bigint,
    confidence_milli bigint,
    hypotheses bigint,
    frames_dropped bigint,
    stage_latency_ms bigint,
    queue_depth bigint,
    sources_found bigint,
    sources_cited bigint,
    claims_checked bigint,
    claims_rejected bigint,
    score_milli bigint,
    outcome text,
    verdict text,
    tool_name text,
    model text,
    error_type text,
    action text,
    strategy text,
    environment text,
    task_kind text,
    doc_kind text,
    priority text,
    recommendation text,
    pattern text,
    root_cause text,
    resolution text,
    stage text,
    topic text
)
PARTITION BY RANGE (occurred_at);


--
-- Name: TABLE agent_events; Type: COMMENT; Schema: ml_learning; Owner: -
--

COMMENT ON TABLE ml_learning.agent_events IS 'Raw log, append-only: the highest revision of an event_id counts, none if retracted';


--
-- Name: agent_events_y2026m10; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.agent_events_y2026m10 (
    event_id text CONSTRAINT agent_events_event_id_not_null NOT NULL,
    revision integer CONSTRAINT agent_events_revision_not_null NOT NULL,
    agent_type text CONSTRAINT agent_events_agent_type_not_null NOT NULL,
    raw_name text CONSTRAINT agent_events_raw_name_not_null NOT NULL,
    project text,
    session_id text,
    task_id text,
    operation text CONSTRAINT agent_events_operation_not_null NOT NULL,
    occurred_at timestamp with time zone CONSTRAINT agent_events_occurred_at_not_null NOT NULL,
    known_at timestamp with time zone CONSTRAINT agent_events_known_at_not_null NOT NULL,
    ingested_at timestamp with time zone CONSTRAINT agent_events_ingested_at_not_null NOT NULL,
    xid xid8 DEFAULT pg_current_xact_id() CONSTRAINT agent_events_xid_not_null NOT NULL,
    derived boolean CONSTRAINT agent_events_derived_not_null NOT NULL,
    simulated boolean CONSTRAINT agent_events_simulated_not_null NOT NULL,
    retracted boolean DEFAULT false CONSTRAINT agent_events_retracted_not_null NOT NULL,
    source text CONSTRAINT agent_events_source_not_null NOT NULL,
    reader_revision integer CONSTRAINT agent_events_reader_revision_not_null NOT NULL,
    attributes jsonb,
    duration_ms bigint,
    input_tokens bigint,
    output_tokens bigint,
    cache_read_tokens bigint,
    cache_creation_tokens bigint,
    tool_calls bigint,
    tool_errors bigint,
    issues_found bigint,
    issues_critical bigint,
    issues_major bigint,
    issues_minor bigint,
    fixes_suggested bigint,
    review_round bigint,
    attempt bigint,
    files_changed bigint,
    lines_added bigint,
    lines_removed bigint,
    tests_added bigint,
    tests_passed bigint,
    tests_failed bigint,
    lead_time_ms bigint,
    health_check_ms bigint,
    docs_checked bigint,
    docs_in_sync bigint,
    docs_updated bigint,
    sync_lag_ms bigint,
    options_considered bigint,
    components_affected bigint,
    coupling_milli bigint,
    confidence_milli bigint,
    hypotheses bigint,
    frames_dropped bigint,
    stage_latency_ms bigint,
    queue_depth bigint,
    sources_found bigint,
    sources_cited bigint,
    claims_checked bigint,
    claims_rejected bigint,
    score_milli bigint,
    outcome text,
    verdict text,
    tool_name text,
    model text,
    error_type text,
    action text,
    strategy text,
    environment text,
    task_kind text,
    doc_kind text,
    priority text,
    recommendation text,
    pattern text,
    root_cause text,
    resolution text,
    stage text,
    topic text
);


--
-- Name: alembic_version; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.alembic_version (
    version_num character varying(32) NOT NULL
);


--
-- Name: event_ids; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.event_ids (
    event_id text NOT NULL,
    revision integer NOT NULL,
    body_hash uuid NOT NULL,
    occurred_at timestamp with time zone NOT NULL
)
WITH (fillfactor='90');


--
-- Name: TABLE event_ids; Type: COMMENT; Schema: ml_learning; Owner: -
--

COMMENT ON TABLE ml_learning.event_ids IS 'One row an event: what a table partitioned by time cannot keep unique';


--
-- Name: log_origin; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.log_origin (
    only_row boolean DEFAULT true NOT NULL,
    simulated boolean NOT NULL,
    mixed boolean DEFAULT false NOT NULL,
    CONSTRAINT log_origin_only_row_check CHECK (only_row)
);


--
-- Name: TABLE log_origin; Type: COMMENT; Schema: ml_learning; Owner: -
--

COMMENT ON TABLE ml_learning.log_origin IS 'Whether the log is simulated or real, or both because somebody asked for it';


--
-- Name: partition_state; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.partition_state (
    view text NOT NULL,
    data_hash text NOT NULL,
    partition date NOT NULL,
    snapshot pg_snapshot NOT NULL,
    system_identifier bigint NOT NULL,
    rows bigint NOT NULL,
    hash text NOT NULL,
    published_at timestamp with time zone NOT NULL
);


--
-- Name: COLUMN partition_state.system_identifier; Type: COMMENT; Schema: ml_learning; Owner: -
--

COMMENT ON COLUMN ml_learning.partition_state.system_identifier IS 'The cluster that the snapshot''s transaction ids belong to';


--
-- Name: rejected_events; Type: TABLE; Schema: ml_learning; Owner: -
--

CREATE TABLE ml_learning.rejected_events (
    id bigint NOT NULL,
    source text NOT NULL,
    line bigint,
    reason text NOT NULL,
    excerpt text NOT NULL,
    event_id text,
    rejected_at timestamp with time zone NOT NULL,
    fingerprint uuid NOT NULL
);


--
-- Name: COLUMN rejected_events.fingerprint; Type: COMMENT; Schema: ml_learning; Owner: -
--

COMMENT ON COLUMN ml_learning.rejected_events.fingerprint IS 'md5 of what was rejected: read twice, kept once';


--
-- Name: rejected_events_id_seq; Type: SEQUENCE; Schema: ml_learning; Owner: -
--

ALTER TABLE ml_learning.rejected_events ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME ml_learning.rejected_events_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);


--
-- Name: agent_events_y2026m10; Type: TABLE ATTACH; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.agent_events ATTACH PARTITION ml_learning.agent_events_y2026m10 FOR VALUES FROM ('2026-10-01 00:00:00+00') TO ('2026-11-01 00:00:00+00');


--
-- Data for Name: code_review_features__1102e0fbb60a; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.code_review_features__1102e0fbb60a (agent_id, event_timestamp, created_at, written_at, recent_reviews_count, weekly_reviews_count, avg_issues_per_review, issues_per_review_std, critical_review_rate, rejection_rate, first_round_approval_rate, max_review_round, review_duration_p90_ms, reviewed_tasks_count, last_rejection_at, review_load_trend) FROM stdin;
code-reviewer	2026-10-29 07:00:00+00	2026-10-29 07:00:00+00	2026-11-29 01:06:25.615648+00	2	2	0.5	0.7071067811865476	0	0	1	1	90000	2	\N	7
code-reviewer	2026-10-29 11:00:00+00	2026-10-29 11:00:00+00	2026-11-29 01:06:25.615648+00	3	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	7
code-reviewer	2026-10-29 19:00:00+00	2026-10-29 19:00:00+00	2026-11-29 01:06:25.615648+00	2	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	4.666666666666667
code-reviewer	2026-10-30 07:00:00+00	2026-10-30 07:00:00+00	2026-11-29 01:06:25.615648+00	1	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	2.3333333333333335
code-reviewer	2026-10-30 11:00:00+00	2026-10-30 11:00:00+00	2026-11-29 01:06:25.615648+00	0	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	0
code-reviewer	2026-10-31 09:00:00+00	2026-10-31 09:00:00+00	2026-11-29 01:06:25.615648+00	1	4	0.3333333333333333	0.5773502691896257	0	0	1	1	120000	4	\N	1.75
code-reviewer@detektor-core	2026-10-29 07:00:00+00	2026-10-29 07:00:00+00	2026-11-29 01:06:25.615648+00	2	2	0.5	0.7071067811865476	0	0	1	1	90000	2	\N	7
code-reviewer@detektor-core	2026-10-29 11:00:00+00	2026-10-29 11:00:00+00	2026-11-29 01:06:25.615648+00	3	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	7
code-reviewer@detektor-core	2026-10-29 19:00:00+00	2026-10-29 19:00:00+00	2026-11-29 01:06:25.615648+00	2	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	4.666666666666667
code-reviewer@detektor-core	2026-10-30 07:00:00+00	2026-10-30 07:00:00+00	2026-11-29 01:06:25.615648+00	1	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	2.3333333333333335
code-reviewer@detektor-core	2026-10-30 11:00:00+00	2026-10-30 11:00:00+00	2026-11-29 01:06:25.615648+00	0	3	0.5	0.7071067811865476	0	0	1	1	120000	3	\N	0
code-reviewer@detektor-core	2026-10-31 09:00:00+00	2026-10-31 09:00:00+00	2026-11-29 01:06:25.615648+00	1	4	0.3333333333333333	0.5773502691896257	0	0	1	1	120000	4	\N	1.75
\.


--
-- Data for Name: coding_features__2c714a440313; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.coding_features__2c714a440313 (agent_id, event_timestamp, created_at, written_at, weekly_implementations_count, worked_tasks_count, avg_completion_time, completion_time_std_ms, first_attempt_success_rate, rework_rate, max_attempts, green_test_run_rate, tests_added_total, lines_changed_total, tests_per_1000_lines, bugfix_rate, tool_error_rate, avg_feedback_score_milli, last_failure_at) FROM stdin;
detektor-coder	2026-10-29 07:00:00+00	2026-10-29 07:00:00+00	2026-11-29 01:06:26.796267+00	3	3	345496.6666666667	248183.86392014558	0.6666666666666666	0	2	1	9	409	22.00488997555012	0.25	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder	2026-10-29 10:00:00+00	2026-10-29 10:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder	2026-10-29 18:00:00+00	2026-10-29 18:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder	2026-10-30 07:00:00+00	2026-10-30 07:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder	2026-10-30 10:00:00+00	2026-10-30 10:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder	2026-10-31 09:00:00+00	2026-10-31 09:00:00+00	2026-11-29 01:06:26.796267+00	5	5	313377.6	216411.30177696358	0.8	0	2	1	14	715	19.58041958041958	0.16666666666666666	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-29 07:00:00+00	2026-10-29 07:00:00+00	2026-11-29 01:06:26.796267+00	3	3	345496.6666666667	248183.86392014558	0.6666666666666666	0	2	1	9	409	22.00488997555012	0.25	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-29 10:00:00+00	2026-10-29 10:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-29 18:00:00+00	2026-10-29 18:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-30 07:00:00+00	2026-10-30 07:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-30 10:00:00+00	2026-10-30 10:00:00+00	2026-11-29 01:06:26.796267+00	4	4	283437.25	237632.00891627235	0.75	0	2	1	11	570	19.29824561403509	0.2	\N	-507	2026-10-28 17:35:34.20958+00
detektor-coder@detektor-core	2026-10-31 09:00:00+00	2026-10-31 09:00:00+00	2026-11-29 01:06:26.796267+00	5	5	313377.6	216411.30177696358	0.8	0	2	1	14	715	19.58041958041958	0.16666666666666666	\N	-507	2026-10-28 17:35:34.20958+00
\.


--
-- Data for Name: data_sources; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.data_sources (data_source_name, project_id, last_updated_timestamp, data_source_proto) FROM stdin;
code_review_features_rows	detektor	1795914412	\\x08061a0f6576656e745f74696d657374616d702a0a637265617465645f617482015b0a597b226e616d65223a2022636f64655f7265766965775f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64655f7265766965775f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20119636f64655f7265766965775f66656174757265735f726f7773ba015e526f7773206f6620636f64655f7265766965775f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610908c83aa02220c08acf5add80610908c83aa02
coding_features_rows	detektor	1795914412	\\x08061a0f6576656e745f74696d657374616d702a0a637265617465645f61748201510a4f7b226e616d65223a2022636f64696e675f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64696e675f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20114636f64696e675f66656174757265735f726f7773ba0159526f7773206f6620636f64696e675f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610f8d99eb203220c08acf5add80610f8d99eb203
\.


--
-- Data for Name: entities; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.entities (entity_name, project_id, last_updated_timestamp, entity_proto) FROM stdin;
agent_id	detektor	1795914413	\\x0a750a086167656e745f696410021a5d416e206167656e74206163726f737320616c6c2070726f6a656374732028636f64652d7265766965776572292c206f7220696e206f6e652070726f6a6563742028636f64652d726576696577657240656e74697265696f2d636c69292e22086167656e745f6964121c0a0c08adf5add80610e0cdd4c401120c08adf5add80610e0cdd4c401
__dummy	detektor	1795914413	\\x0a150a075f5f64756d6d79220a5f5f64756d6d795f6964121c0a0c08adf5add80610a0e8d89a02120c08adf5add80610a0e8d89a02
\.


--
-- Data for Name: feast_metadata; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.feast_metadata (project_id, metadata_key, metadata_value, last_updated_timestamp) FROM stdin;
detektor	project_uuid	52622e2c-c4c5-4c8a-8f8d-32e501f8062a	1795914412
detektor	last_updated_timestamp	1795914413	1795914413
\.


--
-- Data for Name: feature_services; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.feature_services (feature_service_name, project_id, last_updated_timestamp, feature_service_proto) FROM stdin;
\.


--
-- Data for Name: feature_view_version_history; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.feature_view_version_history (feature_view_name, project_id, version_number, feature_view_type, feature_view_proto, created_timestamp, description, version_id) FROM stdin;
code_review_features	detektor	0	feature_view	\\x0af5160a14636f64655f7265766965775f66656174757265731208646574656b746f721a086167656e745f6964225a0a14726563656e745f726576696577735f636f756e7410041a0f0a04756e69741207726576696577731a0c0a0677696e646f77120231642221526576696577732066696e697368656420696e20746865206c617374206461792e22610a147765656b6c795f726576696577735f636f756e7410041a0f0a04756e69741207726576696577731a0c0a0677696e646f77120237642228526576696577732066696e697368656420696e20746865206c61737420736576656e20646179732e22c4010a156176675f6973737565735f7065725f72657669657710051a4b0a0a6e756c6c5f6d65616e73123d4e6f2072657669657720776974682061207265616461626c6520697373756520636f756e7420696e20746865206c61737420736576656e20646179732e1a0e0a04756e697412066973737565731a0c0a0677696e646f7712023764223e4d65616e206e756d626572206f66206973737565732074686174206120726576696577207265706f727465642c206c61737420736576656e20646179732e22dc010a156973737565735f7065725f7265766965775f73746410051a550a0a6e756c6c5f6d65616e7312474665776572207468616e2074776f207265766965777320776974682061207265616461626c6520697373756520636f756e7420696e20746865206c61737420333020646179732e1a0e0a04756e697412066973737565731a0d0a0677696e646f771203333064224b537072656164206f662074686520697373756520636f756e74206265747765656e20726576696577732c206c61737420333020646179733a20737465616479206f7220657272617469632e22c5010a14637269746963616c5f7265766965775f7261746510051a450a0a6e756c6c5f6d65616e7312374e6f207265766965772077697468207265616461626c65207365766572697469657320696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422465368617265206f662072657669657773207468617420666f756e64206174206c65617374206f6e6520637269746963616c2069737375652c206c61737420333020646179732e22a6010a0e72656a656374696f6e5f7261746510051a3b0a0a6e756c6c5f6d65616e73122d4e6f2072657669657720776974682061207665726469637420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422375368617265206f66207265766965777320746861742073656e742074686520776f726b206261636b2c206c61737420333020646179732e22c7010a1966697273745f726f756e645f617070726f76616c5f7261746510051a470a0a6e756c6c5f6d65616e7312394e6f2066697273742d726f756e642072657669657720776974682061207665726469637420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422415368617265206f662066697273742d726f756e642072657669657773207468617420617070726f766564206174206f6e63652c206c61737420333020646179732e22d0010a106d61785f7265766965775f726f756e6410041a420a0a6e756c6c5f6d65616e7312344e6f2072657669657720776974682061206b6e6f776e20726f756e6420696e20746865206c61737420736576656e20646179732e1a0e0a04756e69741206726f756e64731a0c0a0677696e646f771202376422584d6f737420726f756e64732074686174206f6e65207069656365206f6620776f726b206e65656465642c206c61737420736576656e20646179733b2061626f7665203320746865206c6f6f7020686173206661696c65642e22c3010a167265766965775f6475726174696f6e5f7039305f6d7310041a450a0a6e756c6c5f6d65616e7312374e6f2072657669657720776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420736576656e20646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0c0a0677696e646f7712023764223c4e696e65206f662074656e207265766965777320746f6f6b206174206d6f73742074686973206c6f6e672c206c61737420736576656e20646179732e22670a1472657669657765645f7461736b735f636f756e7410041a0d0a04756e697412057461736b731a0c0a0677696e646f77120237642230446966666572656e74207461736b7320726576696577656420696e20746865206c61737420736576656e20646179732e228e010a116c6173745f72656a656374696f6e5f617410081a380a0a6e756c6c5f6d65616e73122a4e6f7468696e67207761732073656e74206261636b20696e20746865206c61737420333020646179732e1a0f0a04756e69741207696e7374616e741a0d0a0677696e646f771203333064221d5768656e20776f726b20776173206c6173742073656e74206261636b2e22a6010a117265766965775f6c6f61645f7472656e6410051a2f0a0a6e756c6c5f6d65616e7312214e6f2072657669657720696e20746865206c61737420736576656e20646179732e1a0d0a04756e69741205726174696f224f546f6461792773207265766965777320616761696e737420746865206461696c79206d65616e206f6620746865207765656b3a203120697320617320757375616c2c2033206973206120727573682e2a160a056167656e74120d636f64652d72657669657765722a4d0a09646174615f686173681240313130326530666262363061623035623331363632636566303063653764656462376334333262616564356333306266366666646338636665336633623933302a4f0a0b66696e6765727072696e741240366530316161336231643033613561626564666639363735343732323465663537386439333734646438633535643836663832633135616138623266643365332a190a0f666561747572655f76657273696f6e120676312e302e302a190a0a6d61785f6167655f7573120b39333630303030303030302a510a0d6d657461646174615f6861736812403863623631316363363866383164343831663638303130616434626238313865326138613233633638386464313234386438393635306331623637316136656632003aad0308061a0f6576656e745f74696d657374616d702a0a637265617465645f617482015b0a597b226e616d65223a2022636f64655f7265766965775f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64655f7265766965775f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20119636f64655f7265766965775f66656174757265735f726f7773ba015e526f7773206f6620636f64655f7265766965775f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610908c83aa02220c08acf5add80610908c83aa0240015254486f77206d7563682074686520636f64652d726576696577657220726576696577732c20776861742069742066696e64732c20616e6420686f77206f6674656e2069742073656e647320776f726b206261636b2e5a0b6d6c2d706c6174666f726d620c0a086167656e745f696410029201066c6174657374121a0a0b08adf5add80610f8f58c30120b08adf5add80610f8f58c30	1795914413		2346f773-7be3-40df-9cd0-6addd0e7984f
coding_features	detektor	0	feature_view	\\x0aec1b0a0f636f64696e675f66656174757265731208646574656b746f721a086167656e745f696422a3010a1c7765656b6c795f696d706c656d656e746174696f6e735f636f756e7410041a170a04756e6974120f696d706c656d656e746174696f6e731a0c0a0677696e646f7712023764225a496d706c656d656e746174696f6e732066696e69736865642077697468207375636365737320696e20746865206c61737420736576656e20646179733b206561636820726f756e64206f662061207461736b206973206f6e652e22660a12776f726b65645f7461736b735f636f756e7410041a0d0a04756e697412057461736b731a0c0a0677696e646f77120237642231446966666572656e74207461736b7320776f726b6564206f6e20696e20746865206c61737420736576656e20646179732e22e7010a136176675f636f6d706c6574696f6e5f74696d6510051a580a0a6e756c6c5f6d65616e73124a4e6f207375636365737366756c20696d706c656d656e746174696f6e20776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420736576656e20646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0c0a0677696e646f771202376422504d65616e2077616c6c2074696d65206f662061207375636365737366756c20696d706c656d656e746174696f6e2c206c61737420736576656e20646179732c20696e206d696c6c697365636f6e64732e228d020a16636f6d706c6574696f6e5f74696d655f7374645f6d7310051a620a0a6e756c6c5f6d65616e7312544665776572207468616e2074776f207375636365737366756c20696d706c656d656e746174696f6e7320776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420333020646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0d0a0677696e646f7712033330642268537072656164206f66207468652077616c6c2074696d65206265747765656e207375636365737366756c20696d706c656d656e746174696f6e732c206c61737420333020646179733a20686f772077656c6c20616e20657374696d6174652063616e20686f6c642e22b5010a1a66697273745f617474656d70745f737563636573735f7261746510051a390a0a6e756c6c5f6d65616e73122b4e6f20666972737420617474656d707420656e64656420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f771203333064223c5368617265206f6620666972737420617474656d707473207468617420656e64656420696e20737563636573732c206c61737420333020646179732e22da010a0b7265776f726b5f7261746510051a4e0a0a6e756c6c5f6d65616e7312404e6f20696d706c656d656e746174696f6e20776974682061206b6e6f776e2072657669657720726f756e6420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f771203333064225b5368617265206f6620696d706c656d656e746174696f6e73207468617420616e737765726564206120726576696577207768696368206861642073656e742074686520776f726b206261636b2c206c61737420333020646179732e22c1010a0c6d61785f617474656d70747310041a4c0a0a6e756c6c5f6d65616e73123e4e6f20696d706c656d656e746174696f6e20776974682061206b6e6f776e20617474656d707420696e20746865206c61737420736576656e20646179732e1a100a04756e69741208617474656d7074731a0c0a0677696e646f771202376422414d6f737420617474656d7074732074686174206f6e65207461736b206e65656465642c206c61737420736576656e20646179733a20697320697420737475636b3f22bc010a13677265656e5f746573745f72756e5f7261746510051a480a0a6e756c6c5f6d65616e73123a4e6f20746573742072756e20776974682061207265616461626c6520726573756c7420696e20746865206c61737420736576656e20646179732e1a0d0a04756e6974120573686172651a0c0a0677696e646f7712023764223c5368617265206f662074686520636f646572277320746573742072756e732074686174207061737365642c206c61737420736576656e20646179732e22590a1174657374735f61646465645f746f74616c10041a0d0a04756e6974120574657374731a0c0a0677696e646f771202376422255465737473207772697474656e20696e20746865206c61737420736576656e20646179732e22650a136c696e65735f6368616e6765645f746f74616c10041a0d0a04756e697412056c696e65731a0c0a0677696e646f7712023764222f4c696e657320616464656420616e642072656d6f76656420696e20746865206c61737420736576656e20646179732e22b3010a1474657374735f7065725f313030305f6c696e657310051a390a0a6e756c6c5f6d65616e73122b4e6f206c696e6520776173206368616e67656420696e20746865206c61737420736576656e20646179732e1a1c0a04756e697412147465737473207065722031303030206c696e657322405465737473207772697474656e20666f722065766572792074686f7573616e64206c696e6573206368616e6765642c206c61737420736576656e20646179732e22ae010a0b6275676669785f7261746510051a440a0a6e756c6c5f6d65616e7312364e6f20696d706c656d656e746174696f6e206f662061206b6e6f776e206b696e6420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422395368617265206f6620696d706c656d656e746174696f6e732074686174206d656e6465642061206275672c206c61737420333020646179732e22a0010a0f746f6f6c5f6572726f725f7261746510051a2b0a0a6e756c6c5f6d65616e73121d4e6f20746f6f6c2063616c6c20696e20746865206c617374206461792e1a0d0a04756e6974120573686172651a0c0a0677696e646f771202316422415368617265206f662074686520636f646572277320746f6f6c2063616c6c73207468617420656e64656420696e20616e206572726f722c206c617374206461792e22d1010a186176675f666565646261636b5f73636f72655f6d696c6c6910051a2e0a0a6e756c6c5f6d65616e7312204e6f20666565646261636b20696e20746865206c61737420333020646179732e1a130a04756e6974120b74686f7573616e647468731a0d0a0677696e646f771203333064225f4d65616e206f6620776861742070656f706c652074686f75676874206f662074686520776f726b2c202d3130303020287573656c6573732920746f2031303030202865786163746c79207269676874292c206c61737420333020646179732e2295010a0f6c6173745f6661696c7572655f617410081a3b0a0a6e756c6c5f6d65616e73122d4e6f20696d706c656d656e746174696f6e206661696c656420696e20746865206c61737420333020646179732e1a0f0a04756e69741207696e7374616e741a0d0a0677696e646f77120333306422235768656e20616e20696d706c656d656e746174696f6e206c617374206661696c65642e2a170a056167656e74120e646574656b746f722d636f6465722a4d0a09646174615f686173681240326337313461343430333133356633373765313834343839623364616436316331363936666337303837346339623432623139626439386335373463323964662a4f0a0b66696e6765727072696e741240343533396336386266353262653236373862376132623833613630323737303739323438336136393733646465353437333137393964353830383962313937382a190a0f666561747572655f76657273696f6e120676312e302e302a190a0a6d61785f6167655f7573120b39333630303030303030302a510a0d6d657461646174615f6861736812403337303964303335363461353466663063646431303434306161373964363636353330613661363836363936366663613234666434373861343261343563336532003a990308061a0f6576656e745f74696d657374616d702a0a637265617465645f61748201510a4f7b226e616d65223a2022636f64696e675f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64696e675f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20114636f64696e675f66656174757265735f726f7773ba0159526f7773206f6620636f64696e675f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610f8d99eb203220c08acf5add80610f8d99eb20340015267486f77206d7563682074686520646574656b746f722d636f6465722066696e69736865732c20686f77206f6674656e20776f726b20636f6d6573206261636b20746f2069742c20616e6420686f772069742074657374732077686174206974207772697465732e5a0b6d6c2d706c6174666f726d620c0a086167656e745f696410029201066c6174657374121a0a0b08adf5add8061088b1ca7f120b08adf5add8061088b1ca7f	1795914413		8ebb6c74-9bb0-4e8f-a031-d1949deee5c8
\.


--
-- Data for Name: feature_views; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.feature_views (feature_view_name, project_id, last_updated_timestamp, materialized_intervals, feature_view_proto, user_metadata) FROM stdin;
code_review_features	detektor	1795914413	\N	\\x0af5160a14636f64655f7265766965775f66656174757265731208646574656b746f721a086167656e745f6964225a0a14726563656e745f726576696577735f636f756e7410041a0f0a04756e69741207726576696577731a0c0a0677696e646f77120231642221526576696577732066696e697368656420696e20746865206c617374206461792e22610a147765656b6c795f726576696577735f636f756e7410041a0f0a04756e69741207726576696577731a0c0a0677696e646f77120237642228526576696577732066696e697368656420696e20746865206c61737420736576656e20646179732e22c4010a156176675f6973737565735f7065725f72657669657710051a4b0a0a6e756c6c5f6d65616e73123d4e6f2072657669657720776974682061207265616461626c6520697373756520636f756e7420696e20746865206c61737420736576656e20646179732e1a0e0a04756e697412066973737565731a0c0a0677696e646f7712023764223e4d65616e206e756d626572206f66206973737565732074686174206120726576696577207265706f727465642c206c61737420736576656e20646179732e22dc010a156973737565735f7065725f7265766965775f73746410051a550a0a6e756c6c5f6d65616e7312474665776572207468616e2074776f207265766965777320776974682061207265616461626c6520697373756520636f756e7420696e20746865206c61737420333020646179732e1a0e0a04756e697412066973737565731a0d0a0677696e646f771203333064224b537072656164206f662074686520697373756520636f756e74206265747765656e20726576696577732c206c61737420333020646179733a20737465616479206f7220657272617469632e22c5010a14637269746963616c5f7265766965775f7261746510051a450a0a6e756c6c5f6d65616e7312374e6f207265766965772077697468207265616461626c65207365766572697469657320696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422465368617265206f662072657669657773207468617420666f756e64206174206c65617374206f6e6520637269746963616c2069737375652c206c61737420333020646179732e22a6010a0e72656a656374696f6e5f7261746510051a3b0a0a6e756c6c5f6d65616e73122d4e6f2072657669657720776974682061207665726469637420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422375368617265206f66207265766965777320746861742073656e742074686520776f726b206261636b2c206c61737420333020646179732e22c7010a1966697273745f726f756e645f617070726f76616c5f7261746510051a470a0a6e756c6c5f6d65616e7312394e6f2066697273742d726f756e642072657669657720776974682061207665726469637420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422415368617265206f662066697273742d726f756e642072657669657773207468617420617070726f766564206174206f6e63652c206c61737420333020646179732e22d0010a106d61785f7265766965775f726f756e6410041a420a0a6e756c6c5f6d65616e7312344e6f2072657669657720776974682061206b6e6f776e20726f756e6420696e20746865206c61737420736576656e20646179732e1a0e0a04756e69741206726f756e64731a0c0a0677696e646f771202376422584d6f737420726f756e64732074686174206f6e65207069656365206f6620776f726b206e65656465642c206c61737420736576656e20646179733b2061626f7665203320746865206c6f6f7020686173206661696c65642e22c3010a167265766965775f6475726174696f6e5f7039305f6d7310041a450a0a6e756c6c5f6d65616e7312374e6f2072657669657720776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420736576656e20646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0c0a0677696e646f7712023764223c4e696e65206f662074656e207265766965777320746f6f6b206174206d6f73742074686973206c6f6e672c206c61737420736576656e20646179732e22670a1472657669657765645f7461736b735f636f756e7410041a0d0a04756e697412057461736b731a0c0a0677696e646f77120237642230446966666572656e74207461736b7320726576696577656420696e20746865206c61737420736576656e20646179732e228e010a116c6173745f72656a656374696f6e5f617410081a380a0a6e756c6c5f6d65616e73122a4e6f7468696e67207761732073656e74206261636b20696e20746865206c61737420333020646179732e1a0f0a04756e69741207696e7374616e741a0d0a0677696e646f771203333064221d5768656e20776f726b20776173206c6173742073656e74206261636b2e22a6010a117265766965775f6c6f61645f7472656e6410051a2f0a0a6e756c6c5f6d65616e7312214e6f2072657669657720696e20746865206c61737420736576656e20646179732e1a0d0a04756e69741205726174696f224f546f6461792773207265766965777320616761696e737420746865206461696c79206d65616e206f6620746865207765656b3a203120697320617320757375616c2c2033206973206120727573682e2a160a056167656e74120d636f64652d72657669657765722a4d0a09646174615f686173681240313130326530666262363061623035623331363632636566303063653764656462376334333262616564356333306266366666646338636665336633623933302a4f0a0b66696e6765727072696e741240366530316161336231643033613561626564666639363735343732323465663537386439333734646438633535643836663832633135616138623266643365332a190a0f666561747572655f76657273696f6e120676312e302e302a190a0a6d61785f6167655f7573120b39333630303030303030302a510a0d6d657461646174615f6861736812403863623631316363363866383164343831663638303130616434626238313865326138613233633638386464313234386438393635306331623637316136656632003aad0308061a0f6576656e745f74696d657374616d702a0a637265617465645f617482015b0a597b226e616d65223a2022636f64655f7265766965775f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64655f7265766965775f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20119636f64655f7265766965775f66656174757265735f726f7773ba015e526f7773206f6620636f64655f7265766965775f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610908c83aa02220c08acf5add80610908c83aa0240015254486f77206d7563682074686520636f64652d726576696577657220726576696577732c20776861742069742066696e64732c20616e6420686f77206f6674656e2069742073656e647320776f726b206261636b2e5a0b6d6c2d706c6174666f726d620c0a086167656e745f696410029201066c6174657374121a0a0b08adf5add80610f8f58c30120b08adf5add80610f8f58c30	\N
coding_features	detektor	1795914413	\N	\\x0aec1b0a0f636f64696e675f66656174757265731208646574656b746f721a086167656e745f696422a3010a1c7765656b6c795f696d706c656d656e746174696f6e735f636f756e7410041a170a04756e6974120f696d706c656d656e746174696f6e731a0c0a0677696e646f7712023764225a496d706c656d656e746174696f6e732066696e69736865642077697468207375636365737320696e20746865206c61737420736576656e20646179733b206561636820726f756e64206f662061207461736b206973206f6e652e22660a12776f726b65645f7461736b735f636f756e7410041a0d0a04756e697412057461736b731a0c0a0677696e646f77120237642231446966666572656e74207461736b7320776f726b6564206f6e20696e20746865206c61737420736576656e20646179732e22e7010a136176675f636f6d706c6574696f6e5f74696d6510051a580a0a6e756c6c5f6d65616e73124a4e6f207375636365737366756c20696d706c656d656e746174696f6e20776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420736576656e20646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0c0a0677696e646f771202376422504d65616e2077616c6c2074696d65206f662061207375636365737366756c20696d706c656d656e746174696f6e2c206c61737420736576656e20646179732c20696e206d696c6c697365636f6e64732e228d020a16636f6d706c6574696f6e5f74696d655f7374645f6d7310051a620a0a6e756c6c5f6d65616e7312544665776572207468616e2074776f207375636365737366756c20696d706c656d656e746174696f6e7320776974682061206b6e6f776e206475726174696f6e20696e20746865206c61737420333020646179732e1a140a04756e6974120c6d696c6c697365636f6e64731a0d0a0677696e646f7712033330642268537072656164206f66207468652077616c6c2074696d65206265747765656e207375636365737366756c20696d706c656d656e746174696f6e732c206c61737420333020646179733a20686f772077656c6c20616e20657374696d6174652063616e20686f6c642e22b5010a1a66697273745f617474656d70745f737563636573735f7261746510051a390a0a6e756c6c5f6d65616e73122b4e6f20666972737420617474656d707420656e64656420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f771203333064223c5368617265206f6620666972737420617474656d707473207468617420656e64656420696e20737563636573732c206c61737420333020646179732e22da010a0b7265776f726b5f7261746510051a4e0a0a6e756c6c5f6d65616e7312404e6f20696d706c656d656e746174696f6e20776974682061206b6e6f776e2072657669657720726f756e6420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f771203333064225b5368617265206f6620696d706c656d656e746174696f6e73207468617420616e737765726564206120726576696577207768696368206861642073656e742074686520776f726b206261636b2c206c61737420333020646179732e22c1010a0c6d61785f617474656d70747310041a4c0a0a6e756c6c5f6d65616e73123e4e6f20696d706c656d656e746174696f6e20776974682061206b6e6f776e20617474656d707420696e20746865206c61737420736576656e20646179732e1a100a04756e69741208617474656d7074731a0c0a0677696e646f771202376422414d6f737420617474656d7074732074686174206f6e65207461736b206e65656465642c206c61737420736576656e20646179733a20697320697420737475636b3f22bc010a13677265656e5f746573745f72756e5f7261746510051a480a0a6e756c6c5f6d65616e73123a4e6f20746573742072756e20776974682061207265616461626c6520726573756c7420696e20746865206c61737420736576656e20646179732e1a0d0a04756e6974120573686172651a0c0a0677696e646f7712023764223c5368617265206f662074686520636f646572277320746573742072756e732074686174207061737365642c206c61737420736576656e20646179732e22590a1174657374735f61646465645f746f74616c10041a0d0a04756e6974120574657374731a0c0a0677696e646f771202376422255465737473207772697474656e20696e20746865206c61737420736576656e20646179732e22650a136c696e65735f6368616e6765645f746f74616c10041a0d0a04756e697412056c696e65731a0c0a0677696e646f7712023764222f4c696e657320616464656420616e642072656d6f76656420696e20746865206c61737420736576656e20646179732e22b3010a1474657374735f7065725f313030305f6c696e657310051a390a0a6e756c6c5f6d65616e73122b4e6f206c696e6520776173206368616e67656420696e20746865206c61737420736576656e20646179732e1a1c0a04756e697412147465737473207065722031303030206c696e657322405465737473207772697474656e20666f722065766572792074686f7573616e64206c696e6573206368616e6765642c206c61737420736576656e20646179732e22ae010a0b6275676669785f7261746510051a440a0a6e756c6c5f6d65616e7312364e6f20696d706c656d656e746174696f6e206f662061206b6e6f776e206b696e6420696e20746865206c61737420333020646179732e1a0d0a04756e6974120573686172651a0d0a0677696e646f77120333306422395368617265206f6620696d706c656d656e746174696f6e732074686174206d656e6465642061206275672c206c61737420333020646179732e22a0010a0f746f6f6c5f6572726f725f7261746510051a2b0a0a6e756c6c5f6d65616e73121d4e6f20746f6f6c2063616c6c20696e20746865206c617374206461792e1a0d0a04756e6974120573686172651a0c0a0677696e646f771202316422415368617265206f662074686520636f646572277320746f6f6c2063616c6c73207468617420656e64656420696e20616e206572726f722c206c617374206461792e22d1010a186176675f666565646261636b5f73636f72655f6d696c6c6910051a2e0a0a6e756c6c5f6d65616e7312204e6f20666565646261636b20696e20746865206c61737420333020646179732e1a130a04756e6974120b74686f7573616e647468731a0d0a0677696e646f771203333064225f4d65616e206f6620776861742070656f706c652074686f75676874206f662074686520776f726b2c202d3130303020287573656c6573732920746f2031303030202865786163746c79207269676874292c206c61737420333020646179732e2295010a0f6c6173745f6661696c7572655f617410081a3b0a0a6e756c6c5f6d65616e73122d4e6f20696d706c656d656e746174696f6e206661696c656420696e20746865206c61737420333020646179732e1a0f0a04756e69741207696e7374616e741a0d0a0677696e646f77120333306422235768656e20616e20696d706c656d656e746174696f6e206c617374206661696c65642e2a170a056167656e74120e646574656b746f722d636f6465722a4d0a09646174615f686173681240326337313461343430333133356633373765313834343839623364616436316331363936666337303837346339623432623139626439386335373463323964662a4f0a0b66696e6765727072696e741240343533396336386266353262653236373862376132623833613630323737303739323438336136393733646465353437333137393964353830383962313937382a190a0f666561747572655f76657273696f6e120676312e302e302a190a0a6d61785f6167655f7573120b39333630303030303030302a510a0d6d657461646174615f6861736812403337303964303335363461353466663063646431303434306161373964363636353330613661363836363936366663613234666434373861343261343563336532003a990308061a0f6576656e745f74696d657374616d702a0a637265617465645f61748201510a4f7b226e616d65223a2022636f64696e675f66656174757265735f726f7773222c20227175657279223a2022222c20227461626c65223a202266656173742e636f64696e675f6665617475726573227d8a015a66656173742e696e6672612e6f66666c696e655f73746f7265732e636f6e747269622e706f7374677265735f6f66666c696e655f73746f72652e706f7374677265735f736f757263652e506f737467726553514c536f75726365a20114636f64696e675f66656174757265735f726f7773ba0159526f7773206f6620636f64696e675f66656174757265733a206f6e6520666f72206561636820696e7374616e7420617420776869636820616e206576656e7420656e7465726564206f72206c65667420612077696e646f772ec201260a187772697474656e5f74696d657374616d705f636f6c756d6e120a7772697474656e5f6174ca010b6d6c2d706c6174666f726d92031c1a0c08acf5add80610f8d99eb203220c08acf5add80610f8d99eb20340015267486f77206d7563682074686520646574656b746f722d636f6465722066696e69736865732c20686f77206f6674656e20776f726b20636f6d6573206261636b20746f2069742c20616e6420686f772069742074657374732077686174206974207772697465732e5a0b6d6c2d706c6174666f726d620c0a086167656e745f696410029201066c6174657374121a0a0b08adf5add8061088b1ca7f120b08adf5add8061088b1ca7f	\N
\.


--
-- Data for Name: label_views; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.label_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto, user_metadata) FROM stdin;
\.


--
-- Data for Name: managed_infra; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.managed_infra (infra_name, project_id, last_updated_timestamp, infra_proto) FROM stdin;
\.


--
-- Data for Name: on_demand_feature_views; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.on_demand_feature_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto, user_metadata) FROM stdin;
\.


--
-- Data for Name: permissions; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.permissions (permission_name, project_id, last_updated_timestamp, permission_proto) FROM stdin;
\.


--
-- Data for Name: projects; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.projects (project_id, project_name, last_updated_timestamp, project_proto) FROM stdin;
detektor	detektor	1795914412	\\x0a0a0a08646574656b746f72121c0a0c08acf5add80610d092cbb701120c08acf5add80610d092cbb701
\.


--
-- Data for Name: saved_datasets; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.saved_datasets (saved_dataset_name, project_id, last_updated_timestamp, saved_dataset_proto) FROM stdin;
\.


--
-- Data for Name: stream_feature_views; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.stream_feature_views (feature_view_name, project_id, last_updated_timestamp, feature_view_proto, user_metadata) FROM stdin;
\.


--
-- Data for Name: validation_references; Type: TABLE DATA; Schema: feast; Owner: -
--

COPY feast.validation_references (validation_reference_name, project_id, last_updated_timestamp, validation_reference_proto) FROM stdin;
\.


--
-- Data for Name: agent_events_y2026m10; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.agent_events_y2026m10 (event_id, revision, agent_type, raw_name, project, session_id, task_id, operation, occurred_at, known_at, ingested_at, xid, derived, simulated, retracted, source, reader_revision, attributes, duration_ms, input_tokens, output_tokens, cache_read_tokens, cache_creation_tokens, tool_calls, tool_errors, issues_found, issues_critical, issues_major, issues_minor, fixes_suggested, review_round, attempt, files_changed, lines_added, lines_removed, tests_added, tests_passed, tests_failed, lead_time_ms, health_check_ms, docs_checked, docs_in_sync, docs_updated, sync_lag_ms, options_considered, components_affected, coupling_milli, confidence_milli, hypotheses, frames_dropped, stage_latency_ms, queue_depth, sources_found, sources_cited, claims_checked, claims_rejected, score_milli, outcome, verdict, tool_name, model, error_type, action, strategy, environment, task_kind, doc_kind, priority, recommendation, pattern, root_cause, resolution, stage, topic) FROM stdin;
sim:1:102509b20ccae277	1	detektor-coder	detektor-coder	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	test_run	2026-10-29 09:52:11.613402+00	2026-10-29 09:52:11.613402+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	6974	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	468	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:47c7058020e36907	1	detektor-coder	detektor-coder	detektor-core	s-877dbbf63f3510a9	t-dbcddc55951912b6	test_run	2026-10-31 08:05:27.80377+00	2026-10-31 08:05:27.80377+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	378	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	463	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:743fe0ccb7e03e5c	1	detektor-coder	detektor-coder	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	test_run	2026-10-28 17:35:33.66014+00	2026-10-28 17:35:33.66014+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	244	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	441	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:b3bb4405d6ca7037	1	detektor-coder	detektor-coder	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	test_run	2026-10-28 17:44:32.527117+00	2026-10-28 17:44:32.527117+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	10578	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	458	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:e976003f40fb1b79	1	detektor-coder	detektor-coder	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	test_run	2026-10-27 14:59:34.830198+00	2026-10-27 14:59:34.830198+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	18723	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	476	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:ff2e70a6b36b070b	1	detektor-coder	detektor-coder	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	test_run	2026-10-28 17:47:34.5506+00	2026-10-28 17:47:34.5506+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	4440	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	417	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:091b031379eae741	1	detektor-coder	detektor-coder	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	implement	2026-10-27 14:59:46.310938+00	2026-10-27 14:59:46.310938+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	574037	2526	1217	\N	\N	20	0	\N	\N	\N	\N	\N	1	1	1	98	51	6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	test	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:28265a295857ebb1	1	detektor-coder	detektor-coder	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	implement	2026-10-28 17:35:34.20958+00	2026-10-28 17:35:34.20958+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	27472	35	519	\N	\N	4	0	\N	\N	\N	\N	\N	1	1	4	69	63	3	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	failure	\N	\N	claude-opus-4-6	exit_code	\N	\N	\N	chore	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:3d34bce8d73da042	1	detektor-coder	detektor-coder	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	implement	2026-10-29 06:05:03.970801+00	2026-10-29 06:05:03.970801+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	81486	120	548	\N	\N	9	0	\N	\N	\N	\N	\N	1	1	2	10	31	2	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	bugfix	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:6bd876ca58e373d9	1	detektor-coder	detektor-coder	detektor-core	s-877dbbf63f3510a9	t-dbcddc55951912b6	implement	2026-10-31 08:07:09.117179+00	2026-10-31 08:07:09.117179+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	433139	108	1642	\N	\N	15	1	\N	\N	\N	\N	\N	1	1	3	131	14	3	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	feature	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:8a4f4dcb6c560e74	1	detektor-coder	detektor-coder	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	implement	2026-10-29 09:52:13.558582+00	2026-10-29 09:52:13.558582+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	97259	13	2962	\N	\N	5	0	\N	\N	\N	\N	\N	1	1	1	81	80	2	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-haiku-4-5	\N	\N	\N	\N	feature	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:f6e4348a6a0f7799	1	detektor-coder	detektor-coder	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	implement	2026-10-28 17:47:42.16994+00	2026-10-28 17:47:42.16994+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	380967	179	1673	\N	\N	30	0	\N	\N	\N	\N	\N	1	2	5	192	27	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	chore	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:1f495437404faac9	1	debugger	debugger	detektor-core	s-a2ecf695faeeb56f	t-c95942fe03fc174b	diagnose	2026-10-29 13:31:53.51021+00	2026-10-29 13:31:53.51021+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	4144944	275	830	\N	\N	32	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	4	\N	808	2	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	config	fix	\N	\N
sim:1:5454cbae6c86e8b3	1	debugger	debugger	detektor-core	s-877dbbf63f3510a9	t-be77d08be039b62a	diagnose	2026-10-31 08:06:55.450086+00	2026-10-31 08:06:55.450086+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	66978	103	619	\N	\N	14	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	1	\N	858	1	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	code	fix	\N	\N
sim:1:6a82bb0e97a8097a	1	pipeline-debugger	pipeline-debugger	detektor-core	s-45f59ff7a35347bf	t-d8b61c833dcd45ee	diagnose	2026-10-27 15:06:05.650763+00	2026-10-27 15:06:05.650763+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	402490	130	1319	\N	\N	23	2	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	1	\N	514	2	31	197	28	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	code	fix	rtsp	\N
sim:1:c88c7db868143cdf	1	pipeline-debugger	pipeline-debugger	detektor-core	s-3c28aec21e200626	t-10a2844d611f70eb	diagnose	2026-10-31 09:48:40.424765+00	2026-10-31 09:48:40.424765+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	299550	49	336	\N	\N	16	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	1	\N	397	2	20	922	35	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	code	fix	processor	\N
sim:1:d2bba01dd0e678b4	1	debugger	debugger	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	diagnose	2026-10-27 15:52:39.96231+00	2026-10-27 15:52:39.96231+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	108659	33	385	\N	\N	7	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	4	\N	799	3	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	code	fix	\N	\N
sim:1:0049a512897cd111	1	deployment-specialist	deployment-specialist	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	invoke_agent	2026-10-29 17:22:26.853946+00	2026-10-29 17:22:26.853946+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	130686	131	2367	\N	\N	11	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:08a4ffb507fb87fa	1	pipeline-debugger	pipeline-debugger	detektor-core	s-3c28aec21e200626	t-10a2844d611f70eb	invoke_agent	2026-10-31 09:48:40.588765+00	2026-10-31 09:48:40.588765+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	299550	49	336	\N	\N	16	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:0d5f62b0b1143210	1	pipeline-debugger	pipeline-debugger	detektor-core	s-9775ef43457f146a	t-6eb801b503d44070	invoke_agent	2026-10-28 16:18:13.736261+00	2026-10-28 16:18:13.736261+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	199434	123	2610	\N	\N	27	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-haiku-4-5	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:0e9786b236ab8dd2	1	debugger	debugger	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	invoke_agent	2026-10-27 15:52:40.56231+00	2026-10-27 15:52:40.56231+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	108659	33	385	\N	\N	7	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:19cdb867aa22b5e4	1	code-reviewer	code-reviewer	detektor-core	s-877dbbf63f3510a9	t-dbcddc55951912b6	invoke_agent	2026-10-31 08:47:25.23968+00	2026-10-31 08:47:25.23968+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	56119	18	359	\N	\N	4	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:19e73d0ce5984fc4	1	debugger	debugger	detektor-core	s-877dbbf63f3510a9	t-be77d08be039b62a	invoke_agent	2026-10-31 08:06:55.661086+00	2026-10-31 08:06:55.661086+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	66978	103	619	\N	\N	14	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:27bea5694289ee08	1	deployment-specialist	deployment-specialist	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	invoke_agent	2026-10-27 15:48:34.190437+00	2026-10-27 15:48:34.190437+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	488634	478	1364	\N	\N	8	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	failure	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:3981a1ca5ed3dd4b	1	documentation-keeper	documentation-keeper	detektor-core	s-a2ecf695faeeb56f	t-7ad6e050b57fab4b	invoke_agent	2026-10-29 13:27:29.897915+00	2026-10-29 13:27:29.897915+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	577313	53	1376	\N	\N	11	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:3d0f0825502fa19c	1	debugger	debugger	detektor-core	s-a2ecf695faeeb56f	t-c95942fe03fc174b	invoke_agent	2026-10-29 13:31:54.01521+00	2026-10-29 13:31:54.01521+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	4144944	275	830	\N	\N	32	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:49cf2839c307ed92	1	pisarz	pisarz	detektor-core	s-877dbbf63f3510a9	t-4ef3690015672398	invoke_agent	2026-10-31 08:59:50.005852+00	2026-10-31 08:59:50.005852+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	902415	227	2786	\N	\N	51	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-haiku-4-5	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:5be28c6a52e0058a	1	deployment-specialist	deployment-specialist	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	invoke_agent	2026-10-28 19:31:19.575645+00	2026-10-28 19:31:19.575645+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	49545	9	70	\N	\N	6	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:7f1ee6fd93abba0e	1	documentation-keeper	documentation-keeper	detektor-core	s-e1007467a7a0a218	t-294c5333544e653c	invoke_agent	2026-10-29 14:23:33.981073+00	2026-10-29 14:23:33.981073+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	36487	72	556	\N	\N	6	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:977a47dc41254725	1	pisarz	pisarz	detektor-core	s-9775ef43457f146a	t-9d085fa063c9c850	invoke_agent	2026-10-28 09:09:56.519116+00	2026-10-28 09:09:56.519116+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	136704	122	8018	\N	\N	23	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:9be40a2a90ed9327	1	documentation-keeper	documentation-keeper	detektor-core	s-a2ecf695faeeb56f	t-8a2182fd08410255	invoke_agent	2026-10-29 07:03:59.656811+00	2026-10-29 07:03:59.656811+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	694292	1139	1645	\N	\N	20	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:a3e3158f35156d2d	1	code-reviewer	code-reviewer	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	invoke_agent	2026-10-29 06:12:24.26134+00	2026-10-29 06:12:24.26134+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	40418	198	258	\N	\N	8	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:af6d7082e78741f1	1	deployment-specialist	deployment-specialist	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	invoke_agent	2026-10-29 06:55:09.525718+00	2026-10-29 06:55:09.525718+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	1079404	41	1262	\N	\N	11	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:ba127752d04a0d76	1	documentation-keeper	documentation-keeper	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	invoke_agent	2026-10-29 10:34:10.414134+00	2026-10-29 10:34:10.414134+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	105096	8	869	\N	\N	6	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	failure	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:c91b5bec6a4af01e	1	pipeline-debugger	pipeline-debugger	detektor-core	s-45f59ff7a35347bf	t-d8b61c833dcd45ee	invoke_agent	2026-10-27 15:06:06.024763+00	2026-10-27 15:06:06.024763+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	402490	130	1319	\N	\N	23	2	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:cb2c2ff7af549b10	1	code-reviewer	code-reviewer	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	invoke_agent	2026-10-29 10:09:48.619717+00	2026-10-29 10:09:48.619717+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	99200	93	1755	\N	\N	20	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:d850602a04a27b10	1	code-reviewer	code-reviewer	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	invoke_agent	2026-10-27 15:25:21.555152+00	2026-10-27 15:25:21.555152+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	40116	2	1459	\N	\N	1	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:e15dc02b3a2b3423	1	documentation-keeper	documentation-keeper	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	invoke_agent	2026-10-28 18:13:33.914647+00	2026-10-28 18:13:33.914647+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	110670	18	543	\N	\N	7	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:243fdd2196984239	1	deployment-specialist	deployment-specialist	detektor-core	s-45f59ff7a35347bf	t-30aa28f16c448456	deploy	2026-10-27 15:48:33.309437+00	2026-10-27 15:48:33.309437+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	488634	478	1364	\N	\N	8	0	\N	\N	\N	\N	\N	\N	1	2	\N	\N	\N	\N	\N	2926998	17051	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	failure	\N	\N	claude-sonnet-4-6	exit_code	deploy	rolling	production	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:41014de7ffe709cb	1	deployment-specialist	deployment-specialist	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	deploy	2026-10-29 17:22:26.754946+00	2026-10-29 17:22:26.754946+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	130686	131	2367	\N	\N	11	1	\N	\N	\N	\N	\N	\N	1	5	\N	\N	\N	\N	\N	27013196	13883	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	deploy	rolling	staging	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:8c618b3296464419	1	deployment-specialist	deployment-specialist	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	deploy	2026-10-29 06:55:08.826718+00	2026-10-29 06:55:08.826718+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	1079404	41	1262	\N	\N	11	1	\N	\N	\N	\N	\N	\N	1	4	\N	\N	\N	\N	\N	3004855	7673	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	deploy	rolling	development	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:cbf1209a7814a995	1	deployment-specialist	deployment-specialist	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	deploy	2026-10-28 19:31:18.864645+00	2026-10-28 19:31:18.864645+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	49545	9	70	\N	\N	6	0	\N	\N	\N	\N	\N	\N	1	2	\N	\N	\N	\N	\N	6216694	8837	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	deploy	push	production	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:56bdae1837578702	1	deployment-specialist	deployment-specialist	detektor-core	\N	t-e74f197ab586d83a	feedback	2026-10-29 01:48:11.760809+00	2026-10-29 01:48:11.760809+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	718	\N	approved	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:7fb4a1cc715744d9	1	debugger	debugger	detektor-core	\N	t-c95942fe03fc174b	feedback	2026-10-29 15:37:43.526156+00	2026-10-29 15:37:43.526156+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	189	\N	approved	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:88ce5d2abf4cbf59	1	code-reviewer	code-reviewer	detektor-core	\N	t-30aa28f16c448456	feedback	2026-10-27 19:37:11.06461+00	2026-10-27 19:37:11.06461+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	-613	\N	rejected	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:8a44d4141ac1d8f4	1	pipeline-debugger	pipeline-debugger	detektor-core	\N	t-10a2844d611f70eb	feedback	2026-10-31 14:27:56.484204+00	2026-10-31 14:27:56.484204+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	-427	\N	rejected	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:a47754a01ff5b745	1	detektor-coder	detektor-coder	detektor-core	\N	t-39cad031c221efc9	feedback	2026-10-29 06:32:01.239936+00	2026-10-29 06:32:01.239936+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	-507	\N	rejected	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:b83c3d8482703af7	1	pisarz	pisarz	detektor-core	\N	t-4ef3690015672398	feedback	2026-10-31 16:48:39.02171+00	2026-10-31 16:48:39.02171+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	630	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:0ed4b89b4e76b309	1	pisarz	pisarz	detektor-core	s-877dbbf63f3510a9	t-4ef3690015672398	research	2026-10-31 08:59:49.351852+00	2026-10-31 08:59:49.351852+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	902415	227	2786	\N	\N	51	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	13	4	5	0	\N	success	\N	\N	claude-haiku-4-5	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	traffic safety
sim:1:cd95552535dde60b	1	pisarz	pisarz	detektor-core	s-9775ef43457f146a	t-9d085fa063c9c850	research	2026-10-28 09:09:56.396116+00	2026-10-28 09:09:56.396116+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	136704	122	8018	\N	\N	23	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	11	7	5	0	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	privacy by design
sim:1:1ed3a5dfeeaef75c	1	code-reviewer	code-reviewer	detektor-core	s-877dbbf63f3510a9	t-dbcddc55951912b6	review	2026-10-31 08:47:24.78368+00	2026-10-31 08:47:24.78368+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	56119	18	359	\N	\N	4	0	0	0	0	0	0	1	\N	8	111	72	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	approved	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:3a621c23b13f4d48	1	code-reviewer	code-reviewer	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	review	2026-10-29 06:12:23.82034+00	2026-10-29 06:12:23.82034+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	40418	198	258	\N	\N	8	0	1	0	0	1	0	1	\N	1	14	34	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	approved	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:833f2fc711e15c0f	1	code-reviewer	code-reviewer	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	review	2026-10-28 18:10:25.164858+00	2026-10-28 18:10:25.164858+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	71105	29	730	\N	\N	11	0	0	0	0	0	0	1	\N	3	72	98	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	approved	\N	claude-opus-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:c622f28091c5b336	1	code-reviewer	code-reviewer	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	review	2026-10-29 10:09:48.236717+00	2026-10-29 10:09:48.236717+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	99200	93	1755	\N	\N	20	0	\N	\N	\N	\N	\N	1	\N	3	83	6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
sim:1:367fc48d30768db5	1	documentation-keeper	documentation-keeper	detektor-core	s-a2ecf695faeeb56f	t-39cad031c221efc9	document	2026-10-29 10:23:06.16127+00	2026-10-29 10:23:06.16127+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	538151	279	1701	\N	\N	41	0	\N	\N	\N	\N	\N	\N	\N	\N	0	0	\N	\N	\N	\N	\N	6	6	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	api	low	\N	\N	\N	\N	\N	\N
sim:1:4534c498a546bec4	1	documentation-keeper	documentation-keeper	detektor-core	s-9775ef43457f146a	t-e74f197ab586d83a	document	2026-10-28 18:13:33.264647+00	2026-10-28 18:13:33.264647+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	110670	18	543	\N	\N	7	0	\N	\N	\N	\N	\N	\N	\N	\N	16	5	\N	\N	\N	\N	\N	6	6	1	1551094	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	readme	high	\N	\N	\N	\N	\N	\N
sim:1:5427ae78a7793de9	1	documentation-keeper	documentation-keeper	detektor-core	s-e1007467a7a0a218	t-294c5333544e653c	document	2026-10-29 14:23:33.762073+00	2026-10-29 14:23:33.762073+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	36487	72	556	\N	\N	6	0	\N	\N	\N	\N	\N	\N	\N	\N	11	8	\N	\N	\N	\N	\N	5	5	1	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	api	medium	\N	\N	\N	\N	\N	\N
sim:1:c51030b07c2f40e1	1	documentation-keeper	documentation-keeper	detektor-core	s-a2ecf695faeeb56f	t-8a2182fd08410255	document	2026-10-29 07:03:59.513811+00	2026-10-29 07:03:59.513811+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	694292	1139	1645	\N	\N	20	0	\N	\N	\N	\N	\N	\N	\N	\N	0	0	\N	\N	\N	\N	\N	6	4	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-opus-4-6	\N	\N	\N	\N	\N	readme	medium	\N	\N	\N	\N	\N	\N
sim:1:ed9d99cb7770ec67	1	documentation-keeper	documentation-keeper	detektor-core	s-a2ecf695faeeb56f	t-7ad6e050b57fab4b	document	2026-10-29 13:27:29.796915+00	2026-10-29 13:27:29.796915+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	577313	53	1376	\N	\N	11	0	\N	\N	\N	\N	\N	\N	\N	\N	0	0	\N	\N	\N	\N	\N	4	3	0	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	other	low	\N	\N	\N	\N	\N	\N
sim:1:f4c903f7b82a8003	1	documentation-keeper	documentation-keeper	detektor-core	s-e1007467a7a0a218	t-87a2cf4b5e64c7ae	document	2026-10-29 10:34:09.713134+00	2026-10-29 10:34:09.713134+00	2026-11-01 00:00:00+00	761	f	t	f	simulator	1	\N	105096	8	869	\N	\N	6	1	\N	\N	\N	\N	\N	\N	\N	\N	12	4	\N	\N	\N	\N	\N	7	7	1	2516154	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	failure	\N	\N	claude-sonnet-4-6	\N	\N	\N	\N	\N	changelog	low	\N	\N	\N	\N	\N	\N
late-code-reviewer	1	code-reviewer	code-reviewer	detektor-core	\N	\N	review	2026-10-31 08:47:25.23968+00	2026-11-02 00:00:00+00	2026-11-02 00:00:00+00	788	f	t	f	late	1	\N	60000	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
late-detektor-coder	1	detektor-coder	detektor-coder	detektor-core	\N	\N	implement	2026-10-31 08:05:27.80377+00	2026-11-02 00:00:00+00	2026-11-02 00:00:00+00	788	f	t	f	late	1	\N	60000	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	success	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N	\N
\.


--
-- Data for Name: alembic_version; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.alembic_version (version_num) FROM stdin;
0001
\.


--
-- Data for Name: event_ids; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.event_ids (event_id, revision, body_hash, occurred_at) FROM stdin;
sim:1:0049a512897cd111	1	f24b878d-7a60-df51-bfa2-36863780c810	2026-10-29 17:22:26.853946+00
sim:1:08a4ffb507fb87fa	1	af42479d-b88c-a5b8-042b-c689cf82da88	2026-10-31 09:48:40.588765+00
sim:1:091b031379eae741	1	43ac3224-33c0-87ee-f4df-34205473c4e0	2026-10-27 14:59:46.310938+00
sim:1:0d5f62b0b1143210	1	c327c35f-65bd-57b0-a7c8-4a4043ced993	2026-10-28 16:18:13.736261+00
sim:1:0e9786b236ab8dd2	1	a8cc6b61-25ec-f450-9b33-a7cdc6b298eb	2026-10-27 15:52:40.56231+00
sim:1:0ed4b89b4e76b309	1	c7fb1193-05c0-d73d-b44b-34f5ed6fe6ce	2026-10-31 08:59:49.351852+00
sim:1:102509b20ccae277	1	cde5efee-7944-9599-0e8e-e738866a7606	2026-10-29 09:52:11.613402+00
sim:1:19cdb867aa22b5e4	1	bedcd1bb-e86f-864a-2261-9a15c114988c	2026-10-31 08:47:25.23968+00
sim:1:19e73d0ce5984fc4	1	083f3915-b4a3-318e-6552-2b8ba696581f	2026-10-31 08:06:55.661086+00
sim:1:1ed3a5dfeeaef75c	1	5c20f011-e78a-6e71-5a99-e4e9f2fd866c	2026-10-31 08:47:24.78368+00
sim:1:1f495437404faac9	1	bde5b0a4-78d2-440d-a0cb-74507c941490	2026-10-29 13:31:53.51021+00
sim:1:243fdd2196984239	1	0d0dbfcc-4b1e-5f71-3c1b-0e9a68444187	2026-10-27 15:48:33.309437+00
sim:1:27bea5694289ee08	1	de0040b6-fb39-f31f-e0d7-f6b5f82bbb99	2026-10-27 15:48:34.190437+00
sim:1:28265a295857ebb1	1	ea0ddf0c-6547-c89c-7042-d7f83954437a	2026-10-28 17:35:34.20958+00
sim:1:367fc48d30768db5	1	17c0e3a5-01d4-77eb-8efa-f8da7b145121	2026-10-29 10:23:06.16127+00
sim:1:3981a1ca5ed3dd4b	1	9cd92b80-da43-3e15-c98c-6435e5660559	2026-10-29 13:27:29.897915+00
sim:1:3a621c23b13f4d48	1	9a67ccdd-74a2-2ec5-7ffd-febd0b77224f	2026-10-29 06:12:23.82034+00
sim:1:3d0f0825502fa19c	1	18d8d5d0-2447-d1ee-b9e5-7fb201db4944	2026-10-29 13:31:54.01521+00
sim:1:3d34bce8d73da042	1	1cf47896-4810-9fc3-b9d4-2ca1a5fd81b5	2026-10-29 06:05:03.970801+00
sim:1:41014de7ffe709cb	1	ddd87bd7-95b3-72da-0688-86d739b1eb42	2026-10-29 17:22:26.754946+00
sim:1:4534c498a546bec4	1	c6eafb18-66b3-741b-fb47-312d1c678b45	2026-10-28 18:13:33.264647+00
sim:1:47c7058020e36907	1	1a2b771c-729a-b55d-ec66-6afe55f67b0b	2026-10-31 08:05:27.80377+00
sim:1:49cf2839c307ed92	1	f8021cc8-9f4b-8748-d785-0acc65b0e041	2026-10-31 08:59:50.005852+00
sim:1:5427ae78a7793de9	1	309ccb0e-3a81-07e2-73fe-b3f0d1c549c6	2026-10-29 14:23:33.762073+00
sim:1:5454cbae6c86e8b3	1	48bf29d6-f195-888a-3a6c-6fca5aa0a546	2026-10-31 08:06:55.450086+00
sim:1:56bdae1837578702	1	ae14295e-c0d6-61c6-b4ae-36d6be3e0b69	2026-10-29 01:48:11.760809+00
sim:1:5be28c6a52e0058a	1	fc9963fd-1292-f31b-e201-8afc0819702d	2026-10-28 19:31:19.575645+00
sim:1:6a82bb0e97a8097a	1	b5b4ff1a-89a2-b469-79a5-cf764d3ebd91	2026-10-27 15:06:05.650763+00
sim:1:6bd876ca58e373d9	1	15558e39-0a15-3278-fe59-a42c5381ac6e	2026-10-31 08:07:09.117179+00
sim:1:743fe0ccb7e03e5c	1	953501b3-351c-6494-303e-310a17c257a4	2026-10-28 17:35:33.66014+00
sim:1:7f1ee6fd93abba0e	1	f04aa0d9-0a19-3f26-a41d-04c3e63078b9	2026-10-29 14:23:33.981073+00
sim:1:7fb4a1cc715744d9	1	01bca81b-51da-52c0-cb06-f9b84b59b823	2026-10-29 15:37:43.526156+00
sim:1:833f2fc711e15c0f	1	8836a69f-b6d4-3d62-fbdf-b44995232090	2026-10-28 18:10:25.164858+00
sim:1:88ce5d2abf4cbf59	1	a0b33ed2-721b-3a86-8b89-92ef8add4a77	2026-10-27 19:37:11.06461+00
sim:1:8a44d4141ac1d8f4	1	95e36269-89b0-4a71-eed0-9f863168abeb	2026-10-31 14:27:56.484204+00
sim:1:8a4f4dcb6c560e74	1	b5a65bf0-0829-6079-590f-b4b0b36227e8	2026-10-29 09:52:13.558582+00
sim:1:8c618b3296464419	1	c236b697-bfdc-80be-1c8b-66208277772d	2026-10-29 06:55:08.826718+00
sim:1:977a47dc41254725	1	8e537a74-3fe9-dcfa-2b32-5b6c0d47ad3a	2026-10-28 09:09:56.519116+00
sim:1:9be40a2a90ed9327	1	fb089113-eca8-c843-be3b-da10fbf23023	2026-10-29 07:03:59.656811+00
sim:1:a3e3158f35156d2d	1	ce6ae0a5-1396-99dc-c9f0-c0a15c09c574	2026-10-29 06:12:24.26134+00
sim:1:a47754a01ff5b745	1	c2cba281-be26-73ec-5e92-8998f379b393	2026-10-29 06:32:01.239936+00
sim:1:af6d7082e78741f1	1	cc4c998f-c711-38e4-f440-a1dc53709e62	2026-10-29 06:55:09.525718+00
sim:1:b3bb4405d6ca7037	1	3add686e-7bca-c468-dd80-9ee0dbf193fa	2026-10-28 17:44:32.527117+00
sim:1:b83c3d8482703af7	1	c34335e0-9f80-ed5f-9342-bd0c650dfae2	2026-10-31 16:48:39.02171+00
sim:1:ba127752d04a0d76	1	cebdac80-fe7f-479e-5abc-98c34204d0d9	2026-10-29 10:34:10.414134+00
sim:1:c51030b07c2f40e1	1	cc86bdd4-d014-ace4-c2e2-602d6897307c	2026-10-29 07:03:59.513811+00
sim:1:c622f28091c5b336	1	8f1964ff-2274-e80b-bc8d-a90be118c7f1	2026-10-29 10:09:48.236717+00
sim:1:c88c7db868143cdf	1	073d8b70-78c4-c31a-99ba-b8c08a3a831a	2026-10-31 09:48:40.424765+00
sim:1:c91b5bec6a4af01e	1	ecd57256-5a2e-42c0-e90b-6793edcbfba7	2026-10-27 15:06:06.024763+00
sim:1:cb2c2ff7af549b10	1	b643bd41-069c-457f-6cfd-80d776105830	2026-10-29 10:09:48.619717+00
sim:1:cbf1209a7814a995	1	c8c3caab-bcb8-2537-1ecc-f7d92f8753a8	2026-10-28 19:31:18.864645+00
sim:1:cd95552535dde60b	1	88b849f5-67bb-2f24-bece-32ec72a345fa	2026-10-28 09:09:56.396116+00
sim:1:d2bba01dd0e678b4	1	d7aca72b-ac82-79e6-afae-61b0a4f089fb	2026-10-27 15:52:39.96231+00
sim:1:d850602a04a27b10	1	2fae7bbd-a220-2d10-3a9b-9e5037a944e0	2026-10-27 15:25:21.555152+00
sim:1:e15dc02b3a2b3423	1	eba2a536-fbda-5b3e-1d5d-5c92a30d763a	2026-10-28 18:13:33.914647+00
sim:1:e976003f40fb1b79	1	c8a2cacc-f6a5-e021-433d-9b5ca09490bc	2026-10-27 14:59:34.830198+00
sim:1:ed9d99cb7770ec67	1	428270cf-3841-0f12-5977-1758573e0d56	2026-10-29 13:27:29.796915+00
sim:1:f4c903f7b82a8003	1	33794fd7-aac4-7682-89d1-ea98796c405c	2026-10-29 10:34:09.713134+00
sim:1:f6e4348a6a0f7799	1	3660733c-07a9-4f77-ce4f-7bc95b203683	2026-10-28 17:47:42.16994+00
sim:1:ff2e70a6b36b070b	1	72f8a61c-e886-8c16-5b9b-597384b43414	2026-10-28 17:47:34.5506+00
\.


--
-- Data for Name: log_origin; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.log_origin (only_row, simulated, mixed) FROM stdin;
t	t	f
\.


--
-- Data for Name: partition_state; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.partition_state (view, data_hash, partition, snapshot, system_identifier, rows, hash, published_at) FROM stdin;
code_review_features	1102e0fbb60ab05b31662cef00ce7dedb7c432baed5c30bf6ffdc8cfe3f3b930	2026-10-29	764:764:	7713393494615726454	6	3612a257b9e56e06d33964c077d8d50cd8b6c42f2f49686cbb59c1f1343eb856	2026-11-01 00:00:00+00
code_review_features	1102e0fbb60ab05b31662cef00ce7dedb7c432baed5c30bf6ffdc8cfe3f3b930	2026-10-30	764:764:	7713393494615726454	4	35eaf37e303824af26a463472cd23e82bd30d2087a59a95c799a8384d7ac4a6a	2026-11-01 00:00:00+00
code_review_features	1102e0fbb60ab05b31662cef00ce7dedb7c432baed5c30bf6ffdc8cfe3f3b930	2026-10-31	764:764:	7713393494615726454	2	08a945e7293cb53452971c0ebdb6656a1db99deb414322ff9ca0ef8ef881afd4	2026-11-01 00:00:00+00
coding_features	2c714a4403135f377e184489b3dad61c1696fc70874c9b42b19bd98c574c29df	2026-10-29	766:766:	7713393494615726454	6	ff0188e28cb93932bec98347060a0eb91626e92cdb9058dae9ec7f23b423c750	2026-11-01 00:00:00+00
coding_features	2c714a4403135f377e184489b3dad61c1696fc70874c9b42b19bd98c574c29df	2026-10-30	766:766:	7713393494615726454	4	0cad0c097fc448e8ae300d25fdba869afffae489d23493a9243b97e495456f85	2026-11-01 00:00:00+00
coding_features	2c714a4403135f377e184489b3dad61c1696fc70874c9b42b19bd98c574c29df	2026-10-31	766:766:	7713393494615726454	2	4016bf087fb187540dcff4515690808529ee5d2b705b67050a5678c1adb44fde	2026-11-01 00:00:00+00
\.


--
-- Data for Name: rejected_events; Type: TABLE DATA; Schema: ml_learning; Owner: -
--

COPY ml_learning.rejected_events (id, source, line, reason, excerpt, event_id, rejected_at, fingerprint) FROM stdin;
1	made-up.jsonl	7	no time	{"agent": "code-reviewer"}	\N	2026-11-01 00:00:00+00	d8cde4f4-f3a9-c1a4-e732-f49e8945c49a
\.


--
-- Name: rejected_events_id_seq; Type: SEQUENCE SET; Schema: ml_learning; Owner: -
--

SELECT pg_catalog.setval('ml_learning.rejected_events_id_seq', 1, true);


--
-- Name: code_review_features__1102e0fbb60a code_review_features__1102e0fbb60a_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.code_review_features__1102e0fbb60a
    ADD CONSTRAINT code_review_features__1102e0fbb60a_pkey PRIMARY KEY (agent_id, event_timestamp, created_at, written_at);


--
-- Name: coding_features__2c714a440313 coding_features__2c714a440313_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.coding_features__2c714a440313
    ADD CONSTRAINT coding_features__2c714a440313_pkey PRIMARY KEY (agent_id, event_timestamp, created_at, written_at);


--
-- Name: data_sources data_sources_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.data_sources
    ADD CONSTRAINT data_sources_pkey PRIMARY KEY (data_source_name, project_id);


--
-- Name: entities entities_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.entities
    ADD CONSTRAINT entities_pkey PRIMARY KEY (entity_name, project_id);


--
-- Name: feast_metadata feast_metadata_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.feast_metadata
    ADD CONSTRAINT feast_metadata_pkey PRIMARY KEY (project_id, metadata_key);


--
-- Name: feature_services feature_services_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.feature_services
    ADD CONSTRAINT feature_services_pkey PRIMARY KEY (feature_service_name, project_id);


--
-- Name: feature_view_version_history feature_view_version_history_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.feature_view_version_history
    ADD CONSTRAINT feature_view_version_history_pkey PRIMARY KEY (feature_view_name, project_id, version_number);


--
-- Name: feature_views feature_views_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.feature_views
    ADD CONSTRAINT feature_views_pkey PRIMARY KEY (feature_view_name, project_id);


--
-- Name: label_views label_views_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.label_views
    ADD CONSTRAINT label_views_pkey PRIMARY KEY (feature_view_name, project_id);


--
-- Name: managed_infra managed_infra_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.managed_infra
    ADD CONSTRAINT managed_infra_pkey PRIMARY KEY (infra_name, project_id);


--
-- Name: on_demand_feature_views on_demand_feature_views_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.on_demand_feature_views
    ADD CONSTRAINT on_demand_feature_views_pkey PRIMARY KEY (feature_view_name, project_id);


--
-- Name: permissions permissions_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.permissions
    ADD CONSTRAINT permissions_pkey PRIMARY KEY (permission_name, project_id);


--
-- Name: projects projects_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.projects
    ADD CONSTRAINT projects_pkey PRIMARY KEY (project_id);


--
-- Name: saved_datasets saved_datasets_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.saved_datasets
    ADD CONSTRAINT saved_datasets_pkey PRIMARY KEY (saved_dataset_name, project_id);


--
-- Name: stream_feature_views stream_feature_views_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.stream_feature_views
    ADD CONSTRAINT stream_feature_views_pkey PRIMARY KEY (feature_view_name, project_id);


--
-- Name: validation_references validation_references_pkey; Type: CONSTRAINT; Schema: feast; Owner: -
--

ALTER TABLE ONLY feast.validation_references
    ADD CONSTRAINT validation_references_pkey PRIMARY KEY (validation_reference_name, project_id);


--
-- Name: agent_events agent_events_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.agent_events
    ADD CONSTRAINT agent_events_pkey PRIMARY KEY (event_id, revision, occurred_at);


--
-- Name: agent_events_y2026m10 agent_events_y2026m10_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.agent_events_y2026m10
    ADD CONSTRAINT agent_events_y2026m10_pkey PRIMARY KEY (event_id, revision, occurred_at);


--
-- Name: alembic_version alembic_version_pkc; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);


--
-- Name: event_ids event_ids_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.event_ids
    ADD CONSTRAINT event_ids_pkey PRIMARY KEY (event_id);


--
-- Name: log_origin log_origin_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.log_origin
    ADD CONSTRAINT log_origin_pkey PRIMARY KEY (only_row);


--
-- Name: partition_state partition_state_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.partition_state
    ADD CONSTRAINT partition_state_pkey PRIMARY KEY (view, data_hash, partition);


--
-- Name: rejected_events rejected_events_fingerprint_key; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.rejected_events
    ADD CONSTRAINT rejected_events_fingerprint_key UNIQUE (fingerprint);


--
-- Name: rejected_events rejected_events_pkey; Type: CONSTRAINT; Schema: ml_learning; Owner: -
--

ALTER TABLE ONLY ml_learning.rejected_events
    ADD CONSTRAINT rejected_events_pkey PRIMARY KEY (id);


--
-- Name: idx_data_sources_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_data_sources_project_id ON feast.data_sources USING btree (project_id);


--
-- Name: idx_entities_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_entities_project_id ON feast.entities USING btree (project_id);


--
-- Name: idx_feast_metadata_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_feast_metadata_project_id ON feast.feast_metadata USING btree (project_id);


--
-- Name: idx_feature_services_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_feature_services_project_id ON feast.feature_services USING btree (project_id);


--
-- Name: idx_feature_views_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_feature_views_project_id ON feast.feature_views USING btree (project_id);


--
-- Name: idx_fv_version_history_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_fv_version_history_project_id ON feast.feature_view_version_history USING btree (project_id);


--
-- Name: idx_label_views_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_label_views_project_id ON feast.label_views USING btree (project_id);


--
-- Name: idx_managed_infra_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_managed_infra_project_id ON feast.managed_infra USING btree (project_id);


--
-- Name: idx_on_demand_feature_views_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_on_demand_feature_views_project_id ON feast.on_demand_feature_views USING btree (project_id);


--
-- Name: idx_permissions_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_permissions_project_id ON feast.permissions USING btree (project_id);


--
-- Name: idx_projects_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_projects_project_id ON feast.projects USING btree (project_id);


--
-- Name: idx_saved_datasets_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_saved_datasets_project_id ON feast.saved_datasets USING btree (project_id);


--
-- Name: idx_stream_feature_views_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_stream_feature_views_project_id ON feast.stream_feature_views USING btree (project_id);


--
-- Name: idx_validation_references_project_id; Type: INDEX; Schema: feast; Owner: -
--

CREATE INDEX idx_validation_references_project_id ON feast.validation_references USING btree (project_id);


--
-- Name: agent_events_agent; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_agent ON ONLY ml_learning.agent_events USING btree (agent_type, occurred_at);


--
-- Name: agent_events_revised; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_revised ON ONLY ml_learning.agent_events USING btree (event_id) WHERE (revision > 1);


--
-- Name: agent_events_xid; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_xid ON ONLY ml_learning.agent_events USING btree (xid);


--
-- Name: agent_events_y2026m10_agent_type_occurred_at_idx; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_y2026m10_agent_type_occurred_at_idx ON ml_learning.agent_events_y2026m10 USING btree (agent_type, occurred_at);


--
-- Name: agent_events_y2026m10_event_id_idx; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_y2026m10_event_id_idx ON ml_learning.agent_events_y2026m10 USING btree (event_id) WHERE (revision > 1);


--
-- Name: agent_events_y2026m10_xid_idx; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX agent_events_y2026m10_xid_idx ON ml_learning.agent_events_y2026m10 USING btree (xid);


--
-- Name: rejected_events_at; Type: INDEX; Schema: ml_learning; Owner: -
--

CREATE INDEX rejected_events_at ON ml_learning.rejected_events USING btree (rejected_at);


--
-- Name: agent_events_y2026m10_agent_type_occurred_at_idx; Type: INDEX ATTACH; Schema: ml_learning; Owner: -
--

ALTER INDEX ml_learning.agent_events_agent ATTACH PARTITION ml_learning.agent_events_y2026m10_agent_type_occurred_at_idx;


--
-- Name: agent_events_y2026m10_event_id_idx; Type: INDEX ATTACH; Schema: ml_learning; Owner: -
--

ALTER INDEX ml_learning.agent_events_revised ATTACH PARTITION ml_learning.agent_events_y2026m10_event_id_idx;


--
-- Name: agent_events_y2026m10_pkey; Type: INDEX ATTACH; Schema: ml_learning; Owner: -
--

ALTER INDEX ml_learning.agent_events_pkey ATTACH PARTITION ml_learning.agent_events_y2026m10_pkey;


--
-- Name: agent_events_y2026m10_xid_idx; Type: INDEX ATTACH; Schema: ml_learning; Owner: -
--

ALTER INDEX ml_learning.agent_events_xid ATTACH PARTITION ml_learning.agent_events_y2026m10_xid_idx;


--
-- PostgreSQL database dump complete
--

\unrestrict Laq8aYMsh2qQkatGbwYwEhY4wraLv9p3y9nTHbM3eEDSolHyLDhRLvHNsBI6Xct

