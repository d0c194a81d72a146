"""Which models are behind a proxy that measures them."""

from __future__ import annotations

import weakref
from contextlib import suppress
from typing import Any

from gangplank.inference import Inference

_proxied: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Inference]] = weakref.WeakKeyDictionary()


def note(model: Any, inference: Inference) -> None:  # noqa: ANN401 - Keras is untyped
    """Note that ``model`` is measured for as long as ``inference`` is alive."""
    with suppress(TypeError):  # a stand-in for a model that no weak reference can point to: nobody else measures it
        _proxied.setdefault(model, weakref.WeakSet()).add(inference)


def is_proxied(model: Any) -> bool:  # noqa: ANN401
    """Whether there is such a proxy."""
    return bool(_proxied.get(model))
