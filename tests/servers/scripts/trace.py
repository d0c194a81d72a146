"""Predict inside a span, print the trace's id, and stay to be scraped until Enter: trace.py MODEL PORT."""

import sys

import keras
import numpy as np
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

import gangplank

trace.set_tracer_provider(TracerProvider())
model = gangplank.PrometheusModel(keras.saving.load_model(sys.argv[1]), port=int(sys.argv[2]))
with trace.get_tracer("server").start_as_current_span("request") as span:
    model.predict(np.zeros((4, 3), "float32"), verbose=0)
    print(trace.format_trace_id(span.get_span_context().trace_id), flush=True)  # noqa: T201
input()
