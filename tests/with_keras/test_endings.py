"""How a run is seen to end: finished, failed, interrupted, diverged."""

from __future__ import annotations

import functools
import gc
import threading

import keras
import numpy as np
import pytest
from keras_suite import At, data, raising, regression

from gangplank import Telemetry, TelemetryCallback
from gangplank.testing import InMemoryExporter
from gangplank_keras import witness


def _outcome(exporter: InMemoryExporter) -> set[str]:
    return {labels["outcome"] for labels, value in exporter.series("gangplank_train_outcome") if value == 1}


@pytest.mark.parametrize(
    ("kind", "outcome"),
    [
        (ValueError, "failed"),
        (KeyboardInterrupt, "interrupted"),
        (SystemExit, "interrupted"),
    ],
)
@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("hook", ["on_epoch_begin", "on_train_batch_end", "on_epoch_end", "on_train_end"])
def test_an_exception_is_seen_and_passes_unchanged(
    telemetry: Telemetry, exporter: InMemoryExporter, kind: type[BaseException], outcome: str, hook: str, *, first: bool
) -> None:
    """Wherever it is raised, the caller gets the very exception, and the outcome says how the run ended."""
    x, y = data()
    error = kind("of the test")
    callback = TelemetryCallback(telemetry)
    model = regression()
    model.fit(x, y, verbose=0, callbacks=[callback])
    success = exporter.value("gangplank_train_last_success_timestamp_seconds")
    callbacks = [At(hook, raising(error)), callback]
    with pytest.raises(kind) as raised:
        model.fit(x, y, verbose=0, callbacks=callbacks if first else callbacks[::-1])
    assert raised.value is error
    assert _outcome(exporter) == {outcome}
    assert exporter.value("gangplank_train_running") == 0
    assert exporter.value("gangplank_train_last_success_timestamp_seconds") == success


def test_a_failure_of_the_data_is_seen(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A data set that raises in the second batch fails the run."""

    class Broken(keras.utils.PyDataset):
        def __len__(self) -> int:
            return 3

        def __getitem__(self, index: int) -> object:
            if index == 1:
                raise OSError("lost the disk")
            return data(4)

    with pytest.raises(Exception, match="lost the disk"):
        regression().fit(Broken(), shuffle=False, verbose=0, callbacks=[TelemetryCallback(telemetry)])
    assert _outcome(exporter) == {"failed"}


def test_a_run_that_fails_before_it_begins(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Data of the wrong shape fails before Keras calls a hook; a batch job must not look as if it had not run."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    with pytest.raises(ValueError, match="cardinality"):
        regression().fit(x, y[:5], verbose=0, callbacks=[callback])
    with pytest.raises(ValueError, match="cardinality"):
        regression().evaluate(x, y[:5], verbose=0, callbacks=callback)
    assert _outcome(exporter) == {"failed"}
    assert exporter.value("gangplank_test_outcome", outcome="failed") == 1
    assert exporter.value("gangplank_export_errors_total") is None


def test_a_wrong_argument_is_keras_to_refuse(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The caller gets Keras's own words, and the run has failed."""
    x, y = data()
    with pytest.raises(TypeError, match=r"fit\(\) got an unexpected keyword argument 'epoch'") as raised:
        regression().fit(x, y, epoch=3, verbose=0, callbacks=[[TelemetryCallback(telemetry)]])
    assert raised.value.__context__ is None
    assert _outcome(exporter) == {"failed"}
    with pytest.raises(TypeError, match="validation"):
        regression().fit(x, y, verbose=0, callbacks=7, validation=True)


def test_a_later_callback_that_fails_at_the_end_of_an_evaluation(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """Ours has had its last hook then; the evaluation has failed all the same."""
    x, y = data()
    callbacks = [TelemetryCallback(telemetry), At("on_test_end", raising(OSError("disk")))]
    with pytest.raises(OSError, match="disk"):
        regression().evaluate(x, y, verbose=0, callbacks=callbacks)
    assert exporter.value("gangplank_test_outcome", outcome="failed") == 1


def test_a_fit_inside_a_fit_with_the_same_callback(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Each is a run of its own, and the outer one goes on to its end."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    inner, outer = regression("inner"), regression("outer")
    fit = At("on_epoch_end", lambda: inner.fit(x, y, epochs=2, verbose=0, callbacks=[callback]))
    outer.fit(x, y, epochs=3, verbose=0, callbacks=[callback, fit])
    for model, epochs, steps in (("inner", 2, 6), ("outer", 3, 3)):
        assert exporter.value("gangplank_train_outcome", model=model, outcome="success") == 1
        assert exporter.value("gangplank_train_epochs_count", model=model) == epochs
        assert exporter.value("gangplank_train_steps_total", model=model) == steps


def test_a_model_with_several_losses_diverges_by_any(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Adversarial networks have no ``loss``, but a ``d_loss`` and a ``g_loss``; validation's do not count."""
    for logs, outcome in (
        ({"d_loss": float("nan"), "g_loss": 1.0}, "diverged"),
        ({"d_loss": 1.0, "val_d_loss": float("nan")}, "success"),
    ):
        hooks = keras.callbacks.CallbackList([TelemetryCallback(telemetry)], model=regression())
        hooks.on_train_begin()
        hooks.on_epoch_begin(0)
        hooks.on_epoch_end(0, logs)
        hooks.on_train_end()
        assert _outcome(exporter) == {outcome}


def test_failed_validation_fails_training_and_is_no_evaluation(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """An exception in the validation of fit leaves no evaluation behind."""
    x, y = data()
    boom = At("on_test_begin", raising(OSError("x")))
    with pytest.raises(OSError, match="x"):
        regression().fit(x, y, verbose=0, validation_data=(x, y), callbacks=[TelemetryCallback(telemetry), boom])
    assert _outcome(exporter) == {"failed"}
    assert not {name for name in exporter.names() if name.startswith("gangplank_test_")}


def test_a_caught_failure_is_followed_by_a_good_run(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """The callback serves the next run as if nothing had been."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    model = regression()
    with pytest.raises(ValueError, match="once"):
        model.fit(x, y, verbose=0, callbacks=[callback, At("on_epoch_end", raising(ValueError("once")))])
    model.fit(x, y, verbose=0, callbacks=[callback])
    assert _outcome(exporter) == {"success"}


def test_a_loss_that_turns_nan_is_not_shown_at_its_last_good_value(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """The loss disappears, is counted, and the run has diverged."""
    x, y = data()
    model = regression()
    callback = TelemetryCallback(telemetry)
    losses: list[object] = []
    look = At("on_epoch_end", lambda: losses.append(exporter.value("gangplank_train_loss")))
    poison = At("on_epoch_begin", lambda: losses and model.set_weights([w * np.nan for w in model.get_weights()]))
    model.fit(x, y, epochs=2, verbose=0, callbacks=[poison, callback, look])
    assert losses[0] is not None
    assert losses[1] is None
    assert exporter.value("gangplank_train_nonfinite_total", metric="loss") == 1
    assert _outcome(exporter) == {"diverged"}
    assert exporter.value("gangplank_train_last_success_timestamp_seconds") is None
    assert exporter.value("gangplank_train_last_completion_timestamp_seconds") is not None


@pytest.mark.parametrize("raise_error", [False, True])
def test_terminate_on_nan_is_divergence(telemetry: Telemetry, exporter: InMemoryExporter, raise_error: bool) -> None:
    """Keras's TerminateOnNaN ends a run in two ways; both mean that it diverged."""
    x, y = data()
    stop = keras.callbacks.TerminateOnNaN(raise_error=raise_error)
    callbacks = [stop, TelemetryCallback(telemetry)]
    try:
        regression().fit(x * np.nan, y, epochs=3, verbose=0, callbacks=callbacks)
    except RuntimeError:
        assert raise_error
    assert _outcome(exporter) == {"diverged"}
    assert exporter.value("gangplank_train_loss") is None


def test_divergence_is_seen_without_exporting_the_loss(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """A callback that exports only other metrics knows a diverged run all the same."""
    x, y = data()
    regression().fit(x * np.nan, y, verbose=0, callbacks=[TelemetryCallback(telemetry, metrics=["mae"])])
    assert _outcome(exporter) == {"diverged"}
    assert exporter.value("gangplank_train_nonfinite_total", metric="loss") == 1


def test_weights_that_are_nan_are_counted_apart(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """NaN weights are in no bucket, are counted, and mean divergence."""
    x, y = data()
    callback = TelemetryCallback(telemetry, histogram_buckets=[0.0])
    regression().fit(x * np.nan, y, verbose=0, callbacks=[callback])
    assert exporter.value("gangplank_train_nonfinite_total", metric="model_weights") == 4
    weights = exporter.value("gangplank_train_model_weights")
    assert getattr(weights, "count", None) == 0
    assert _outcome(exporter) == {"diverged"}


def test_a_list_driven_by_hand_is_ended_by_closing(exporter: InMemoryExporter) -> None:
    """Without a ``fit`` that could be watched, a run that was left open is interrupted when telemetry closes."""
    telemetry = Telemetry(exporters=[exporter])
    hooks = keras.callbacks.CallbackList([TelemetryCallback(telemetry)], model=regression())
    hooks.on_train_begin()
    hooks.on_epoch_begin(0)
    telemetry.close()
    assert _outcome(exporter) == {"interrupted"}


def test_fit_in_threads_is_told_apart(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Of two runs at the same time, only the one that failed says so."""
    x, y = data()
    models = {name: regression(name) for name in ("good", "bad")}
    meet = threading.Barrier(2, timeout=60)

    def train(name: str) -> None:
        hook = At("on_epoch_begin", lambda: (meet.wait(), name == "bad" and raising(OSError("x"))()))
        try:
            models[name].fit(x, y, verbose=0, callbacks=[TelemetryCallback(telemetry), hook])
        except OSError:
            assert name == "bad"

    threads = [threading.Thread(target=train, args=(name,)) for name in models]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert exporter.value("gangplank_train_outcome", model="good", outcome="success") == 1
    assert exporter.value("gangplank_train_outcome", model="bad", outcome="failed") == 1


def _decorated(name: str) -> object:
    """Return the function that a call of ``keras.Model``'s method comes down to."""
    method = getattr(keras.Model, name)
    cells = dict(zip(method.__code__.co_freevars, method.__closure__, strict=True))
    return cells["fn"].cell_contents


def test_keras_is_itself_again_when_the_last_callback_is_gone() -> None:
    """``fit`` and ``evaluate`` are wrapped once while a callback lives; the methods are the same objects throughout."""
    gc.collect()
    methods = {name: getattr(keras.Model, name) for name in ("fit", "evaluate")}
    inner = {name: _decorated(name) for name in methods}
    first, second = TelemetryCallback(Telemetry()), TelemetryCallback(Telemetry())
    for name, function in inner.items():
        assert getattr(_decorated(name), "__wrapped__", None) is function
        assert getattr(keras.Model, name) is methods[name]
    del first
    gc.collect()
    assert _decorated("fit") is not inner["fit"]
    del second
    gc.collect()
    assert {name: _decorated(name) for name in methods} == inner
    assert {name: getattr(keras.Model, name) for name in methods} == methods


def test_a_callback_that_is_made_in_the_call(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Python looks ``model.fit`` up before it makes the first callback there is; the ending is seen all the same."""
    gc.collect()
    assert not hasattr(_decorated("fit"), "__wrapped__")
    x, y = data()
    model = regression()
    with pytest.raises(ZeroDivisionError):
        model.fit(
            x,
            y,
            verbose=0,
            callbacks=[TelemetryCallback(telemetry), At("on_epoch_end", raising(ZeroDivisionError()))],
        )
    assert _outcome(exporter) == {"failed"}


def test_a_keras_whose_methods_are_not_decorated(
    telemetry: Telemetry, exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The methods are then replaced, restored, and left alone where somebody else wrapped them meanwhile."""
    gc.collect()
    owner = next(base for base in keras.Model.__mro__ if "fit" in vars(base))
    plain = keras.Model.fit.__wrapped__
    monkeypatch.setattr(owner, "fit", plain)
    x, y = data()
    callback = TelemetryCallback(telemetry)
    with pytest.raises(ZeroDivisionError):
        regression().fit(x, y, verbose=0, callbacks=[callback, At("on_epoch_end", raising(ZeroDivisionError()))])
    assert _outcome(exporter) == {"failed"}
    del callback
    gc.collect()
    assert keras.Model.fit is plain
    callback = TelemetryCallback(telemetry)
    ours = keras.Model.fit

    def theirs(*args: object, **kwargs: object) -> object:
        return ours(*args, **kwargs)

    monkeypatch.setattr(owner, "fit", theirs)
    del callback
    gc.collect()
    assert keras.Model.fit is theirs


def test_a_patch_that_comes_and_goes(
    telemetry: Telemetry, exporter: InMemoryExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tools that log by themselves patch ``keras.Model.fit``, and may undo it when our callback is made already."""
    gc.collect()
    original = keras.Model.fit

    @functools.wraps(original)
    def theirs(*args: object, **kwargs: object) -> object:
        return original(*args, **kwargs)

    x, y = data()
    with monkeypatch.context() as patch:
        patch.setattr(keras.Model, "fit", theirs)
        callback = TelemetryCallback(telemetry)
    fail = At("on_epoch_end", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):
        regression().fit(x, y, verbose=0, callbacks=[callback, fail])
    assert _outcome(exporter) == {"failed"}


def test_fit_keeps_its_signature_and_result(telemetry: Telemetry) -> None:
    """The wrapper hands on positional and keyword arguments and what fit returns."""
    x, y = data()
    callback = TelemetryCallback(telemetry)
    history = regression().fit(x, y, 8, 2, 0, [callback])
    assert len(history.history["loss"]) == 2
    assert witness._stack("fit") == []


def test_an_earlier_callback_that_evaluates_does_not_change_whose_run_begins(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """The hook that begins a run comes after that of an earlier callback, which has used ours for another model."""
    x, y = data()
    main, other = regression("main"), regression("other")
    callback = TelemetryCallback(telemetry)
    base = At("on_train_begin", lambda: other.evaluate(x, y, verbose=0, callbacks=[callback]))
    main.fit(x, y, verbose=0, callbacks=[base, callback])
    assert exporter.value("gangplank_train_outcome", model="main", outcome="success") == 1
    assert exporter.value("gangplank_train_outcome", model="other", outcome="success") is None
    assert exporter.value("gangplank_test_loss", model="other") is not None


def test_an_evaluation_inside_an_evaluation(telemetry: Telemetry, exporter: InMemoryExporter) -> None:
    """Each keeps its own metrics."""
    x, y = data()
    outer, inner = regression("outer"), regression("inner")
    callback = TelemetryCallback(telemetry)
    evaluate = At("on_test_begin", lambda: inner.evaluate(x, y, verbose=0, callbacks=[callback]))
    outer.evaluate(x, y, verbose=0, callbacks=[callback, evaluate])
    assert {labels["model"] for labels, _ in exporter.series("gangplank_test_loss")} == {"outer", "inner"}


def test_an_ending_that_raises_does_not_keep_others_from_being_told(
    telemetry: Telemetry, exporter: InMemoryExporter
) -> None:
    """A push that fails at the very end is raised, as asked for; another callback's run has ended all the same."""

    class Strict(TelemetryCallback):
        def _announce(self) -> None:
            if exporter.value("gangplank_train_outcome", model="net", outcome="success") == 1:
                raise OSError("no gateway")

    x, y = data()
    other = InMemoryExporter()
    with Telemetry(exporters=[other]) as second:
        callbacks = [Strict(telemetry), TelemetryCallback(second)]
        with pytest.raises(OSError, match="no gateway"):
            regression().fit(x, y, verbose=0, callbacks=callbacks)
        assert other.value("gangplank_train_outcome", outcome="success") == 1
        assert other.value("gangplank_train_running") == 0
