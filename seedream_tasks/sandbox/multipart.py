"""Multipart forms: one file and a few text fields."""

from dataclasses import dataclass, field

from aiohttp import BodyPartReader, web

from seedream_tasks.sandbox.checks import Refused

_LARGEST = 128 << 20


@dataclass(slots=True)
class Form:
    """What a form held."""

    data: bytes | None = None
    """The field `file`; None: it was not there."""
    filename: str = ""
    content_type: str = ""
    fields: dict[str, str] = field(default_factory=dict)


async def read_form(request: web.Request) -> Form:
    """Read a multipart body; refuses what is none."""
    form = Form()
    try:
        reader = await request.multipart()
        while (part := await reader.next()) is not None:
            if not isinstance(part, BodyPartReader):
                raise Refused("invalid", "nested multipart bodies are not taken")
            data = bytes(await part.read(decode=True))
            if len(data) > _LARGEST:
                raise Refused("too_large", "the file is too large")
            if part.name == "file":
                form.data, form.filename = data, part.filename or ""
                form.content_type = part.headers.get("Content-Type", "")
            elif part.name:
                form.fields[part.name] = data.decode(errors="replace")
    except (ValueError, AssertionError, KeyError) as error:
        raise Refused("invalid", "the request body is not multipart/form-data") from error
    return form
