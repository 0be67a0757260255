"""Passwords, keys and signatures in addresses: recognizing them, and the one function that removes them from output.

Addresses leave in messages, manifests, logs, events, artifacts and the parameters that Prefect stores. The ledger keeps what is
needed to fetch; the catalog's own columns are its owner's data and are unchanged.
"""

import re
from collections.abc import Callable
from functools import partial
from urllib.parse import unquote

# A password with an @ or a slash cannot be separated from what follows it: then everything before the last @ is removed.
HIDDEN = "***"
_ADDRESS = re.compile(r"(?<![A-Za-z0-9+.-])([A-Za-z][A-Za-z0-9+.-]*)://([^\s\"<>`]+)")
# Within an fsspec chain (`zip://a.csv::https://...`) the next link begins here.
_CHAINED = re.compile(r"(::(?=[A-Za-z][A-Za-z0-9+.-]*(?:://|::|$)))")
_PASSWORD = re.compile(r"[^/?#@:]*:[^@]*@")
_PORT = re.compile(r"[^/?#@:]*:\d{1,5}(?:[/?#]|$)")
_DATABASES = ("postgres", "mysql", "mariadb", "mssql", "oracle", "redis", "amqp", "mongodb")
_CLOSING = re.compile(r"[.,:!)\]}'’]+$")

_QUERY = re.compile(r"[?#][^\s\"<>`]+")
_PAIR = re.compile(r"[?#&;](?P<name>[^=&;?#]+)=[^&;?#]*")
_WORD = re.compile(
    r"\b(?P<name>(?:ssl|client_|aws_)?(?:password|passwd|secret(?:_access_key|_key)?|access_token))=(?P<value>[^\s&;,'\")]+)",
    re.IGNORECASE,
)
_BEARER = re.compile(r"\bBearer +(?=\S*\d)[A-Za-z0-9._~+/=-]{8,}")

# Names of a query's parameters, in lower case and without punctuation.
_PREFIXES = ("xamz", "xgoog", "xoss", "xcos", "xtos", "qsign")
_PARTS = ("password", "passwd", "passphrase", "secret", "signature", "token", "credential", "apikey", "accesskey")
_NAMES = frozenset(
    "sig sign key pwd pass pw auth authorization jwt hmac sas keypairid googleaccessid privatekey".split()  # noqa: SIM905
)
# Beside a signature: what it signs, as in Azure and CloudFront links. Alone, they are ordinary words.
_SIGNED = frozenset(
    "se sp sv sr st ss srt spr sip ske sks skt skv skoid sktid saoid suoid scid expires policy".split()  # noqa: SIM905
)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", unquote(name).lower())


def is_secret_name(name: str) -> bool:
    """Whether a query's parameter of this name is a password, a key or part of a signature."""
    plain = _plain(name)
    return plain in _NAMES or plain.startswith(_PREFIXES) or any(part in plain for part in _PARTS)


def without_secrets(text: str) -> str:
    """An address, or any text with addresses in it, without passwords, keys and signatures. Other text is unchanged."""
    if "://" in text:
        text = _ADDRESS.sub(lambda found: f"{found[1]}://{_chain(found[1], found[2])}", text)
    if "=" in text:
        text = _QUERY.sub(lambda found: _closed(found[0], _without_pairs), text)
        text = _WORD.sub(lambda found: f"{found['name']}={HIDDEN}", text)
    return _BEARER.sub(f"Bearer {HIDDEN}", text) if "Bearer" in text else text


def holds_secret(address: str) -> bool:
    """Whether an address contains secrets, so that it must not be shown or stored unmasked."""
    return without_secrets(address) != address


def holds_credentials(address: str) -> bool:
    """Whether an address holds a password or token before its host (not a signature in its query)."""
    whole = re.sub(r"[\s\"<>`]", "_", address)
    return any(_chain(found[1], found[2]) != found[2] for found in _ADDRESS.finditer(whole))


def _chain(scheme: str, rest: str) -> str:
    pieces = _CHAINED.split(rest)
    shown = [_closed(pieces[0], lambda each: _place(scheme, each))]
    for each in pieces[1:]:
        head, mark, tail = each.partition("://")
        shown.append(f"{head}://{_closed(tail, partial(_place, head))}" if mark else each)
    return "".join(shown)


def _closed(text: str, work: Callable[[str], str]) -> str:
    closing = _CLOSING.search(text)
    end = closing.start() if closing else len(text)
    return work(text[:end]) + text[end:]


def _place(scheme: str, rest: str) -> str:
    """What follows `scheme://`, without user and password; of a database's address the user stays."""
    scheme = scheme.lower()
    authority = re.split(r"[/?#]", rest, maxsplit=1)[0]
    database = scheme.startswith(_DATABASES)
    if ":" not in authority.partition("@")[0]:
        # A user alone; in web addresses it is often a token.
        token = "@" in authority and scheme.endswith(("http", "https")) and not rest.startswith(f"{HIDDEN}@")
        return rest[authority.rindex("@") + 1 :] if token else rest
    if not _PASSWORD.match(rest) or ("@" not in authority and not database and _PORT.match(rest)):
        return rest
    if database and _PORT.match(rest) and "@" not in rest.partition("?")[0]:
        return rest
    place = rest.rpartition("@")[2]
    if database:
        return f"{rest.partition(':')[0]}:{HIDDEN}@{place}"
    return place if rest.count("@") == 1 else f"{HIDDEN}@{place}"


def _without_pairs(query: str) -> str:
    names = [found["name"] for found in _PAIR.finditer(query)]
    if not any(map(is_secret_name, names)):
        return query
    kept = _PAIR.sub(
        lambda found: "" if is_secret_name(found["name"]) or _plain(found["name"]) in _SIGNED else found[0], query
    )
    return query[0] + kept[1:] if kept[:1] in ("&", ";") else kept
