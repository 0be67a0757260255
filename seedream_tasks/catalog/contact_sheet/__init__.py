"""The contact sheet: one page per run on which people look at every picture beside its reference, and review it."""

from .writing import sheet_path, write_contact_sheet

__all__ = ["sheet_path", "write_contact_sheet"]
