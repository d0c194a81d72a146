"""The weights of a model that is trained or evaluated."""

from __future__ import annotations

from gangplank.metrics import Kind, Metric, Phase

_WHOLE = (
    ("norm", "L2 norm of the trainable weights, when they were last read."),
    ("mean", "Mean of the trainable weights, when they were last read."),
    ("stddev", "Standard deviation of the trainable weights, when they were last read."),
    ("min", "Least of the trainable weights, when they were last read."),
    ("max", "Greatest of the trainable weights, when they were last read."),
)
_OF_LAYER = ("model", "layer")


def weights(phase: Phase) -> tuple[Metric, ...]:
    """Return the rows that training and evaluation share."""
    return (
        Metric(
            phase,
            "model_weights",
            Kind.SNAPSHOT,
            "Distribution of the trainable weights, when they were last read; NaN is in no bucket.",
            predecessor=True,
        ),
        *(Metric(phase, f"model_weights_{part}", Kind.GAUGE, about) for part, about in _WHOLE),
        Metric(
            phase,
            "layer_weights",
            Kind.SNAPSHOT,
            "Distribution of a layer's trainable weights, when they were last read; NaN is in no bucket.",
            attributes=_OF_LAYER,
        ),
        Metric(
            phase,
            "layer_weights_norm",
            Kind.GAUGE,
            "L2 norm of a layer's trainable weights, when they were last read.",
            attributes=_OF_LAYER,
        ),
        Metric(
            phase,
            "layer_weights_nonfinite",
            Kind.GAUGE,
            "NaN or infinite ones among a layer's trainable weights, when they were last read.",
            attributes=_OF_LAYER,
        ),
        Metric(
            phase,
            "layer_weights_combined",
            Kind.GAUGE,
            "How many layers are shown together as the layer _other.",
            unit="{layer}",
        ),
    )


CHANGES = (
    Metric(
        Phase.TRAIN,
        "model_weights_update_ratio",
        Kind.GAUGE,
        "L2 norm of the change of the trainable weights between the last two readings, by their norm at the first.",
    ),
    Metric(
        Phase.TRAIN,
        "layer_weights_update_ratio",
        Kind.GAUGE,
        "The same, of a layer's trainable weights.",
        attributes=_OF_LAYER,
    ),
    Metric(
        Phase.TRAIN,
        "model_gradients_norm",
        Kind.GAUGE,
        "L2 norm of the gradients of the last step, before any clipping; PyTorch alone keeps them.",
    ),
    Metric(
        Phase.TRAIN,
        "model_weights_time",
        Kind.COUNTER,
        "Time spent reading weights, be it on the training thread or beside it.",
        unit="s",
    ),
)
"""What training has beside."""
