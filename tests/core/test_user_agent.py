"""User agents of browsers, and of bots, previews and libraries."""

from __future__ import annotations

import pytest

from referral.core.user_agent import is_program

_ANDROID = "Mozilla/5.0 (Linux; Android 14; SM-S911B) AppleWebKit/537.36 (KHTML, like Gecko)"
_IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15"


@pytest.mark.parametrize(
    "user_agent",
    [
        f"{_ANDROID} Chrome/126.0.0.0 Mobile Safari/537.36",
        f"{_IPHONE} (KHTML, like Gecko) Version/17.5 Mobile/15E148 Safari/604.1",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:127.0) Gecko/20100101 Firefox/127.0",
        "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 YaBrowser/24.6.0.0",
        "Opera/9.80 (J2ME/MIDP; Opera Mini/7.1.32052/29.3709; U; en) Presto/2.8.119 Version/11.10",
        "Mozilla/5.0 (Linux; Android 9; CUBOT X18 Plus) AppleWebKit/537.36 Chrome/80.0",
        # Browsers inside apps
        f"{_ANDROID} Chrome/126.0 Mobile Safari/537.36 Telegram-Android/11.3.3 (Samsung SM-S911B)",
        f"{_ANDROID} Version/4.0 Chrome/126.0 Mobile Safari/537.36 Instagram 334.0.0.42.95 Android",
        f"{_IPHONE} Mobile/15E148 [FBAN/FBIOS;FBAV/469.0.0.45.104;FBDV/iPhone15,2]",
        f"{_IPHONE} Mobile/15E148 Safari Line/14.9.0",
        f"{_ANDROID} Chrome/126.0 Mobile Safari/537.36 MicroMessenger/8.0.49 NetType/WIFI",
        f"{_IPHONE} Mobile/15E148 Snapchat/12.93.0.42 (like Safari/8618)",
        f"{_IPHONE} GSA/323.0.647062479 Mobile/15E148 Safari/604.1",
    ],
)
def test_browsers_are_no_programs(user_agent: str) -> None:
    assert not is_program(user_agent)


@pytest.mark.parametrize(
    "user_agent",
    [
        None,
        "",
        # Previews
        "WhatsApp/2.23.20.0 A",
        "TelegramBot (like TwitterBot)",
        "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
        "meta-externalagent/1.1 (+https://developers.facebook.com/docs/sharing/webmasters/crawler)",
        "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
        "Twitterbot/1.0",
        "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
        "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
        "Mozilla/5.0 (compatible; vkShare; +http://vk.com/dev/Share)",
        "Viber/20.9.0 CFNetwork/1410.0.3 Darwin/22.6.0",
        "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
        "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/",
        "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_11_1) facebookexternalhit/1.1 Facebot",
        "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
        # Search engines
        f"{_ANDROID} Chrome/126.0 Mobile Safari/537.36 (compatible; Googlebot/2.1; +http://google.com)",
        "Mozilla/5.0 (compatible; GoogleOther)",
        "Mozilla/5.0 (compatible; YandexBot/3.0; +http://yandex.com/bots)",
        "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
        "Mozilla/5.0 (compatible; Baiduspider/2.0; +http://www.baidu.com/search/spider.html)",
        "Mozilla/5.0 (compatible; Yahoo! Slurp; http://help.yahoo.com/help/us/ysearch/slurp)",
        "ia_archiver (+http://www.alexa.com/site/help/webmasters)",
        # Programs
        "curl/8.5.0",
        "Wget/1.21.4",
        "python-requests/2.32.3",
        "Python-urllib/3.11",
        "Go-http-client/1.1",
        "okhttp/4.12.0",
        "Java/17.0.1",
        "node",
        "axios/1.7.2",
        "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 HeadlessChrome/126.0.0.0 Safari/537.36",
        "Mozilla/5.0 (compatible; UptimeRobot/2.0; http://www.uptimerobot.com/)",
        "PostmanRuntime/7.39.0",
    ],
)
def test_bots_previews_and_libraries_are_programs(user_agent: str | None) -> None:
    assert is_program(user_agent)


def test_a_long_user_agent_is_judged_in_linear_time() -> None:
    """64 KB is the most that a request's headers may have."""
    assert not is_program("Mozilla/5.0 " + "http-cu goo" * 6000)
