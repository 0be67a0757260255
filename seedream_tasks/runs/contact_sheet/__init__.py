"""The contact sheet: one page per run on which people look at every image beside its reference, and review it."""

from .markdown import MOST_TILES, Tile, short_sheet, tiles_of
from .page import sheet_path, write_contact_sheet

__all__ = ["MOST_TILES", "Tile", "sheet_path", "short_sheet", "tiles_of", "write_contact_sheet"]
