#!/usr/bin/env bash
# OpenTelemetry for GenAI: an answer that is streamed has more output tokens than the same answer in one piece
#
# Expected: gen_ai.usage.output_tokens, the total and the metric gen_ai.client.token.usage are those of the answer, 40, however it
#   comes. The counts of a stream's message_delta event are running totals, the last one is the answer's.
# Happens: opentelemetry-instrumentation-anthropic adds the count of message_start (the 2 tokens that were there when the stream
#   began) to the running total of message_delta: 42 in span and metric. openinference-instrumentation-anthropic says 40 both ways.
#   Beside it: the answer's own input_tokens is 10; both write 3,210, with what was read from and written to the cache, as the
#   conventions ask. So the attribute is not the field of the same name in the answer or in an agent's transcript.
# Seen: opentelemetry-instrumentation-anthropic 0.62.4, openinference-instrumentation-anthropic 3.1.0, anthropic 2.10.0,
#   opentelemetry-sdk 1.45.2, 2026-11-28, against a small server on the loopback address that answers as the API does.
# Matters to: whoever compares or joins token features from spans with those from transcripts or bills: agents stream, batch jobs do
#   not, so the surplus (a few tokens an answer) looks like a difference between agents.
. "$(dirname "$0")/common"

python_packages anthropic==2.10.0 opentelemetry-sdk==1.45.2 opentelemetry-api==1.45.2 opentelemetry-semantic-conventions==0.66b2 \
  opentelemetry-instrumentation==0.66b2 opentelemetry-instrumentation-anthropic==0.62.4 \
  openinference-instrumentation-anthropic==3.1.0 openinference-instrumentation==0.1.72
cat >"$work/program.py" <<'PYTHON'
import http.server
import json
import sys
import threading

import anthropic
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter


def usage(output):
    return {"input_tokens": 10, "cache_creation_input_tokens": 200, "cache_read_input_tokens": 3000, "output_tokens": output}


def message(content, reason, output):
    whole = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-test", "content": content}
    return whole | {"stop_reason": reason, "stop_sequence": None, "usage": usage(output)}


TEXT = {"type": "text", "text": "ok"}
STREAM = [
    {"type": "message_start", "message": message([], None, 2)},
    {"type": "content_block_start", "index": 0, "content_block": {"type": "text", "text": ""}},
    {"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": "ok"}},
    {"type": "content_block_stop", "index": 0},
    {"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None}, "usage": usage(40)},
    {"type": "message_stop"},
]


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        kind, body = "application/json", json.dumps(message([TEXT], "end_turn", 40))
        if asked.get("stream"):
            kind, body = "text/event-stream", "".join(f"event: {each['type']}\ndata: {json.dumps(each)}\n\n" for each in STREAM)
        self.send_response(200)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()

spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(spans))
if sys.argv[1] == "opentelemetry":
    from opentelemetry.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=tracing, meter_provider=MeterProvider(metric_readers=[metrics]))
else:
    from openinference.instrumentation.anthropic import AnthropicInstrumentor

    AnthropicInstrumentor().instrument(tracer_provider=tracing)

client = anthropic.Anthropic(api_key="none", base_url=f"http://127.0.0.1:{server.server_port}", max_retries=0)
request = {"model": "claude-test", "max_tokens": 100, "messages": [{"role": "user", "content": "hello"}]}
print(sys.argv[1])
for streamed in (False, True):
    spans.clear()
    if streamed:
        with client.messages.stream(**request) as stream:
            answer = stream.get_final_message()
    else:
        answer = client.messages.create(**request)
    (span,) = spans.get_finished_spans()
    of = {name.split(".", 1)[1]: value for name, value in span.attributes.items()}
    seen = [of.get("usage.input_tokens", of.get("token_count.prompt")), of.get("usage.output_tokens", of.get("token_count.completion"))]
    how = "streamed    " if streamed else "in one piece"
    print(f"  {how} the answer: input {answer.usage.input_tokens}, output {answer.usage.output_tokens}; the span: input {seen[0]}, output {seen[1]}")
read = metrics.get_metrics_data() if sys.argv[1] == "opentelemetry" else None
for resource in read.resource_metrics if read else ():
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            if metric.name == "gen_ai.client.token.usage":
                points = {point.attributes["gen_ai.token.type"]: point.sum for point in metric.data.data_points}
                print("  the metric, both answers together: input", points["input"], "output", points["output"])
PYTHON

seen=$(run program.py opentelemetry; run program.py openinference)
compare "$seen" <<'SEEN'
opentelemetry
  in one piece the answer: input 10, output 40; the span: input 3210, output 40
  streamed     the answer: input 10, output 40; the span: input 3210, output 42
  the metric, both answers together: input 6420 output 82
openinference
  in one piece the answer: input 10, output 40; the span: input 3210, output 40
  streamed     the answer: input 10, output 40; the span: input 3210, output 40
SEEN
