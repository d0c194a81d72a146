"""Training, and evaluation."""

from __future__ import annotations

from dashboards.panels import (
    Dashboard,
    Look,
    Panel,
    Query,
    about,
    gauge,
    own_metrics,
    quantiles,
    rate,
    series,
    since,
    state,
)
from gangplank.metrics import Phase

_TRAIN, _TEST = Phase.TRAIN, Phase.TEST
_LAYER = "{{job}} {{model}} {{layer}}"


def _lines(suffix: str, title: str, unit: str = "short", *, width: int = 8, phase: Phase = _TRAIN) -> Panel:
    """Return a panel of one gauge, described as the catalogue describes it."""
    return Panel(title, about(phase, suffix), (Query(gauge(phase, suffix)),), unit, width=width)


_STATES = (
    Panel(
        "What runs do",
        "Running, or how the last run ended. At a Pushgateway, a process that was killed is running still: see how "
        "long ago its last step was.",
        (state(_TRAIN),),
        look=Look.STATES,
        width=16,
    ),
    Panel(
        "Since the last step",
        "Of runs that are on. A quarter of an hour without a step is what TrainingStalled takes for a stall.",
        (Query(f"{since(_TRAIN, 'last_step_timestamp')} and {gauge(_TRAIN, 'running')} == 1"),),
        "s",
        Look.NUMBERS,
        4,
        red_from=900,
    ),
    Panel(
        "Values that are not finite",
        "NaN and infinite values within the time that is shown: of the loss, the run has diverged. Such a value takes "
        "its series away, so that its line below has a gap.",
        (
            Query(
                f"sum by (job, model, metric) (increase({series(_TRAIN, 'nonfinite')}[$__range]))",
                "{{job}} {{model}} {{metric}}",
            ),
        ),
        look=Look.NUMBERS,
        width=4,
        red_from=1,
    ),
    Panel(
        "Since the last success",
        "How long ago training last ended in success. It stands over runs that fail.",
        (Query(since(_TRAIN, "last_success_timestamp")),),
        "s",
        Look.NUMBERS,
        6,
    ),
    Panel(
        "Since the last end",
        "How long ago training last ended, whatever the outcome.",
        (Query(since(_TRAIN, "last_completion_timestamp")),),
        "s",
        Look.NUMBERS,
        6,
    ),
    Panel(
        "Epochs",
        f"{about(_TRAIN, 'epochs_count')} {about(_TRAIN, 'epochs_planned')}",
        (
            Query(gauge(_TRAIN, "epochs_count")),
            Query(gauge(_TRAIN, "epochs_planned"), "{{job}} {{model}} planned"),
        ),
        "short",
        Look.NUMBERS,
        4,
    ),
    Panel(
        "Time of the run", about(_TRAIN, "elapsed_time"), (Query(gauge(_TRAIN, "elapsed_time")),), "s", Look.NUMBERS, 4
    ),
    Panel(
        "Parameters",
        about(_TRAIN, "model_parameters_count"),
        (Query(gauge(_TRAIN, "model_parameters_count")),),
        "short",
        Look.NUMBERS,
        4,
    ),
)
_LEARNING = (
    Panel(
        "Loss",
        "Of training and of validation, by epochs. Where they part, the model is overfitting; a gap is a loss that is "
        "not finite.",
        (
            Query('gangplank_train_loss{job=~"$job", model=~"$model"}', "{{job}} {{model}} loss"),
            Query('gangplank_train_val_loss{job=~"$job", model=~"$model"}', "{{job}} {{model}} val_loss"),
        ),
    ),
    Panel("The model's other metrics", "As the last epoch gave them.", (own_metrics(_TRAIN, "loss", "val_loss"),)),
    Panel(
        "Values that are not finite, by metric",
        about(_TRAIN, "nonfinite"),
        (
            Query(
                f"sum by (job, model, metric) (increase({series(_TRAIN, 'nonfinite')}[$__rate_interval]))",
                "{{job}} {{model}} {{metric}}",
            ),
        ),
    ),
    _lines("learning_rate", "Learning rate", "sci", width=12),
)
_SPEED = (
    Panel("Steps per second", about(_TRAIN, "steps"), (Query(rate(_TRAIN, "steps")),), "ops", width=8),
    Panel(
        "Time of a step",
        about(_TRAIN, "step_duration"),
        quantiles(_TRAIN, "step_duration", legend="{{job}} {{model}}"),
        "s",
        width=8,
    ),
    _lines("epoch_duration", "Time of an epoch", "s"),
)
_WEIGHTS = (
    Panel(
        "Weights",
        "How the trainable weights are distributed, when they were last read: how many are in each bucket. It is a "
        "snapshot, not a count that grows: there is nothing to take a rate of.",
        (Query(f"sum by (le) ({series(_TRAIN, 'model_weights', part='_bucket')})", "{{le}}"),),
        look=Look.HEATMAP,
    ),
    Panel(
        "Least, mean, greatest",
        "Of the trainable weights, and their standard deviation.",
        tuple(
            Query(gauge(_TRAIN, f"model_weights_{part}"), f"{{{{job}}}} {{{{model}}}} {part}")
            for part in ("min", "mean", "max", "stddev")
        ),
    ),
    _lines("model_weights_norm", "Norm of the weights"),
    _lines("model_weights_update_ratio", "Change of the weights, relative", "sci"),
    _lines("model_gradients_norm", "Norm of the gradients"),
    Panel(
        "Norm, by layers",
        about(_TRAIN, "layer_weights_norm"),
        (Query(gauge(_TRAIN, "layer_weights_norm", "job, model, layer"), _LAYER),),
        width=8,
    ),
    Panel(
        "Change, relative, by layers",
        about(_TRAIN, "layer_weights_update_ratio"),
        (Query(gauge(_TRAIN, "layer_weights_update_ratio", "job, model, layer"), _LAYER),),
        "sci",
        width=8,
    ),
    Panel(
        "Mean, by layers",
        about(_TRAIN, "layer_weights"),
        (
            Query(
                f"max by (job, model, layer) ({series(_TRAIN, 'layer_weights', part='_sum')}"
                f" / {series(_TRAIN, 'layer_weights', part='_count')})",
                _LAYER,
            ),
        ),
        width=8,
    ),
    Panel(
        "Weights that are not finite, by layers",
        about(_TRAIN, "layer_weights_nonfinite"),
        (Query(gauge(_TRAIN, "layer_weights_nonfinite", "job, model, layer"), _LAYER),),
    ),
    _lines("layer_weights_combined", "Layers shown together", width=12),
)
_EVALUATION = (
    Panel(
        "How evaluations ended",
        "How the last evaluation ended, or that one is on.",
        (state(_TEST),),
        look=Look.STATES,
        width=16,
    ),
    Panel(
        "Since the last success",
        "Since an evaluation last ended in success.",
        (Query(since(_TEST, "last_success_timestamp")),),
        "s",
        Look.NUMBERS,
        4,
    ),
    Panel(
        "Since the last end",
        "Since an evaluation last ended, whatever the outcome.",
        (Query(since(_TEST, "last_completion_timestamp")),),
        "s",
        Look.NUMBERS,
        4,
    ),
    Panel("The model's metrics", "As the last evaluation gave them.", (own_metrics(_TEST),)),
    Panel(
        "Values that are not finite",
        about(_TEST, "nonfinite"),
        (
            Query(
                f"sum by (job, model, metric) (increase({series(_TEST, 'nonfinite')}[$__range]))",
                "{{job}} {{model}} {{metric}}",
            ),
        ),
        look=Look.NUMBERS,
        width=6,
        red_from=1,
    ),
    Panel(
        "Time of an evaluation",
        about(_TEST, "elapsed_time"),
        (Query(gauge(_TEST, "elapsed_time")),),
        "s",
        Look.NUMBERS,
        6,
    ),
)

TRAINING = Dashboard(
    "training",
    "Gangplank / Training",
    "Training and evaluation of Keras models: how runs end, whether they learn, how fast, and what their weights do.",
    'label_values({__name__=~"gangplank_(train|test)_outcome", job=~"$job"}, model)',
    {
        "How it stands": _STATES,
        "Learning": _LEARNING,
        "Speed": _SPEED,
        "Weights": _WEIGHTS,
        "Evaluation": _EVALUATION,
    },
)
