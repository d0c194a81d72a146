"""The settings of the instrumentor, from its arguments, the environment and the defaults."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gangplank import checks, environment
from gangplank import environment_variables as variables
from gangplank.attributes import common_labels
from gangplank.errors import ConfigurationError
from gangplank.metrics import Phase
from gangplank.settings import Setting, settled
from gangplank.weights.options import Weights, buckets, layers

if TYPE_CHECKING:
    from gangplank.drift.detector import Detector

_WEIGHTS = "weights_"
"""Begins the names of settings of :class:`gangplank.Weights`."""
_PHASES = {phase.value: phase for phase in (Phase.TRAIN, Phase.TEST, Phase.PREDICT)}


@dataclass(frozen=True, slots=True, kw_only=True)
class InstrumentorSettings:
    """Settings that are allowed.

    Attributes:
        disabled: Phases that are not looked at.
        metrics: Which of the models' metrics to export; all, if None.
        weights: What to report of the trainable weights, if anything.
        every_n_steps: How often to report metrics within an epoch; not at all, if None.
        model_name: The label ``model`` of all series; each model's own name, if None.
        attributes: More labels of all series.
        drift: Whether to look for drift in what models predict that have a drift profile beside their file; or by
            models' names the detectors that are to look.
    """

    disabled: frozenset[Phase] = frozenset()
    metrics: frozenset[str] | None = None
    weights: Weights | None = None
    every_n_steps: int | None = None
    model_name: str | None = None
    attributes: Mapping[str, str] = field(default_factory=dict)
    drift: bool | Mapping[str, Mapping[str, Detector]] = False


def phases(name: str, value: Any) -> frozenset[Phase]:  # noqa: ANN401 - checked here
    """Return phases by their names.

    Raises:
        TypeError: it is no list of strings.
        ConfigurationError: there is no such phase.
    """
    named = checks.names(name, value) or frozenset()
    unknown = named - _PHASES.keys()
    if unknown:
        raise ConfigurationError(f"{name} must hold no other than {', '.join(_PHASES)}, got {min(unknown)!r}")
    return frozenset(_PHASES[phase] for phase in named)


def drift(name: str, value: Any) -> bool | dict[str, dict[str, Detector]]:  # noqa: ANN401
    """Return whether to look for drift, or detectors by their names by models' names.

    Raises:
        TypeError: it is neither a flag nor such a mapping.
        ConfigurationError: two detectors of a model have one name, or there is no such profile.
    """
    if not isinstance(value, Mapping):
        return checks.flag(name, value)
    from gangplank.drift.naming import named  # noqa: PLC0415 - NumPy, which only those need who give detectors

    return {checks.text(f"the name of a model in {name}", model): named(given) for model, given in value.items()}


SETTINGS = (
    Setting(
        "disabled",
        variables.OTEL_INSTRUMENTATION_KERAS_DISABLED,
        "What not to look at: any of `train`, `test`, `predict`, with commas between.",
        phases,
        environment.names,
    ),
    Setting(
        "metrics",
        variables.OTEL_INSTRUMENTATION_KERAS_METRICS,
        "Which of the models' metrics to export, by Keras's names, such as `loss,val_loss`. All, if not set.",
        checks.names,
        environment.names,
    ),
    Setting(
        "histogram_buckets",
        variables.OTEL_INSTRUMENTATION_KERAS_HISTOGRAM_BUCKETS,
        "Upper bounds for the distribution of the trainable weights, such as `-0.1,0,0.1`, or `auto` for bounds that "
        "fit. Without this, and without what follows about weights, these are not read.",
        buckets,
        environment.numbers_or_auto,
    ),
    Setting(
        "weights_every_n_epochs",
        variables.OTEL_INSTRUMENTATION_KERAS_WEIGHTS_EVERY_N_EPOCHS,
        "Read the weights after every so many epochs, too, and not only at the end of a run.",
        checks.count,
        environment.integer,
    ),
    Setting(
        "weights_max_share",
        variables.OTEL_INSTRUMENTATION_KERAS_WEIGHTS_MAX_SHARE,
        "Read the weights after epochs, too, as often as takes at most this share of the training's time, such as "
        "`0.01`.",
        checks.share,
        environment.number,
    ),
    Setting(
        "weights_layers",
        variables.OTEL_INSTRUMENTATION_KERAS_WEIGHTS_LAYERS,
        "Report the largest so many layers on their own, too, and the others together.",
        layers,
        environment.integer,
    ),
    Setting(
        "weights_updates",
        variables.OTEL_INSTRUMENTATION_KERAS_WEIGHTS_UPDATES,
        "Whether to report how far the weights moved since they were last read; that keeps a copy of them.",
        checks.flag,
        environment.boolean,
    ),
    Setting(
        "weights_gradients",
        variables.OTEL_INSTRUMENTATION_KERAS_WEIGHTS_GRADIENTS,
        "Whether to report the norm of the last step's gradients, on PyTorch.",
        checks.flag,
        environment.boolean,
    ),
    Setting(
        "every_n_steps",
        variables.OTEL_INSTRUMENTATION_KERAS_EVERY_N_STEPS,
        "Report the models' metrics within an epoch too, every so many steps, as Keras has them by then.",
        checks.count,
        environment.integer,
    ),
    Setting(
        "model_name",
        variables.OTEL_INSTRUMENTATION_KERAS_MODEL_NAME,
        "The label `model` of all series. By default each model's own name.",
        checks.text,
    ),
    Setting(
        "attributes",
        variables.OTEL_INSTRUMENTATION_KERAS_ATTRIBUTES,
        "More labels of all series, such as `experiment=a,team=ml`; ten at the most.",
        lambda name, value: dict(common_labels(name, value)),
        environment.pairs,
    ),
    Setting(
        "drift",
        variables.OTEL_INSTRUMENTATION_KERAS_DRIFT,
        "Whether to look for drift in the predictions of each model that `keras.saving.load_model` loads and that has "
        "a drift profile beside its file.",
        drift,
        environment.boolean,
    ),
)


def check(given: Mapping[str, Any]) -> None:
    """Check arguments, whatever the environment says.

    Raises:
        TypeError: one has the wrong type, or there is no such setting.
        ConfigurationError: a value that is not allowed.
    """
    settled(SETTINGS, given, in_code=[setting.name for setting in SETTINGS])


def resolve(given: Mapping[str, Any]) -> InstrumentorSettings:
    """Return settings: as they are given, or else as the environment has them, or else as by default.

    Raises:
        TypeError: an argument has the wrong type, or there is no such setting.
        ConfigurationError: a value that is not allowed; the message names the argument or the variable.
    """
    values, _ = settled(SETTINGS, given)
    of_weights = {name.removeprefix(_WEIGHTS): values.pop(name) for name in list(values) if name.startswith(_WEIGHTS)}
    if "histogram_buckets" in values:
        of_weights["histogram_buckets"] = values.pop("histogram_buckets")
    return InstrumentorSettings(**values, weights=Weights(**of_weights) if any(of_weights.values()) else None)
