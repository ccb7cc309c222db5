from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from detektor_pipelines.catalog import VIEWS
from detektor_pipelines.stores.online.packing import (
    CorruptValueError,
    Layout,
    Unpacked,
    pack,
    pack_table,
    seal,
    tail,
    unpack,
    unseal,
    writer_of,
)

INT64 = st.integers(-(2**63), 2**63 - 1)
INSTANT = st.integers(-(2**53) + 1, 2**53 - 1)
FINITE = st.floats(allow_nan=False, allow_infinity=False)
TEXT = st.text(st.characters(codec="utf-8"), max_size=8) | st.sampled_from(("", "\n", " ", "a b\n", '["ż",1]', "x" * 300))
VALUES = {"int64": INT64, "float64": FINITE, "instant": INSTANT, "text": TEXT}
ARROW = {"int64": pa.int64(), "float64": pa.float64(), "instant": pa.timestamp("us", tz="UTC"), "text": pa.string()}

LAYOUT = Layout.of((("b", "float64"), ("a", "int64"), ("c", "instant")))
ROW = Unpacked(2, 1, 0, None, {"a": 1, "b": 0.5, "c": 7})


@st.composite
def layouts_and_rows(draw: st.DrawFn) -> tuple[Layout, list[Unpacked]]:
    kinds = draw(st.lists(st.sampled_from(["int64", "float64", "instant", "text"]), min_size=1, max_size=20))
    layout = Layout.of((f"f{number}", kind) for number, kind in enumerate(kinds))
    as_of, snapshot = draw(INSTANT), draw(st.none() | st.from_regex(r"[0-9]{1,6}:[0-9]{1,6}:[0-9,]{0,20}", fullmatch=True))
    epoch = 1 if snapshot is None else draw(st.integers(1, 3))
    writer = draw(st.none() | st.sampled_from(("stream host-12", "batch 3f2a/7 by hand")))
    row = st.builds(
        Unpacked,
        st.just(as_of),
        INSTANT,
        INSTANT,
        st.just(snapshot),
        st.fixed_dictionaries({name: st.none() | VALUES[kind] for name, kind in layout.fields}),
        st.just(epoch),
        st.just(writer),
    )
    return layout, draw(st.lists(row, min_size=1, max_size=5))


def table_of(layout: Layout, rows: list[Unpacked]) -> pa.Table:
    instant = pa.timestamp("us", tz="UTC")
    columns = {
        "created_at": pa.array([row.created_at for row in rows], pa.int64()).cast(instant),
        "event_timestamp": pa.array([row.event_timestamp for row in rows], pa.int64()).cast(instant),
    }
    for name, kind in layout.fields:
        values = [row.values[name] for row in rows]
        columns[name] = pa.array(values, pa.int64() if kind == "instant" else ARROW[kind]).cast(ARROW[kind])
    return pa.table(columns)


@given(layouts_and_rows())
def test_what_is_packed_comes_back(drawn: tuple[Layout, list[Unpacked]]) -> None:
    layout, rows = drawn
    for row in rows:
        assert unpack(layout, pack(layout, row)) == row


@settings(deadline=None)  # pyarrow imports pandas at its first conversion
@given(layouts_and_rows())
def test_a_table_packs_to_the_same_bytes_as_its_rows(drawn: tuple[Layout, list[Unpacked]]) -> None:
    layout, rows = drawn
    same = {"as_of": rows[0].as_of, "epoch": rows[0].epoch, "writer": rows[0].writer}
    assert pack_table(layout, table_of(layout, rows), snapshot=rows[0].snapshot, **same) == [pack(layout, row) for row in rows]
    each = [None if number % 2 else row.snapshot for number, row in enumerate(rows)]
    expected = [pack(layout, replace(row, snapshot=one)) for row, one in zip(rows, each, strict=True)]
    assert pack_table(layout, table_of(layout, rows), snapshot=each, **same) == expected


def test_the_tail_as_it_is_documented() -> None:
    assert [tail("5:7:5"), tail("5:7:5", 3, "batch a-1"), tail(None, 3, "feast"), tail(None)] == [
        b"5:7:5",
        b"3/5:7:5 batch a-1",
        b" feast",
        b"",
    ]
    assert unpack(LAYOUT, pack(LAYOUT, ROW) + b"3/5:7:5 batch a-1") == replace(ROW, snapshot="5:7:5", epoch=3, writer="batch a-1")
    assert [writer_of(pack(LAYOUT, replace(ROW, writer=each))) for each in ("stream a-1", None)] == ["stream a-1", None]
    with pytest.raises(CorruptValueError, match="not a snapshot"):
        unpack(LAYOUT, pack(LAYOUT, ROW) + b"x/5:7:5")


@pytest.mark.parametrize("view", VIEWS, ids=lambda view: view.name)
def test_every_view_of_the_catalogue_has_a_layout(view: object) -> None:
    layout = Layout.of_view(view)  # type: ignore[arg-type]
    assert layout.names == tuple(sorted(each.name for each in view.features))  # type: ignore[attr-defined]


def test_the_order_of_declaration_does_not_matter() -> None:
    assert Layout.of(reversed(LAYOUT.fields)) == LAYOUT


def test_a_feature_that_is_not_given_is_null() -> None:
    assert unpack(LAYOUT, pack(LAYOUT, Unpacked(2, 1, 0, None, {"a": 1}))).values == {"a": 1, "b": None, "c": None}


def test_an_empty_table_packs_to_nothing() -> None:
    assert pack_table(LAYOUT, table_of(LAYOUT, [ROW]).slice(0, 0), as_of=0, snapshot=None) == []


def test_chunked_tables_and_other_time_units_pack_too() -> None:
    table = table_of(LAYOUT, [ROW])
    in_ns = table.set_column(0, "created_at", table["created_at"].cast(pa.timestamp("ns", tz="Europe/Warsaw")))
    assert pack_table(LAYOUT, pa.concat_tables([in_ns, in_ns]), as_of=2, snapshot=None) == [pack(LAYOUT, ROW)] * 2


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_a_value_that_is_no_number_is_refused(value: float) -> None:
    row = Unpacked(2, 1, 0, None, {"a": 1, "b": value, "c": 7})
    with pytest.raises(ValueError, match="feature b holds a NaN or an infinity"):
        pack(LAYOUT, row)
    with pytest.raises(ValueError, match="feature b holds a NaN or an infinity"):
        pack_table(LAYOUT, table_of(LAYOUT, [row]), as_of=2, snapshot=None)


@pytest.mark.parametrize("value", [2**63, -(2**63) - 1, 0.5])
def test_what_does_not_fit_its_kind_is_refused_by_name(value: float) -> None:
    with pytest.raises(ValueError, match=r"feature a is .*, no 64-bit integer"):
        pack(LAYOUT, Unpacked(2, 1, 0, None, {"a": value}))


def test_an_instant_that_redis_cannot_order_is_refused() -> None:
    with pytest.raises(ValueError, match="beyond the year 2255"):
        pack(LAYOUT, Unpacked(2**53, 1, 0, None, {}))
    with pytest.raises(ValueError, match="beyond the year 2255"):
        pack_table(LAYOUT, table_of(LAYOUT, [ROW]), as_of=2**53, snapshot=None)


def test_a_row_without_created_at_is_refused() -> None:
    table = table_of(LAYOUT, [ROW])
    null = pa.array([None], pa.timestamp("us", tz="UTC"))
    with pytest.raises(ValueError, match="column created_at has 1 nulls"):
        pack_table(LAYOUT, table.set_column(0, "created_at", null), as_of=2, snapshot=None)


@pytest.mark.parametrize(
    "damaged",
    [
        b"",
        b"\xde\x01",
        b"x" * 100,
        pack(Layout.of([("a", "int64")]), ROW),
        pack(LAYOUT, ROW)[:-1],
        b"\xde\x02" + pack(LAYOUT, ROW)[2:],
        pack(LAYOUT, ROW) + b"\xff",
    ],
)
def test_what_is_no_packed_value_is_told_apart(damaged: bytes) -> None:
    with pytest.raises(CorruptValueError):
        unpack(LAYOUT, damaged)


@given(st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_anything_else(content: bytes) -> None:
    with suppress(CorruptValueError):
        unpack(LAYOUT, content)


def test_the_format_is_the_documented_one() -> None:
    """Stored values outlive a release: this must fail before they become unreadable."""
    row = Unpacked(0x0102, 0x0304, 0x0506, "10:20:", {"a": -1, "b": 1.0, "c": None})
    assert (
        pack(LAYOUT, row).hex()
        == ("de01000300000000000001020000000000000304000000000000050604ffffffffffffffff000000000000f03f0000000000000000") + b"10:20:".hex()
    )
    assert unpack(LAYOUT, pack(LAYOUT, row)) == row


@given(INSTANT, INSTANT, INSTANT, st.binary(max_size=50))
def test_what_is_sealed_comes_back(as_of: int, created: int, event: int, inside: bytes) -> None:
    assert unseal(seal(as_of, created, event, inside)) == (event, inside)


@given(st.binary(max_size=60))
def test_unsealing_anything_else_is_an_error_of_its_own(packed: bytes) -> None:
    if not packed.startswith(b"\xde\x02") or len(packed) < 28:
        with pytest.raises(CorruptValueError):
            unseal(packed)


def test_a_sealed_instant_that_redis_could_not_order_is_refused() -> None:
    with pytest.raises(ValueError, match="2255"):
        seal(2**53, 0, 0, b"")


TEXTS = Layout.of((("a", "text"), ("b", "text"), ("n", "int64")))


def text_row(**more: object) -> Unpacked:
    return Unpacked(2, 1, 0, None, {"a": "one", "b": None, "n": 3}, **more)  # type: ignore[arg-type]


def test_two_values_whose_texts_differ_differ_before_the_tail_so_that_the_guard_sees_it() -> None:
    one, other = (pack(TEXTS, replace(text_row(), values={"a": text, "b": None, "n": 3})) for text in ("one", "two"))
    assert one[: TEXTS.size] != other[: TEXTS.size]
    assert one[28 : TEXTS.size][1:9] != bytes(8)


def test_what_stands_before_the_space_of_a_tail_is_the_knowledge_also_with_texts() -> None:
    for row, known in ((text_row(), b""), (replace(text_row(), snapshot="3:4:"), b"3:4:"), (replace(text_row(), writer="stream x-1"), b"")):
        packed = pack(TEXTS, row)
        assert packed[TEXTS.size :].split(b" ")[0] == known
        assert writer_of(packed) == row.writer


@pytest.mark.parametrize("cut", range(1, 8))
def test_texts_that_were_cut_off_are_no_value(cut: int) -> None:
    with pytest.raises(CorruptValueError, match="texts"):
        unpack(TEXTS, pack(TEXTS, text_row())[:-cut])


def test_a_number_is_no_text_and_a_text_no_number() -> None:
    with pytest.raises(ValueError, match="a is 4, no text"):
        pack(TEXTS, replace(text_row(), values={"a": 4}))
    with pytest.raises(ValueError, match="n holds"):
        pack(TEXTS, replace(text_row(), values={"n": "4"}))
