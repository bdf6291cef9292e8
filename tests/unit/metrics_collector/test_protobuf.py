"""The wire reader hands out fields, and refuses what is none."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from write_requests import chunk, figure
from write_requests import varint as written

from tocsin.metrics_collector.protobuf import LEN, VARINT, fields, signed, varint
from tocsin.model.errors import InvalidInput


@given(st.integers(-(2**63), 2**63 - 1))
def test_numbers_of_64_bits_are_read_back(number: int) -> None:
    body = b"?" + written(number) + b"?"
    value, end = varint(body, 1, len(body))
    assert (signed(value), end) == (number, len(body) - 1)


def test_fields_tell_number_type_and_place() -> None:
    body = figure(1, 300) + chunk(2, b"ab") + b"\x19" + bytes(8) + b"\x25" + bytes(4)
    assert list(fields(body, 0, len(body))) == [
        (1, VARINT, 300, 0),
        (2, LEN, 5, 7),
        (3, 1, 8, 16),
        (4, 5, 17, 21),
    ]


def test_a_field_ends_with_its_message_not_with_the_data() -> None:
    with pytest.raises(InvalidInput, match="longer than its message"):
        list(fields(b"\x0a\x02ab", 0, 3))


@given(st.binary(max_size=30))
def test_any_bytes_are_fields_or_invalid(body: bytes) -> None:
    try:
        for _, kind, first, last in fields(body, 0, len(body)):
            assert kind == VARINT or 0 <= first <= last <= len(body)
    except InvalidInput:
        pass
