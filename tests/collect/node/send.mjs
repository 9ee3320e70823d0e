// Sends spans through OpenTelemetry's own exporters: a line of stdin names exporters, which send the same spans
// at once; a line of stdout says what came of it. A null among attributes stands for NaN.
import { createInterface } from "node:readline";
import { diag } from "@opentelemetry/api";
import { OTLPTraceExporter as JsonExporter } from "@opentelemetry/exporter-trace-otlp-http";
import { OTLPTraceExporter as ProtobufExporter } from "@opentelemetry/exporter-trace-otlp-proto";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { BasicTracerProvider } from "@opentelemetry/sdk-trace-base";

const EXPORTERS = { json: JsonExporter, protobuf: ProtobufExporter };
const warnings = [];
const ignore = () => {};
const warn = (...said) => warnings.push(said.join(" "));
diag.setLogger({ verbose: ignore, debug: ignore, info: ignore, warn, error: ignore });

async function send(url, spans, { form, compression, resource }) {
  const provider = new BasicTracerProvider({ resource: resourceFromAttributes(resource) });
  const made = spans.map(({ name, attributes }) => {
    const span = provider.getTracer("matrix").startSpan(name, { attributes });
    span.end();
    return span;
  });
  const exporter = new EXPORTERS[form]({ url, compression });
  const result = await new Promise((done) => exporter.export(made, done));
  await exporter.shutdown();
  return {
    delivered: result.code === 0,
    spans: made.map((span) => {
      const { traceId, spanId } = span.spanContext();
      return { id: `${traceId}-${spanId}`, end: span.endTime };
    }),
  };
}

for await (const line of createInterface({ input: process.stdin })) {
  const { url, spans, exporters } = JSON.parse(line, (_, value) => (value === null ? NaN : value));
  const sent = await Promise.all(exporters.map((exporter) => send(url, spans, exporter)));
  process.stdout.write(JSON.stringify({ sent, warnings: warnings.splice(0) }) + "\n");
}
