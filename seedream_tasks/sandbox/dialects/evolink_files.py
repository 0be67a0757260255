"""EvoLink's file service: references get the URL that its generation endpoint asks for."""

import base64
import binascii
import mimetypes
from dataclasses import replace
from typing import Any
from urllib.parse import unquote, urlsplit

from aiohttp import web

from seedream_tasks.sandbox.checks import Body, Refused, is_loopback
from seedream_tasks.sandbox.clock import iso
from seedream_tasks.sandbox.dialects.base import Dialect
from seedream_tasks.sandbox.dialects.multipart import read_form
from seedream_tasks.sandbox.references import BadPictureError
from seedream_tasks.sandbox.uploads import EVOLINK_QUOTA, QuotaError, Upload, sniff
from seedream_tasks.sandbox.web import Handler, Route, base_of, reply
from seedream_tasks.sandbox.world import token

_LARGEST = 100_000_000
_LONGEST_PAGE = 100

_TOO_LARGE, _WRONG_TYPE, _QUOTA, _NOT_LOADED = 40001, 40002, 40003, 40004


class EvolinkFiles:
    """The routes below `/evolink/files/api/v1`."""

    def __init__(self, dialect: Dialect) -> None:
        self._dialect = dialect
        self._world = dialect.world

    def routes(self) -> list[Route]:
        """Three ways in, the list, the quota, and the way out; the files themselves need no key."""
        files = "/evolink/files/api/v1/files"
        routes = [
            Route("POST", f"{files}/upload/base64", self._from_base64),
            Route("POST", f"{files}/upload/stream", self._from_form),
            Route("POST", f"{files}/upload/url", self._from_url),
            Route("GET", f"{files}/list", self._list),
            Route("GET", f"{files}/quota", self._quota),
            Route("DELETE", f"{files}/{{id}}", self._delete),
        ]
        own = [replace(route, handler=self._in_own_words(route.handler)) for route in routes]
        return [*own, Route("GET", "/evolink/uploads/{id}", self._download)]

    def _in_own_words(self, handler: Handler) -> Handler:
        """Refusals in the file service's shape, which is not that of the generation API."""

        async def answer(request: web.Request) -> web.Response:
            try:
                return await handler(request)
            except Refused as refused:
                status, _ = self._dialect.errors[refused.reason]
                return _failed(status, refused.message, status)

        return answer

    async def _from_base64(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        body = Body.parse(await request.read())
        text = body.required_text("base64_data")
        if text[:5].lower() == "data:":
            text = text.partition(",")[2]
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return _failed(_WRONG_TYPE, "base64_data is not valid base64")
        return self._store(request, data, _name(body), _folder(body))

    async def _from_form(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        form = await read_form(request)
        if form.data is None:
            return _failed(_WRONG_TYPE, "the field file is missing")
        name = form.fields.get("fileName") or form.filename
        return self._store(request, form.data, name, form.fields.get("uploadPath", ""))

    async def _from_url(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        body = Body.parse(await request.read())
        url = body.required_text("file_url")
        parts = urlsplit(url)
        data = self._world.uploads.bytes_at(url)
        if data is None:
            if parts.hostname is None or not is_loopback(parts.hostname):
                return _failed(_NOT_LOADED, "the file could not be downloaded: the sandbox stays off the internet")
            try:
                data = await self._world.references.download(url, _LARGEST)
            except BadPictureError as error:
                return _failed(_NOT_LOADED, f"the file could not be downloaded: {error}")
        return self._store(request, data, _name(body) or unquote(parts.path.rpartition("/")[2]), _folder(body))

    async def _list(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        page, length = _whole(request, "page", 1), min(_whole(request, "pageSize", 20), _LONGEST_PAGE)
        files = list(self._world.uploads.living("evolink"))
        shown = [_facts(file, base_of(request)) for file in files[(page - 1) * length : page * length]]
        return _done({"files": shown, "total": len(files), "page": page, "pageSize": length}, "success")

    async def _quota(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        used = sum(1 for _ in self._world.uploads.living("evolink"))
        left = EVOLINK_QUOTA - used
        data = {"used_files": used, "max_files": EVOLINK_QUOTA, "remain_files": left, "user_group": "default"}
        return _done(data, "success")

    async def _delete(self, request: web.Request) -> web.Response:
        self._dialect.authorize(request)
        file = self._world.uploads.find(request.match_info["id"])
        if file is None or file.gateway != "evolink":
            return _failed(404, "file not found", 404)
        self._world.uploads.remove([file.upload_id])
        return _done(None, "File deleted successfully")

    async def _download(self, request: web.Request) -> web.Response:
        return serve_upload(self._dialect, request)

    def _store(self, request: web.Request, data: bytes, name: str, folder: str) -> web.Response:
        if len(data) > _LARGEST:
            return _failed(_TOO_LARGE, f"the file has {len(data)} bytes, at most {_LARGEST} are taken")
        mime_type = sniff(data)
        if mime_type is None:
            return _failed(_WRONG_TYPE, "only JPEG, PNG, GIF and WebP are taken")
        upload_id = "file_" + token(20)
        name = name or upload_id + (mimetypes.guess_extension(mime_type) or "")
        try:
            file = self._world.uploads.add(upload_id, "evolink", data, mime_type, name, folder, EVOLINK_QUOTA)
        except QuotaError as error:
            return _failed(_QUOTA, str(error))
        return _done(_facts(file, base_of(request)), "File uploaded successfully")


def serve_upload(dialect: Dialect, request: web.Request) -> web.Response:
    """The bytes of an uploaded file; expired and deleted ones are not found."""
    file = dialect.world.uploads.find(request.match_info["id"].partition(".")[0])
    if file is None or file.gateway != dialect.name:
        return web.Response(text="NoSuchKey: there is no such file\n", status=404)
    return web.Response(body=dialect.world.uploads.data(file), headers={"Content-Type": file.mime_type})


def _facts(file: Upload, base: str) -> dict[str, Any]:
    return {
        "file_id": file.upload_id,
        "file_name": file.name,
        "original_name": file.original_name,
        "file_size": file.size,
        "mime_type": file.mime_type,
        "upload_path": file.folder,
        "file_url": base + file.path,
        "download_url": base + file.path,
        "upload_time": iso(file.uploaded_at),
        "expires_at": iso(file.expires_at),
    }


def _done(data: Any, message: str) -> web.Response:
    return reply({"success": True, "code": 200, "msg": message, "data": data})


def _failed(code: int, message: str, status: int = 400) -> web.Response:
    return reply({"success": False, "code": code, "msg": message}, status)


def _name(body: Body) -> str:
    return body.text("file_name") or body.text("fileName") or ""


def _folder(body: Body) -> str:
    return body.text("upload_path") or body.text("uploadPath") or ""


def _whole(request: web.Request, name: str, default: int) -> int:
    text = request.query.get(name, "")
    return max(int(text), 1) if text.isascii() and text.isdigit() else default
