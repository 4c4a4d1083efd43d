"""One request and its answer, redirects included.

Reading requests follow up to five redirects, each a new guarded connection; at another
address they go without anything private. A redirect never leads from https to http. The
answer's size is capped while it is read.
"""

from typing import Final

import httpx2

from agentflow.contracts.errors import NodeFailed
from agentflow.node_workers.api.request import ApiRequest
from agentflow.node_workers.endpoint import same_place

MAX_REDIRECTS: Final = 5
_FOLLOWED: Final = frozenset({301, 302, 303, 307, 308})


async def exchange(client: httpx2.AsyncClient, request: ApiRequest) -> httpx2.Response:
    """The final answer with its body read; raises NodeFailed."""
    url = request.url
    try:
        for _ in range(MAX_REDIRECTS + 1):
            response = await _send(client, request, url)
            following = _redirect(request, response)
            if following is None:
                return response
            url = following
    except httpx2.TimeoutException:
        raise NodeFailed("timeout", f"{url.host} did not answer in time.", retryable=True) from None
    except httpx2.InvalidURL:
        raise NodeFailed("bad_output", f"{url.host} redirects to what is no URL.") from None
    except httpx2.HTTPError as error:
        raise NodeFailed(
            "network",
            f"The connection to {url.host} failed or was cut ({type(error).__name__}).",
            retryable=True,
        ) from None
    raise NodeFailed("bad_output", f"{request.url.host} redirects more than {MAX_REDIRECTS} times.")


async def _send(
    client: httpx2.AsyncClient, request: ApiRequest, url: httpx2.URL
) -> httpx2.Response:
    headers = dict(request.headers)
    if same_place(url, request.url):
        headers |= request.private
    return await client.request(request.method, url, headers=headers, content=request.content)


def _redirect(request: ApiRequest, response: httpx2.Response) -> httpx2.URL | None:
    """Where to go on; None when this is the answer."""
    if response.status_code not in _FOLLOWED or request.method not in ("GET", "HEAD"):
        return None
    location = response.headers.get("location")
    if not location:
        return None
    target = response.url.join(location)
    if target.scheme not in ("http", "https") or not target.host or target.userinfo:
        raise NodeFailed("egress_refused", f"{response.url.host} redirects to a foreign scheme.")
    if response.url.scheme == "https" and target.scheme == "http":
        raise NodeFailed(
            "egress_refused", f"{response.url.host} redirects from https to plain http."
        )
    return target
