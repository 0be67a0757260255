"""The contact sheet: one page per run on which people look at every picture beside its reference, and review it."""

from .short import Tile, short_sheet
from .writing import sheet_path, write_contact_sheet

__all__ = ["Tile", "sheet_path", "short_sheet", "write_contact_sheet"]
