"""The header User-Agent: whether it names a browser, or a program that reads pages by itself."""

from __future__ import annotations

# Parts of the names of bots, of messengers' previews and of HTTP libraries. Most have "bot" or
# "preview": Googlebot, TelegramBot, Slackbot, SkypeUriPreview
_PARTS = (
    *("bot", "crawl", "spider", "slurp", "scrap", "archiver", "preview", "prerender", "nutch"),
    *("facebookexternalhit", "facebookcatalog", "meta-external", "vkshare", "embedly", "iframely"),
    *("google-", "googleother", "mediapartners", "lighthouse", "headless", "validator"),
    *("uptime", "pingdom", "monitor", "postman", "insomnia", "fetch", "undici", "axios"),
    *("curl", "wget", "httpx", "aiohttp", "urllib", "http-client", "httpclient", "okhttp"),
    *("java/", "libwww", "php/", "guzzle", "dart:io"),
)
# A browser inside an app names the app further on (Telegram-Android, Instagram, Line)
_BEGINNINGS = ("whatsapp", "viber", "python", "ruby", "node")
_MAKER_OF_PHONES = "cubot"


def is_program(user_agent: str | None) -> bool:
    """Return whether a user agent names itself a bot, a preview or a library, or not at all."""
    if not user_agent:
        return True
    # A regular expression with all parts takes ten times as long
    text = user_agent.lower().replace(_MAKER_OF_PHONES, "")
    return text.startswith(_BEGINNINGS) or any(part in text for part in _PARTS)
