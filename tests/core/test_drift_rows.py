"""What a detector looks at: any batch becomes rows of finite numbers, or is refused with a reason."""

from __future__ import annotations

import logging
from typing import Any

import ml_dtypes
import numpy as np
import pytest

from gangplank.drift.rows import Rows
from gangplank.errors import ConfigurationError

REFERENCE = np.arange(30.0).reshape(10, 3)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, ml_dtypes.bfloat16, np.int8, np.uint64, bool])
def test_numbers_of_every_kind_become_float64(dtype: Any) -> None:
    """Also those that NumPy has not of itself."""
    batch = np.array([[0, 1, 0], [1, 1, 1]]).astype(dtype)
    rows, skipped = Rows(REFERENCE).of(None, batch)
    assert rows.dtype == np.float64
    assert rows.tolist() == [[0, 1, 0], [1, 1, 1]]
    assert skipped == 0


def test_it_looks_at_predictions_inputs_or_what_a_function_makes_of_both() -> None:
    """A function has what else the model returns, as outputs in a dict."""
    x, y = np.full((2, 3), 1.0), np.full((2, 3), 2.0)
    assert Rows(REFERENCE).of(x, y)[0].tolist() == y.tolist()
    assert Rows(REFERENCE, "inputs").of(x, y)[0].tolist() == x.tolist()
    assert Rows(REFERENCE, lambda x, y: y - 3 * x).of(x, y)[0].tolist() == (y - 3 * x).tolist()
    assert Rows(REFERENCE, lambda _, y: y["probabilities"]).of(x, {"probabilities": y})[0].tolist() == y.tolist()


def test_one_dimension_is_a_column_and_more_than_two_are_flattened() -> None:
    """As regressions, and images, have them."""
    assert Rows([1.0, 2.0]).of(None, [3, 4, 5])[0].tolist() == [[3], [4], [5]]
    images = np.arange(24.0).reshape(2, 3, 4, 1)
    assert Rows(images).of(None, images)[0].tolist() == images.reshape(2, 12).tolist()


def test_rows_with_what_is_not_finite_are_skipped_and_counted() -> None:
    """A row counts once, however much is wrong in it."""
    batch = np.ones((5, 3))
    batch[1, 0], batch[3, 2] = np.nan, -np.inf
    batch[4] = 7
    rows, skipped = Rows(REFERENCE).of(None, batch)
    assert rows.tolist() == [[1, 1, 1], [1, 1, 1], [7, 7, 7]]
    assert skipped == 2


def test_rows_of_the_reference_are_skipped_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """Once, with the numbers."""
    with caplog.at_level(logging.WARNING, "gangplank.drift"):
        rows = Rows([1.0, np.nan, 3.0])
    assert rows.reference.tolist() == [[1], [3]]
    assert caplog.messages == ["Of the reference, 1 of 3 rows are left out: they are not finite."]


@pytest.mark.parametrize("empty", [[], np.empty((0, 3)), np.empty((0, 5)), np.empty((0, 2, 2))])
def test_an_empty_batch_is_no_rows(empty: Any) -> None:
    """Whatever shape it has."""
    rows, skipped = Rows(REFERENCE).of(None, empty)
    assert rows.shape == (0, 3)
    assert skipped == 0


@pytest.mark.parametrize("batch", [np.ones((2, 4)), np.ones(3), np.ones((2, 3, 2))])
def test_another_width_is_refused_with_both_shapes(batch: Any) -> None:
    """It would be compared with something else."""
    with pytest.raises(ConfigurationError, match="predictions must have the shape") as caught:
        Rows(REFERENCE).of(None, batch)
    assert "(samples, 3)" in str(caught.value)
    assert str(batch.shape) in str(caught.value)


@pytest.mark.parametrize(
    ("batch", "error", "said"),
    [
        (5.0, ConfigurationError, r"predictions must be a batch.*the shape \(\)"),
        (np.empty((4, 0)), ConfigurationError, r"must have something in its rows, got the shape \(4, 0\)"),
        ([[1, 2], [3]], ConfigurationError, "rows of one width"),
        (["a", "b"], TypeError, r"predictions must hold numbers, not <U1 \(its shape is \(2,\)\)"),
        (np.array([{}, None]), TypeError, "must hold numbers, not object"),
        (np.ones((2, 3), complex), TypeError, "must hold numbers, not complex128"),
        (np.ones((2, 3), "M8[s]"), TypeError, "must hold numbers, not datetime64"),
        ({"a": np.ones((2, 3))}, TypeError, "not a dict of 1; give a function"),
        ([np.ones((2, 3)), np.ones((2, 3))], TypeError, "not a list of 2; give a function"),
    ],
)
def test_what_is_no_batch_of_numbers_is_refused(batch: Any, error: type[Exception], said: str) -> None:
    """In a batch as in a reference, and never guessed at."""
    with pytest.raises(error, match=said):
        Rows(REFERENCE).of(None, batch)
    with pytest.raises(error):
        Rows(batch)


def test_an_error_names_what_was_looked_at() -> None:
    """By the word that the user chose it with."""
    with pytest.raises(TypeError, match=r"^inputs must hold numbers"):
        Rows(REFERENCE, "inputs").of(["text"], None)
    with pytest.raises(TypeError, match=r"^what on returned must hold numbers"):
        Rows(REFERENCE, lambda x, _: x).of(["text"], None)


@pytest.mark.parametrize("reference", [[], np.empty((0, 3)), [np.nan, np.inf]])
def test_a_reference_without_finite_rows_is_refused(reference: Any) -> None:
    """There is nothing to compare with."""
    with pytest.raises(ConfigurationError, match=r"^reference must"):
        Rows(reference)


@pytest.mark.parametrize("on", ["outputs", None, 0])
def test_another_subject_is_refused(on: Any) -> None:
    """And the message says which there are."""
    with pytest.raises(TypeError, match="on must be 'predictions', 'inputs' or a function of both"):
        Rows(REFERENCE, on)
