"""The worker as a program: it says how it is, to people and to Prometheus."""

from __future__ import annotations

import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from support.log_rows import insert, partition_log
from support.oracle import Event

from detektor_pipelines import clock
from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.quality.parity.check import check
from detektor_pipelines.stack.ports import free_port
from detektor_pipelines.stream.run import run, workers

if TYPE_CHECKING:
    from detektor_pipelines.settings import Settings


@pytest.mark.slow
def test_a_running_worker_reports_and_answers_prometheus(servers: Settings) -> None:
    partition_log(servers)
    now = clock.now_us()
    stop, reports, port = threading.Event(), list[dict[str, Any]](), free_port()
    thread = threading.Thread(target=run, args=(servers, VIEWS, stop), kwargs={"metrics_port": port, "on_report": reports.append})
    thread.start()
    try:
        wait_for(lambda: any(report["loads"] for report in reports))
        insert(servers, [Event("a", now, now, "p", values={"verdict": "rejected"})])
        wait_for(lambda: reports[-1]["values"] >= 2)
        (seen,) = workers(servers)
        assert (seen["shards"], seen["keys"], seen["rejected"]) == (list(range(8)), 2, 0)
        check(servers, VIEWS[:1], 10)
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            text = answer.read().decode()
        assert "detektor_stream_keys 2.0" in text
        assert 'detektor_parity_compared{view="code_review_features"} 2.0' in text
        assert 'detektor_parity_mismatches{feature="",view="code_review_features"} 0.0' in text
    finally:
        stop.set()
        thread.join(30)
    assert not thread.is_alive()


def wait_for(condition: Any) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
