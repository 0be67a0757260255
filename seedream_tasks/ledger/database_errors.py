"""Classifying database errors: whether the server is unavailable, whether a retry may succeed."""

import sqlalchemy
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

# Codes of servers that stop, start, or are only a standby; a failed connection has no code.
READ_ONLY = "25006"


_AWAY = ("57P01", "57P02", "57P03", "08", READ_ONLY)


def is_away(error: SQLAlchemyError) -> bool:
    if not isinstance(error, DBAPIError):
        return False
    code = sql_state(error)
    is_lost = isinstance(error, sqlalchemy.exc.OperationalError) and code is None
    return error.connection_invalidated or is_lost or (code or "").startswith(_AWAY)


def sql_state(error: SQLAlchemyError) -> str | None:
    code = getattr(getattr(error, "orig", None), "sqlstate", None)
    return code if isinstance(code, str) else None


def with_type(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}"


def may_pass(error: DBAPIError) -> bool:
    if error.connection_invalidated or isinstance(error, sqlalchemy.exc.IntegrityError):
        return True
    reason = reason_of(error).lower()
    return any(word in reason for word in ("locked", "busy", "deadlock", "serialize", "connection", "server closed"))


def reason_of(error: SQLAlchemyError) -> str:
    return str(getattr(error, "orig", None) or error).strip().splitlines()[0]
