"""Settings of the DICOM node: ``XRAY_PACS_*``, read once from the environment.

Like ``app/settings.py``: each with a default and a line that docs/configuration.md repeats.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from app.pacs.peers import Callers, Peer, ae_title, read_callers, read_peer, read_peers
from app.settings import (
    EnvironmentSettings,
    SettingsError,
    _not_negative,
    _parts,
    _port,
    _positive,
    _setting,
)

RESULTS = ("report", "capture", "presentation")
#: Stands in a list of body parts or views for "the file does not say".
MISSING = "MISSING"
_DAY_SECONDS = 86_400
#: Peers may count on the first, as DCMTK's do; each association may take memory for the second.
_PDU_BYTES = (4096, 2**24)


def _seconds(text: str) -> float:
    number = float(text)
    if not 0 < number < _DAY_SECONDS:
        raise ValueError(f"must be a number of seconds, more than 0 and less than {_DAY_SECONDS}")
    return number


def _pdu(text: str) -> int:
    least, most = _PDU_BYTES
    number = int(text)
    if not least <= number <= most:
        raise ValueError(f"must be a number of bytes, {least} to {most}")
    return number


def _words(text: str) -> tuple[str, ...]:
    return tuple(map(str.upper, _parts(text)))


def _results(text: str) -> tuple[str, ...]:
    chosen = set(map(str.lower, _parts(text)))
    if not chosen or chosen - set(RESULTS):
        raise ValueError(f"must be some of {', '.join(RESULTS)}")
    return tuple(kind for kind in RESULTS if kind in chosen)


def _source(text: str) -> Peer:
    return read_peer("source", text)


@dataclass(frozen=True)
class PacsSettings(EnvironmentSettings):
    """What an administrator may choose about the DICOM node."""

    spool: Path | None = _setting(
        "XRAY_PACS_SPOOL",
        None,
        "Folder of the DICOM node's spool and queue; readable by its owner only. Without it "
        "there is no node and no page `/pacs`.",
        Path,
    )
    title: str = _setting("XRAY_PACS_AE_TITLE", "XRAY", "AE title of the node.", ae_title)
    host: str = _setting("XRAY_PACS_HOST", "127.0.0.1", "Address that the node listens on.")
    port: int = _setting("XRAY_PACS_PORT", 11112, "Port that the node listens on.", _port)
    callers: Callers = _setting(
        "XRAY_PACS_CALLERS",
        Callers(),
        "Who may send: `TITLE=ADDRESS` or `TITLE=NETWORK`, separated by commas, such as "
        "`CR1=10.1.2.3,PACS=10.1.0.0/16`. All others are rejected.",
        read_callers,
        shown="unset",
    )
    max_associations: int = _setting(
        "XRAY_PACS_MAX_ASSOCIATIONS",
        16,
        "Associations served at the same time; further ones are rejected as transient.",
        _positive,
    )
    max_pdu: int = _setting(
        "XRAY_PACS_MAX_PDU",
        131_072,
        "Largest protocol data unit received, in bytes: 4096 to 16777216.",
        _pdu,
    )
    acse_timeout: float = _setting(
        "XRAY_PACS_ACSE_TIMEOUT",
        10.0,
        "Seconds that opening or closing an association may take.",
        _seconds,
    )
    dimse_timeout: float = _setting(
        "XRAY_PACS_DIMSE_TIMEOUT", 30.0, "Seconds to wait for a message's answer.", _seconds
    )
    network_timeout: float = _setting(
        "XRAY_PACS_NETWORK_TIMEOUT",
        60.0,
        "Seconds after which an association without traffic is ended.",
        _seconds,
    )
    tls_certificate: Path | None = _setting(
        "XRAY_PACS_TLS_CERTIFICATE",
        None,
        "PEM file with the node's certificate chain: the node then takes DICOM TLS only, and "
        "shows it to destinations.",
        Path,
    )
    tls_key: Path | None = _setting(
        "XRAY_PACS_TLS_KEY", None, "PEM file with the certificate's key.", Path
    )
    tls_authorities: Path | None = _setting(
        "XRAY_PACS_TLS_AUTHORITIES",
        None,
        "PEM file with the authorities that sign the peers' certificates: callers must then "
        "show one of theirs. Without it callers need none, and destinations are checked "
        "against the system's authorities.",
        Path,
    )
    max_object_bytes: int = _setting(
        "XRAY_PACS_MAX_OBJECT_BYTES",
        128 * 2**20,
        "Largest object received, in bytes; a larger one is refused.",
        _positive,
    )
    min_free_bytes: int = _setting(
        "XRAY_PACS_MIN_FREE_BYTES",
        2**30,
        "Space that stays free on the spool's disk: below it objects are refused with Out of "
        "Resources.",
        _not_negative,
    )
    retention_seconds: int = _setting(
        "XRAY_PACS_RETENTION_SECONDS",
        0,
        "How long a film and its results stay in the spool after the last delivery.",
        _not_negative,
    )
    history_days: int = _setting(
        "XRAY_PACS_HISTORY_DAYS",
        30,
        "How long the queue remembers what was read, without identity: a film that comes again "
        "within that time is not read again.",
        _positive,
    )
    readers: int = _setting(
        "XRAY_PACS_READERS",
        1,
        "Processes that read, each one film at a time and with the models for itself.",
        _positive,
    )
    modalities: tuple[str, ...] = _setting(
        "XRAY_PACS_MODALITIES", ("CR", "DX"), "Modalities that are read.", _words
    )
    body_parts: tuple[str, ...] = _setting(
        "XRAY_PACS_BODY_PARTS",
        ("CHEST", "THORAX", "LUNG", MISSING),
        "Words of which the body part must hold one; `MISSING` takes films that name none.",
        _words,
    )
    views: tuple[str, ...] = _setting(
        "XRAY_PACS_VIEWS",
        ("PA", "AP", MISSING),
        "View positions that are read; `MISSING` takes films that name none.",
        _words,
    )
    child_bundle: str = _setting(
        "XRAY_PACS_CHILD_BUNDLE",
        "",
        "Bundle that reads children (under 18); by default the one made for them.",
    )
    adult_bundle: str = _setting(
        "XRAY_PACS_ADULT_BUNDLE",
        "",
        "Bundle that reads adults; by default the one made for them.",
    )
    ageless_bundle: str = _setting(
        "XRAY_PACS_AGELESS_BUNDLE",
        "",
        "Bundle that reads a film which says neither age nor date of birth; by default it is "
        "not read, and a report says why.",
    )
    results: tuple[str, ...] = _setting(
        "XRAY_PACS_RESULTS",
        RESULTS,
        "Objects that go back: some of `report`, `capture`, `presentation`.",
        _results,
    )
    destinations: tuple[Peer, ...] = _setting(
        "XRAY_PACS_DESTINATIONS",
        (),
        "Where results go: `NAME=ADDRESS`, separated by commas; an address is "
        "`dicom://TITLE@host:port`, `dicom+tls://TITLE@host:port` or, for STOW-RS, "
        "`https://user:password@host/path`.",
        read_peers,
        secret=True,
    )
    source: Peer | None = _setting(
        "XRAY_PACS_SOURCE",
        None,
        "Where `flask pacs-pull` looks for studies: an address as for the destinations.",
        _source,
        secret=True,
    )
    retry_seconds: float = _setting(
        "XRAY_PACS_RETRY_SECONDS",
        5.0,
        "Wait before the second attempt of a delivery; it doubles with every further one, up "
        "to an hour.",
        _seconds,
    )
    max_attempts: int = _setting(
        "XRAY_PACS_MAX_ATTEMPTS",
        20,
        "Attempts of a delivery before it is put aside as a dead letter (20 take about ten hours).",
        _positive,
    )
    metrics_port: int = _setting(
        "XRAY_PACS_METRICS_PORT",
        9112,
        "Port, on `XRAY_PACS_METRICS_HOST`, where the node answers `/metrics`; 0: nowhere.",
        _port,
    )
    metrics_host: str = _setting(
        "XRAY_PACS_METRICS_HOST", "127.0.0.1", "Address of the node's metrics."
    )

    @property
    def destination_names(self) -> list[str]:
        """Names of the destinations, in their order."""
        return [peer.name for peer in self.destinations]

    def check_node(self) -> Path:
        """The spool, if these settings are enough to run a node.

        Raises:
            SettingsError: one is missing that a node cannot do without; names it.
        """
        if self.spool is None:
            raise SettingsError("XRAY_PACS_SPOOL must name the folder of the node's spool.")
        if not self.callers.allowed:
            raise SettingsError("XRAY_PACS_CALLERS is empty: nobody could send anything.")
        if not self.destinations:
            raise SettingsError("XRAY_PACS_DESTINATIONS is empty: results could go nowhere.")
        if (self.tls_certificate is None) != (self.tls_key is None):
            raise SettingsError(
                "XRAY_PACS_TLS_CERTIFICATE and XRAY_PACS_TLS_KEY must be set together."
            )
        return self.spool
