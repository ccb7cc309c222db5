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
from typing import TYPE_CHECKING, Any, Final

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

_BUCKET: Final = "feast_online_serving_latency_bucket"
_REQUESTS: Final = "feast_online_requests_total"
_SERVES: Final = ('up{job="detektor-serve"}', "1x120")
_ANSWERS: Final = (f'{_REQUESTS}{{status="200"}}', "0+100x120")
CASES: Final = {
    "ServingLatencyHigh": (
        ((f'{_BUCKET}{{le="0.025"}}', "0x120"), (f'{_BUCKET}{{le="0.1"}}', "0+100x120"), (f'{_BUCKET}{{le="+Inf"}}', "0+100x120")),
        ((f'{_BUCKET}{{le="0.025"}}', "0+100x120"), (f'{_BUCKET}{{le="0.1"}}', "0+100x120"), (f'{_BUCKET}{{le="+Inf"}}', "0+100x120")),
    ),
    "FeatureDrift": (
        (('feast_feature_drift_score{view="v",feature="f",method="psi"}', "0.21x120"),),
        (('feast_feature_drift_score{view="v",feature="f",method="psi"}', "0.19x120"),),
    ),
    "BackfillSlow": (
        (("detektor_backfill_running_seconds", "14401x120"),),
        (("detektor_backfill_running_seconds", "14399x120"),),
    ),
    "RowsStale": (
        (('detektor_offline_age_seconds{view="v"}', "10801x120"),),
        (('detektor_offline_age_seconds{view="v"}', "10799x120"),),
    ),
    "FeatureServerDown": (((_SERVES[0], "0x120"),), (_SERVES,)),
    "ErrorBudgetBurnsFast": (
        (_SERVES, _ANSWERS, (f'{_REQUESTS}{{status="503"}}', "0+2x120")),
        (_SERVES, _ANSWERS, (f'{_REQUESTS}{{status="503"}}', "0x120")),
    ),
}
"""Alerts that there have to be: series, a value a minute, of which each fires (latency above 50 ms, drift above 0.2, a backfill above four
hours, stale rows, serving down, 99.9 % burning), and of which it does not."""

_WAIT_S: Final = 30
_SCRAPES_S: Final = 6
_EXPORTER: Final = "detektor up exporter"


def drift(settings: Settings, _: Say) -> Iterator[Part]:
    """T11: the exporter has feast_feature_drift_score by view and feature."""
    from prometheus_client.parser import text_string_to_metric_families

    text = commands.get(settings.exporter_url, "/metrics")[1]
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    scores: dict[tuple[str, str], float] = {}
    for sample in samples:
        if sample.name == metrics.DRIFT.name:
            key = (sample.labels["view"], sample.labels["feature"])
            scores[key] = max(scores.get(key, 0.0), sample.value)
    few = {sample.labels["view"]: sample.value for sample in samples if _is_few(sample.name, sample.labels)}
    if not scores:
        if sum(few.values()):
            yield unchecked(
                f"{sum(few.values()):.0f} features have too few rows to judge drift by", "detektor drift, once there are weeks of history"
            )
        else:
            yield failed(f"no {metrics.DRIFT.name}", f"detektor drift computes it; {_EXPORTER} tells of it")
        return
    silent = [view.name for view in VIEWS if not few.get(view.name) and not any(name == view.name for name, _ in scores)]
    text = f"{metrics.DRIFT.name} of {len(scores)} features in {len({view for view, _ in scores})} views"
    yield judged(not silent, text + (f"; none of {', '.join(silent)}" if silent else ""), "detektor drift")
    calm = len([score for score in scores.values() if score < CALM])
    high = len([score for score in scores.values() if score > DRIFTED])
    yield passed(f"{calm} calm (below 0.1), {high} above 0.2, {sum(few.values()):.0f} with too few rows")


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
    """T16: there is a rule for all that has to alert, and `promtool test rules` sees each fire for its reason and not otherwise."""
    del settings
    directory = commands.REPOSITORY / DIRECTORY
    file = directory / "rules" / "alerts.yml"
    if not file.is_file():
        yield failed(f"{DIRECTORY}/rules/alerts.yml is not there", "detektor generate, in a checkout of the repository")
        return
    import yaml

    written = [rule for group in yaml.safe_load(file.read_text(encoding="utf-8"))["groups"] for rule in group["rules"]]
    absent = sorted(CASES.keys() - {rule["alert"] for rule in written})
    text = f"{len(written)} alerts{', as many as are declared' if len(written) == len(rules.ALERTS) else ''}"
    yield judged(
        not absent and len(written) == len(rules.ALERTS), text + (f"; {', '.join(absent)} missing" if absent else ""), "detektor generate"
    )
    promtool = shutil.which("promtool")
    if promtool is None:
        yield unchecked("promtool check rules, promtool test rules: there is no promtool here", f"As root on Debian or Ubuntu: {INSTALL}")
        return
    say("promtool")
    yield _promtool(promtool, "check rules", sorted((directory / "rules").glob("*.yml")), len(written))
    with tempfile.TemporaryDirectory(prefix="detektor-acceptance-") as scratch:
        tests = Path(scratch) / "tests.yml"
        tests.write_text(yaml.safe_dump(_rule_tests(directory / "rules")), encoding="utf-8")
        tested = _promtool(promtool, "test rules", [tests], 0)
    yield tested
    if tested.state == "passed":
        yield passed(f"{', '.join(CASES)} fire when they have to, and not when all is well")


def _is_few(name: str, labels: dict[str, str]) -> bool:
    return name == metrics.DRIFT_FEATURES.name and labels["level"] == "too_few"


def _rule_tests(directory: Path) -> dict[str, Any]:
    """Return the input of `promtool test rules`: of each of CASES whether it fires after an hour and a half."""
    tests = []
    for name, cases in CASES.items():
        for series, firing in zip(cases, (True, False), strict=True):
            asked = f'count(ALERTS{{alertname="{name}",alertstate="firing"}}) or vector(0)'
            expected = {"expr": asked, "eval_time": "90m", "exp_samples": [{"labels": "{}", "value": int(firing)}]}
            input_series = [{"series": each, "values": values} for each, values in series]
            tests.append({"interval": "1m", "input_series": input_series, "promql_expr_test": [expected]})
    return {"rule_files": [str(file) for file in sorted(directory.glob("*.yml"))], "evaluation_interval": "1m", "tests": tests}


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
