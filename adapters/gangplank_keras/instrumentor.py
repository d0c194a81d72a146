"""OpenTelemetry's way to instrument Keras: :class:`KerasInstrumentor`. Importing it does not import Keras."""

from __future__ import annotations

import logging
import sys
from collections.abc import Collection
from typing import TYPE_CHECKING, Any

import wrapt
from opentelemetry.instrumentation.instrumentor import BaseInstrumentor  # type: ignore[attr-defined]

from gangplank.errors import ConfigurationError
from gangplank.telemetry import Telemetry
from gangplank_keras.settings import InstrumentorSettings, check, resolve

if TYPE_CHECKING:
    from gangplank_keras.instrumentation import Instrumentation

_logger = logging.getLogger("gangplank.keras")


class KerasInstrumentor(BaseInstrumentor):
    """Instruments Keras: every ``fit``, ``evaluate`` and prediction of every model, with nothing in the program's code.

    ``opentelemetry-instrument python train.py`` finds it by itself. In code it is ``KerasInstrumentor().instrument()``,
    before Keras is imported or after; it does not import it. There is one in a process.

    What a callback of Gangplank's, or a proxy of a model, reports already is left to it. ``model(x)`` counts when it is
    the program that calls, outside of ``fit`` and ``evaluate`` and without ``training=True``.

    ``instrument()`` takes, each by default as its environment variable says:

    - ``meter_provider`` and ``tracer_provider``: by default those of the process.
    - ``disabled``: what not to look at, any of ``"train"``, ``"test"`` and ``"predict"``.
    - ``metrics``: which of the models' metrics to export, by Keras's names.
    - ``histogram_buckets``: upper bounds for the distribution of the trainable weights, or ``"auto"``.
    - ``weights_every_n_epochs``, ``weights_max_share``, ``weights_layers``, ``weights_updates`` and
      ``weights_gradients``: the rest of :class:`gangplank.Weights`.
    - ``every_n_steps``: report the models' metrics within an epoch too, every so many steps.
    - ``model_name``: the label ``model`` of all series.
    - ``attributes``: more labels of all series, ten at the most.
    - ``drift``: True to look for drift in what each model predicts that ``keras.saving.load_model`` loads and that has
      a drift profile beside its file; in code also a mapping of models' names to what ``TelemetryModel(drift=...)``
      takes.

    A wrong argument raises ``TypeError`` or :class:`gangplank.ConfigurationError`. A wrong variable is an error in the
    log, and Keras is left as it is: whoever instruments a program by its environment wants it to run.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """Return what is instrumented."""
        return ("keras >= 3.11",)

    def _instrument(self, **kwargs: Any) -> None:  # noqa: ANN401 - as OpenTelemetry has it
        providers = {name: kwargs.pop(name, None) for name in ("meter_provider", "tracer_provider")}
        kwargs.pop("logger_provider", None)  # which other instrumentors take, and there is no use for
        check(kwargs)
        try:
            settings = resolve(kwargs)
        except ConfigurationError as error:
            _logger.error("Keras is not instrumented: %s", error)  # noqa: TRY400 - the message says it all
            return
        instrumented = _Instrumented(Telemetry(**providers, attributes=settings.attributes), settings)
        _present.append(instrumented)
        if "keras" in sys.modules:
            instrumented.install()
        else:
            wrapt.register_post_import_hook(lambda _: instrumented.install(), "keras")

    def _uninstrument(self, **_: Any) -> None:  # noqa: ANN401 - as OpenTelemetry has it
        while _present:
            _present.pop().remove()


class _Instrumented:
    """Keras, to be instrumented once it is imported.

    Args:
        telemetry: Where to report.
        settings: What to report.
    """

    def __init__(self, telemetry: Telemetry, settings: InstrumentorSettings) -> None:
        self._telemetry = telemetry
        self._settings = settings
        self._instrumentation: Instrumentation | None = None

    def install(self) -> None:
        """Instrument it, unless that was taken back meanwhile."""
        if self not in _present:
            return
        try:
            from gangplank_keras.instrumentation import Instrumentation  # noqa: PLC0415 - imports Keras

            self._instrumentation = Instrumentation(self._telemetry, self._settings)
            self._instrumentation.install()
        except Exception:  # the program's import of Keras is not to fail
            _logger.exception("could not instrument Keras")
            if self._instrumentation is not None:
                self._instrumentation.remove()

    def remove(self) -> None:
        """Have Keras be what it was."""
        if self._instrumentation is not None:
            self._instrumentation.remove()
        self._telemetry.close()


_present: list[_Instrumented] = []
