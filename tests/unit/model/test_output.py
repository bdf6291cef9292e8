"""An origin writes its series again and again, and ends those that are gone."""

import numpy as np

from tocsin.model.labels import Labels
from tocsin.model.output import Output
from tocsin.model.sample import is_stale

A = Labels.of({"__name__": "x", "host": "a"})
B = Labels.of({"__name__": "x", "host": "b"})


def test_the_same_series_give_the_same_layout_again() -> None:
    output = Output("g")
    first, again = output.write((A, B), [1, 2]), output.write((A, B), [3, 4])
    assert first is not None
    assert again is not None
    assert first.layout is again.layout
    assert first.layout.group == "g"
    assert again.values.dtype == np.float64
    assert again.values.tolist() == [3, 4]


def test_a_series_that_is_gone_is_ended_once() -> None:
    output = Output("g")
    output.write((A, B), [1, 2])
    ending = output.write((B,), [3])
    assert ending is not None
    assert ending.layout.labels == (B, A)
    assert ending.values[0] == 3
    assert is_stale(float(ending.values[1]))
    after = output.write((B,), [4])
    assert after is not None
    assert after.layout.labels == (B,)


def test_a_new_series_gives_a_new_layout() -> None:
    output = Output("g")
    output.write((A,), [1])
    grown = output.write((A, B), [1, 2])
    assert grown is not None
    assert grown.layout.labels == (A, B)


def test_nothing_to_say_is_nothing_to_write() -> None:
    output = Output("g")
    assert output.write((), ()) is None
    assert output.end() is None


def test_the_end_of_an_origin_ends_all_its_series() -> None:
    output = Output("g")
    output.write((A, B), [1, 2])
    ending = output.end()
    assert ending is not None
    assert all(is_stale(value) for value in ending.values.tolist())
    assert output.end() is None
