"""Sees how ``fit`` and ``evaluate`` are left, of which Keras tells no callback.

Keras calls ``on_train_end`` when training has finished and nothing at all when it has not: an exception or Ctrl-C
passes through ``fit`` unheard. So as long as a callback of ours is alive, these two methods of ``keras.Model`` run
inside a wrapper. It hands every argument on, returns what comes back, and lets every exception pass; the one thing it
does is tell runs that began inside the call how it was left.

The methods themselves stay the same objects. Replacing them would come too late for what most people write,
``model.fit(x, callbacks=[TelemetryCallback()])``: Python looks ``model.fit`` up before it makes the callback. Keras's
methods are decorated functions, so the wrapper goes where the decorator keeps the function that it decorates.
"""

from __future__ import annotations

import functools
import inspect
import logging
import threading
import types
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras

from gangplank.locks import Lock

Ending = Callable[[BaseException | None], None]
"""Called with the exception with which the call was left, and must not raise then; or with None."""


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
_calls = threading.local()


def watch(watcher: object) -> None:
    """Wrap the methods for as long as ``watcher`` is alive."""
    global _watchers  # noqa: PLW0603 - Keras has one Model class
    with _lock:
        if _watchers == 0:
            _unwrap.extend(_wrap(name) for name in _METHODS)
        _watchers += 1
    weakref.finalize(watcher, _unwatch).atexit = False


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


def _wrap(name: str) -> Callable[[], None]:
    """Wrap a method of ``keras.Model`` and return what unwraps it."""
    owners = [base for base in keras.Model.__mro__ if name in vars(base)]
    # The backend's trainer has the method. What another tool put in its place, there or on a class before, calls it.
    owner = next((base for base in owners if ".backend." in base.__module__), owners[0])
    method: Any = vars(owner)[name]
    while (decorated := getattr(method, "__wrapped__", None)) is not None:
        cells = [cell for cell in method.__closure__ or () if cell.cell_contents is decorated]
        if cells and method.__module__.startswith("keras."):
            return _wrap_in_place(name, cells[0])
        method = decorated
    return _wrap_attribute(name, owner, vars(owner)[name])


def _wrap_in_place(name: str, cell: types.CellType) -> Callable[[], None]:
    original = cell.cell_contents
    wrapper = cell.cell_contents = _witnessed(name, original)

    def unwrap() -> None:
        if cell.cell_contents is wrapper:
            cell.cell_contents = original

    return unwrap


def _wrap_attribute(name: str, owner: type, original: Callable[..., Any]) -> Callable[[], None]:
    """Replace a method that is not decorated: calls that looked it up before are not seen to end."""
    wrapper = _witnessed(name, original)
    setattr(owner, name, wrapper)

    def unwrap() -> None:
        if vars(owner).get(name) is wrapper:  # else somebody wrapped it after us, and ours stays, inert, inside
            setattr(owner, name, original)

    return unwrap


def _witnessed(name: str, original: Callable[..., Any]) -> Callable[..., Any]:
    position = list(inspect.signature(original).parameters).index("callbacks")

    @functools.wraps(original)
    def witnessed(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401
        call = _Call(args[0] if args else None, [])
        _stack(name).append(call)
        try:
            result = original(*args, **kwargs)
        except BaseException as error:
            if not call.endings:
                _begin_late(name, call.model, kwargs.get("callbacks", args[position] if len(args) > position else None))
            _stack(name).pop()
            _tell(call.endings, error)
            raise
        _stack(name).pop()
        _tell(call.endings, None)
        return result

    return witnessed


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
