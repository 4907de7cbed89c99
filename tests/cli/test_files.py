"""Files become tables of texts, or one clear sentence."""

import bz2
import gzip
import lzma
import zipfile

import pytest

from qnnprune.cli._errors import InputError
from qnnprune.cli._files import read_file

pd = pytest.importorskip("pandas")

_TEXT = "Größe,Farbe\n1,rot\n2,grün\n"
_FRAME = pd.DataFrame({"Größe": ["1", "2"], "Farbe": ["rot", "grün"]}, dtype=object)


@pytest.fixture
def write(tmp_path):
    def _write(content, name="table.csv"):
        path = tmp_path / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
        return str(path)

    return _write


def _rows(frame):
    return [list(frame.columns), *frame.to_numpy().tolist()]


@pytest.mark.parametrize(
    ("written", "given"),
    [
        ("utf-8", None),
        ("utf-8-sig", None),
        ("utf-8-sig", "utf-8"),
        ("utf-16", None),
        ("utf-32", None),
        ("latin-1", "latin-1"),
        ("utf-16-le", "utf-16-le"),
    ],
)
def test_encodings(write, written, given):
    frame, notes = read_file(write(_TEXT.encode(written)), encoding=given)
    pd.testing.assert_frame_equal(frame, _FRAME)
    assert notes == []


@pytest.mark.parametrize(
    ("content", "given", "message"),
    [
        (_TEXT.encode("latin-1"), None, "is not utf-8 text.*--encoding cp1252 or latin-1"),
        (_TEXT.encode("utf-16-be"), None, "zero bytes.*--encoding utf-16-le or utf-16-be"),
        (_TEXT.encode(), "ascii", "is not ascii text"),
        (_TEXT.encode(), "utf-9", "no text encoding 'utf-9'"),
        (_TEXT.encode(), "hex", "no text encoding 'hex'"),
        (b"PK\x03\x04 and so on", None, "spreadsheet"),
        (b"", None, "empty"),
        (b"\n\n", None, "empty"),
    ],
)
def test_no_text(write, content, given, message):
    with pytest.raises(InputError, match=message):
        read_file(write(content), encoding=given)


@pytest.mark.parametrize("pack", [gzip.compress, bz2.compress, lzma.compress])
def test_compressed(write, pack):
    suffix = {gzip.compress: "gz", bz2.compress: "bz2", lzma.compress: "xz"}[pack]
    frame, _ = read_file(write(pack(_TEXT.encode()), f"table.csv.{suffix}"))
    pd.testing.assert_frame_equal(frame, _FRAME)
    with pytest.raises(InputError, match="cannot be read"):
        read_file(write(b"not packed", f"bad.csv.{suffix}"))


def test_zip(tmp_path):
    path = tmp_path / "table.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("table.csv", _TEXT)
    pd.testing.assert_frame_equal(read_file(str(path))[0], _FRAME)
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("more.csv", _TEXT)
    with pytest.raises(InputError, match="it holds 2 files, not one"):
        read_file(str(path))


def test_folders_are_no_files(tmp_path):
    with pytest.raises(InputError, match="cannot be read: Is a directory"):
        read_file(str(tmp_path))


@pytest.mark.parametrize(
    "text",
    [
        "a;b\n1,5;2\n3;4,5\n",
        "a\tb\n1,5\t2\n3\t4,5\n",
        "a|b\n1,5|2\n3|4,5\n",
        "a b\n1,5 2\n3 4,5\n",
        "a   b\n1,5  2\n3    4,5\n",
        'a,b\n"1,5",2\n3,"4,5"\n',
        'a, b\r\n"1,5" , 2\r\n3, "4,5"\r\n'.replace('" ,', '",'),
    ],
)
def test_separators_are_found(write, text):
    frame, notes = read_file(write(text))
    assert _rows(frame) == [["a", "b"], ["1,5", "2"], ["3", "4,5"]]
    assert notes == []


def test_separators_in_texts(write):
    text = '"price, net";note\n1;"a; b"\n2;c, d\n'
    frame, notes = read_file(write(text))
    assert _rows(frame) == [["price, net", "note"], ["1", "a; b"], ["2", "c, d"]]
    assert notes == []


def test_a_separator_that_is_open(write):
    path = write("a,b;c,d\n1,2;3,4\n5,6;7,8\n")
    frame, notes = read_file(path)
    assert list(frame) == ["a,b", "c,d"]
    assert notes == ["columns are separated at ';'; ',' would do too: --sep"]
    frame, notes = read_file(path, sep=",")
    assert list(frame) == ["a", "b;c", "d"]
    assert notes == []


def test_sep_and_encoding_are_not_for_parquet(write):
    with pytest.raises(InputError, match="--sep and --encoding are for CSV"):
        read_file(write(b"PAR1", "table.parquet"), sep=";")


@pytest.mark.parametrize(
    ("header", "names", "n_notes"),
    [
        ("b,a,a", ["b", "a", "a.1"], 1),
        ("a,a,a.1", ["a", "a.1", "a.1.1"], 2),
        (" a , b\t,c", ["a", "b", "c"], 0),
        (",b,c", ["Unnamed: 0", "b", "c"], 0),
        ("Unnamed: 1,,c", ["Unnamed: 1", "Unnamed: 1.1", "c"], 1),
    ],
)
def test_names(write, header, names, n_notes):
    frame, notes = read_file(write(f"{header}\n1,2,3\n4,5,6\n"))
    assert list(frame) == names
    assert len(notes) == n_notes
    assert all(repr(names[-2]) in note or repr(names[-1]) in note for note in notes[-1:])


def test_names_of_rows_as_r_writes_them(write):
    frame, notes = read_file(write('"a" "b"\n"r1" 1 2\n"r2" 3 4\n'))
    assert _rows(frame) == [["Unnamed: 0", "a", "b"], ["r1", "1", "2"], ["r2", "3", "4"]]
    assert "one field more than the header" in notes[0]


def test_a_separator_at_the_end_of_rows(write):
    frame, notes = read_file(write("a,b\n1,2,\n3,4,\n"))
    assert _rows(frame) == [["a", "b"], ["1", "2"], ["3", "4"]]
    assert notes == []


def test_short_rows_are_counted(write):
    frame, notes = read_file(write("a,b,c\n1,2,3\n4,5\n\n6\n"), sep=",")
    assert _rows(frame)[1:] == [["1", "2", "3"], ["4", "5", ""], ["6", "", ""]]
    assert notes == ["2 rows end early: what they lack counts as missing"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a,b\n1,2\n1,5,2,5\n", "line 3: 4 fields under 2 names, separated at ','"),
        ("a,b\n1,5,2\n1,7,2\n", "line 2: 3 fields under 2 names"),  # decimal commas unquoted
        ('a,b\n1,2\n"3,4\n5,6\n', "a quote that opens in line 3 is never closed"),
    ],
)
def test_broken_rows(write, text, message):
    with pytest.raises(InputError, match=message):
        read_file(write(text))


def test_texts_of_several_lines(write):
    frame, _ = read_file(write('a,b\r\n"one\r\ntwo","say ""x"""\r\n1,2'))
    assert _rows(frame) == [["a", "b"], ["one\r\ntwo", 'say "x"'], ["1", "2"]]
