"""Who may call, and whom to call: written in a line each, as an administrator sets them."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Literal
from urllib.parse import unquote, urlsplit

from app.addresses import address_of
from app.settings import _parts

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,31}")
# PS3.5 §6.2, AE: up to 16 characters without backslash and control characters.
_AE_TITLE = re.compile(r"[\x21-\x5b\x5d-\x7e](?:[\x20-\x5b\x5d-\x7e]{0,14}[\x21-\x5b\x5d-\x7e])?")
DICOM_PORT = 104
DICOM_TLS_PORT = 2762


def ae_title(text: str) -> str:
    """An application entity title (PS3.5 §6.2).

    Raises:
        ValueError: it is empty, too long or holds forbidden characters.
    """
    if not _AE_TITLE.fullmatch(text):
        raise ValueError("an AE title has 1 to 16 printable characters, no backslash")
    return text


@dataclass(frozen=True)
class Caller:
    """A calling AE title together with the addresses that it may come from."""

    ae_title: str
    network: ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True)
class Callers:
    """All that may open an association."""

    allowed: tuple[Caller, ...] = ()

    def knows_address(self, address: str) -> bool:
        """Whether any caller may come from the address."""
        found = address_of(address)
        return any(found is not None and found in caller.network for caller in self.allowed)

    def knows(self, title: str, address: str) -> bool:
        """Whether a caller of this title may come from this address."""
        own = tuple(caller for caller in self.allowed if caller.ae_title == title)
        return Callers(own).knows_address(address)


def read_callers(text: str) -> Callers:
    """``CR1=10.1.2.3,ORTHANC=10.1.0.0/16`` → the callers.

    Raises:
        ValueError: a part is not ``TITLE=ADDRESS`` or ``TITLE=NETWORK``.
    """
    found = []
    for part in _parts(text):
        title, sign, network = part.rpartition("=")
        if not sign:
            raise ValueError(f"{part!r} is not TITLE=ADDRESS or TITLE=NETWORK")
        found.append(Caller(ae_title(title), ipaddress.ip_network(network)))
    return Callers(tuple(found))


@dataclass(frozen=True)
class Peer:
    """A DICOM node or DICOMweb server that is called.

    Attributes:
        name: how logs, metrics and the page call it.
        kind: ``dicom`` (an AE title at host and port) or ``dicomweb`` (an address).
        url: of the DICOMweb service, without credentials.
    """

    name: str
    kind: Literal["dicom", "dicomweb"]
    ae_title: str = ""
    host: str = ""
    port: int = 0
    tls: bool = False
    url: str = ""
    username: str = ""
    password: str = field(default="", repr=False)


def read_peer(name: str, url: str) -> Peer:
    """``dicom://TITLE@host:port``, ``dicom+tls://…`` or ``https://[user:password@]host/path``.

    Raises:
        ValueError: the name or the address is none; the message never quotes the address,
            which may hold a password.
    """
    if not _NAME.fullmatch(name):  # unquoted: a password with a comma in it is cut there
        raise ValueError("a name has lower-case letters, digits, - and _")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:  # its words quote what it takes for the host or the port
        raise ValueError(
            f"the address of {name} cannot be read; in a user's name or password "
            "/ ? # @ : and , are written as %2F %3F %23 %40 %3A and %2C"
        ) from None
    if not parts.hostname:
        raise ValueError(f"the address of {name} names no host")
    if parts.scheme in ("dicom", "dicom+tls"):
        tls = parts.scheme.endswith("+tls")
        return Peer(
            name,
            "dicom",
            ae_title=ae_title(unquote(parts.username or "")),
            host=parts.hostname,
            port=port or (DICOM_TLS_PORT if tls else DICOM_PORT),
            tls=tls,
        )
    if parts.scheme in ("http", "https"):
        at = f":{port}" if port else ""
        host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
        return Peer(
            name,
            "dicomweb",
            url=f"{parts.scheme}://{host}{at}{parts.path.rstrip('/')}",
            username=unquote(parts.username or ""),
            password=unquote(parts.password or ""),
        )
    raise ValueError(f"the address of {name} is not dicom://, dicom+tls://, http:// or https://")


def read_peers(text: str) -> tuple[Peer, ...]:
    """``archive=dicom://PACS@10.0.0.5,vna=https://host/dicom-web`` → the peers.

    Raises:
        ValueError: a part is not ``NAME=ADDRESS``, or a name comes twice.
    """
    found: list[Peer] = []
    for part in _parts(text):
        name, sign, url = part.partition("=")
        if not sign:
            raise ValueError("each part must be NAME=ADDRESS")
        if name in {peer.name for peer in found}:
            raise ValueError(f"the name {name!r} comes twice")
        found.append(read_peer(name, url))
    return tuple(found)
