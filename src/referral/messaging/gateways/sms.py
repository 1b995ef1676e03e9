"""SMS services, through Apprise and its URLs (https://appriseit.com/services/).

Apprise comes with the extra `sms`, so it is imported only when it is used.
"""

from __future__ import annotations

import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit

from referral.messaging.gateways import Failure, GatewayError, Message

if TYPE_CHECKING:
    from apprise import NotifyBase

# Apprise's schemes that send an SMS to any phone. Listed here, because Apprise's own metadata does
# not tell them from messengers and chat rooms that take phones
_SCHEMES = """
    46elks atalk bulksms bulkvs burstsms clickatell clicksend cm d7sms eight00com elks exotel
    httpsms infobip kaleyra kavenegar klr kudosity mobilemessage mobilemsg msg91 msgbird nexmo
    notifyre octopush plivo ringc serwersms seven sfr sinch smsc smseagle smseagles smsmanager
    smsmgr smstunnel sns telesign telnyx twilio voipms vonage
"""
SCHEMES = frozenset(_SCHEMES.split())

_ANY_PHONE = "+15005550006"  # reserved by Twilio for tests
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 5.0
_THREADS = 32
# These log phones, texts and whole requests, Apprise even at INFO
_LOGGERS = ("apprise", "requests", "urllib3")


def check(url: str, *, production: bool) -> None:  # noqa: ARG001 - allowed in both
    """Check a URL, as `registry.Check` says."""
    scheme = url.partition(":")[0]
    try:
        _silence_loggers()
        is_valid = _service(url, _ANY_PHONE) is not None
    except ImportError:
        raise ValueError(
            f"{scheme}:// needs the extra `sms`: run `pip install '.[sms]'` where you ran "
            "`pip install .`"
        ) from None
    except Exception:  # noqa: BLE001 - each service has its own way to refuse
        is_valid = False
    if not is_valid:
        raise ValueError(
            f"{scheme}:// does not have Apprise's format: see https://appriseit.com/services/"
        )


def endpoint(url: str) -> str | None:
    """Return the URL of the service's API, or None if its plugin does not tell."""
    found = str(getattr(_service(url, _ANY_PHONE), "notify_url", None))
    is_url = found.startswith(("https://", "http://")) and "{" not in urlsplit(found).netloc
    return found if is_url else None


class SmsService:
    echoes_code = False

    def __init__(self, url: str) -> None:
        """url: a URL of Apprise, whose recipients are ignored."""
        _silence_loggers()
        self.name = url.partition(":")[0]
        self._url = url
        # A pool of its own, so that a service that hangs blocks nothing else
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=self.name)

    async def send(self, message: Message) -> None:
        """Send an SMS. Raises GatewayError without a cause, since Apprise reports none."""
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._threads, _send, self._url, message):
            raise GatewayError("Apprise reported a failure")


def _send(url: str, message: Message) -> bool:
    service = _service(url, message.phone)
    # Apprise drops phones that it considers invalid (under 10 or over 14 digits). Some services
    # then send the message to the sender's own number
    if service is None or message.phone.lstrip("+") not in _targets(service):
        raise GatewayError("does not accept this phone", Failure.PHONE)
    service.socket_connect_timeout = _CONNECT_SECONDS
    service.socket_read_timeout = _READ_SECONDS
    return bool(service.notify(body=message.text))


def _targets(service: NotifyBase) -> str:
    """Return a text that contains the phones to which the service sends: its URL."""
    return unquote(str(service.url()))  # type: ignore[no-untyped-call] # Apprise has no type here


def _service(url: str, phone: str) -> NotifyBase | None:
    """Return the service with this phone as its only recipient, or None for an unknown URL."""
    from apprise import Apprise, AppriseAsset, PersistentStoreMode  # noqa: PLC0415 - an extra
    from apprise.plugins import url_to_dict  # noqa: PLC0415 - an extra

    values: dict[str, Any] | None = url_to_dict(url)  # type: ignore[no-untyped-call] # nor here
    if values is None:
        return None
    return Apprise.instantiate(
        {**values, "targets": [phone]},
        # A redirect would send the message elsewhere, and a persistent store would keep it
        asset=AppriseAsset(http_redirects=False, storage_mode=PersistentStoreMode.MEMORY),
        suppress_exceptions=False,
    )


def _silence_loggers() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
