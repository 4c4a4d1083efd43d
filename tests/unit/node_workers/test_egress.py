"""Where a worker connects: the table, the names, the redirects, and how much it reads."""

import asyncio
import gzip
import socket
import ssl
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpcore2
import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agentflow.contracts.errors import BadInput, NodeFailed
from agentflow.node_workers.app import make_runner
from agentflow.node_workers.egress import network
from agentflow.node_workers.egress.network import GuardedBackend, make_client
from agentflow.node_workers.egress.policy import METADATA, EgressPolicy, EgressRefused
from agentflow.node_workers.settings import WorkersSettings
from tests.support.node_calls import failure, node, source
from tests.support.providers.http_server import Connection, HttpServer, Request

REFUSED = [
    "127.0.0.1", "127.255.255.254", "0.0.0.0", "0.1.2.3", "10.0.0.1", "10.255.255.255",
    "172.16.0.1", "172.31.255.255", "192.168.0.1", "100.64.0.1", "100.127.255.254",
    "169.254.0.1", "169.254.169.254", "169.254.170.2", "100.100.100.200", "168.63.129.16",
    "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.88.99.1", "198.18.0.1", "198.19.255.255",
    "198.51.100.7", "203.0.113.9", "224.0.0.1", "239.255.255.255", "240.0.0.1",
    "255.255.255.255", "::", "::1", "::ffff:127.0.0.1", "::ffff:10.0.0.1",
    "::ffff:169.254.169.254", "::127.0.0.1", "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1", "100::1", "2001::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2", "2001:10::1",
    "2001:db8::1", "2002:7f00:1::", "2002:a9fe:a9fe::", "3fff::1", "5f00::1", "fc00::1",
    "fd00::1", "fd00:ec2::254", "fe80::1", "fe80::1%eth0", "fec0::1", "ff02::1", "not an address",
]  # fmt: skip
ALLOWED = [
    "1.1.1.1", "8.8.8.8", "9.255.255.255", "11.0.0.1", "100.63.255.255", "100.128.0.1",
    "172.15.255.255", "172.32.0.1", "192.167.1.1", "192.169.1.1", "198.17.0.1", "223.255.255.255",
    "2606:4700:4700::1111", "2a00:1450:4001:81b::200e", "::ffff:8.8.8.8",
]  # fmt: skip


@pytest.mark.parametrize("address", REFUSED)
def test_addresses_that_are_nobodys_business_are_refused(address: str) -> None:
    assert EgressPolicy().refusal(address) is not None


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are_allowed(address: str) -> None:
    assert EgressPolicy().refusal(address) is None


def test_an_opened_range_opens_itself_and_nothing_else() -> None:
    policy = EgressPolicy(["loopback", "10.20.0.0/16"])
    assert policy.refusal("127.0.0.1") is None
    assert policy.refusal("::1") is None
    assert policy.refusal("::ffff:10.20.3.4") is None
    assert policy.refusal("10.21.0.1") is not None
    assert policy.refusal("192.168.0.1") is not None


@pytest.mark.parametrize("address", sorted(str(a) for a in METADATA))
def test_metadata_services_stay_closed_whatever_is_opened(address: str) -> None:
    assert EgressPolicy(["0.0.0.0/0", "::/0"]).refusal(address) is not None


@pytest.mark.parametrize("entry", ["localhost", "10.0.0.1/8", "x", ""])
def test_a_range_that_cannot_be_read_is_told(entry: str) -> None:
    with pytest.raises(BadInput, match="EGRESS_ALLOW"):
        EgressPolicy([entry])


@given(st.ip_addresses(v=4))
def test_no_mapped_form_gets_what_its_inner_address_does_not(address: Any) -> None:
    policy = EgressPolicy()
    mapped = policy.refusal(f"::ffff:{address}")
    assert (mapped is None) == (policy.refusal(str(address)) is None)


FORBIDDEN_URLS = [
    f"http://{host}{path}"
    for host, path in [
        ("127.0.0.1:{port}", "/"), ("localhost:{port}", "/"), ("127.1:{port}", "/"),
        ("0x7f000001:{port}", "/"), ("2130706433:{port}", "/"), ("0177.0.0.1:{port}", "/"),
        ("[::1]:{port}", "/"), ("[::ffff:127.0.0.1]:{port}", "/"), ("0.0.0.0:{port}", "/"),
        ("[::]:{port}", "/"), ("169.254.169.254", "/latest/meta-data/"), ("10.0.0.1", "/"),
        ("192.168.1.1", "/"), ("172.16.0.1", "/"), ("100.64.0.1", "/"), ("[fe80::1]", "/"),
        ("[fd00:ec2::254]", "/"), ("[64:ff9b::7f00:1]", "/"), ("[2002:7f00:1::]", "/"),
        ("[::127.0.0.1]", "/"), ("ip6-localhost:{port}", "/"), ("LOCALHOST:{port}", "/"),
        ("localhost.:{port}", "/"), ("255.255.255.255", "/"), ("224.0.0.1", "/"),
    ]
]  # fmt: skip


@pytest.fixture
async def victim() -> AsyncIterator[HttpServer]:
    """A service on loopback that nobody outside should reach."""

    async def serve(request: Request, connection: Connection) -> None:
        await connection.answer(200, {"secret": "internal"})

    async with HttpServer(serve) as server:
        yield server


@pytest.mark.parametrize("url", FORBIDDEN_URLS)
async def test_forbidden_urls_are_never_connected_to(
    victim: HttpServer, url: str, clean_environ: None
) -> None:
    closed = make_runner(WorkersSettings(), {})
    place = url.replace("{port}", str(victim.port))
    error = await failure(closed, node("api", timeout=5), source("api", base_url=place))
    assert error.error_code in ("egress_refused", "network", "invalid_request"), error.message
    base = place.rstrip("/") + "/v1"
    model = source("llm", provider="openai", model="m", base_url=base)
    error = await failure(closed, node("llm", prompt="x"), model)
    assert error.error_code in ("egress_refused", "network", "invalid_request"), error.message
    assert victim.connections == 0
    await closed.aclose()


async def test_the_same_service_is_reached_where_loopback_is_open(victim: HttpServer) -> None:
    """The negative control of the table above."""
    from tests.support.node_calls import run

    opened = make_runner(WorkersSettings(egress_allow=("loopback",)), {})
    result = await run(opened, node("api"), source("api", base_url=victim.url))
    assert result.output == {"secret": "internal"}
    await opened.aclose()


@pytest.mark.parametrize("scheme", ["file:///etc/passwd", "gopher://x/", "ftp://x/", "//x/", ""])
async def test_only_http_and_https_are_spoken(scheme: str, clean_environ: None) -> None:
    closed = make_runner(WorkersSettings(), {})
    error = await failure(closed, node("api"), source("api", base_url=scheme))
    assert error.error_code == "invalid_request"
    await closed.aclose()


class Names:
    """Answers of a resolver that changes its mind."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, *answers: list[str]) -> None:
        self.answers = list(answers)
        self.asked = 0
        loop = asyncio.get_running_loop()
        monkeypatch.setattr(loop, "getaddrinfo", self.getaddrinfo)

    async def getaddrinfo(self, _host: str, port: int, **_: Any) -> list[Any]:
        self.asked += 1
        found = self.answers[min(self.asked, len(self.answers)) - 1]
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (address, port)) for address in found]


async def test_every_address_of_a_name_is_checked(monkeypatch: pytest.MonkeyPatch) -> None:
    Names(monkeypatch, ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(EgressRefused, match=r"127\.0\.0\.1"):
        await GuardedBackend(EgressPolicy()).connect_tcp("rebind.example", 80)


async def test_a_name_is_resolved_once_and_the_checked_address_is_connected_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The second answer of the resolver, loopback, is never asked for."""
    names = Names(monkeypatch, ["93.184.216.34"], ["127.0.0.1"])
    connected: list[str] = []

    async def connect(self: Any, host: str, port: int, *_: Any) -> None:
        connected.append(host)
        raise httpcore2.ConnectError("not really")

    monkeypatch.setattr(httpcore2.AnyIOBackend, "connect_tcp", connect)
    with pytest.raises(httpcore2.ConnectError):
        await GuardedBackend(EgressPolicy()).connect_tcp("rebind.example", 80)
    assert (connected, names.asked) == (["93.184.216.34"], 1)


async def test_unix_sockets_are_not_for_nodes() -> None:
    with pytest.raises(EgressRefused):
        await GuardedBackend(EgressPolicy(["loopback"])).connect_unix_socket("/run/docker.sock")


async def test_a_redirect_to_a_forbidden_place_is_not_followed(
    victim: HttpServer, clean_environ: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first server is on 127.0.0.1, which is opened; the redirect goes to 127.0.0.2."""
    targets = ["http://127.0.0.2:{port}/", "http://[::ffff:127.0.0.2]:{port}/"]
    opened = make_runner(WorkersSettings(egress_allow=("127.0.0.1/32",)), {})
    for target in targets:

        async def redirect(request: Request, connection: Connection, to: str = target) -> None:
            await connection.answer(302, location=to.replace("{port}", str(victim.port)))

        async with HttpServer(redirect) as front:
            error = await failure(opened, node("api"), source("api", base_url=front.url))
        assert error.error_code == "egress_refused"
    for target in ("file:///etc/passwd", "ftp://x/", "http://u:p@127.0.0.1/"):

        async def elsewhere(request: Request, connection: Connection, to: str = target) -> None:
            await connection.answer(302, location=to)

        async with HttpServer(elsewhere) as front:
            error = await failure(opened, node("api"), source("api", base_url=front.url))
        assert error.error_code == "egress_refused"
    assert victim.connections == 0
    await opened.aclose()


LIMIT = 1_000_000


async def fetch(server: HttpServer) -> bytes:
    client = make_client(
        EgressPolicy(["loopback"]),
        ssl.create_default_context(),
        max_body_bytes=LIMIT,
        timeout=5,
    )
    async with client:
        response = await client.get(server.url)
        return response.content


@pytest.mark.parametrize("encoding", ["identity", "gzip", "deflate"])
@pytest.mark.parametrize("size", [0, 10, LIMIT, LIMIT + 1, 50 * LIMIT])
async def test_bodies_are_read_up_to_the_cap_after_decompression(encoding: str, size: int) -> None:
    body = b"a" * size
    packed = {"gzip": gzip.compress(body), "deflate": zlib.compress(body)}.get(encoding, body)

    async def serve(request: Request, connection: Connection) -> None:
        await connection.answer(200, packed, content_encoding=encoding)

    async with HttpServer(serve) as server:
        if size <= LIMIT:
            assert await fetch(server) == body
        else:
            with pytest.raises(NodeFailed) as failed:
                await fetch(server)
            assert failed.value.error_code == "payload_too_large"


@pytest.mark.parametrize(
    ("packed", "encoding"), [(b"junk", "gzip"), (b"x", "br"), (b"x", "zstd"), (b"x", "gzip, gzip")]
)
async def test_compression_nobody_asked_for_or_that_is_broken_is_bad_output(
    packed: bytes, encoding: str
) -> None:
    async def serve(request: Request, connection: Connection) -> None:
        await connection.answer(200, packed, content_encoding=encoding)

    async with HttpServer(serve) as server:
        with pytest.raises(NodeFailed) as failed:
            await fetch(server)
        assert failed.value.error_code == "bad_output"


async def test_an_unresolvable_name_is_a_connect_error() -> None:
    with pytest.raises(httpcore2.ConnectError):
        await network.resolve("no-such-host.invalid", 80, 10)
    assert issubclass(httpx2.ConnectError, httpx2.HTTPError)
