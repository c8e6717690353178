"""Who can reach the service, and whether anybody decided so.

On the loopback it is open, because only this machine can ask. On any other address it does
not start until there are API keys, or somebody has said that it shall be open to all.
"""

from __future__ import annotations

from collections.abc import Iterable

from app.access.keys import KeyFile, KeyFileError
from app.addresses import is_loopback
from app.settings import Settings, SettingsError

_WHAT_TO_DO = (
    "Either make keys (XRAY_API_KEYS_FILE=/some/folder/api-keys flask api-key create NAME) and "
    "start with the same XRAY_API_KEYS_FILE, or say with XRAY_ALLOW_ANONYMOUS=1 that everybody "
    "who can reach the address may read radiographs."
)


def open_to_all(settings: Settings) -> bool:
    """Whether, without keys, everybody may ask whose request gets here.

    Because somebody said so, or because the proxy in front listens on the loopback alone.
    """
    return settings.allow_anonymous or is_loopback(settings.published_on)


def only_this_machine(settings: Settings) -> bool:
    """Whether the service is open because only this machine can ask: nobody has decided more."""
    return settings.api_keys_file is None and not open_to_all(settings)


def check_settings(settings: Settings) -> None:
    """What can be said before any address is known.

    Raises:
        SettingsError: the settings contradict each other, or there is no usable key.
    """
    if settings.api_keys_file is None:
        if (settings.proxy_hops or settings.published_on) and not open_to_all(settings):
            where = f", on {settings.published_on}" if settings.published_on else ""
            raise SettingsError(
                f"A proxy brings requests from elsewhere{where} (XRAY_PROXY_HOPS, "
                f"XRAY_PUBLISHED_ON), but no API keys are configured. {_WHAT_TO_DO}"
            )
        return
    if settings.allow_anonymous:
        raise SettingsError(
            "XRAY_API_KEYS_FILE asks for keys and XRAY_ALLOW_ANONYMOUS=1 for none: unset one."
        )
    try:
        keys = KeyFile(settings.api_keys_file).read()
    except KeyFileError as error:
        missing = isinstance(error.__cause__, FileNotFoundError)
        makes = " 'flask api-key create NAME' with the same XRAY_API_KEYS_FILE makes it."
        raise SettingsError(f"{error}{makes if missing else ''}") from error
    if not keys:
        raise SettingsError(
            f"The key file {settings.api_keys_file} holds no key, so nobody could come in: "
            "'flask api-key create NAME' makes one."
        )


def check_addresses(settings: Settings, hosts: Iterable[str]) -> None:
    """What can be said once the server listens.

    Args:
        hosts: the addresses it listens on: IP addresses, or the path of a UNIX socket.

    Raises:
        SettingsError: one of them is not the loopback, and nobody has decided who may come in.
    """
    exposed = [host for host in hosts if not is_loopback(host)]
    if exposed and only_this_machine(settings):
        raise SettingsError(
            f"Refusing to serve on {', '.join(exposed)}: other machines can reach it, and no API "
            f"keys are configured. {_WHAT_TO_DO}"
        )
