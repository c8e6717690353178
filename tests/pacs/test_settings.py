"""Who may call and whom to call, as an administrator writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.pacs.peers import read_callers, read_peer, read_peers
from app.pacs.settings import PacsSettings
from app.settings import SettingsError

WHOLE = {
    "XRAY_PACS_SPOOL": "/var/spool/xray",
    "XRAY_PACS_CALLERS": "CR1=10.0.0.7",
    "XRAY_PACS_DESTINATIONS": "archive=dicom://PACS@10.0.0.9:104",
}


def test_callers_are_known_by_title_and_address_together() -> None:
    callers = read_callers("CR1=10.0.0.7, PACS ONE=10.1.0.0/16, V6=fd00::/8")
    assert callers.knows("CR1", "10.0.0.7")
    assert callers.knows("PACS ONE", "10.1.200.3")
    assert callers.knows("V6", "fd00::1")
    assert callers.knows("CR1", "::ffff:10.0.0.7")
    assert not callers.knows("CR1", "10.1.200.3")
    assert not callers.knows("cr1", "10.0.0.7")
    assert callers.knows_address("10.1.0.1")
    assert not callers.knows_address("10.2.0.1")
    assert not callers.knows_address("nonsense")


@pytest.mark.parametrize("text", ["CR1", "=10.0.0.1", "CR1=hospital", "A" * 17 + "=10.0.0.1"])
def test_a_caller_that_cannot_be_used_stops_the_start(text: str) -> None:
    with pytest.raises(SettingsError, match="XRAY_PACS_CALLERS"):
        PacsSettings.from_environment({"XRAY_PACS_CALLERS": text})


def test_destinations_of_both_kinds() -> None:
    dicom, tls, web = read_peers(
        "archive=dicom://PACS@10.0.0.9:4242,safe=dicom+tls://VNA@vna.example,"
        "web=https://node:pa%3Ass@host.example:8443/dicom-web/"
    )
    assert (dicom.kind, dicom.ae_title, dicom.host, dicom.port) == (
        "dicom",
        "PACS",
        "10.0.0.9",
        4242,
    )
    assert tls.tls
    assert tls.port == 2762
    assert (web.kind, web.url) == ("dicomweb", "https://host.example:8443/dicom-web")
    assert (web.username, web.password) == ("node", "pa:ss")
    assert "pa:ss" not in repr(web)


@pytest.mark.parametrize(
    "text",
    ["dicom://PACS@host", "a=ftp://host", "a=dicom://host:104", "a=dicom://P@h,a=dicom://P@h"],
)
def test_a_destination_that_cannot_be_used_stops_the_start_unquoted(text: str) -> None:
    with pytest.raises(SettingsError) as caught:
        PacsSettings.from_environment({"XRAY_PACS_DESTINATIONS": text + ",x=https://u:secret@/"})
    assert "XRAY_PACS_DESTINATIONS" in str(caught.value)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["Sec/ret", "Sec?ret", "Sec#ret", "Sec[ret", "Sec,Ret=x", "Sec℀ret"]
)
def test_a_password_that_is_not_written_as_an_address_wants_it_is_not_quoted(
    password: str,
) -> None:
    text = f"vna=https://user:{password}@host/x"
    with pytest.raises(SettingsError, match="XRAY_PACS_DESTINATIONS cannot be used") as caught:
        PacsSettings.from_environment({"XRAY_PACS_DESTINATIONS": text})
    for piece in ("Sec", "ret", "Ret"):
        assert piece not in str(caught.value)


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("XRAY_PACS_DIMSE_TIMEOUT", "90000", "less than 86400"),
        ("XRAY_PACS_DIMSE_TIMEOUT", "0", "more than 0"),
        ("XRAY_PACS_MAX_PDU", "99999999999", "4096 to 16777216"),
        ("XRAY_PACS_MAX_PDU", "1", "4096 to 16777216"),
        ("XRAY_PACS_READERS", "0", "1 or more"),
        ("XRAY_PACS_MIN_FREE_BYTES", "-1", "0 or more"),
    ],
)
def test_a_number_out_of_its_bounds_is_told_them(variable: str, value: str, words: str) -> None:
    with pytest.raises(SettingsError, match=f"{variable}.*{words}"):
        PacsSettings.from_environment({variable: value})


@pytest.mark.parametrize("missing", sorted(WHOLE))
def test_a_node_says_what_it_cannot_do_without(missing: str) -> None:
    assert PacsSettings.from_environment(WHOLE).check_node() == Path("/var/spool/xray")
    rest = {name: value for name, value in WHOLE.items() if name != missing}
    with pytest.raises(SettingsError, match=missing):
        PacsSettings.from_environment(rest).check_node()


def test_results_can_be_chosen_and_nonsense_cannot() -> None:
    chosen = PacsSettings.from_environment({"XRAY_PACS_RESULTS": "Presentation, report"})
    assert chosen.results == ("report", "presentation")
    for text in ("picture", ","):
        with pytest.raises(SettingsError, match="XRAY_PACS_RESULTS"):
            PacsSettings.from_environment({"XRAY_PACS_RESULTS": text})


def test_a_peer_shows_no_password() -> None:
    assert "hush" not in repr(read_peer("web", "https://u:hush@host/x"))
