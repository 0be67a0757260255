"""Refuses a file whose content does not match its name, before it is parsed."""

import re
import zipfile

from ...core.errors import InputError
from .sources import READ_FROM_THE_END, CatalogSource

_SAVE = "save or export it as .xlsx or .csv"
_NAME = "give it the ending that belongs to it"
_MAGIC = {
    b"PK\x03\x04": ("a ZIP or XLSX file", _NAME),
    b"PAR1": ("a Parquet file", _NAME),
    b"\x1f\x8b": ("a gzip file", _NAME),
    b"BZh": ("a bzip2 file", _NAME),
    b"\xfd7zXZ": ("an xz file", _NAME),
    b"\x28\xb5\x2f\xfd": ("a zstd file", _NAME),
    b"\xd0\xcf\x11\xe0": ("an old Excel file (.xls), or one with a password", f"{_SAVE}, without a password"),
    b"%PDF": ("a PDF", _SAVE),
    b"SQLite format 3": ("an SQLite database", "export the table of products from it as .csv"),
}
# First characters of text that is not a delimited table.
_TEXTS = (
    (re.compile(rb"<!doctype html|<html|<head|<body|<table|<div|<meta", re.IGNORECASE), "a web page (HTML)",
     "a page that asks to log in, or a table under another name: open it in a spreadsheet and save it as .xlsx or .csv"),
    (re.compile(rb"<\?xml|<rss|<feed|<products|<channel", re.IGNORECASE), "XML", "call it .xml, if it is a product feed"),
    (re.compile(rb"\[\s*\{"), "a JSON array", "call it .json"),
    (re.compile(rb"\{\s*\"[^\"]*\"\s*:"), "JSON", "call it .jsonl or .json"),
)  # fmt: skip
_OPEN_DOCUMENT = b"application/vnd.oasis.opendocument"
_HEAD = 4096


def check_content(source: CatalogSource) -> None:
    """Check a file's first bytes. Raises InputError for an empty file, and for content that does not match the name."""
    stored = source.kind in READ_FROM_THE_END
    with source.open_stored() if stored else source.open() as file:
        head = file.read(_HEAD)
    if not head:
        what = ", so it is not an XLSX" if source.kind == "xlsx" else ""
        raise InputError(
            f"{source.uri}: the file is empty (0 bytes){what}",
            field="catalog",
            code="empty_catalog",
            hint="export the catalog again: a download or an export was cut off",
        )
    if source.kind == "xlsx" and head.startswith(b"PK\x03\x04"):
        _check_package(source)
    elif source.kind != "parquet":
        _check_text(source, head)


def _check_package(source: CatalogSource) -> None:
    with source.open_stored() as file:
        try:
            with zipfile.ZipFile(file) as package:
                names = package.namelist()
                is_open = "mimetype" in names and package.read("mimetype").startswith(_OPEN_DOCUMENT)
        except (zipfile.BadZipFile, RuntimeError, NotImplementedError):
            return  # whoever reads it says what is wrong
    if is_open:
        raise _refused(source, "an OpenDocument spreadsheet (.ods)", f"open it in a spreadsheet and {_SAVE}")
    if any(name.endswith("workbook.bin") for name in names):
        raise _refused(source, "a binary Excel workbook (.xlsb)", f"open it in Excel and {_SAVE}")
    if any(name.startswith("Index/") and name.endswith(".iwa") for name in names):
        raise _refused(source, "a spreadsheet of Apple Numbers", f"open it in Numbers and {_SAVE}")


def _check_text(source: CatalogSource, head: bytes) -> None:
    for magic, (what, way) in _MAGIC.items():
        if head.startswith(magic):
            raise _refused(source, what, way)
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    for pattern, what, way in _TEXTS:
        if pattern.match(begins) and not _fits(source.kind, what):
            raise _refused(source, what, way)


def _fits(kind: str, what: str) -> bool:
    return (kind == "xml" and what == "XML") or (kind in ("json", "jsonl") and "JSON" in what)


def _refused(source: CatalogSource, what: str, way: str) -> InputError:
    return InputError(f"{source.uri}: is {what} by its content", field="catalog", hint=way)
