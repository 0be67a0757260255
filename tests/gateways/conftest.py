"""Gateways are spoken to over real connections: the sandbox, or a small server that misbehaves as told."""

import functools
from collections.abc import Iterator

import httpx
import pytest


@pytest.fixture(scope="module", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Every test makes clients of its own; reading the system's certificates for each is most of their time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(httpx, "create_ssl_context", functools.cache(httpx.create_ssl_context))
        yield
