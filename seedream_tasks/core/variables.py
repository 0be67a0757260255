"""The environment variables of this project, each in a line; docs/gateways.md says more of them."""

import difflib
from collections.abc import Iterable

from .market import market

PREFIX = "SEEDREAM_"
_OF_NO_GATEWAY = {
    "SEEDREAM_ARCHIVE": "default of --archive",
    "SEEDREAM_LEDGER": "default of --ledger",
    "SEEDREAM_PRICES": "default of --prices",
    "SEEDREAM_ALLOW_HOSTS": "hosts with private addresses that references and results may come from",
    "SEEDREAM_PROXY": "HTTP proxy to gateways and their links",
    "SEEDREAM_REFERENCE_ROOTS": "further folders that references may come from",
    "SEEDREAM_UPLOADS": "where prefect.yaml's watch-uploads looks for catalogs; read when it is deployed",
    "SEEDREAM_UPLOAD_SECRET": "lets senders of upload notices in",
    "SEEDREAM_CALLBACK_URL": "public base of `seedream serve`",
    "SEEDREAM_POLLING": "off: callbacks only",
    "SEEDREAM_VERIFY": "full or header",
    "SEEDREAM_IN_FLIGHT": "most attempts in flight per account",
    "SEEDREAM_SUBMITS_PER_MINUTE": "pacing per account",
    "SEEDREAM_POLLS_PER_SECOND": "status requests per account",
    "SEEDREAM_DEBUG": "unexpected errors show where they came from",
}


def known_variables() -> dict[str, str]:
    """Every variable's name, and what it is."""
    gateways = (*market().gateways, *market().broken)
    return {
        **{f"SEEDREAM_{gateway.upper()}_API_KEY": f"the key of {gateway}" for gateway in gateways},
        **{f"SEEDREAM_{gateway.upper()}_BASE_URL": f"where the API of {gateway} is" for gateway in gateways},
        **_OF_NO_GATEWAY,
    }


def unknown_variables(names: Iterable[str]) -> list[str]:
    """A line for each variable that looks like ours and is not, with the nearest that is."""
    known, said = known_variables(), []
    for name in sorted(names):
        if not name.upper().startswith(PREFIX) or name in known:
            continue
        close = (
            name.upper()
            if name.upper() in known
            else next(iter(difflib.get_close_matches(name.upper(), known, 1)), None)
        )
        said.append(f"{name} is not a setting and is ignored" + (f"; did you mean {close}?" if close else ""))
    return said
