"""Text files in the encodings they come in: found, stated, or refused; never mangled without a word."""

import gzip
import hashlib
from pathlib import Path

import pytest
from catalogs import cells, plan, rows, write
from hypothesis import given, settings
from hypothesis import strategies as st

from seedream_tasks.catalog.tables import open_table
from seedream_tasks.catalog.tables.encodings import _NOT_1252
from seedream_tasks.catalog.tables.readings import Readings
from seedream_tasks.core.errors import InputError

TITLES = ["Größe 5", "Crème brûlée", "Mañana", "Smørrebrød"]


def table(*titles: str) -> str:
    """A catalog with these titles."""
    return "sku,title\n" + "".join(f"p{number},{title}\n" for number, title in enumerate(titles))


def refused(path: Path | str) -> InputError:
    """The error that opening ends with: nothing is planned from such a file."""
    with pytest.raises(InputError) as caught:
        open_table(str(path))
    return caught.value


@pytest.mark.parametrize(
    ("encoding", "shown"),
    [
        ("utf-8", "UTF-8"),
        ("utf-8-sig", "UTF-8 with a byte order mark"),
        ("utf-16", "UTF-16"),
        ("utf-32", "UTF-32"),
        ("cp1252", "Windows-1252 (guessed)"),
    ],
)
def test_an_encoding_is_found(encoding: str, shown: str, tmp_path: Path) -> None:
    """By its mark, by being valid UTF-8, or because nothing speaks against Windows-1252."""
    path = write(tmp_path / "a.csv", table(*TITLES).encode(encoding))
    opened = open_table(str(path))
    assert [row.cells[1] for row in opened.rows] == TITLES
    assert opened.facts.details[0] == shown


def test_a_guess_is_said_with_the_line_that_made_it_one(tmp_path: Path) -> None:
    """Someone who sees it can say otherwise."""
    (warning,) = open_table(str(write(tmp_path / "a.csv", table("Lamp", "Größe").encode("cp1252")))).facts.warnings
    assert "line 3" in warning
    assert "#encoding=" in warning


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Настольная лампа", "cp1251"),
        ("Επιτραπέζιο φωτιστικό", "cp1253"),
        ("kırmızı ışık", "cp1254"),
        ("Żółta łódź, pó³ka".replace("³", "ł"), "cp1250"),
        ("Größe", "cp850"),
        ("Größe", "mac-roman"),
        ("台灯,红色", "gbk"),
        ("電気スタンド", "shift-jis"),
        ("조명", "euc-kr"),
    ],
)
def test_what_is_not_windows_1252_is_refused_and_can_be_stated(text: str, encoding: str, tmp_path: Path) -> None:
    """It would become a wrong prompt that is paid for; CATALOG#encoding=NAME reads it as it is."""
    path = write(tmp_path / "a.csv", f'sku,title\na,Lamp\nb,"{text}"\n'.encode(encoding))
    error = refused(path)
    assert (error.facts["code"], error.facts["line"]) == ("encoding", 3)
    assert "#encoding=" in error.facts["hint"]
    assert cells(f"{path}#encoding={encoding}")[1] == ["b", text]


def test_one_wrong_byte_in_utf_8_is_refused_with_its_line(tmp_path: Path) -> None:
    """A file of two encodings is none."""
    lines = "sku,title\n" + "a,Größe\n" * 200_000
    error = refused(write(tmp_path / "a.csv", lines.encode() + b"b,Gr\xf6\xdfe\n"))
    assert (error.facts["code"], error.facts["line"]) == ("encoding", 200_002)


def test_a_stated_encoding_must_fit(tmp_path: Path) -> None:
    """A wrong statement is an error like a wrong guess."""
    path = write(tmp_path / "a.csv", b"sku,title\na,\x81\n")
    assert refused(f"{path}#encoding=cp1252").facts["line"] == 2
    assert "no encoding 'utf-9'" in refused(f"{path}#encoding=utf-9").message
    assert refused(f"{path}#encoding=rot13").facts["field"] == "catalog"


def test_a_number_sign_in_a_name_is_part_of_it(tmp_path: Path) -> None:
    """Only what we know stands behind it is a statement."""
    assert cells(write(tmp_path / "a#1.csv", "sku\na\n")) == [["a"]]


def test_utf_16_without_a_mark_is_told_and_can_be_stated(tmp_path: Path) -> None:
    """It is full of NUL bytes, which are no text."""
    path = write(tmp_path / "a.csv", table("Lamp").encode("utf-16-le"))
    assert "utf-16-le" in refused(path).facts["hint"]
    assert cells(f"{path}#encoding=utf-16-le") == [["p0", "Lamp"]]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", 'sku,prompt\na,"A la\0mp"\nb,A chair\n'),
        ("a.jsonl", '{"sku": "a", "prompt": "A la\\u0000mp"}\n{"sku": "b", "prompt": "A chair"}\n'),
    ],
)
def test_a_nul_byte_is_one_bad_row(name: str, content: str, tmp_path: Path) -> None:
    """No gateway and no ledger takes one; the other rows go on."""
    first, second = plan(write(tmp_path / name, content))
    assert (first.settled, second.settled) == ("invalid", None)
    assert "prompt holds a NUL byte" in (first.error_message or "")


def test_jsonl_is_never_guessed_at(tmp_path: Path) -> None:
    """JSON is UTF-8 by its own standard; another encoding has to be stated."""
    path = write(tmp_path / "a.jsonl", '{"sku": "a", "title": "Größe"}\n'.encode("cp1252"))
    assert refused(path).facts["code"] == "encoding"
    assert cells(f"{path}#encoding=cp1252") == [["a", "Größe"]]


@pytest.mark.parametrize(
    ("magic", "says"),
    [
        (b"PK\x03\x04", "XLSX"),
        (b"PAR1", "Parquet"),
        (b"\x1f\x8b", "gzip"),
        (b"\xd0\xcf\x11\xe0", ".xls"),
        (b"%PDF", "PDF"),
    ],
)
def test_a_file_that_is_something_else_than_its_name_is_told(magic: bytes, says: str, tmp_path: Path) -> None:
    """Renaming an Excel file does not make it CSV."""
    assert says in refused(write(tmp_path / "a.csv", magic + b"\0" * 100)).message


# Delimiters


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_the_delimiter_is_the_headers(delimiter: str, tmp_path: Path) -> None:
    """Whatever stands in the cells."""
    path = write(tmp_path / "a.csv", f'sku{delimiter}title{delimiter}price\na{delimiter}"x,y;z|"{delimiter}1,5\n')
    if delimiter == ",":
        path = write(path, 'sku,title,price\na,"x,y;z|","1,5"\n')
    assert cells(path) == [["a", "x,y;z|", "1,5"]]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("sku;Preis, EUR, netto\na;5\nb;6\n", [["a", "5"], ["b", "6"]]),
        ("sku,size|color\na,5|red\n", [["a", "5|red"]]),
        ("sep=;\nsku;title\na;Lamp, red\n", [["a", "Lamp, red"]]),
        ('"sep=;"\r\nsku;title\r\na;Lamp\r\n', [["a", "Lamp"]]),
        ("sku\na\nb;c\n", [["a"], ["b;c"]]),
        ("sku;title\n" + 'a;"Lamp\nwith, many, commas\nand, lines, in, it"\n' * 30, None),
    ],
)
def test_rows_decide_where_the_header_leaves_it_open(
    content: str, expected: list[list[str]] | None, tmp_path: Path
) -> None:
    """A comma in a column's name does not part it; Excel's `sep=` line says it outright."""
    found = cells(write(tmp_path / "a.csv", content))
    assert found == expected if expected is not None else {len(each) for each in found} == {2}


def test_lines_are_counted_from_the_files_first(tmp_path: Path) -> None:
    """With Excel's first line, and blank ones, counted."""
    path = write(tmp_path / "a.csv", "sep=;\n\nsku;title\na;Lamp\n")
    assert [row.line for row in rows(path)] == [4]
    assert refused(write(tmp_path / "b.csv", "\n\nsku,sku\n")).facts["line"] == 3


def test_lines_of_empty_cells_only_are_no_rows(tmp_path: Path) -> None:
    """Spreadsheets save the rows below a table as commas."""
    assert cells(write(tmp_path / "a.csv", "sku,title\na,Lamp\n,\n,,,\nb,Chair\n,\n")) == [
        ["a", "Lamp"],
        ["b", "Chair"],
    ]


def test_a_line_without_an_end_is_refused_before_it_fills_the_memory(tmp_path: Path) -> None:
    """20 million characters without a line break are no table."""
    error = refused(write(tmp_path / "a.csv", b"sku,title\n" + b"a,b," * 5_000_000))
    assert error.facts["line"] == 2 or "line" in error.message


# Packed


def test_the_sum_is_that_of_the_stored_bytes(tmp_path: Path) -> None:
    """So that it is what `sha256sum` and an upload's notice say."""
    content = gzip.compress(b"sku\na\n") + gzip.compress(b"b\n") + b"\0" * 100
    opened = open_table(str(write(tmp_path / "a.csv.gz", content)))
    assert [row.cells for row in opened.rows] == [["a"], ["b"]]
    assert opened.sha256 == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("name", ["a.csv.gz", "a.csv.bz2", "a.csv.xz", "a.csv.zst", "a.csv.zip", "a.zip"])
def test_a_damaged_packed_file_is_an_input_error(name: str, tmp_path: Path) -> None:
    """Cut or something else: it says so instead of planning a part of the catalog."""
    refused(write(tmp_path / name, b"this is not what its name says"))
    if name.endswith("gz"):
        whole = gzip.compress(b"sku\n" + b"".join(b"p%d\n" % n for n in range(10_000)))
        assert "cannot be unpacked" in refused(write(tmp_path / name, whole[:-100])).message


def test_a_zip_holds_one_catalog(tmp_path: Path) -> None:
    """Of several nobody knows which is meant; what Mac adds does not count."""
    import zipfile

    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("products.csv", "sku\na\n")
        archive.writestr("__MACOSX/._products.csv", "x")
    assert cells(path) == [["a"]]
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("orders.csv", "id\n1\n")
    assert "products.csv, orders.csv" in refused(path).message


def test_a_packed_bomb_is_refused(tmp_path: Path) -> None:
    """A quarter of a gigabyte from a few hundred kilobytes is no catalog."""
    block = gzip.compress(b"a,b\n" * 4_000_000)
    error = refused(write(tmp_path / "a.csv.gz", block * 20))
    assert error.facts["code"] == "bomb"


def test_parquet_and_xlsx_are_not_packed_again(tmp_path: Path) -> None:
    """They are read from their end, and packed inside."""
    assert "unpack it first" in refused(write(tmp_path / "a.parquet.gz", gzip.compress(b"PAR1"))).message


def test_a_catalog_that_changes_while_it_is_read_is_refused(tmp_path: Path) -> None:
    """The columns were found in another file than the rows come from."""
    path = write(tmp_path / "a.csv", "sku\na\n")
    opened = open_table(str(path))
    write(path, "sku\nb\n")
    with pytest.raises(InputError) as caught:
        list(opened.rows)
    assert caught.value.facts["code"] == "catalog_changed"


@settings(max_examples=200)
@given(st.text(st.sampled_from("abc deé ßü€’“”–,.5 "), max_size=40).filter(lambda text: "é" * 3 not in text))
def test_nothing_that_is_read_as_windows_1252_is_lost(text: str) -> None:
    """Whatever passes the check decodes, and encodes to the same bytes again."""
    content = text.encode("cp1252")
    if not _NOT_1252.search(content):
        assert content.decode("cp1252") == text


# Which of several encodings

SHOPS = {
    "cp1252": "Größe 5 €|Crème brûlée|Théière émaillée|Cojín de mañana|Smørrebrød|Women’s “classic” hat|½ Maß",
    "cp1250": "Erős fűnyíró|Gyűrű|Női cipő|Fürdőszoba szőnyeg|Hűtőtáska|Tükör|Kávéfőző|Sütőforma",
    "iso8859-2": "Żółta łódź|Półka|Krzesło|Łóżko|Świeca|Książka|Ręcznik kąpielowy|Miękki koc|Źródło światła",
    "cp1254": "Kırmızı ışık|Çanta|Gömlek|Yastık kılıfı|Büyük şişe|Ağaç masa|Işıklı ayna|Çocuk yatağı",
    "cp1251": "Настольная лампа|Красная кружка|Стул деревянный|Подушка|Полотенце",
    "cp1253": "Επιτραπέζιο φωτιστικό|Κόκκινη κούπα|Ξύλινη καρέκλα|Μαξιλάρι|Πετσέτα",
    "mac-roman": "Größe 5|Küchenmöbel|Türstopper|Müllbeutel|Gläser|Übertopf|Straßenkarte|Hängematte",
    "cp932": "電気スタンド|赤い木製の椅子|子供用の寝具|ステンレスの水筒|白い陶器のボウル",
    "gb18030": "台灯|红色的木制椅子|儿童床上用品|不锈钢水杯|白色陶瓷碗|现代简约客厅装饰画",
    "cp950": "檯燈|紅色的木製椅子|兒童床上用品|不鏽鋼水杯|白色陶瓷碗|現代簡約客廳裝飾畫",
    "cp949": "조명|빨간색 나무 의자|어린이 침구|스테인리스 물병|흰색 도자기 그릇",
}
ROMANIAN = "Lampă de birou|Pernă albastră|Cană din ceramică|Faţă de masă|Pătură de lână|Şorţ de bucătărie"
CROATIAN = "Čaša|Šalica za kavu|Žlica|Stolić|Noćni ormarić|Ručnik|Košulja|Kuća|Plišani medvjedić"


@pytest.mark.parametrize(("encoding", "titles"), [*SHOPS.items(), ("cp1250", ROMANIAN), ("cp1250", CROATIAN)])
def test_a_file_of_which_one_reading_alone_is_text_is_read_so(encoding: str, titles: str, tmp_path: Path) -> None:
    """With a warning that shows what became of the first odd line."""
    path = write(tmp_path / "a.csv", table(*titles.split("|")).encode(encoding))
    opened = open_table(str(path))
    assert [row.cells[1] for row in opened.rows] == titles.split("|")
    assert "(guessed)" in opened.facts.details[0]
    (warning,) = opened.facts.warnings
    odd = next(title for title in titles.split("|") if not title.isascii())
    assert odd in warning


@pytest.mark.parametrize("encoding", SHOPS)
def test_any_part_of_such_a_file_is_read_right_or_refused(encoding: str, tmp_path: Path) -> None:
    """A wrong letter in a prompt is money: few words are no evidence for what is not Western, and never a wrong reading."""
    titles = SHOPS[encoding].split("|")
    outcomes = set()
    for first in range(len(titles)):
        for last in range(first + 1, len(titles) + 1):
            path = write(tmp_path / "a.csv", table(*titles[first:last]).encode(encoding))
            try:
                outcomes.add("right" if [row[1] for row in cells(path)] == titles[first:last] else "wrong")
            except InputError as error:
                outcomes.add(str(error.facts["code"]))
    assert "right" in outcomes
    assert outcomes <= {"right", "encoding"}


def test_a_file_that_may_be_in_two_encodings_is_refused_with_a_sample_of_each(tmp_path: Path) -> None:
    """And with the way to state one of them, which then reads it."""
    path = write(tmp_path / "a.csv", table("Stolek", "Køeslo".replace("ø", "ř")).encode("cp1250"))
    error = refused(path)
    assert (error.facts["code"], error.facts["line"]) == ("encoding", 3)
    assert "cp1250: 'p1,Křeslo'" in error.message
    assert "cp1252: 'p1,Køeslo'" in error.message
    assert cells(f"{path}#encoding=cp1250")[1] == ["p1", "Křeslo"]


def test_too_little_text_is_refused_with_the_reading_that_it_may_be(tmp_path: Path) -> None:
    """Two words are no evidence, even where nothing else reads them."""
    error = refused(write(tmp_path / "a.csv", table("Krzesło", "Stół dębowy").encode("cp1250")))
    assert "it may be cp1250, in which this line is 'p0,Krzesło'" in error.message
    assert error.facts["hint"].endswith("CATALOG#encoding=cp1250")


def test_utf_16_without_a_mark_is_not_taken_for_another_encoding(tmp_path: Path) -> None:
    """With letters beyond ASCII in it, too."""
    for words in ([["p0", "Größe"], ["p1", "ő"]], [["p0", "Lamp"], ["p1", "Mug"]]):
        for order in ("utf-16-le", "utf-16-be"):
            path = write(tmp_path / "a.csv", table(*(word for _, word in words)).encode(order))
            assert order in refused(path).facts["hint"]
            assert cells(f"{path}#encoding={order}") == words


def test_a_word_over_the_edge_of_two_blocks_is_one_word() -> None:
    """What is read at once does not decide what it is."""
    content = table(*SHOPS["cp1250"].split("|")).encode("cp1250")
    for size in (1, 7, 1000):
        readings = Readings()
        for at in range(0, len(content), size):
            readings.add(content[at : at + size])
        found, _ = readings.end()
        assert found is not None
        assert found.encoding == "cp1250"
