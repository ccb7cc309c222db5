#!/usr/bin/env bash
# OpenTelemetry for GenAI: by the metrics of one instrumentation no request has more than 10,000 tokens and no short call less than seconds
#
# Expected: gen_ai.client.token.usage and gen_ai.client.operation.duration are histograms whose borders the conventions give: 1 to 67,108,864
#   tokens and 0.01 to 81.92 s, in steps of four and two. A median or 95th percentile of them is near the truth, whoever instruments.
# Happens: opentelemetry-instrumentation-openai gives none, and the SDK takes its own, made for milliseconds: 0, 5, 10 to 10,000. Requests
#   of 120,000 tokens have a median of 10,000, as all that is larger; calls of 1.4 s one of 2.5 s and a 95th percentile of 4.75 s, as
#   each that is shorter than 5 s, of 0.1 s too. Sums and counts are right. With the conventions' borders 163,840 tokens and 1.92 s.
# Seen: opentelemetry-instrumentation-openai 0.62.4, opentelemetry-sdk 1.45.2, openai 3.57.0, 2026-11-29, against a small server on the
#   loopback address. Other instrumentations were told of the same in 2025 and 2026 and give the borders now.
# Matters to: whoever draws percentiles of agents' requests, or alerts on them: agents send tens of thousands of tokens, so the line is
#   flat at 10,000 whatever happens. Give the meter provider a View with the conventions' borders, as the second run here.
. "$(dirname "$0")/common"

python_packages openai==3.57.0 opentelemetry-sdk==1.45.2 opentelemetry-api==1.45.2 opentelemetry-semantic-conventions==0.66b2 \
  opentelemetry-instrumentation==0.66b2 opentelemetry-instrumentation-openai==0.62.4
cat >"$work/program.py" <<'PYTHON'
import http.server
import json
import sys
import threading
import time

import openai
from opentelemetry.instrumentation.openai import OpenAIInstrumentor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.metrics.view import ExplicitBucketHistogramAggregation, View
from opentelemetry.sdk.trace import TracerProvider

SECONDS, SENT, CALLS = 1.4, 120_000, 3
ANSWER = {
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1795000000, "model": "gpt-test",
    "choices": [{"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "ok"}}],
    "usage": {"prompt_tokens": SENT, "completion_tokens": 40, "total_tokens": SENT + 40},
}  # fmt: skip


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        time.sleep(SECONDS)
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


def quantile(share, point):
    """Prometheus' histogram_quantile: straight through the bucket; the last border for what is above it."""
    rank, before, lower = share * point.count, 0, 0.0
    for number, upper in zip(point.bucket_counts, point.explicit_bounds):
        if number and before + number >= rank:
            return lower + (upper - lower) * (rank - before) / number
        before, lower = before + number, upper
    return lower


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()
metrics = InMemoryMetricReader()
conventional = {
    "gen_ai.client.token.usage": [4**power for power in range(14)],
    "gen_ai.client.operation.duration": [0.01 * 2**power for power in range(14)],
}
views = [View(instrument_name=name, aggregation=ExplicitBucketHistogramAggregation(borders)) for name, borders in conventional.items()]
meters = MeterProvider(metric_readers=[metrics], views=views if sys.argv[1] == "conventions" else ())
OpenAIInstrumentor().instrument(tracer_provider=TracerProvider(), meter_provider=meters)

client = openai.OpenAI(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}/v1", max_retries=0)
for _ in range(CALLS):
    client.chat.completions.create(model="gpt-test", messages=[{"role": "user", "content": "hello"}])
points = {}
for resource in metrics.get_metrics_data().resource_metrics:
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            for point in metric.data.data_points:
                points[metric.name, point.attributes.get("gen_ai.token.type")] = point
sent, took = points["gen_ai.client.token.usage", "input"], points["gen_ai.client.operation.duration", None]
print(f"borders of the {sys.argv[1]}: {sent.count} requests of {SENT} tokens, {SECONDS} s each")
print(f"  tokens: sum {sent.sum}, {sent.explicit_bounds[0]:g} to {sent.explicit_bounds[-1]:.8g}, median {quantile(0.5, sent):.0f}")
bounds = took.explicit_bounds
print(f"  seconds: {bounds[0]:g} to {bounds[-1]:g}, median {quantile(0.5, took):.2f}, 95th percentile {quantile(0.95, took):.2f}")
PYTHON

seen=$(run program.py instrumentation; run program.py conventions)
compare "$seen" <<'SEEN'
borders of the instrumentation: 3 requests of 120000 tokens, 1.4 s each
  tokens: sum 360000, 0 to 10000, median 10000
  seconds: 0 to 10000, median 2.50, 95th percentile 4.75
borders of the conventions: 3 requests of 120000 tokens, 1.4 s each
  tokens: sum 360000, 1 to 67108864, median 163840
  seconds: 0.01 to 81.92, median 1.92, 95th percentile 2.50
SEEN
