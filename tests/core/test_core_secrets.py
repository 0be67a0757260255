"""Passwords, keys and signatures are taken out of addresses, wherever in a text they stand."""

import pickle

import pytest

from seedream_tasks.core.errors import InputError, SeedreamError
from seedream_tasks.core.outcomes import ErrorClass, ErrorInfo
from seedream_tasks.core.secrets import holds_credentials, holds_secret, without_secrets


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://user:SECRET@host/a.csv?x=1", "https://host/a.csv?x=1"),
        ("https://SECRET@host/a.csv", "https://host/a.csv"),
        ("HTTPS://u:SECRET@host/a.csv", "HTTPS://host/a.csv"),
        ("git+https://SECRET@host/a", "git+https://host/a"),
        ("https://b.s3.example/a.csv?X-Amz-Signature=SECRET&X-Amz-Date=1&v=2", "https://b.s3.example/a.csv?v=2"),
        ("https://b.example/a.csv?v=2&X-Amz-Signatur%65=SECRET", "https://b.example/a.csv?v=2"),
        ("https://a.blob.example/c?sv=1&st=2&se=3&sr=b&sp=r&sig=SECRET", "https://a.blob.example/c"),
        ("abfs://c@account/a.csv?sv=1&sig=SECRET", "abfs://c@account/a.csv"),
        ("https://d.example/a?v=2&Expires=1&Signature=SECRET&Key-Pair-Id=SECRET", "https://d.example/a?v=2"),
        ("https://o.example/a?OSSAccessKeyId=SECRET&Expires=9&Signature=SECRET", "https://o.example/a"),
        ("https://x.example/a?key=SECRET&page=2", "https://x.example/a?page=2"),
        ("https://x.example/a?page=2&api_key=SECRET#sheet=Two", "https://x.example/a?page=2#sheet=Two"),
        ("https://x.example/a#access_token=SECRET", "https://x.example/a"),
        ("postgresql://u:SECRET@host/name", "postgresql://u:***@host/name"),
        ("postgresql://u:SEC@RET/SECRET@host/name", "postgresql://u:***@host/name"),
        ("postgresql://u:123/SECRET@host/name", "postgresql://u:***@host/name"),
        ("postgresql://u@host/name?password=SECRET&sslmode=require", "postgresql://u@host/name?sslmode=require"),
        ("zip://a.csv::https://u:SECRET@host/x.zip?sig=SECRET", "zip://a.csv::https://host/x.zip"),
        ("simplecache::s3://K:SEC/RET@bucket/x.csv", "simplecache::s3://bucket/x.csv"),
        ("sftp://me:SEC@RET/SECRET@host:22/a.csv", "sftp://***@host:22/a.csv"),
        ("https://u:SEC?RET@host/a", "https://host/a"),
    ],
)
def test_an_address_is_shown_without_its_secrets(address: str, shown: str) -> None:
    """Once cleaned it stays as it is; within a sentence the same is taken out."""
    assert without_secrets(address) == shown
    assert without_secrets(shown) == shown
    assert holds_secret(address)
    assert without_secrets(f"'{address}' (at {address}): cannot be read") == f"'{shown}' (at {shown}): cannot be read"


@pytest.mark.parametrize(
    "text",
    [
        "https://host/@me/a@b.jpg",
        "https://medium.example/@me:x@y/a",
        "https://host:8080/a@b.jpg?st=blue&se=north",
        "abfs://container@account/a.csv",
        "s3://bucket/a:b@c.csv",
        "C:/odd:name@x/a.csv",
        "sqlite:////home/u:x@y/ledger.db",
        "postgresql://me@host:5432/name?application_name=a@b",
        "https://x.example/a.xlsx#sheet=Two&encoding=utf-8",
        "line 3: the key 'a' and key=a, design=3, a@b.example",
        "Bearer authentication is needed",
    ],
)
def test_what_holds_no_secret_stays_as_it_is(text: str) -> None:
    """Ordinary words, ports, users and paths are not taken for secrets."""
    assert without_secrets(text) == text
    assert not holds_secret(text)


def test_a_password_is_told_from_a_signature() -> None:
    """An address with a password is refused, a signed link is not."""
    assert holds_credentials("zip://a.csv::https://u:pw@host/x.zip")
    assert holds_credentials("https://u:a b@host/x.csv")
    assert not holds_credentials("https://host/x.csv?X-Amz-Signature=1&user=a:b@c")


def test_an_error_says_nothing_secret() -> None:
    """Neither its message nor its hint nor its text form, here and in another process."""
    error = InputError("https://u:SECRET@h/a?sig=SECRET: gone", hint="try https://h/b?token=SECRET", field="catalog")
    again = pickle.loads(pickle.dumps(error))  # noqa: S301 - our own
    for each in (error, again):
        assert "SECRET" not in f"{each} {each!r} {each.as_json()}"
    assert isinstance(again, SeedreamError)
    assert again.message == "https://h/a: gone"


def test_a_gateways_words_repeat_no_signature() -> None:
    """What it says of a reference goes into ledger and manifest."""
    said = ErrorInfo("bad", "cannot fetch https://b.example/a.jpg?X-Amz-Signature=SECRET.", ErrorClass.TRANSIENT)
    assert said.message == "cannot fetch https://b.example/a.jpg."
