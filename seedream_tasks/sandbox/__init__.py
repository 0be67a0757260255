"""The stand-in for the gateways: same HTTP contract, real images, its own bill.

`run_sandbox` serves the stand-ins of all gateways under one address, refuses what their documents refuse, finishes
tasks by a clock that tests can move, and keeps a bill of what it was really asked for. It shares no rule, table or
price with the rest of the package on purpose: a mistake there must not be able to hide behind the same mistake here.
"""

from seedream_tasks.sandbox.config import SandboxConfig
from seedream_tasks.sandbox.prices import price_list, price_list_yaml

__all__ = ["SandboxConfig", "price_list", "price_list_yaml", "run_sandbox"]


def run_sandbox(config: SandboxConfig) -> int:
    """Serve until SIGINT or SIGTERM; returns the exit status.

    The first line on stdout, once connections are taken, is JSON `{"url", "gateways": {name: base}}`. 0: ended by a
    signal or by the end of stdin; 1: the port or the state file is in use; 2: the configuration is wrong.
    """
    # The HTTP server takes a fifth of a second to import; who only wants help does not wait for it.
    from seedream_tasks.sandbox.server import serve

    return serve(config)
