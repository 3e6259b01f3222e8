"""requests: an adapter to mount; `verify=False` and `verify='file'` have no effect on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import requests
from requests.adapters import HTTPAdapter

from troth.adapters.urllib3 import PoolManager, ProxyManager

if TYPE_CHECKING:
    from troth.tls.context import Context


class Adapter(HTTPAdapter):
    """Mount it for `https://`: every host, redirects included, is then held against the store.

    Args:
        context: Whose trust it is.
        options: What `requests.adapters.HTTPAdapter` takes.
    """

    def __init__(self, context: Context, **options: Any):
        self._trust = context
        super().__init__(**options)

    def init_poolmanager(self, connections: int, maxsize: int, block: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002
        """Make the pools (requests calls this)."""
        self.poolmanager = PoolManager(self._trust, num_pools=connections, maxsize=maxsize, block=block, **options)

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        """Make the pools behind a proxy (requests calls this)."""
        if proxy.lower().startswith("socks"):
            from troth.errors import BadInput

            raise BadInput("This adapter goes through HTTP proxies only.", why=f"the proxy is {proxy.split(':')[0]}")
        if proxy not in self.proxy_manager:
            self.proxy_manager[proxy] = ProxyManager(
                proxy,
                self._trust,
                proxy_headers=self.proxy_headers(proxy),
                **options,
            )
        return self.proxy_manager[proxy]


def session(context: Context) -> requests.Session:
    """Make a session that speaks HTTPS by the store's trust, and no plain HTTP."""
    made = requests.Session()
    made.mount("https://", Adapter(context))
    made.adapters.pop("http://")
    return made
