"""Sees how ``fit`` and ``evaluate`` are left, of which Keras tells no callback.

Keras calls ``on_train_end`` when training has finished and nothing at all when it has not: an exception or Ctrl-C
passes through ``fit`` unheard. So as long as a callback of ours is alive, these two methods of ``keras.Model`` run
inside a wrapper. It hands every argument on, returns what comes back, and lets every exception pass; the one thing it
does is tell runs that began inside the call how it was left.

Whoever instruments Keras has it do a second thing: add a callback of ours to calls that have none.
"""

from __future__ import annotations

import functools
import inspect
import logging
import sys
import threading
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from gangplank.locks import Lock
from gangplank_keras import wrapping

Ending = Callable[[BaseException | None], None]
"""Called with the exception with which the call was left, and must not raise then; or with None."""

Addition = Callable[[str, Any, Any], Any]
"""Called with the method, the model and the callbacks of a call; returns the callbacks to call it with."""


@dataclass(frozen=True, slots=True)
class _Call:
    """A call that is on."""

    model: Any
    endings: list[Ending]


_logger = logging.getLogger("gangplank.keras")
_METHODS = ("fit", "evaluate")
_lock = Lock()
_watchers = 0
_unwrap: list[Callable[[], None]] = []
_additions: list[Addition] = []
_calls = threading.local()


def watch(watcher: object) -> Callable[[], object]:
    """Wrap the methods for as long as ``watcher`` is alive, or until the function returned is called."""
    global _watchers  # noqa: PLW0603 - Keras has one Model class
    with _lock:
        if _watchers == 0:
            _unwrap.extend([wrapping.wrap(name, functools.partial(_witnessed, name)) for name in _METHODS])
        _watchers += 1
    end = weakref.finalize(watcher, _unwatch)
    end.atexit = False
    return end


def add(addition: Addition) -> Callable[[], None]:
    """Have ``addition`` see the callbacks of each call, for as long as somebody watches.

    Returns:
        A function that takes the request back.
    """
    _additions.append(addition)
    return functools.partial(_additions.remove, addition)


def is_in_call() -> bool:
    """Whether a call of any of the methods is on, on this thread."""
    return any(_calls.__dict__.values())


def began(method: str, ending: Ending) -> bool:
    """Have ``ending`` called when the innermost call of ``method`` on this thread is left.

    Returns:
        Whether there is such a call. If not, ``ending`` is never called.
    """
    stack = _stack(method)
    if stack:
        stack[-1].endings.append(ending)
    return bool(stack)


def called_model(method: str) -> Any:  # noqa: ANN401 - Keras is untyped
    """Return the model of the innermost call of ``method`` on this thread, or None without one."""
    stack = _stack(method)
    return stack[-1].model if stack else None


def _unwatch() -> None:
    global _watchers  # noqa: PLW0603
    with _lock:
        _watchers -= 1
        if _watchers == 0:
            while _unwrap:
                _unwrap.pop()()


def _witnessed(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    names = list(inspect.signature(original).parameters)
    # What another tool has put in its place may take anything.
    position = names.index("callbacks") if "callbacks" in names else sys.maxsize

    @functools.wraps(original)
    def witnessed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        call = _Call(args[0] if args else None, [])
        _stack(name).append(call)
        if _additions:
            args, kwargs = _with_additions(name, position, args, kwargs)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            if not call.endings:
                _begin_late(name, call.model, _callbacks(position, args, kwargs))
            _stack(name).pop()
            _tell(call.endings, error)
            raise
        _stack(name).pop()
        _tell(call.endings, None)
        return result

    return witnessed


def _callbacks(position: int, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:  # noqa: ANN401
    """Return the callbacks that a call is given, by position or by name."""
    return kwargs.get("callbacks", args[position] if len(args) > position else None)


def _with_additions(
    name: str, position: int, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the arguments with what is to be added to the callbacks; the caller's own list is not touched."""
    given = callbacks = _callbacks(position, args, kwargs)
    try:
        for addition in tuple(_additions):
            callbacks = addition(name, args[0], callbacks)
    except Exception:  # whatever was given for callbacks, Keras is to say so
        _logger.debug("could not add to the callbacks %r", type(given), exc_info=True)
        return args, kwargs
    if callbacks is given:
        return args, kwargs
    if len(args) > position:
        return (*args[:position], callbacks, *args[position + 1 :]), kwargs
    return args, {**kwargs, "callbacks": callbacks}


def _begin_late(name: str, model: Any, callbacks: Any) -> None:  # noqa: ANN401
    """Have our callbacks begin a run that failed before Keras told them of it: in preparing the data, say.

    Validation inside fit is called with the CallbackList that fit made, in which this does not look: it is no run.
    """
    try:
        for callback in keras.tree.flatten(callbacks):
            begin = getattr(callback, "begin_late", None)
            if begin is not None:
                begin(name, model)
    except Exception:  # whatever was given for callbacks, the caller must get Keras's own exception
        _logger.debug("could not look for callbacks in %r", type(callbacks), exc_info=True)


def _tell(endings: list[Ending], error: BaseException | None) -> None:
    """Tell all endings, then raise what the first of them raised, if any did."""
    failure: BaseException | None = None
    for ending in tuple(endings):
        try:
            ending(error)
        except BaseException as raised:  # noqa: BLE001 - raised again below, when the others have been told
            failure = failure or raised
    if failure is not None:
        raise failure


def _stack(method: str) -> list[_Call]:
    stacks: dict[str, list[_Call]] = _calls.__dict__
    return stacks.setdefault(method, [])
