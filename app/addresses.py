"""Addresses as a server is told them, read in one way."""

from __future__ import annotations

import ipaddress

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def address_of(text: str) -> Address | None:
    """The address without its zone, one of IPv4 within IPv6 as what it is; None: it is none."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    return getattr(found, "ipv4_mapped", None) or found


def is_loopback(host: str) -> bool:
    """Whether an address can be reached from this machine only. Names other than localhost
    and UNIX sockets (which serve a proxy) are not taken for one."""
    address = address_of(host)
    return host == "localhost" or (address is not None and address.is_loopback)
