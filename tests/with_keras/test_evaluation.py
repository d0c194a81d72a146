"""What ``evaluate`` leaves behind, alone, after and inside ``fit``."""

from __future__ import annotations

import pytest
from keras_suite import At, data, raising, regression

from gangplank import Telemetry, TelemetryCallback, Weights
from gangplank.catalogue import EVALUATION
from gangplank.testing import InMemoryExporter


def _test_names(exporter: InMemoryExporter) -> set[str]:
    return {name for name in exporter.names() if name.startswith("gangplank_test_")}


def test_every_evaluation_row_of_the_catalogue_has_a_value(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A plain evaluate gives every row and the values that it returns."""
    x, y = data()
    callback = TelemetryCallback(telemetry, weights=Weights(layers=1))
    returned = regression().evaluate(x, y, verbose=0, callbacks=[callback], return_dict=True)
    assert {row.prometheus_name for row in EVALUATION} <= exporter.names()
    for key, value in returned.items():
        assert exporter.value(f"gangplank_test_{key}", model="net") == pytest.approx(float(value))
    assert exporter.value("gangplank_test_model_parameters_count") == 4
    assert exporter.value("gangplank_test_outcome", outcome="success") == 1
    assert not {name for name in exporter.names() if name.startswith("gangplank_train_")}


def test_validation_inside_fit_is_no_evaluation(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Validation belongs to training, in every epoch of every fit."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)
    for _ in range(2):
        model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback])
    assert exporter.value("gangplank_train_val_loss") is not None
    assert not _test_names(exporter)


def test_evaluation_after_fit_leaves_training_alone(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Both sets of series stand, and training's are unchanged."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)
    model.fit(x, y, verbose=0, callbacks=[callback])
    loss = exporter.value("gangplank_train_loss")
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    assert exporter.value("gangplank_train_loss") == loss
    assert exporter.value("gangplank_test_loss") is not None


def test_evaluation_inside_fit_counts_when_it_is_given_the_callback(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """Another callback may evaluate, this model or another one, during fit; training goes on being training."""
    x, y = data()
    model, other = regression("trained"), regression("other")
    callback = TelemetryCallback(telemetry)

    def evaluate() -> None:
        other.evaluate(x, y, verbose=0, callbacks=[callback])
        model.evaluate(x, y, verbose=0, callbacks=[callback])

    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback, At("on_epoch_end", evaluate)])
    assert {labels["model"] for labels, _ in exporter.series("gangplank_test_loss")} == {"trained", "other"}
    assert {labels["model"] for labels, _ in exporter.series("gangplank_train_loss")} == {"trained"}
    assert exporter.value("gangplank_train_epochs_count", model="trained") == 2
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1


def test_evaluation_inside_fit_without_the_callback_is_not_counted(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """An evaluate that was not given the callback is nobody's business."""
    x, y = data()
    model = regression()
    evaluate = At("on_epoch_end", lambda: model.evaluate(x, y, verbose=0))
    model.fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry), evaluate])
    assert not _test_names(exporter)


def test_prediction_inside_fit_does_not_turn_validation_into_an_evaluation(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """``predict`` attaches the callback too, and leaves no trace."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)
    predict = At("on_epoch_begin", lambda: model.predict(x, verbose=0, callbacks=[callback]))
    model.fit(x, y, epochs=2, verbose=0, validation_data=(x, y), callbacks=[callback, predict])
    assert not _test_names(exporter)


def test_a_failed_evaluation_says_so(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """An exception in evaluate gives the outcome failed, and reaches the caller."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    model = regression()
    model.evaluate(x, y, verbose=0, callbacks=[callback])
    success = exporter.value("gangplank_test_last_success_timestamp_seconds")
    boom = At("on_test_batch_end", raising(OSError("disk")))
    with pytest.raises(OSError, match="disk"):
        model.evaluate(x, y, verbose=0, callbacks=[callback, boom])
    assert exporter.value("gangplank_test_outcome", outcome="failed") == 1
    assert exporter.value("gangplank_test_last_success_timestamp_seconds") == success
    assert exporter.value("gangplank_test_loss") is None


def test_a_failed_evaluation_inside_fit_does_not_fail_training(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """A callback that evaluates and copes with the failure leaves the training run on."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)

    def evaluate() -> None:
        with pytest.raises(OSError, match="disk"):
            model.evaluate(x, y, verbose=0, callbacks=[callback, At("on_test_batch_end", raising(OSError("disk")))])

    model.fit(x, y, verbose=0, callbacks=[callback, At("on_epoch_end", evaluate)])
    assert exporter.value("gangplank_test_outcome", outcome="failed") == 1
    assert exporter.value("gangplank_train_outcome", outcome="success") == 1
