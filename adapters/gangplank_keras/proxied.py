"""Which predictions are not to be measured: those of models behind a proxy that does, and those that are our own."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Generator
from contextlib import contextmanager, suppress
from typing import Any

from gangplank.inference import Inference

_proxied: weakref.WeakKeyDictionary[Any, weakref.WeakSet[Inference]] = weakref.WeakKeyDictionary()


class _Thread(threading.local):
    """What is on, on this thread."""

    predicts_for_us = False


_thread = _Thread()


def note(model: Any, inference: Inference) -> None:  # noqa: ANN401 - Keras is untyped
    """Note that ``model`` is measured for as long as ``inference`` is alive."""
    with suppress(TypeError):  # a stand-in for a model that no weak reference can point to: nobody else measures it
        _proxied.setdefault(model, weakref.WeakSet()).add(inference)


def is_proxied(model: Any) -> bool:  # noqa: ANN401
    """Whether there is such a proxy, or this thread predicts for us."""
    return _thread.predicts_for_us or bool(_proxied.get(model))


@contextmanager
def unmeasured() -> Generator[None]:
    """Have what this thread predicts in the block be no prediction of the program's."""
    before, _thread.predicts_for_us = _thread.predicts_for_us, True
    try:
        yield
    finally:
        _thread.predicts_for_us = before
