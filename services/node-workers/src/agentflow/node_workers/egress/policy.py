"""Which addresses a worker may connect to. The table is ours: `is_global` alone is wrong.

Refused: every address that is not public unicast, addresses that wrap another one (mapped,
NAT64, 6to4, Teredo), and cloud metadata services. Operators open named ranges; metadata
services stay closed whatever they open.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache
from ipaddress import (
    IPv4Address,
    IPv4Network,
    IPv6Address,
    IPv6Network,
    ip_address,
    ip_network,
)
from typing import Final

from agentflow.contracts.errors import BadInput, NodeFailed

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

DENIED_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this network
        "10.0.0.0/8",
        "100.64.0.0/10",  # carrier-grade NAT
        "127.0.0.0/8",
        "169.254.0.0/16",
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",  # 6to4 relays
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",  # benchmarks
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",
        "240.0.0.0/4",
    )
)
GLOBAL_V6: Final = IPv6Network("2000::/3")
DENIED_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # Teredo, ORCHID and other protocol assignments
        "2001:db8::/32",
        "2002::/16",  # 6to4
        "2620:4f:8000::/48",
        "3fff::/20",  # documentation
        "3ffe::/16",  # the old 6bone
    )
)
METADATA: Final[frozenset[Address]] = frozenset(
    ip_address(text)
    for text in (
        "169.254.169.254",
        "169.254.170.2",
        "169.254.170.23",
        "100.100.100.200",
        "168.63.129.16",  # a public address that only answers inside Azure
        "192.0.0.192",
        "fd00:ec2::254",
        "fd00:ec2::23",
        "fd20:ce::254",
    )
)
LOOPBACK: Final = "loopback"
_LOOPBACK_RANGES = ("127.0.0.0/8", "::1/128")


class EgressRefused(NodeFailed):
    """The address may not be connected to."""

    def __init__(self, host: str, why: str, hint: str | None = None) -> None:
        super().__init__(
            "egress_refused", f"Connecting to {host!r} is not allowed: {why}.", hint=hint
        )


class EgressPolicy:
    """The table with what the operator opened."""

    def __init__(self, allow: Iterable[str] = ()) -> None:
        """`allow`: CIDR ranges, or `loopback`; raises BadInput for anything else."""
        self._open = tuple(_networks(allow))
        self._judge = lru_cache(maxsize=4096)(self._refusal)

    def refusal(self, address: str) -> str | None:
        """Why `address` (an IP address in text) is refused; None when it is allowed."""
        return self._judge(address)

    def check(self, host: str, addresses: Sequence[str]) -> None:
        """Raise EgressRefused unless every address that `host` resolves to is allowed."""
        if not addresses:
            raise EgressRefused(host, "it has no address")
        for address in addresses:
            if (why := self.refusal(address)) is not None:
                raise EgressRefused(
                    host,
                    f"it resolves to {address}, {why}",
                    hint="An operator can open a range with AGENTFLOW_WORKERS_EGRESS_ALLOW.",
                )

    def _refusal(self, text: str) -> str | None:
        try:
            address = ip_address(text.partition("%")[0])
        except ValueError:
            return "which is not an IP address"
        inner = address.ipv4_mapped if isinstance(address, IPv6Address) else None
        if inner is not None:
            address = inner
        if address in METADATA:
            return "a cloud metadata service"
        if any(address in network for network in self._open):
            return None
        if isinstance(address, IPv4Address):
            denied = any(address in network for network in DENIED_V4)
        else:
            denied = address not in GLOBAL_V6 or any(address in net for net in DENIED_V6)
        return "which is not a public address" if denied else None


def _networks(allow: Iterable[str]) -> Iterable[Network]:
    for entry in allow:
        if entry == LOOPBACK:
            yield from (ip_network(text) for text in _LOOPBACK_RANGES)
            continue
        try:
            yield ip_network(entry)
        except ValueError as error:
            raise BadInput(
                f"AGENTFLOW_WORKERS_EGRESS_ALLOW holds {entry!r}: {error}.",
                hint="Give CIDR ranges such as 10.20.0.0/16, or the word loopback.",
            ) from None
