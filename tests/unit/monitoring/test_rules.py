"""The rules by Prometheus' own tool: they are read, each alert fires when it ought to and not when all is well."""

from __future__ import annotations

import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from detektor_pipelines.cli import build_app
from detektor_pipelines.cli_commands.generate import REPOSITORY
from detektor_pipelines.monitoring import prometheus
from detektor_pipelines.monitoring.alert import scaled
from detektor_pipelines.monitoring.metrics import METRICS
from detektor_pipelines.monitoring.rules import ALERTS, RECORDINGS
from detektor_pipelines.monitoring.runbooks import RUNBOOKS
from detektor_pipelines.monitoring.started import INSTALL
from detektor_pipelines.settings import Settings

if TYPE_CHECKING:
    from pathlib import Path

PROMTOOL = shutil.which("promtool")
needs_promtool = pytest.mark.skipif(PROMTOOL is None, reason=f"no promtool here: {INSTALL}")

GOOD = 'feast_online_requests_total{status="200"}'
BAD = 'feast_online_requests_total{status="503"}'
BUCKET = "feast_online_serving_latency_bucket"

WELL: dict[str, str] = {
    'up{job="detektor-serve", instance="a"}': "1x600",
    'up{job="detektor-stream", instance="b"}': "1x600",
    'up{job="detektor-exporter", instance="c"}': "1x600",
    GOOD: "0+100x600",
    BAD: "0x600",
    f'{BUCKET}{{le="0.001"}}': "0+100x600",
    f'{BUCKET}{{le="0.1"}}': "0+100x600",
    f'{BUCKET}{{le="+Inf"}}': "0+100x600",
    "feast_online_redis_up": "1x600",
    "feast_online_fallback_total": "5x600",
    "feast_online_ahead_seconds": "0x600",
    'detektor_online_age_seconds{view="v"}': "1x600",
    "detektor_online_fresh": "1x600",
    'detektor_server_up{server="postgres"}': "1x600",
    'detektor_offline_age_seconds{view="v"}': "7000x600",
    'detektor_offline_days{view="v", state="fresh"}': "10x600",
    'detektor_offline_days{view="v", state="stale"}': "0x600",
    'detektor_offline_days{view="v", state="missing"}': "0x600",
    "detektor_log_age_seconds": "100x600",
    "detektor_log_rejected_events_total": "7x600",
    "detektor_backfill_running_seconds": "900x600",
    'detektor_gate_failures_total{view="v"}': "3x600",
    'detektor_online_missing_keys{view="v"}': "0x600",
    "detektor_redis_evicted_keys_total": "12x600",
    "detektor_stream_lost_values_total": "0x600",
    "detektor_stream_lag_seconds": "0.1x600",
    "detektor_stream_heartbeat_age_seconds": "9x600",
    'detektor_parity_mismatches{view="v", feature=""}': "0x600",
    'feast_feature_drift_score{view="v", feature="f", method="psi"}': "0.05x600",
    'detektor_definitions_combined_info{job="detektor-serve", hash="one"}': "1x600",
    'detektor_definitions_combined_info{job="detektor-stream", hash="one"}': "1x600",
    'detektor_exporter_query_up{query="log"}': "1x600",
}
"""A minute a sample. All is well, and nothing of it alerts."""

ILL: dict[str, dict[str, str]] = {
    "ServingLatencyHigh": {f'{BUCKET}{{le="0.001"}}': "0x600"},
    "ErrorBudgetBurnsFast": {BAD: "0+10x600"},
    "ErrorBudgetBurnsSlowly": {BAD: "0+1x600"},
    "FeatureServerDown": {'up{job="detektor-serve", instance="a"}': "0x600"},
    "ServerDown": {'detektor_server_up{server="postgres"}': "0x600"},
    "RedisDown": {"feast_online_redis_up": "0x600"},
    "ServingFallback": {"feast_online_fallback_total": "0+3x600"},
    "ValuesStale": {'detektor_online_age_seconds{view="v"}': "0+60x600", "detektor_online_fresh": "0x600"},
    "ValuesAhead": {"feast_online_ahead_seconds": "3600x600"},
    "ValuesDropped": {"detektor_redis_evicted_keys_total": "0+1x600"},
    "ValuesMissing": {'detektor_online_missing_keys{view="v"}': "2x600"},
    "StreamLag": {"detektor_stream_heartbeat_age_seconds": "0+60x600"},
    "ParityBroken": {'detektor_parity_mismatches{view="v", feature=""}': "1x600"},
    "RowsStale": {'detektor_offline_age_seconds{view="v"}': "10801x600"},
    "DaysBehind": {'detektor_offline_days{view="v", state="missing"}': "1x600"},
    "BackfillSlow": {"detektor_backfill_running_seconds": "14401x600"},
    "GateFailing": {'detektor_gate_failures_total{view="v"}': "0x30 1x300"},
    "FeatureDrift": {'feast_feature_drift_score{view="v", feature="f", method="psi"}': "0.21x600"},
    "LogSilent": {"detektor_log_age_seconds": "259201x600"},
    "EventsRejected": {"detektor_log_rejected_events_total": "0+5x600"},
    "DefinitionsDiffer": {
        'detektor_definitions_combined_info{job="detektor-stream", hash="one"}': "_x600",
        'detektor_definitions_combined_info{hash="two"}': "1x600",
    },
    "ExporterBlind": {'detektor_exporter_query_up{query="log"}': "0x600"},
}
"""What is otherwise when each alert ought to fire."""

TOGETHER = 5
LATE = {"DaysBehind": "190m"}
AT = "45m"
"""When it ought to: as early as it may, for Prometheus' tool computes every minute before."""


def files(directory: Path) -> Path:
    prometheus.write(directory, prometheus.render(Settings.model_construct()))
    return directory


def tool(*words: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(PROMTOOL), *words], cwd=cwd, capture_output=True, text=True, check=False)


def fires(name: str) -> dict[str, Any]:
    """Return what promtool expects of an alert that fires: labels and annotations are the rule's."""
    return {"eval_time": LATE.get(name, AT), "alertname": name, "exp_alerts": []}


@needs_promtool
def test_the_files_are_read(tmp_path: Path) -> None:
    done = tool("check", "config", "prometheus.yml", cwd=files(tmp_path))
    assert done.returncode == 0, done.stderr
    counts = sum(int(number) for number in re.findall(r"SUCCESS: (\d+) rules found", done.stdout))
    assert counts == len(ALERTS) + len(RECORDINGS), "a pattern of rule files that matches nothing is no error to promtool"
    if amtool := shutil.which("amtool"):
        checked = subprocess.run([amtool, "check-config", "alertmanager.yml"], cwd=tmp_path, capture_output=True, text=True, check=False)
        assert checked.returncode == 0, checked.stderr


@needs_promtool
def test_when_all_is_well_nothing_fires_and_each_alert_fires_for_its_reason(tmp_path: Path) -> None:
    """Promtool is asked whether it is silent about each: of those that fire it then says what it got."""
    assert set(ILL) == {each.name for each in ALERTS}
    groups = [("well", WELL, [each.name for each in ALERTS if each.name not in LATE])]
    for number in range(TOGETHER):  # a test each would take promtool four times as long
        names = list(ILL)[number::TOGETHER]
        together = {series: values for name in names for series, values in ILL[name].items()}
        assert len(together) == sum(len(ILL[name]) for name in names), f"{names} need the same series"
        groups.append((" ".join(names), WELL | together, names))
    content = {
        "rule_files": [prometheus.RECORDING_RULES, prometheus.ALERT_RULES],
        "evaluation_interval": "1m",
        "tests": [
            {
                "name": title,
                "interval": "1m",
                "input_series": [{"series": series, "values": values} for series, values in found.items()],
                "alert_rule_test": [fires(name) for name in names],
            }
            for title, found, names in groups
        ],
    }
    (files(tmp_path) / "test.yml").write_text(yaml.safe_dump(content))
    done = tool("test", "rules", "test.yml", cwd=tmp_path)
    output = done.stdout + done.stderr
    fired = re.findall(r"alertname: (\w+), time: \w+,\s+exp:\[\s*\],\s+got:\[\s*\d*:?\s*Labels:", output.replace("\n", " "))
    assert sorted(fired) == sorted(ILL), output[:3_000]
    assert "{{" not in output, "no template of an alert's words is left"


def test_the_names_in_rules_are_of_the_list() -> None:
    known = {each.name for metrics in METRICS.values() for each in metrics} | {each.name for each in RECORDINGS} | {"up"}
    known |= {
        f"{each.name}_{part}"
        for metrics in METRICS.values()
        for each in metrics
        if each.kind == "histogram"
        for part in ("bucket", "count")
    }
    for rule in (*[each.when for each in ALERTS], *[each.value for each in RECORDINGS]):
        used = set(re.findall(r"\b(?:detektor|feast|view)[a-z0-9_:]*[_:][a-z0-9_:]+\b", re.sub(r'"[^"]*"', "", rule)))
        assert used <= known, used - known


def test_each_alert_has_a_page_and_each_page_an_alert() -> None:
    assert {each.page for each in ALERTS} == {each.page for each in RUNBOOKS}
    for metrics in METRICS.values():
        for metric in metrics:
            for page in re.findall(r"docs/runbooks/[a-z-]+\.md", metric.text):
                assert (REPOSITORY / page).is_file(), f"{metric.name} names {page}"


def test_the_commands_on_the_pages_exist() -> None:
    app = build_app()
    names = {str(command.name) for command in app.registered_commands} | {str(group.name) for group in app.registered_groups}
    for page in RUNBOOKS:
        text = " ".join((page.means, *page.look, *page.do, page.worked))
        used = set(re.findall(r"`detektor ([a-z-]+)", text)) - {"drift"}  # whose room has a command of its own
        assert used <= names, f"{page.page}: there is no detektor {used - names}"


def test_windows_of_a_variant_are_shorter() -> None:
    assert scaled("rate(a[$5m]) for $1h") == "rate(a[5m]) for 1h"
    assert scaled("rate(a[$5m]) for $1h", 0.01) == "rate(a[3000ms]) for 36000ms"
