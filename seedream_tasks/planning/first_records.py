"""Which record of a (row key, shot) came first. All that planning keeps per row, so it is small."""

import struct

Place = tuple[str | None, int | None, int]  # part of the catalog, line of the file, row number


class FirstRecords:
    """The first record of each (row key, shot): its place and what it asks for, in about 160 bytes."""

    _PACKED = struct.Struct("<16sBiqq")  # fingerprint, n, part, line, row number

    def __init__(self) -> None:
        self._by_shot: dict[str, dict[str, bytes]] = {}
        self._files: dict[str | None, int] = {}

    def of(self, name: tuple[str, str], at: Place, asks: tuple[str, int]) -> tuple[str, bool] | None:
        """The place of the first one, in words, and whether it asks for the same; None if this is the first.

        `asks` is fingerprint (hex) and n; ("", 0) for a record that asks for nothing.
        """
        row_key, shot = name
        file, line, row_number = at
        fingerprint, n = asks
        part = self._files.setdefault(file, len(self._files))
        packed = self._PACKED.pack(bytes.fromhex(fingerprint)[:16], n, part, line or 0, row_number)
        there = self._by_shot.setdefault(shot, {}).setdefault(row_key, packed)
        if there is packed:
            return None
        _, _, part, first_line, first_row = self._PACKED.unpack(there)
        first_file = next(each for each, number in self._files.items() if number == part)
        return place(first_file, first_line or None, first_row), there[:17] == packed[:17]


def place(file: str | None, line: int | None, row_number: int) -> str:
    """`line 5`, `parts/b.csv, line 5`; for a format without lines, `row 5` of the whole catalog."""
    return (f"{file}, " if file else "") + (f"line {line}" if line else f"row {row_number}")
