"""Tables of users' own: what is read, what is refused with which sentence, and how long either may take."""

import csv
import io
import random
import time
import tracemalloc
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from lvmviz import cells, tables
from lvmviz.tables import Table, TableError, read_table, to_csv

CELLS = [
    *(
        "1",
        "2.5",
        "-3",
        "+4",
        ".5",
        "6.",
        "1e3",
        "7E-2",
        "−8",
        "1,5",
        "1e151",
        "1e400",
        "0",
        "-0.0",
        "5e-324",
    ),
    *(
        "",
        " ",
        "NA",
        "nan",
        "inf",
        "-Infinity",
        "?",
        "none",
        "abc",
        "Setosa",
        "id",
        "x y",
        "a;b",
        "a|b",
        'say "x"',
    ),
    *(
        "<script>alert(1)</script>",
        "=cmd|' /C calc'!A1",
        "1_000",
        "0x10",
        "１２",
        "1 234",
        "1,234.5",
        "12%",
        "1.2.3",
    ),
    *("\x1b[31m", "\u202egnp", "\ud800", "\u200b1", "\ufeff", "z" * 61, "1" * 70, "line\nbreak", "🙂"),
]


def refusal(source: bytes | str) -> str:
    with pytest.raises(TableError) as caught:
        read_table(source)
    return sentence(caught.value)


def sentence(error: TableError) -> str:
    (message,) = error.args
    assert message.isprintable() and message.encode() and message.endswith(".") and len(message) < 400
    return message


def assert_table(table: Table) -> None:
    points, labels = table.points, table.labels
    count, width = points.shape
    assert 2 <= count <= tables.MAX_ROWS and 1 <= width == len(table.columns) <= cells.MAX_COLUMNS
    assert points.dtype == np.float64 and points.flags.c_contiguous and not points.flags.writeable
    assert np.isfinite(np.square(points).sum(0)).all() and (points.var(0) > 0).all()
    assert len(set(table.columns)) == width
    for text in (*table.columns, *table.label_names):
        assert text == text.strip() and text.isprintable() and 0 < len(text) <= tables.MAX_NAME
    assert all(note.isprintable() and note.endswith(".") for note in table.notes)
    if labels is None:
        assert table.label_names == ()
    else:
        assert labels.shape == (count,) and labels.dtype == np.int64 and not labels.flags.writeable
        assert set(labels.tolist()) == set(range(len(table.label_names)))
        assert 2 <= len(table.label_names) <= 20


def assert_same(table: Table, other: Table) -> None:
    assert table.points.tobytes() == other.points.tobytes() and table.points.shape == other.points.shape
    assert (table.columns, table.label_names) == (other.columns, other.label_names)
    assert (None if table.labels is None else table.labels.tolist()) == (
        None if other.labels is None else other.labels.tolist()
    )


def assert_survives(source: bytes | str) -> None:
    """Whatever it is, it is refused with a sentence, or it is a table that survives its own CSV."""
    try:
        table = read_table(source)
    except TableError as error:
        sentence(error)
        return
    assert_table(table)
    assert_same(read_table(to_csv(table)), table)


@contextmanager
def within(seconds: float) -> Iterator[None]:
    start = time.process_time()  # of this process alone: the machine may be busy
    yield
    assert time.process_time() - start < seconds


# ---- what is read ----


def test_reads_numbers_names_and_classes() -> None:
    table = read_table("x,y,kind\n1,2.5,b\n-3e2,.5,a\n+4,6.,b\n")
    assert table.points.tolist() == [[1.0, 2.5], [-300.0, 0.5], [4.0, 6.0]]
    assert table.columns == ("x", "y") and table.label_names == ("a", "b")
    assert table.labels is not None and table.labels.tolist() == [1, 0, 1]
    assert table.notes == ("The text column “kind” gives the classes (2).",)
    assert_table(table)


@pytest.mark.parametrize("newline", ["\n", "\r\n", "\r", "\r\r\n", "\n\n \n"])
@pytest.mark.parametrize("separator", [",", ", ", ";", "\t", "|", " | ", " ", "    ", " \t "])
def test_finds_delimiter_and_line_ends(separator: str, newline: str) -> None:
    lines = [separator.join(cells) for cells in (["a", "b", "c"], ["1", "2", "3.5"], ["4", "-5", "6"])]
    table = read_table(newline.join(lines))
    assert table.columns == ("a", "b", "c") and table.points.tolist() == [[1, 2, 3.5], [4, -5, 6]]


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1,5;2\n,5;1e-2\n",
        "1,5;2,0\n0,5;0,01\n",
        "a\tb\n1,5\t2\n0,5\t0,01\n",
        '"a";"b"\n"1,5";"2"\n"0,5";"0,01"\n',
    ],
)
def test_reads_decimal_commas_where_the_comma_cannot_be_a_delimiter(text: str) -> None:
    table = read_table(text)
    assert table.points.tolist() == [[1.5, 2.0], [0.5, 0.01]]
    assert table.notes[0] == "Commas were read as decimal commas."


def test_never_mixes_decimal_points_and_commas() -> None:
    assert "Line 4, column “a”: “1,234”" in refusal("a;b\n1.5;2\n2.5;3.5\n1,234;5\n")
    assert "Line 4, column “a”: “1.234”" in refusal("a;b\n1,5;2\n2,5;3,5\n1.234;5\n")
    assert "decimal comma" in refusal("a;b\n1,5;2\n2,5;3,5\n1.234;5\n")


@pytest.mark.parametrize("cell", ["1 234", "1,234", "1,234.5", "12%", "1\u00a0234", "1'234", "$5"])
def test_does_not_guess_thousands_nor_leave_measurements_out(cell: str) -> None:
    message = refusal(f'a,b\n1,"{cell}"\n2,"{cell}"\n')
    assert message.startswith("Line 2, column “b”: “") and "decimal point" in message
    assert message.startswith("Line 2, column “b”: “") and "decimal point" in refusal(
        f'a,b\n1,"{cell}"\n2,3\n'
    )


def test_refuses_decimal_commas_between_spaces() -> None:
    refusal("1,5 2,5\n3,5 4,5\n")
    refusal("x y\n1,5 2,5\n3,5 4,5\n")


@pytest.mark.parametrize(
    ("encoding", "notes"), [("utf-8", 0), ("utf-8-sig", 0), ("utf-16", 0), ("latin-1", 1), ("cp1252", 1)]
)
def test_reads_encodings(encoding: str, notes: int) -> None:
    table = read_table("Größe,café\n1,2\n3,5\n".encode(encoding))
    assert table.columns == ("Größe", "café") and len(table.notes) == notes


def test_reads_big_endian_utf16_and_pasted_byte_order_marks() -> None:
    assert read_table(b"\xfe\xff" + "a,b\n1,2\n3,5\n".encode("utf-16-be")).columns == ("a", "b")
    assert read_table("\ufeffa,b\n1,2\n3,5\n").columns == ("a", "b")


def test_quoted_cells_may_hold_delimiters_quotes_and_line_breaks() -> None:
    text = 'x,"a, ""b""\nc",kind\n"1",2,"p,q"\n3,5,"r\ns"\n'
    table = read_table(text)
    assert table.columns == ("x", 'a, "b" c') and table.label_names == ("p,q", "r s")
    assert refusal(text + "oops,1,r\n").startswith("Line 6, column “x”: “oops”")  # two rows took two lines


def test_cells_are_text_whatever_they_say() -> None:
    html, formula = "<script>alert(1)</script>", "=cmd|' /C calc'!A1"
    table = read_table(f'x,{html}\n1,"{formula}"\n2,{html}\n')
    assert table.columns == ("x",) and table.label_names == (html, formula)
    assert f"column “y”: “{formula}”" in refusal(f'x,y\n1,2\n3,"{formula}"\n')


def test_names_columns_where_nothing_does() -> None:
    table = read_table("1,2\n3,5\n")
    assert table.columns == ("column 1", "column 2") and "column 1" in table.notes[0]
    assert read_table("x,,x,x 2,x\n1,2,3,4,6\n2,3,5,8,7\n").columns == (
        "x",
        "column 2",
        "x 2",
        "x 2 2",
        "x 3",
    )
    assert read_table("x,2019,NaN\n1,2,3\n4,6,5\n").columns == ("x", "column 2019", "column NaN")


def test_says_when_names_hold_a_number() -> None:
    assert "Line 1 was read as the columns' names" in read_table("x,2019\n1,2\n4,6\n").notes[0]


@pytest.mark.parametrize("name", ["", "id", "ID", "index", "Unnamed: 0", '" "'])
@pytest.mark.parametrize("start", [0, 1, 17])
def test_leaves_out_row_numbers(name: str, start: int) -> None:
    table = read_table(f"{name},x,y\n{start},5,1\n{start + 1},6,2\n{start + 2},8,3\n")
    assert table.columns == ("x", "y") and "only numbers the rows" in table.notes[0]


@pytest.mark.parametrize(
    "text", ["time,x\n1,5\n2,6\n3,8\n", "id,x\n1,5\n2,6\n4,8\n", "id,x\n.5,5\n1.5,6\n2.5,8\n"]
)
def test_keeps_columns_that_are_no_row_numbers(text: str) -> None:
    assert read_table(text).points.shape == (3, 2)


def test_keeps_counting_columns_without_a_header() -> None:
    assert read_table("1,5\n2,6\n3,8\n").points.shape == (3, 2)


def test_chooses_the_first_text_column_that_can_name_classes() -> None:
    rows = [f"name {i},same,{'ab'[i % 2]},{'cd'[i % 2]},{i * i},{'' if i else 'rare'}" for i in range(30)]
    table = read_table("\n".join(["name,const,kind,other,x,comment", *rows]))
    assert table.columns == ("x",) and table.label_names == ("a", "b")
    left_out, classes = table.notes
    assert "“name”, “const”, “other”, “comment”" in left_out and "“kind”" in classes


@pytest.mark.parametrize(("distinct", "labelled"), [(1, False), (2, True), (20, True), (21, False)])
def test_two_to_twenty_values_make_classes(distinct: int, labelled: bool) -> None:
    text = "\n".join(["x,kind", *(f"{i * i},k{i % distinct}" for i in range(42))])
    assert (read_table(text).labels is not None) == labelled


def test_missing_words_are_classes_where_the_column_is_text() -> None:
    assert read_table("x,risk\n1,none\n2,high\n4,none\n").label_names == ("high", "none")


def test_drops_empty_columns_and_blank_rows() -> None:
    table = read_table("a,b,,\n1,2,,\n\n,,,\n   \n3,5,,\n")
    assert table.columns == ("a", "b") and table.points.tolist() == [[1, 2], [3, 5]]
    assert table.notes == ("Empty columns without a name were left out (2).",)
    assert read_table("| a | b |\n| 1 | 2 |\n| 3 | 5 |\n").columns == ("a", "b")


# ---- what is refused ----


@pytest.mark.parametrize("source", ["", b"", " \n\t\n", b"\xef\xbb\xbf", b"\xff\xfe", ",,,\n,,,\n", '""\n'])
def test_refuses_the_empty(source: bytes | str) -> None:
    assert "empty" in refusal(source)


@pytest.mark.parametrize("text", ["a,b", "a,b\n", "1,2\n", "a,b\n1,2\n", "x", "7"])
def test_refuses_fewer_than_two_rows(text: str) -> None:
    assert "one row" in refusal(text)


@pytest.mark.parametrize("text", ["a,b\nc,d\ne,f\n", "Once upon a time\nthere was\n", "id,kind\n1,a\n2,b\n"])
def test_refuses_tables_without_numbers(text: str) -> None:
    refusal(text)


def test_names_the_constant_column_and_its_value() -> None:
    message = refusal("a,b\n1,7.50\n2,7.5\n")
    assert "“b” is “7.50” in every row" in message and "variance is zero" in message and "delete" in message
    refusal("a\n" + "0.1\n" * 10)  # the computed variance of this one is not zero


def test_refuses_columns_whose_squares_leave_the_floating_point_range() -> None:
    for cell in ("1e151", "-1e151", "1e300", "1e400", "9" * 400):
        message = refusal(f"a,b\n1,2\n2,{cell}\n")
        assert message.startswith("Line 3, column “b”: “") and "overflows" in message
    assert "too small" in refusal("a\n1e-170\n2e-170\n")
    assert_table(read_table("a\n1e150\n-1e150\n"))


def test_calls_a_wholly_empty_column_by_its_name() -> None:
    assert "column “b”: the whole column is empty" in refusal("a,b,c\n1,,2\n2,,5\n")


def test_limits_are_stated(monkeypatch: pytest.MonkeyPatch) -> None:
    assert cells.MAX_ROWS == 1_000_000
    for module in (cells, tables):  # a million rows are refused in a test of its own
        monkeypatch.setattr(module, "MAX_ROWS", 30_000)
    rows = "1,2\n" * tables.MAX_ROWS
    assert "variance" in refusal("a,b\n" + rows)  # not too many, only constant
    assert "30,000 rows" in refusal("a,b\n" + rows + "1,2\n")
    assert "30,000 rows" in refusal(rows + "1,2\n")
    wide = [",".join(str(i * k) for k in range(1, 102)) for i in (1, 2)]
    assert "101 columns" in refusal("\n".join(wide)) and "100" in refusal("\n".join(wide))
    assert "201 cells" in refusal("," * 200 + "1\n" + "," * 200 + "2\n")
    assert "1,000" in refusal(f"a,b\n1,{'z' * 1001}\n2,y\n")
    assert "60 MB" in refusal(b"1,2\n" * 15_000_001)


@pytest.mark.parametrize(
    ("beginning", "kind"),
    [
        (b"PK\x03\x04\x14\x00", "Excel"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1", "Excel"),
        (b"\x89PNG\r\n\x1a\n", "PNG"),
        (b"PAR1\x15\x04", "Parquet"),
        (b"\x1f\x8b\x08", "gzip"),
        (b"%PDF-1.7", "PDF"),
        (b"\x93NUMPY", "NumPy"),
    ],
)
def test_names_what_a_binary_file_is(beginning: bytes, kind: str) -> None:
    message = refusal(beginning + bytes(100))
    assert kind in message and "CSV" in message


@pytest.mark.parametrize(
    "source", [b"1,2\n\x003,4\n", "1,2\n\x003,4\n", "a,b\n1,2\n3,5\n".encode("utf-16-le")]
)
def test_refuses_nul(source: bytes | str) -> None:
    assert "binary" in refusal(source)


def test_refuses_bytes_that_are_no_text() -> None:
    assert "UTF-8" in refusal(random.Random(0).randbytes(1000).replace(b"\0", b""))
    assert "UTF-8" in refusal(b"a,b\n1,\x012\n3,\xe9\n")  # a control character
    assert "UTF-8" in refusal(b"1,2\n" + bytes(range(160, 256)) + b",7\n")  # hardly a letter of English
    assert "UTF-8" in refusal(b"\xff\xfea,b\n1")  # half a character of UTF-16


@pytest.mark.parametrize(
    "text", ['a,b\n1,2\n"3,5\n', 'a,b\n1,2\n"3"x,5\n', 'a b\n1 2\n"3 5\n', '"a, b\n1, 2\n3, 5\n']
)
def test_names_the_line_of_a_bad_quotation(text: str) -> None:
    line = 1 if text.startswith('"') else 3
    assert refusal(text).startswith(f"Line {line}: a quoted cell is not closed")


def test_repeats_little_of_a_cell_and_nothing_that_does_not_print() -> None:
    message = refusal(f"a,b\n1,2\n3,\x1b[31m\u202e{'z' * 500}\n")
    assert "z" * 30 in message and "z" * 41 not in message


# ---- faults at known places ----

TEXTS = [
    "abc",
    "<b>bold</b>",
    "=cmd|' /C calc'!A1",
    "1.2.3",
    "1_000",
    "0x10",
    "１２",
    "1 234",
    "--5",
    "1e",
    "1e5.5",
]
GAPS = ["NA", "n/a", "nan", "NaN", "inf", "-Infinity", "?", "null", "1e300", "-1e151"]


@st.composite
def faulty(draw: st.DrawFn, faults: list[str]) -> tuple[str, int, str, str]:
    """A CSV with one fault: the text, the fault's line, its column, its cell."""
    delimiter = draw(st.sampled_from([",", ";", "\t", "|", " "]))
    count, width = draw(st.integers(3, 8)), draw(st.integers(2, 5))
    named = draw(st.booleans())
    cell = draw(st.sampled_from(faults if delimiter == " " else [*faults, "", "  "]))
    row, column = draw(st.integers(0, count - 1)), draw(st.integers(0, width - 1))
    assume(named or row > 0 or cell not in TEXTS)  # text above numbers is a header
    rows = [[repr(3.0 * i + draw(st.floats(-1, 1))) for _ in range(width)] for i in range(count)]
    rows[row][column] = cell
    names = [f"name {k}" for k in range(width)]
    lines = [write(cells, delimiter) for cells in ([names, *rows] if named else rows)]
    blanks = draw(st.lists(st.integers(0, row + named), max_size=3))
    for place in sorted(blanks, reverse=True):
        lines.insert(place, "")
    title = names[column] if named else f"column {column + 1}"
    return draw(st.sampled_from(["\n", "\r\n"])).join(lines), row + named + len(blanks) + 1, title, cell


def write(cells: list[str], delimiter: str) -> str:
    out = io.StringIO()
    csv.writer(out, delimiter=delimiter, lineterminator="").writerow(cells)
    return out.getvalue()


@given(faulty(TEXTS + GAPS))
def test_names_line_column_and_cell_of_a_fault(fault: tuple[str, int, str, str]) -> None:
    text, line, column, cell = fault
    message = refusal(text)
    assert message.startswith(f"Line {line}, column “{column}”: ")
    assert (f"“{cell}”" if cell.strip() else "empty") in message


@given(st.integers(4, 9), st.integers(2, 5), st.sampled_from(",;\t| "), st.booleans(), st.data())
def test_names_the_ragged_line(
    width: int, count: int, delimiter: str, longer: bool, data: st.DataObject
) -> None:
    rows = [[str(i * j + i) for j in range(width)] for i in range(1, count + 2)]
    place = data.draw(st.integers(0, count))
    rows[place] = [*rows[place], "5"] if longer else rows[place][:-1]
    message = refusal("\n".join(delimiter.join(row) for row in rows))
    assert message.startswith(
        f"Line {place + 1} has {width + (1 if longer else -1)} cells where {width} are expected"
    )


# ---- anything at all ----


@given(st.binary(max_size=300))
@example(b"\xef\xbb\xbf\xef\xbb\xbf1")
@example(b"\xff\xfe\x00\xd8\x31\x00")
def test_survives_any_bytes(source: bytes) -> None:
    assert_survives(source)


@given(st.text(max_size=300) | st.text(alphabet="12.,;\t|\"' \n\rea-+", max_size=60))
def test_survives_any_text(source: str) -> None:
    assert_survives(source)


@given(
    st.lists(st.lists(st.sampled_from(CELLS), min_size=1, max_size=4), max_size=6), st.sampled_from(",;\t| ")
)
def test_survives_ragged_tables_of_odd_cells(rows: list[list[str]], delimiter: str) -> None:
    assert_survives("\n".join(write(row, delimiter) for row in rows))


@st.composite
def odd_tables(draw: st.DrawFn) -> str:
    """CSV that is mostly readable: whole columns of numbers, of words and of row numbers, under odd names."""
    count = draw(st.integers(2, 6))
    number = st.sampled_from(["1", "2.5", "-3", ".5", "6.", "1e3", "7E-2", "−8", "-0.0", "5e-324", "1e150"])
    columns = []
    for _ in range(draw(st.integers(1, 5))):
        title = draw(st.sampled_from(CELLS))
        kind = draw(st.sampled_from(["numbers", "words", "rows"]))
        cells = {
            "numbers": st.lists(number, min_size=count, max_size=count, unique=True),
            "words": st.lists(st.sampled_from(CELLS), min_size=count, max_size=count),
            "rows": st.just([str(i) for i in range(count)]),
        }[kind]
        columns.append([title, *draw(cells)])
    delimiter = draw(st.sampled_from(",;\t|"))
    return "\n".join(write(list(row), delimiter) for row in zip(*columns, strict=True))


@given(odd_tables())
def test_survives_odd_tables(text: str) -> None:
    assert_survives(text)


@given(odd_tables(), st.randoms(use_true_random=False))
def test_survives_damaged_files(text: str, rng: random.Random) -> None:
    damaged = bytearray(text.encode("utf-8", "replace"))
    for _ in range(3):
        damaged[rng.randrange(len(damaged))] = rng.randrange(256)
    assert_survives(bytes(damaged))


# ---- there and back ----

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(' ,;|"='), max_size=58).map(
    lambda name: f"x{name}".strip()
)
NUMBERS = st.floats(-1e150, 1e150)


@st.composite
def whole_tables(draw: st.DrawFn) -> Table:
    count, width = draw(st.integers(2, 8)), draw(st.integers(1, 4))
    values = draw(st.lists(NUMBERS, min_size=count * width, max_size=count * width))
    points = np.array(values).reshape(count, width)
    assume((points.var(0) > 0).all() and (np.ptp(points, 0) > 0).all())
    names = draw(st.lists(NAMES, min_size=width, max_size=width, unique=True))
    classes = sorted(draw(st.lists(NAMES, max_size=min(count, 3), unique=True)))
    if len(classes) < 2:
        return Table(points, tuple(names), None, (), ())
    labels = np.arange(count, dtype=np.int64) % len(classes)
    return Table(points, tuple(names), labels, tuple(classes), ())


@given(whole_tables())
@example(Table(np.array([[0.1, -0.0], [0.2, 5.0]]), ("a;b", "c;d"), np.array([0, 1]), ("p;q", "r;s"), ()))
@example(Table(np.array([[0.1], [0.2]]), ("a;",), np.array([0, 1]), ("p;q", "r;s"), ()))
@example(Table(np.array([[1.0], [2.0]]), ("class",), np.array([1, 0]), ("a b", "c d"), ()))
def test_csv_gives_the_table_back_to_the_bit(table: Table) -> None:
    assert_same(read_table(to_csv(table)), table)
    assert_same(read_table(to_csv(table).encode()), table)


def test_csv_of_the_widest_table_is_read() -> None:
    points = np.random.default_rng(0).standard_normal((40, cells.MAX_COLUMNS))
    names = tuple('"' * (tables.MAX_NAME - 3) + f"{i:03}" for i in range(cells.MAX_COLUMNS))
    labels = np.arange(40) % 20
    table = Table(points, names, labels, tuple(f"{i:02}" + "é" * 58 for i in range(20)), ())
    assert_same(read_table(to_csv(table)), table)


# ---- hostile sizes ----


@pytest.mark.parametrize(
    "source",
    [
        b"1" * 20_000_000,
        b"," * 20_000_000,
        b"," * cells.MAX_BYTES,
        b"\n" * cells.MAX_BYTES,
        b"\n" * 20_000_000,
        b'"' * 20_000_000,
        b"1,2\n" * 5_000_000,
        b'a,b\n"1,2\n' + b"3,4\n" * 4_000_000,
        (b'"\n",' * 4_000_000),
        (b'"" ' * 30_000 + b"\n") * 200,
        (b'"' + b"a " * 40_000 + b"\n") * 200,
        (b'a "' * 30_000 + b"\n") * 200,
        (b"9" * 999 + b"x,2\n") * 19_900,
        (b"$" + b" " * 990 + b"x,2\n") * 19_900,
        (b",".join([b"\x01\x02"] * 200) + b"\n") * 20_000,
        "🙂" + "1,2\n" * 400_000,
    ],
    ids=lambda source: repr(source[:12]) + f"x{len(source)}",
)
def test_hostile_input_is_refused_soon(source: bytes | str) -> None:
    with within(20):  # 3 seconds where it was written
        refusal(source)


@pytest.mark.parametrize("source", [b"," * 1_000_000, b'1,2\n"' + b'\n","' * 250_000])
def test_a_million_commas_are_not_a_million_cells(source: bytes) -> None:
    tracemalloc.start()
    try:
        message = refusal(source)
        assert f"Line {1 + source.count(b'1,2')}: the row is longer than 100,000 characters" in message
        assert tracemalloc.get_traced_memory()[1] < 20_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("kind", [bytes, str])
def test_200_megabytes_are_refused_uncopied(kind: type) -> None:
    source = bytes(200_000_000) if kind is bytes else "1" * 200_000_000
    tracemalloc.start()
    try:
        with within(1):
            assert "200.0 MB" in refusal(source)
        assert tracemalloc.get_traced_memory()[1] < 1_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("block", [1, 2, 3, 7])
@given(table=whole_tables())
def test_the_size_of_a_block_does_not_matter(block: int, table: Table) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cells, "BLOCK", max(block, 2 + 1))  # a header and two rows settle the columns
        assert_same(read_table(to_csv(table)), table)


def many_rows(count: int) -> list[str]:
    return ["x,kind,"] + [f"{i % 97}.5,{'ab'[i % 2]}," for i in range(count)]


def test_what_comes_late_is_named_with_its_line() -> None:
    rows = many_rows(50_000)
    assert read_table("\n".join(rows)).points.shape == (50_000, 1)
    for wrong, said in (
        ("x,a,", "“x” is not a number"),
        (",a,", "the cell is empty"),
        ("1e200,a,", "so large"),
        ("1,a", "has 2 cells where 3 are expected"),
        ("1,a,7", "“7” stands in a column without a name"),
    ):
        message = refusal("\n".join([*rows[:45_000], wrong, *rows[45_000:]]))
        assert "Line 45001" in message and said in message


def test_classes_are_counted_to_the_end() -> None:
    rows = many_rows(30_000)
    assert read_table("\n".join(rows)).label_names == ("a", "b")
    late = "\n".join([*rows, *(f"1,class {i}," for i in range(30))])
    table = read_table(late)
    assert table.labels is None and any("kind" in note for note in table.notes)


def test_many_rows_are_read_to_the_bit_and_progress_is_told(monkeypatch) -> None:
    """A fifth of what is allowed, in as many blocks: what each block says is the same."""
    monkeypatch.setattr(cells, "BLOCK", cells.BLOCK // 5)
    points = np.random.default_rng(0).standard_normal((tables.MAX_ROWS // 5, 2))
    text = to_csv(Table(points, ("a", "b"), None, (), ()))
    shares: list[float] = []
    with within(12):  # 1.2 seconds where it was written
        table = read_table(text.encode(), shares.append)
    np.testing.assert_array_equal(table.points, points)
    assert shares == sorted(shares) and len(shares) > 20 and shares[-1] == 1.0


def test_the_largest_table_is_read() -> None:
    rows = [b",".join(b"%d" % ((i * 7 + k) % 1000) for k in range(100)) for i in range(20_000)]
    source = b"\n".join(rows)
    with within(20):
        table = read_table(source)
    assert table.points.shape == (20_000, 100)
    assert_table(table)
