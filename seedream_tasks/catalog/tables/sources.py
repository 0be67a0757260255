"""Where a catalog's bytes come from: any fsspec URI, one file or several, packed or not, with what its URI states about it."""

import bz2
import gzip
import hashlib
import io
import lzma
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any, BinaryIO, cast
from urllib.parse import unquote

import pyarrow as pa
from fsspec.core import url_to_fs

from ...core.errors import InputError
from ...storage.regular_files import NotRegularError, check_regular

FORMATS = {
    ".csv": "csv",
    ".txt": "csv",
    ".tsv": "tsv",
    ".tab": "tsv",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "json",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".xlsx": "xlsx",
    ".xlsm": "xlsx",
    ".xml": "xml",
}
PACKINGS = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "zstd", ".zip": "zip"}
WITH_A_HEADER = ("csv", "tsv", "xlsx")
# These are packed inside already.
READ_FROM_THE_END = ("parquet", "xlsx")
_STATED = ("encoding", "sheet", "header")
# Beyond this many bytes, a file that unpacks to more than this many times its size is made to fill up a machine.
_BOMB_FROM, _BOMB_RATIO = 256 * 1024 * 1024, 200


@dataclass(frozen=True)
class CatalogSource:
    """One file of a catalog."""

    uri: str  # as messages name it
    path: str  # within its store
    store: Any  # fsspec's file system
    kind: str  # a value of FORMATS
    packing: str | None = None  # a value of PACKINGS
    member: str | None = None  # of a ZIP
    stated: Mapping[str, str] = field(default_factory=dict)  # "encoding", "sheet", "header"
    part: str | None = None  # its name among several files

    def open(self, digest: Any = None) -> BinaryIO:
        """The file's bytes, unpacked; `digest` takes them in as they are read."""
        raw = self.open_stored()
        if self.packing is not None:
            raw = cast(BinaryIO, _Unpacked(self, raw))
        return cast(BinaryIO, io.BufferedReader(_Hashing(raw, digest), _BLOCK))

    def open_stored(self) -> BinaryIO:
        """The bytes as they are stored; formats that are read from their end can seek in them. Raises InputError."""
        try:
            check_regular(self.store, self.path)
        except NotRegularError as error:
            raise InputError(f"{self.uri}: {error}", field="catalog") from None
        return cast(BinaryIO, self.store.open(self.path, "rb"))

    def stored_sha256(self) -> str:
        """sha256 (hex) of the stored bytes."""
        digest = hashlib.sha256()
        with self.open_stored() as file:
            while block := file.read(1024 * 1024):
                digest.update(block)
        return digest.hexdigest()

    def stamp(self) -> str:
        """What tells the stored file from one that was written since: size, time, ETag, as far as its store states them.

        Empty where there is no file.
        """
        try:
            facts = self.store.info(self.path)
        except FileNotFoundError:
            return ""
        return repr([str(facts[name]) for name in _STAMPS if facts.get(name) is not None])

    def changed(self) -> InputError:
        """The error for a file that is another on the second reading."""
        return InputError(
            f"{self.uri}: was changed while it was read", field="catalog", code="catalog_changed", hint="try again"
        )


_BLOCK = 256 * 1024
# As local folders, object stores, SFTP and HTTP call them.
_STAMPS = ("size", "mtime", "ino", "ETag", "etag", "LastModified", "last_modified", "updated", "md5Hash", "modified")


def find_sources(uri: str) -> list[CatalogSource]:
    """The file, or the parts below a folder or behind a pattern, in the order of their names. Raises InputError."""
    store, path, stated = _placed(uri)
    bare = uri if not stated else uri.rpartition("#")[0]
    remote = uri.startswith(("http://", "https://"))
    if not remote and any(mark in path for mark in "*?[") and not store.exists(path):
        found = sorted(str(each) for each in store.glob(path) if not store.isdir(each))
        if not found:
            raise InputError(f"{bare}: no file fits this pattern", field="catalog", code="no_catalog")
        return _parts(store, found, bare, stated)
    if not remote and store.isdir(path):
        return _folder(store, path, bare, stated)
    return [_source(store, path, bare, stated)]


def file_in_folder(uri: str) -> str:
    """A file in the folder that a catalog's references are relative to: that of the file, of the parts, or above the pattern."""
    store, path, stated = _placed(uri)
    bare = uri.rpartition("#")[0] if stated else uri
    if bare.startswith(("http://", "https://")) or store.isfile(path):
        return bare
    parts = bare.split("/")
    marked = next((number for number, part in enumerate(parts) if any(mark in part for mark in "*?[")), None)
    if marked is not None:
        return "/".join((*parts[:marked], "catalog"))
    return f"{bare.rstrip('/')}/catalog" if store.isdir(path) else bare


def stating(uri: str, **stated: Any) -> str:
    """The URI of a catalog with further statements about it; None states nothing."""
    more = "&".join(f"{name}={value}" for name, value in stated.items() if value is not None)
    return uri if not more else f"{uri}{'&' if _placed(uri)[2] else '#'}{more}"


def _placed(uri: str) -> tuple[Any, str, Mapping[str, str]]:
    """Store, path and statements of a URI: `#encoding=...`, `#sheet=...` and `#header=...` are ours.

    Another `#` belongs to the name.
    """
    head, mark, tail = uri.rpartition("#")
    pairs = [part.partition("=") for part in tail.split("&")] if mark else []
    stated = {name: unquote(value) for name, _, value in pairs if name in _STATED and value}
    if stated and len(stated) == len(pairs):
        store, path = url_to_fs(head)
        return store, str(path), stated
    store, path = url_to_fs(uri)
    return store, str(path), {}


def _folder(store: Any, path: str, uri: str, stated: Mapping[str, str]) -> list[CatalogSource]:
    """Every catalog file below a folder; other files, and hidden ones such as _SUCCESS, are passed over."""
    root = path.rstrip("/")
    found = []
    for each in sorted(map(str, store.find(root))):
        parts = PurePosixPath(each[len(root) :].lstrip("/")).parts
        if not any(part.startswith(("_", ".")) for part in parts) and _kind(each)[0]:
            found.append(each)
    # Beside the parts of another format a .json says something about them.
    found = [each for each in found if _kind(each)[0] != "json"] or found
    if not found:
        raise InputError(f"{uri}: this folder holds no catalog; {_READS}", field="catalog", code="no_catalog")
    return _parts(store, found, uri, stated)


def _parts(store: Any, paths: list[str], uri: str, stated: Mapping[str, str]) -> list[CatalogSource]:
    """Several files, each under its name below the folder that holds them all."""
    folders = [PurePosixPath(path).parent.parts for path in paths]
    common = next(
        (n for n, each in enumerate(zip(*folders, strict=False)) if len(set(each)) > 1), min(map(len, folders))
    )
    parts = ["/".join(PurePosixPath(path).parts[common:]) for path in paths]
    return [
        replace(_source(store, path, f"{uri}: {part}", stated), part=part)
        for path, part in zip(paths, parts, strict=True)
    ]


# What is often taken for a table that can be read as it is.
_OTHERS = {
    ".xlsb": "a binary Excel workbook",
    ".ods": "a spreadsheet of LibreOffice or OpenOffice (OpenDocument)",
    ".fods": "a spreadsheet of LibreOffice (OpenDocument, as XML)",
    ".numbers": "a spreadsheet of Apple Numbers",
    ".html": "a web page",
    ".htm": "a web page",
    ".pdf": "a PDF",
    ".docx": "a Word document",
    ".accdb": "a database of Access",
    ".sqlite": "an SQLite database",
    ".feather": "an Arrow file",
    ".arrow": "an Arrow file",
    ".avro": "an Avro file",
    ".orc": "an ORC file",
}
# What shops and suppliers send under the name .xls.
_UNDER_XLS = (
    (b"PK\x03\x04", "an .xlsx file by its content", "call it .xlsx"),
    (b"<?xml", "an XML spreadsheet by its content", "open it in a spreadsheet and save it as .xlsx or .csv"),
    (
        b"<",
        "a web page (HTML) by its content, under the name of a spreadsheet",
        "open it in a spreadsheet and save it as .xlsx or .csv",
    ),
    (b"\xd0\xcf\x11\xe0", "a spreadsheet of Excel 97-2003", "open it in a spreadsheet and save it as .xlsx"),
)
_SAVE = "open it in the program that made it, or in a spreadsheet, and save or export it as .xlsx or .csv"
_READS = f"catalogs are {', '.join(FORMATS)}, or one of these with {', '.join(PACKINGS)}"


def _kind(path: str) -> tuple[str | None, str | None]:
    name = PurePosixPath(path.split("?", 1)[0].lower())
    packing = PACKINGS.get(name.suffix)
    kind = FORMATS.get(name.with_suffix("").suffix if packing else name.suffix)
    return (kind or ("zip" if packing == "zip" else None)), packing


def is_catalog(name: str) -> bool:
    """Whether a file is, by its name, a table that is read here."""
    return _kind(name)[0] is not None


def _source(store: Any, path: str, shown: str, stated: Mapping[str, str]) -> CatalogSource:
    kind, packing = _kind(path)
    if "header" in stated and kind not in (*WITH_A_HEADER, "zip", None):
        raise InputError(f"{shown}: a {kind} file has no header row to name", field="header_row")
    if kind is None:
        suffix = PurePosixPath(path.lower()).suffix
        what, way = _OTHERS.get(suffix, "not a catalog this version reads"), _SAVE if suffix in _OTHERS else None
        if suffix == ".xls":
            what, way = _under_xls(store, path)
        raise InputError(f"{shown}: {what}; {_READS}", field="catalog", hint=way)
    if packing == "zip":
        return _zipped(CatalogSource(shown, path, store, kind, packing, stated=stated))
    if packing and kind in READ_FROM_THE_END:
        raise InputError(f"{shown}: unpack it first; a {kind} file is packed inside already", field="catalog")
    return CatalogSource(shown, path, store, kind, packing, stated=stated)


def _under_xls(store: Any, path: str) -> tuple[str, str]:
    """What a file called .xls is, and what to do with it."""
    with store.open(path, "rb") as file:
        head = file.read(512)
    begins = head.removeprefix(b"\xef\xbb\xbf").lstrip() or head
    for magic, what, way in _UNDER_XLS:
        if begins.startswith(magic):
            return what, way
    return "text by its content, under the name of a spreadsheet", "call it .csv (.tsv where tabs part its cells)"


def _zipped(source: CatalogSource) -> CatalogSource:
    """The one file in a ZIP decides what it is."""
    with source.open_stored() as file:
        try:
            with zipfile.ZipFile(file) as archive:
                names = [
                    each.filename
                    for each in archive.infolist()
                    if not each.is_dir() and not each.filename.startswith("__MACOSX/")
                ]
        except zipfile.BadZipFile as error:
            raise InputError(f"{source.uri}: not a readable ZIP: {error}", field="catalog") from None
    if len(names) != 1:
        raise InputError(
            f"{source.uri}: a catalog in a ZIP is one file alone, here are {len(names)}: {', '.join(names[:5])}",
            field="catalog",
            hint="unpack it, and name the file that is the catalog",
        )
    kind, packing = _kind(names[0])
    if kind is None or packing or kind in READ_FROM_THE_END:
        raise InputError(f"{source.uri}: holds {names[0]}: unpack it first; {_READS}", field="catalog")
    return CatalogSource(source.uri, source.path, source.store, kind, "zip", names[0], source.stated)


class _Hashing(io.RawIOBase):
    """Passes bytes through and hashes them."""

    def __init__(self, file: BinaryIO, digest: Any) -> None:
        self._file = file
        self._digest = digest

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        block = self._file.read(len(buffer))
        if self._digest is not None:
            self._digest.update(block)
        buffer[: len(block)] = block
        return len(block)

    def close(self) -> None:
        self._file.close()
        super().close()


class _Unpacked(io.RawIOBase):
    """Unpacks as it is read, and stops at what is made to fill up a machine."""

    def __init__(self, source: CatalogSource, stored: BinaryIO) -> None:
        self._source = source
        self._stored = stored
        self._unpacking = _unpacking(source, stored)
        self._count = 0

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        try:
            block = bytes(self._unpacking.read(size))
        except (EOFError, OSError, ValueError, RuntimeError, zlib.error, lzma.LZMAError, zipfile.BadZipFile) as error:
            raise _damaged(self._source, error) from None
        self._count += len(block)
        if self._count > _BOMB_FROM and self._count > _BOMB_RATIO * self._stored.tell():
            raise InputError(
                f"{self._source.uri}: unpacks to more than {_BOMB_RATIO} times its size", field="catalog", code="bomb"
            )
        return block

    def close(self) -> None:
        self._unpacking.close()
        self._stored.close()
        super().close()


def _unpacking(source: CatalogSource, file: BinaryIO) -> BinaryIO:
    if source.packing == "gzip":
        return cast(BinaryIO, gzip.GzipFile(fileobj=file))
    if source.packing == "bzip2":
        return cast(BinaryIO, bz2.BZ2File(file))
    if source.packing == "xz":
        return cast(BinaryIO, lzma.LZMAFile(file))
    if source.packing == "zstd":
        return cast(BinaryIO, pa.CompressedInputStream(pa.PythonFile(file, "r"), "zstd"))
    try:
        return cast(BinaryIO, zipfile.ZipFile(file).open(source.member or ""))
    except (RuntimeError, NotImplementedError, zipfile.BadZipFile) as error:  # a password, or a method nobody knows
        raise _damaged(source, error) from None


def _damaged(source: CatalogSource, error: Exception) -> InputError:
    return InputError(
        f"{source.uri}: cannot be unpacked: {error}", field="catalog", hint="the file is damaged, not whole, or locked"
    )
