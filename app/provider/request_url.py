"""Which server a request of the SDK goes to: one host per product and region at Twilio, or one server for all."""

from urllib.parse import urlsplit

import aiohttp

TWILIO = ".twilio.com"


def address(base: str, uri: str) -> str:
    """Where a request goes: a path, or a URL of the SDK's (one host per product), on the server `base`, or that product
    in the same region. Raises aiohttp.InvalidURL for any other server: credentials go nowhere else."""
    if uri.startswith((f"{base}/", "/")):
        return base + uri.removeprefix(base)
    host, path = (urlsplit(uri).hostname or ""), urlsplit(uri)._replace(scheme="", netloc="").geturl()
    if not host.endswith(TWILIO):
        raise aiohttp.InvalidURL("another server")
    product = f"://{host.partition('.')[0]}."
    return (base.replace("://api.", product, 1) if (urlsplit(base).hostname or "").endswith(TWILIO) else base) + path
