"""OTLP metrics: what OpenTelemetry sends, turned into series under Prometheus' names."""
