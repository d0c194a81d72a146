"""Wraps methods of ``keras.Model``, and takes the wrappers off again so that Keras is what it was.

Keras decorates its methods. The wrapper goes where the decorator keeps the function that it decorates, so that
``keras.Model.fit`` stays the same object. Replacing it would come too late for what most people write,
``model.fit(x, callbacks=[Ours()])``: Python looks ``model.fit`` up before it makes the callback.
"""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

import keras

Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]
"""Returns what is called in place of a function."""


def wrap(name: str, wrapping: Wrap) -> Callable[[], None]:
    """Wrap a method of every Keras model, and return what unwraps it.

    What another tool wrapped around it afterwards stays, with ours inert inside.
    """
    owners = [base for base in keras.Model.__mro__ if name in vars(base)]
    # The backend's trainer has the method. What another tool put in its place, there or on a class before, calls it.
    owner = next((base for base in owners if ".backend." in base.__module__), owners[0])
    method: Any = vars(owner)[name]
    while (decorated := getattr(method, "__wrapped__", None)) is not None:
        cells = [cell for cell in method.__closure__ or () if cell.cell_contents is decorated]
        if cells and method.__module__.startswith("keras."):
            return _wrap_in_place(cells[0], wrapping)
        method = decorated
    return wrap_attribute(owner, name, wrapping)


def wrap_attribute(owner: type, name: str, wrapping: Wrap) -> Callable[[], None]:
    """Put a wrapped method into a class, and return what takes it out again.

    Calls that looked the method up before are not wrapped.
    """
    is_inherited = name not in vars(owner)
    original = getattr(owner, name)
    wrapper = wrapping(original)
    setattr(owner, name, wrapper)

    def unwrap() -> None:
        if vars(owner).get(name) is not wrapper:
            return
        if is_inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

    return unwrap


def _wrap_in_place(cell: types.CellType, wrapping: Wrap) -> Callable[[], None]:
    original = cell.cell_contents
    wrapper = cell.cell_contents = wrapping(original)

    def unwrap() -> None:
        if cell.cell_contents is wrapper:
            cell.cell_contents = original

    return unwrap
