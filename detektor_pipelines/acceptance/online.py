"""T5, T8 and T17: what a reader of the feature server gets, how soon, and from what when Redis is gone."""

from __future__ import annotations

import json
import os
import shutil
import signal
import tempfile
import time
import uuid
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from detektor_pipelines.acceptance import commands
from detektor_pipelines.acceptance.findings import failed, judged
from detektor_pipelines.errors import UserError
from detektor_pipelines.stack import binaries, ports
from detektor_pipelines.stack.servers import embedded

if TYPE_CHECKING:
    import http.client
    from collections.abc import Iterator, Sequence

    from detektor_pipelines.acceptance.findings import Part, Say
    from detektor_pipelines.settings import Settings

AGENT: Final = "code-reviewer"
COUNT: Final = "code_review_features:recent_reviews_count"

READ_MS: Final = 10
UPDATE_S: Final = 1.0
QUERY_S: Final = 1.0

_READS: Final = 400
_ROUNDS: Final = 3
_UPDATES: Final = 5
_QUERIES: Final = 5
_ROWS: Final = 100
_WAIT_S: Final = 10.0
_START_S: Final = 60.0
_READ: Final = json.dumps({"features": [COUNT], "entities": {"agent_id": [AGENT]}}).encode()
_OK: Final = 200
_STREAM: Final = "detektor up stream; logs/stream.log in DETEKTOR_HOME says what it waits for"


def fast(settings: Settings, say: Say) -> Iterator[Part]:
    """T5: a read below 10 ms, an update below 1 s, a query of the history below 1 s, with percentiles."""
    say(f"{_READS} reads")
    yield _reads(settings)
    say(f"{_UPDATES} events, each until it is online")
    yield _updates(settings)
    say("historical features")
    yield _queries(settings)


def moves(settings: Settings, say: Say) -> Iterator[Part]:
    """T8: `detektor emit --agent code-reviewer --action review`, and within 1 s recent_reviews_count has grown online."""
    with commands.connected(settings.serve_url) as server:
        before = _count(server)
        say(f"{COUNT} is {before}")
        done = commands.detektor(settings, "emit", "--agent", AGENT, "--action", "review", "--json")
        if done.returncode:
            yield failed(f"detektor emit: {commands.said(done)}", f"detektor emit --agent {AGENT} --action review says what is wrong")
            return
        event_id = json.loads(done.stdout)["event_id"]
        try:
            took = _until(server, lambda now: now > before)
            now = f"{before} → {_count(server)}"
        finally:
            _take_back(settings, [event_id])
        if took is None:
            yield failed(f"recent_reviews_count is still {before} after {_WAIT_S:.0f} s", _STREAM)
            return
        yield judged(took <= UPDATE_S, f"recent_reviews_count {now}, online {took * 1000:.0f} ms after the command returned", _STREAM)
        say("the event is taken back")
        back = _until(server, lambda now: now <= before)
        yield judged(back is not None, f"the event was retracted, and it is {before} again", "detektor parity --repair")


def fallback(settings: Settings, say: Say) -> Iterator[Part]:
    """T17: a feature server of its own whose Redis cannot be reached answers from static-features.json, and says so."""
    kept = settings.home / "static-features.json"
    if not kept.exists():
        yield failed(f"{kept} is not there", "detektor up serve: it keeps what it serves each minute")
        return
    with tempfile.TemporaryDirectory(prefix="detektor-acceptance-") as scratch:
        shutil.copy(kept, scratch)
        say("a feature server without Redis starts")
        with _server_without_redis(Path(scratch)) as url, commands.connected(url) as server:
            status, headers, body = commands.ask(server, "POST", "/get-online-features", _READ)
            source = headers.get("x-feature-source", "")
            health = json.loads(commands.ask(server, "GET", "/health")[2])
    yield judged(status == _OK and source == "fallback", f"answers {status}, X-Feature-Source: {source or 'none'}", "docs/serving.md")
    if status == _OK:
        age = headers.get("x-feature-age-seconds", "unknown")
        yield judged(AGENT.encode() in body and age != "unknown", f"with values that are {age} s old, as it says", "docs/serving.md")
    yield judged(health["status"] == "FALLBACK", f"GET /health says {health['status']}", "docs/serving.md")


def read_once(settings: Settings) -> None:
    """Read one feature, for load; raises as `commands.connected`."""
    with commands.connected(settings.serve_url) as server:
        commands.ask(server, "POST", "/get-online-features", _READ)


def _reads(settings: Settings) -> Part:
    """Time reads over one connection; the best of a few rounds, since others use the machine too."""
    best: list[float] = []
    with commands.connected(settings.serve_url) as server:
        for _ in range(_ROUNDS):
            took = [_timed(server) for _ in range(_READS)]
            best = min(best or took, took, key=lambda each: commands.percentile(each, 0.95))
            if commands.percentile(best, 0.95) < READ_MS:
                break
    p50, p95, p99 = (commands.percentile(best, share) for share in (0.5, 0.95, 0.99))
    text = f"online read p50 {p50:.1f}, p95 {p95:.1f}, p99 {p99:.1f} ms of {len(best)}"
    return judged(p95 < READ_MS, text, "docs/runbooks/serving-latency.md")


def _timed(server: http.client.HTTPConnection) -> float:
    started = time.perf_counter()
    _read(server)
    return (time.perf_counter() - started) * 1000


def _read(server: http.client.HTTPConnection) -> bytes:
    status, _, body = commands.ask(server, "POST", "/get-online-features", _READ)
    if status != _OK:
        raise UserError(f"A read is answered by {status}: {body[:200]!r}.", where=COUNT, fix="detektor doctor")
    return body


def _updates(settings: Settings) -> Part:
    """Store events one after another and time each from its commit until it is online; all are retracted."""
    from detektor_pipelines.ingest.live.writer import LiveWriter

    events: list[str] = []
    took: list[float] = []
    with commands.connected(settings.serve_url) as server, LiveWriter(settings) as writer:
        simulated = writer.holds_simulated_events_only()
        try:
            for _ in range(_UPDATES):
                before = _count(server)
                event = _review(simulated=simulated)
                (outcome,) = writer.write([event])
                if outcome.status != "accepted":
                    return failed(f"an event was not stored: {outcome.reason}", "detektor status")
                events.append(event.event_id)
                seconds = _until(server, lambda now, than=before: now > than)
                if seconds is None:
                    return failed(f"an event was not online within {_WAIT_S:.0f} s", _STREAM)
                took.append(seconds)
        finally:
            writer.retract(events)
    slowest, median = max(took), commands.percentile(took, 0.5)
    text = f"update p50 {median * 1000:.0f}, slowest {slowest * 1000:.0f} ms of {len(took)}, retracted again"
    return judged(slowest < UPDATE_S, text, _STREAM)


def _queries(settings: Settings) -> Part:
    """Ask Feast for a hundred moments' features a few times; its import does not count."""
    import pandas as pd

    from detektor_pipelines import clock
    from detektor_pipelines.catalog import view_named
    from detektor_pipelines.stores.feast.registry import closing_store

    newest = clock.from_us(clock.now_us())
    moments = pd.date_range(end=newest, periods=_ROWS, freq="1D", tz="UTC").as_unit("us")
    frame = pd.DataFrame({"agent_id": AGENT, "event_timestamp": moments})
    view = view_named(COUNT.partition(":")[0])
    references = [f"{view.name}:{feature.name}" for feature in view.features]
    took = []
    with closing_store(settings) as store:
        for _ in range(_QUERIES):
            started = time.perf_counter()
            rows = store.get_historical_features(frame, references).to_df()
            took.append(time.perf_counter() - started)
    if len(rows) != _ROWS:
        return failed(f"{_ROWS} moments gave {len(rows)} rows", "detektor status")
    text = f"query of {_ROWS} moments p50 {commands.percentile(took, 0.5):.2f}, slowest {max(took):.2f} s"
    return judged(commands.percentile(took, 0.5) < QUERY_S, text, "detektor doctor; look at what else the machine does")


def _review(*, simulated: bool) -> Any:
    from detektor_pipelines.clock import now_us
    from detektor_pipelines.language.records import AgentEvent

    name = f"acceptance-{uuid.uuid4().hex}"
    return AgentEvent(name, AGENT, AGENT, "review", now_us(), "acceptance", simulated=simulated)


def _take_back(settings: Settings, event_ids: Sequence[str]) -> None:
    from detektor_pipelines.ingest.live.writer import LiveWriter

    with LiveWriter(settings) as writer:
        writer.retract(event_ids)


def _count(server: http.client.HTTPConnection) -> int:
    """Return the served recent_reviews_count; 0 when it is null."""
    answer = json.loads(_read(server))
    place = answer["metadata"]["feature_names"].index(COUNT.partition(":")[2])
    return int(answer["results"][place]["values"][0] or 0)


def _until(server: http.client.HTTPConnection, fits: Any) -> float | None:
    """Return after how many seconds the count fits; None when it does not within _WAIT_S."""
    started = time.monotonic()
    while time.monotonic() - started < _WAIT_S:
        if fits(_count(server)):
            return time.monotonic() - started
        time.sleep(0.005)
    return None


@contextmanager
def _server_without_redis(home: Path) -> Iterator[str]:
    """Run a feature server whose Redis has a port where nobody listens."""
    port = ports.free_port()
    nobody = ports.free_port(frozenset({port}))
    kept = {name: value for name, value in os.environ.items() if not name.startswith("DETEKTOR_")}
    environment = {**kept, "DETEKTOR_HOME": str(home), "DETEKTOR_EXTERNAL_REDIS_URL": f"redis://127.0.0.1:{nobody}/0"}
    words = [binaries.script("detektor"), "serve", "--port", str(port)]
    with embedded.running(
        words, home, signal.SIGTERM, lambda: ports.answers(port), environment=environment, seconds=_START_S, fix="detektor serve --port 0"
    ):
        yield f"http://127.0.0.1:{port}"
