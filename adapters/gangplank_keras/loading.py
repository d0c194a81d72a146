"""Notes where models are loaded from, so that what lies beside their files is found."""

from __future__ import annotations

import functools
import os
import sys
import weakref
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import keras

_NAME = "load_model"


class Loads:
    """Where the models of this process were loaded from, as far as it was noted."""

    def __init__(self) -> None:
        self._paths: weakref.WeakKeyDictionary[Any, Path] = weakref.WeakKeyDictionary()

    def path(self, model: Any) -> Path | None:  # noqa: ANN401 - Keras is untyped
        """Return where a model was loaded from, if that is known."""
        return self._paths.get(model)

    def install(self) -> Callable[[], None]:
        """Begin to note it, by whatever name of Keras's a model is loaded, and return what ends that."""
        original = keras.saving.load_model
        noting = self._noting(original)
        places = [
            module
            for name, module in list(sys.modules.items())
            if name.partition(".")[0] == "keras" and vars(module).get(_NAME) is original
        ]
        for module in places:
            setattr(module, _NAME, noting)

        def undo() -> None:
            for module in places:
                if vars(module).get(_NAME) is noting:  # another tool's, around ours, stays
                    setattr(module, _NAME, original)

        return undo

    def _noting(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def load_model(filepath: Any, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - as Keras has it
            model = original(filepath, *args, **kwargs)
            with suppress(TypeError):  # no path, or a model that cannot be pointed to
                self._paths[model] = Path(os.fspath(filepath)).absolute()
            return model

        return load_model
