#!/usr/bin/env bash
# OpenTelemetry for Gemini: an answer that was thought over has 50 or 1,050 output tokens, and 100 or 130 input tokens
#
# Expected: gen_ai.usage.output_tokens of a span is what the answer is billed for. The API counts what was thought (1,000) apart from
#   the text (50) and bills both as output; what a tool of its own brought in (30) is input; all together are its total, 1,180.
# Happens: opentelemetry-instrumentation-google-generativeai writes 100 and 50 beside a total of 1,180, in the span and in the metric
#   gen_ai.client.token.usage, whose sums are all that is left of it. opentelemetry-instrumentation-google-genai writes 100 and 1,050 and
#   openinference-instrumentation-google-genai 130 and 1,050. Of models of OpenAI and Anthropic the output holds the reasoning anyway.
# Seen: opentelemetry-instrumentation-google-generativeai 0.62.4, opentelemetry-instrumentation-google-genai 1.3b0,
#   openinference-instrumentation-google-genai 1.4.14, google-genai 2.34.0, opentelemetry-sdk 1.45.2, 2026-11-29, against a small server on
#   the loopback address that answers as the API does.
# Matters to: whoever compares tokens or costs of agents across models by spans: the more a Gemini agent thinks the cheaper it looks, by a
#   factor of 20 here. Take total minus input where a total is given, or ask which instrumentation wrote the span.
. "$(dirname "$0")/common"

python_packages google-genai==2.34.0 opentelemetry-sdk==1.45.2 opentelemetry-api==1.45.2 opentelemetry-semantic-conventions==0.66b2 \
  opentelemetry-instrumentation==0.66b2 opentelemetry-instrumentation-google-genai==1.3b0 opentelemetry-util-genai==1.3b0 \
  opentelemetry-instrumentation-google-generativeai==0.62.4 openinference-instrumentation-google-genai==1.4.14 \
  openinference-instrumentation==0.1.72
cat >"$work/program.py" <<'PYTHON'
import http.server
import json
import sys
import threading

from google import genai
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import InMemoryMetricReader
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

USAGE = {
    "promptTokenCount": 100, "cachedContentTokenCount": 60, "toolUsePromptTokenCount": 30,
    "candidatesTokenCount": 50, "thoughtsTokenCount": 1000, "totalTokenCount": 1180,
}  # fmt: skip
ANSWER = {
    "candidates": [{"content": {"role": "model", "parts": [{"text": "ok"}]}, "finishReason": "STOP", "index": 0}],
    "usageMetadata": USAGE, "modelVersion": "gemini-test", "responseId": "r1",
}  # fmt: skip


class Api(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        body = json.dumps(ANSWER).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


server = http.server.HTTPServer(("127.0.0.1", 0), Api)
threading.Thread(target=server.serve_forever, daemon=True).start()

spans, metrics = InMemorySpanExporter(), InMemoryMetricReader()
tracing = TracerProvider()
tracing.add_span_processor(SimpleSpanProcessor(spans))
if sys.argv[1] == "google-genai":
    from opentelemetry.instrumentation.google_genai import GoogleGenAiSdkInstrumentor as Instrumentor
elif sys.argv[1] == "google-generativeai":
    from opentelemetry.instrumentation.google_generativeai import GoogleGenerativeAiInstrumentor as Instrumentor
else:
    from openinference.instrumentation.google_genai import GoogleGenAIInstrumentor as Instrumentor
Instrumentor().instrument(tracer_provider=tracing, meter_provider=MeterProvider(metric_readers=[metrics]))

client = genai.Client(api_key="none", http_options={"base_url": f"http://127.0.0.1:{server.server_port}"})
client.models.generate_content(model="gemini-test", contents="hello")
for span in spans.get_finished_spans():
    of = {name.split(".", 1)[1]: value for name, value in span.attributes.items() if "token" in name}
    asked, answered = of.get("usage.input_tokens", of.get("token_count.prompt")), of.get("usage.output_tokens", of.get("token_count.completion"))
    print(f"{sys.argv[1]}: input {asked}, output {answered}, total {of.get('usage.total_tokens', of.get('token_count.total', 'none'))}")
read = metrics.get_metrics_data()
for resource in read.resource_metrics if read else ():
    for scope in resource.scope_metrics:
        for metric in scope.metrics:
            if metric.name == "gen_ai.client.token.usage":
                points = {point.attributes["gen_ai.token.type"]: point.sum for point in metric.data.data_points}
                print("  the metric: input", points["input"], "output", points["output"])
PYTHON

seen=$(for each in google-genai google-generativeai openinference; do run program.py "$each"; done)
compare "$seen" <<'SEEN'
google-genai: input 100, output 1050, total none
  the metric: input 100 output 1050
google-generativeai: input 100, output 50, total 1180
  the metric: input 100 output 50
openinference: input 130, output 1050, total 1180
SEEN
