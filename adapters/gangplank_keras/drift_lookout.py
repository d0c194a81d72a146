"""Which models of an instrumented Keras are watched for drift, and by which detectors.

As instrumentation itself, it may be imported in the middle of the import of another module of ours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from gangplank.drift.detector import Detector
from gangplank.drift.naming import named
from gangplank.drift.profile import DriftProfile
from gangplank.inference import Inference
from gangplank_keras import drift_watch, loading


class Lookout:
    """Finds the detectors of models: as they were given, by the models' names, or else beside the models' files.

    Args:
        setting: Whether to look beside files; or detectors by models' names.
    """

    def __init__(self, setting: bool | Mapping[str, Mapping[str, Detector]]) -> None:
        self._given = setting if isinstance(setting, Mapping) else {}
        self._loads = loading.Loads() if setting is True else None
        self._watches: dict[str, drift_watch.DriftWatch] = {}

    def install(self) -> Callable[[], object]:
        """Begin to note where models are loaded from, if that is needed, and return what ends that."""
        return _nothing if self._loads is None else self._loads.install()

    def watch(self, model: Any, inference: Inference) -> drift_watch.DriftWatch | None:  # noqa: ANN401 - Keras is untyped
        """Return what watches a model, if anything does.

        Models of one name have the detectors together that were given for it.

        Raises:
            ConfigurationError: what lies beside its file is no profile, or has no detectors.
        """
        if inference.model in self._watches:
            return self._watches[inference.model]
        if inference.model in self._given:
            watch = drift_watch.DriftWatch(None, self._given[inference.model], inference, model, inline=False)
            return self._watches.setdefault(inference.model, watch)
        path = None if self._loads is None else self._loads.path(model)
        if path is None or not DriftProfile.beside(path).exists():
            return None
        return drift_watch.DriftWatch(None, named(path), inference, model, inline=False)


def _nothing() -> None:
    pass
