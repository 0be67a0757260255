"""Upload notices from stores and users: several envelopes, one meaning. Pure: bodies in, uploads out."""

import ipaddress
import json
import re
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote_plus, urlsplit

from ..catalog.tables.sources import is_catalog
from ..core.errors import InputError
from ..ledger.catalog_uploads import CatalogUpload
from ..references.places import STORES
from .scan import file_name, settled_uri

_SHA256 = re.compile(r"(?:sha256:)?([0-9a-fA-F]{64})")
_FIELDS = ("uri", "digest", "size", "name")
_LONGEST = 4096
_MOST_BYTES = 2**63 - 1  # the largest integer of a database
# Names of this machine, and of a cloud's own service for it.
_INSIDE = frozenset({"localhost", "ip6-localhost", "ip6-loopback", "metadata", "metadata.google.internal"})
# SNS wraps a notice once, as text; nothing wraps it twice.
_DEEPEST = 2


@dataclass(frozen=True, slots=True)
class Confirmation:
    """SNS asks whether its topic may send here; a person answers by opening the address."""

    topic: str
    url: str


def plain_notice(body: Any) -> CatalogUpload:
    """Our own JSON: `{"uri", "digest", "size", "name"}`, all but `uri` optional. Raises InputError that names the field."""
    if not isinstance(body, dict):
        raise InputError('the body is no JSON object; it is {"uri": ..., "digest": ..., "size": ..., "name": ...}')
    unknown = sorted(set(body) - set(_FIELDS))
    if unknown:
        raise InputError(f"unknown field {unknown[0]!r}; known: {', '.join(_FIELDS)}", field=unknown[0])
    uri = settled_uri(_reachable(_text(body, "uri") or ""))
    return CatalogUpload(uri, _text(body, "name") or file_name(uri), _digest(body), None, _size(body, "size"))


def _text(body: Mapping[str, Any], field: str) -> str | None:
    value = body.get(field)
    if value is not None and (not isinstance(value, str) or not value.strip() or len(value) > _LONGEST):
        raise InputError(f"{field} must be text of 1 to {_LONGEST} characters", field=field)
    return None if value is None else _storable(value, field)


def _storable(text: str, field: str) -> str:
    """Text that every ledger can keep. Raises InputError."""
    if "\0" in text or any("\ud800" <= letter <= "\udfff" for letter in text):
        raise InputError(f"{field} holds half a character pair or a NUL", field=field)
    return text


def _reachable(uri: str) -> str:
    """The address of a catalog that a sender may name. Raises InputError.

    A sender chooses which file a run reads, on a machine that can reach more than the sender.
    """
    scheme, found, _ = uri.partition("://")
    if "::" in uri:
        raise InputError(f"{uri!r}: chained addresses are not taken", field="uri")
    if not found:
        return uri
    if scheme.lower() in ("file", "local"):
        raise InputError(f"{uri!r}: name a file of this machine by its absolute path", field="uri")
    try:
        parts = urlsplit(uri)
        host = parts.hostname or ""
    except ValueError as error:
        raise InputError(f"the address cannot be read: {error}", field="uri") from None
    if "@" in parts.netloc:
        raise InputError(
            "the address holds a name or a password; leave it to the machine that reads the file", field="uri"
        )
    if scheme.lower() not in STORES and _is_inside(host):  # a bucket is no host
        raise InputError(f"{host} is not a public address", field="uri")
    return uri


def _is_inside(host: str) -> bool:
    bare = host.partition("%")[0].rstrip(".")
    if bare in _INSIDE or bare.endswith((".localhost", ".localdomain")):
        return True
    try:
        # As sockets read it: 127.1, 2130706433 and 0x7f.0.0.1 are 127.0.0.1 too.
        address = bare if ":" in bare else socket.inet_ntoa(socket.inet_aton(bare))
        return not ipaddress.ip_address(address).is_global
    except (OSError, ValueError):
        return False


def _digest(body: Mapping[str, Any]) -> str | None:
    value = _text(body, "digest")
    if value is None:
        return None
    found = _SHA256.fullmatch(value)
    if found is None:
        raise InputError("digest must be the sha256 of the file's bytes, 64 hex digits", field="digest")
    return found.group(1).lower()


def _size(body: Mapping[str, Any], field: str) -> int | None:
    value = body.get(field)
    if value is not None and (not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= _MOST_BYTES):
        raise InputError(f"{field} must be a count of bytes, at most {_MOST_BYTES}", field=field)
    return value


def store_notice(body: Any) -> list[CatalogUpload] | Confirmation:
    """An S3-compatible store's notice, plain, in an SNS envelope or by EventBridge; only created objects that are catalogs.

    Raises InputError for anything else.
    """
    return _opened(body, 0)


def _opened(body: Any, depth: int) -> list[CatalogUpload] | Confirmation:
    if not isinstance(body, dict):
        raise InputError("the body is no JSON object")
    if isinstance(body.get("Type"), str) and "TopicArn" in body and depth < _DEEPEST:
        return _sns(body, depth)
    if isinstance(body.get("Records"), list):
        return list(_records(body["Records"]))
    if body.get("source") == "aws.s3" and isinstance(body.get("detail"), dict):
        return list(_event_bridge(body))
    if body.get("Event") == "s3:TestEvent":
        return []
    raise InputError("neither a notice of an S3-compatible store, nor one in an SNS or EventBridge envelope")


def _sns(body: Mapping[str, Any], depth: int) -> list[CatalogUpload] | Confirmation:
    if body["Type"] in ("SubscriptionConfirmation", "UnsubscribeConfirmation"):
        return Confirmation(str(body["TopicArn"]), str(body.get("SubscribeURL", "")))
    try:
        inner = json.loads(body.get("Message", ""))
    except (TypeError, ValueError):
        raise InputError("the SNS message is no JSON", field="Message") from None
    return _opened(inner, depth + 1)


def _records(records: list[Any]) -> Iterator[CatalogUpload]:
    for record in records:
        try:
            kind, where = str(record["eventName"]), record["s3"]
            # AWS writes "ObjectCreated:Put", MinIO "s3:ObjectCreated:Put"; both encode the key as a form does.
            if not kind.removeprefix("s3:").startswith("ObjectCreated:"):
                continue
            bucket, thing = str(where["bucket"]["name"]), where["object"]
            key, etag, size = unquote_plus(str(thing["key"])), thing.get("eTag"), thing.get("size")
        except (KeyError, TypeError, AttributeError) as error:
            raise InputError(f"a record of this notice lacks {error}", field="Records") from None
        yield from _object(bucket, key, etag, size)


def _event_bridge(body: Mapping[str, Any]) -> Iterator[CatalogUpload]:
    if body.get("detail-type") != "Object Created":
        return
    try:
        bucket, thing = str(body["detail"]["bucket"]["name"]), body["detail"]["object"]
        key, etag, size = str(thing["key"]), thing.get("etag"), thing.get("size")  # the key stands as it is here
    except (KeyError, TypeError, AttributeError) as error:
        raise InputError(f"this notice lacks {error}", field="detail") from None
    yield from _object(bucket, key, etag, size)


def _object(bucket: str, key: str, etag: Any, size: Any) -> Iterator[CatalogUpload]:
    if is_catalog(key):
        uri = _reachable(_storable(f"s3://{bucket}/{key}", "key"))
        if len(uri) > _LONGEST:
            raise InputError(f"key must be text of at most {_LONGEST} characters", field="key")
        stated = _storable(str(etag).strip('"'), "eTag") if etag else None
        yield CatalogUpload(uri, file_name(uri), None, stated, _size({"size": size}, "size"))
