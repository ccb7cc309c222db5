"""Prometheus' and Alertmanager's files, made from the data: what to scrape, what to record, when to alert, whom to tell.

`monitoring/prometheus/` in the repository is rendered for the default ports by `detektor generate`; `detektor up --monitoring` renders the
same into its home directory for the ports that are used. Tests render a variant whose windows are shorter.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from detektor_pipelines.monitoring.alert import scaled
from detektor_pipelines.monitoring.rules import ALERTS, RECORDINGS

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from detektor_pipelines.settings import Settings

CONFIGURATION: Final = "prometheus.yml"
RECORDING_RULES: Final = "rules/recording.yml"
ALERT_RULES: Final = "rules/alerts.yml"
ALERTMANAGER: Final = "alertmanager.yml"

SCRAPE_S: Final = 15.0
_HEADER: Final = "# Made by `detektor generate` from detektor_pipelines/monitoring; change it there.\n"
_LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Pace:
    """How fast everything goes; for tests, which cannot wait for hours.

    Attributes:
        windows: What ranges of rules are multiplied with.
        lasting: What the time is multiplied with for which a condition must hold.
        seconds: Between two scrapes, and between two evaluations.

    """

    windows: float = 1.0
    lasting: float = 1.0
    seconds: float = SCRAPE_S


USUAL: Final = Pace()


def render(settings: Settings, *, pace: Pace = USUAL, runbooks: str = "docs/runbooks", token_file: Path | None = None) -> dict[str, str]:
    """Return the files' texts by their path within Prometheus' directory.

    Args:
        settings: Where the servers are.
        pace: How fast everything goes.
        runbooks: What the addresses of runbooks begin with.
        token_file: A file with a token of the feature server, where access is controlled.

    """
    return {
        CONFIGURATION: _text(_configuration(settings, pace, token_file)),
        RECORDING_RULES: _text(_recordings(pace)),
        ALERT_RULES: _text(_alerts(pace, runbooks)),
        ALERTMANAGER: _text(_alertmanager(settings, pace)),
    }


def write(directory: Path, files: Mapping[str, str]) -> None:
    """Write the files, for their owner alone: an address of a webhook is a secret."""
    for name, text in files.items():
        file = directory / name
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        file.touch(mode=0o600)
        file.write_text(text, encoding="utf-8")


def _configuration(settings: Settings, pace: Pace, token_file: Path | None) -> dict[str, Any]:
    interval = f"{round(pace.seconds * 1_000)}ms"
    jobs = (
        _serving(settings, token_file),
        _job("detektor-stream", f"{_LOOPBACK}:{settings.stream_metrics_port}"),
        _job("detektor-exporter", f"{_LOOPBACK}:{settings.exporter_port}"),
    )
    return {
        "global": {"scrape_interval": interval, "scrape_timeout": f"{round(pace.seconds * 800)}ms", "evaluation_interval": interval},
        "rule_files": [RECORDING_RULES, ALERT_RULES],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"{_LOOPBACK}:{settings.alertmanager_port}"]}]}]},
        "scrape_configs": list(jobs),
    }


def _serving(settings: Settings, token_file: Path | None) -> dict[str, Any]:
    parts = urlsplit(settings.serve_url)
    job = _job("detektor-serve", parts.netloc)
    if parts.scheme == "https":
        job |= {"scheme": "https", "tls_config": {"ca_file": str(settings.serve_tls_cert), "server_name": "localhost"}}
    if token_file is not None:
        job["authorization"] = {"credentials_file": str(token_file)}
    return job


def _job(name: str, target: str) -> dict[str, Any]:
    return {"job_name": name, "static_configs": [{"targets": [target]}]}


def _recordings(pace: Pace) -> dict[str, Any]:
    rules = [{"record": each.name, "expr": scaled(each.value, pace.windows)} for each in RECORDINGS]
    return {"groups": [{"name": "detektor-recordings", "rules": rules}]}


def _alerts(pace: Pace, runbooks: str) -> dict[str, Any]:
    rules = [
        {
            "alert": each.name,
            "expr": scaled(each.when, pace.windows),
            "for": scaled(each.lasting, pace.lasting),
            "labels": {"severity": each.severity},
            "annotations": {"summary": each.says, "runbook_url": f"{runbooks}/{each.page}.md"},
        }
        for each in ALERTS
    ]
    return {"groups": [{"name": "detektor-alerts", "rules": rules}]}


def _alertmanager(settings: Settings, pace: Pace) -> dict[str, Any]:
    """Group by alert, tell once and again after four hours, and be silent about what follows from a server that is down."""
    receiver: dict[str, Any] = {"name": "people"}
    if settings.alert_webhook is not None:
        receiver["webhook_configs"] = [{"url": settings.alert_webhook.get_secret_value(), "send_resolved": True}]
    return {
        "route": {
            "receiver": "people",
            "group_by": ["alertname"],
            "group_wait": scaled("$10s", pace.lasting),
            "group_interval": scaled("$1m", pace.lasting),
            "repeat_interval": "4h",
        },
        "receivers": [receiver],
        "inhibit_rules": [
            _silences("FeatureServerDown", "ErrorBudgetBurnsFast|ErrorBudgetBurnsSlowly"),
            _silences("RedisDown", "ServingFallback|ValuesStale|StreamLag|ErrorBudgetBurnsFast|ErrorBudgetBurnsSlowly"),
        ],
    }


def _silences(cause: str, follows: str) -> dict[str, Any]:
    return {"source_matchers": [f'alertname="{cause}"'], "target_matchers": [f'alertname=~"{follows}"']}


def _text(content: Mapping[str, Any]) -> str:
    import yaml

    return _HEADER + yaml.safe_dump(content, sort_keys=False, width=1_000, allow_unicode=True)
