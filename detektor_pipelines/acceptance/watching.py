"""T11, T15 and T16: drift as a metric, the dashboard, the alerts."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import failed, judged, passed, unchecked
from detektor_pipelines.acceptance.online import read_once
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.monitoring import metrics, panels, rules, throwaway
from detektor_pipelines.monitoring.dashboard import DASHBOARD_FILE
from detektor_pipelines.monitoring.started import INSTALL

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings

CALM: Final = 0.1
DRIFTED: Final = 0.2
LEAST_PANELS: Final = 8
DIRECTORY: Final = "monitoring/prometheus"

WATCHED: Final = {
    "serving latency above 50 ms": (r"latency_seconds:p99", "> 0.05"),
    "drift above 0.2": (metrics.DRIFT.name, "> 0.2"),
    "a backfill above 4 h": (metrics.BACKFILL_RUNNING.name, "> 14400"),
    "stale data": (metrics.ONLINE_AGE.name, ">"),
    "the feature server down": (r'up\{job="detektor-serve"\}', "== 0"),
    "the budget of 99.9 % burning": (r"serving_errors:ratio", "> 0.0144"),
}
"""What has to alert: part of the rule's expression (a pattern), and its threshold."""

_WAIT_S: Final = 30
_SCRAPES_S: Final = 6
_EXPORTER: Final = "detektor up exporter"


def drift(settings: Settings, _: Say) -> Iterator[Part]:
    """T11: the exporter has feast_feature_drift_score by view and feature."""
    from prometheus_client.parser import text_string_to_metric_families

    _, text = commands.get(f"http://127.0.0.1:{settings.exporter_port}", "/metrics")
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    scores: dict[tuple[str, str], float] = {}
    for sample in samples:
        if sample.name == metrics.DRIFT.name:
            key = (sample.labels["view"], sample.labels["feature"])
            scores[key] = max(scores.get(key, 0.0), sample.value)
    few = {each.labels["view"]: int(each.value) for each in samples if _is_few(each.name, each.labels)}
    if not scores:
        if sum(few.values()):
            yield unchecked(
                f"{sum(few.values())} features have too few rows to judge drift by", "detektor drift, once there are weeks of history"
            )
        else:
            yield failed(f"no {metrics.DRIFT.name}", f"detektor drift computes it; {_EXPORTER} tells of it")
        return
    silent = [view.name for view in VIEWS if not few.get(view.name) and not any(name == view.name for name, _ in scores)]
    text = f"{metrics.DRIFT.name} of {len(scores)} features in {len({view for view, _ in scores})} views"
    yield judged(not silent, text + (f"; none of {', '.join(silent)}" if silent else ""), "detektor drift")
    calm = calm
    yield passed(
        f"{calm} calm (below 0.1), {len([score for score in scores.values() if score > DRIFTED])} above 0.2, {sum(few.values())} too few rows"
    )


def dashboard(settings: Settings, say: Say) -> Iterator[Part]:
    """T15: the dashboard's file, and each of its panels' queries asked of a Prometheus that scrapes this stack."""
    file = commands.REPOSITORY / DASHBOARD_FILE
    if not file.is_file():
        yield failed(f"{DASHBOARD_FILE} is not there", "detektor generate, in a checkout of the repository")
        return
    content = json.loads(file.read_text(encoding="utf-8"))
    shown = [panel for panel in content["panels"] if panel["type"] != "row"]
    well = content["uid"] == panels.UID and len(shown) >= LEAST_PANELS
    yield judged(well, f"uid {content['uid']}, {len(shown)} panels", "detektor generate")
    _, text = commands.get(settings.serve_url, "/metrics")
    name = metrics.LATENCY.name
    yield judged(f"{name}_bucket" in text, f"the feature server has {name}", "detektor restart serve")
    if shutil.which("prometheus") is None:
        yield unchecked("whether each panel's query returns data: there is no prometheus here", f"As root on Debian or Ubuntu: {INSTALL}")
        return
    say("a Prometheus of its own scrapes the stack")
    silent = _silent(settings)
    number = sum(len(panel.queries) for row in panels.ROWS for panel in row.panels)
    some = f": not {'; '.join(silent)}" if silent else ""
    fix = "detektor up; detektor parity and detektor drift for theirs"
    yield judged(not silent, f"{number - len(silent)} of {number} queries return data{some}", fix)


def alerts(settings: Settings, say: Say) -> Iterator[Part]:
    """T16: there is a rule for all that has to alert, and promtool accepts the rules and their tests."""
    del settings
    directory = commands.REPOSITORY / DIRECTORY
    file = directory / "rules" / "alerts.yml"
    if not file.is_file():
        yield failed(f"{DIRECTORY}/rules/alerts.yml is not there", "detektor generate, in a checkout of the repository")
        return
    import yaml

    written = [rule for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    absent = [what for what, (name, limit) in WATCHED.items() if not any(_watches(rule["expr"], name, limit) for rule in written)]
    yield judged(not absent, f"{len(written)} alerts; {', '.join(absent) or 'nothing'} missing", "detektor generate")
    yield judged(len(written) == len(rules.ALERTS), "as many as are declared", "detektor generate")
    promtool = shutil.which("promtool")
    if promtool is None:
        yield unchecked("promtool check rules, promtool test rules: there is no promtool here", f"As root on Debian or Ubuntu: {INSTALL}")
        return
    say("promtool")
    yield _promtool(promtool, "check rules", sorted((directory / "rules").glob("*.yml")), len(written))
    tests = sorted(directory.glob("tests/*.yml"))
    if tests:
        yield _promtool(promtool, "test rules", tests, 0)
    else:
        yield failed(f"{DIRECTORY}/tests holds no test of rules", "Use a checkout that has them")


def _is_few(name: str, labels: dict[str, str]) -> bool:
    return name == metrics.DRIFT_FEATURES.name and labels["level"] == "too_few"


def _watches(expr: str, name: str, limit: str) -> bool:
    return re.search(name, expr) is not None and limit in expr


def _promtool(promtool: str, what: str, files: list[Path], rules_at_least: int) -> Part:
    done = subprocess.run([promtool, *what.split(), *map(str, files)], capture_output=True, text=True, check=False, timeout=120)
    found = sum(int(number) for number in re.findall(r"SUCCESS: (\d+) rules found", done.stdout))
    well = done.returncode == 0 and bool(files) and found >= rules_at_least
    return judged(
        well, f"promtool {what}: {len(files)} files{f', {found} rules' if found else ''}", commands.said(done) if not well else ""
    )


def _silent(settings: Settings) -> list[str]:
    """Scrape the stack for some seconds while it is read, and return the panels' queries that return nothing."""
    with (
        tempfile.TemporaryDirectory(prefix="detektor-acceptance-") as scratch,
        _readers(settings),
        throwaway.running(settings, Path(scratch) / "prometheus") as prometheus,
    ):
        deadline = time.monotonic() + _WAIT_S
        time.sleep(_SCRAPES_S)
        while (silent := prometheus.silent_panels()) and time.monotonic() < deadline:
            time.sleep(1)
        return silent


@contextmanager
def _readers(settings: Settings) -> Iterator[None]:
    """Read features now and then until the block ends, so that there is something to measure."""
    over = threading.Event()

    def read() -> None:
        while not over.wait(0.1):
            read_once(settings)

    thread = threading.Thread(target=read, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join(10)
