"""SMS services that Apprise speaks, each by its URL (https://appriseit.com/services/).

Apprise comes with the extra `sms`, so it is imported where it is needed.
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

# Of Apprise's schemes those that send an SMS to any phone they are given. A list, and not a rule
# over what Apprise says of itself: there, messengers and chat rooms take phones too.
_SCHEMES = """
    46elks atalk bulksms bulkvs burstsms clickatell clicksend cm d7sms eight00com elks exotel
    httpsms infobip kaleyra kavenegar klr kudosity mobilemessage mobilemsg msg91 msgbird nexmo
    notifyre octopush plivo ringc serwersms seven sfr sinch smsc smseagle smseagles smsmanager
    smsmgr smstunnel sns telesign telnyx twilio voipms vonage
"""
SCHEMES = frozenset(_SCHEMES.split())

_ANY_PHONE = "+15005550006"  # which Twilio keeps for tests
_CONNECT_SECONDS, _READ_SECONDS = 3.0, 5.0
_THREADS = 32
# They write phones, texts and whole requests, Apprise's own at INFO
_LOGGERS = ("apprise", "requests", "urllib3")


def check(url: str) -> None:
    """Raises ValueError, whose text repeats nothing of the URL but its scheme."""
    scheme = url.partition(":")[0]
    try:
        _silence()
        known = _service(url, _ANY_PHONE) is not None
    except ImportError:
        raise ValueError(
            f"{scheme}:// needs the extra `sms`: run `pip install '.[sms]'` where you ran "
            "`pip install .`"
        ) from None
    except Exception:  # noqa: BLE001 - each service has its own way to refuse
        known = False
    if not known:
        raise ValueError(
            f"{scheme}:// is not written as Apprise has it: see https://appriseit.com/services/"
        )


def endpoint(url: str) -> str | None:
    """Where the service takes messages, if its plugin says so in a place of its own."""
    found = str(getattr(_service(url, _ANY_PHONE), "notify_url", None))
    known = found.startswith(("https://", "http://")) and "{" not in urlsplit(found).netloc
    return found if known else None


class SmsService:
    echoes_code = False

    def __init__(self, url: str) -> None:
        """url: Apprise's, without the phone to send to; one that names some sends to none."""
        _silence()
        self.name = url.partition(":")[0]
        self._url = url
        # Of its own, so that a service that hangs holds up nothing else
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix=self.name)

    async def send(self, message: Message) -> None:
        """Raises GatewayError, without the cause: Apprise tells none."""
        loop = asyncio.get_running_loop()
        if not await loop.run_in_executor(self._threads, _send, self._url, message):
            raise GatewayError("not taken")


def _send(url: str, message: Message) -> bool:
    service = _service(url, message.phone)
    # Apprise drops a phone that it takes for none (under 10 or over 14 digits), and some services
    # then write to the sender instead
    if service is None or message.phone.lstrip("+") not in _targets(service):
        raise GatewayError("takes no such phone", Failure.PHONE)
    service.socket_connect_timeout = _CONNECT_SECONDS
    service.socket_read_timeout = _READ_SECONDS
    return bool(service.notify(body=message.text))


def _targets(service: NotifyBase) -> str:
    """The phones that it sends to, among what else its URL says."""
    return unquote(str(service.url()))  # type: ignore[no-untyped-call] # Apprise gives it no type


def _service(url: str, phone: str) -> NotifyBase | None:
    """The service that sends to this phone alone; None where Apprise does not know the URL."""
    from apprise import Apprise, AppriseAsset, PersistentStoreMode  # noqa: PLC0415 - an extra
    from apprise.plugins import url_to_dict  # noqa: PLC0415

    values: dict[str, Any] | None = url_to_dict(url)  # type: ignore[no-untyped-call] # nor here
    if values is None:
        return None
    return Apprise.instantiate(
        {**values, "targets": [phone]},
        # A redirect would carry the message elsewhere, and a store would keep it
        asset=AppriseAsset(http_redirects=False, storage_mode=PersistentStoreMode.MEMORY),
        suppress_exceptions=False,
    )


def _silence() -> None:
    for name in _LOGGERS:
        logging.getLogger(name).setLevel(logging.CRITICAL + 1)
