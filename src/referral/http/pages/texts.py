"""Messages of the pages, for people who fill in a form: refusals, notices and waiting times.

The API's messages are for programmers. These are marked here for extraction and translated when
a page is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping

from referral import i18n
from referral.core import colour, countries
from referral.i18n import Language

N_ = i18n.N_

_REDIRECT_URIS = N_(
    "Enter https URIs without # or @, http URIs of localhost, or such as com.example.app:/done."
)
REFUSALS: Mapping[str, str] = {
    "invalid_phone": N_("This is not a phone number. Check its digits and the country code."),
    "invalid_national_phone": N_("This is not a phone number. Check the country and every digit."),
    "invalid_phone_digits": N_("This is not a phone number. Check every digit."),
    "invalid_country": N_("Choose the country of this number, or write it with + and its code."),
    "unsupported_phone": N_("We cannot send codes to this kind of number. Use a mobile number."),
    "invalid_code": N_("Enter all digits of the code from the message."),
    "wrong_code": N_("Wrong code: compare it with the message."),
    "challenge_invalid": N_("This code no longer works. Ask for a new one."),
    "challenge_expired": N_("This code has expired. Ask for a new one."),
    "challenge_spent": N_("This code has already been used. Ask for a new one."),
    "too_many_attempts": N_("Too many wrong codes. Ask for a new one."),
    "too_many_wrong_codes": N_("Too many wrong codes."),
    "too_many_requests": N_("Too many tries."),
    "too_soon": N_("We cannot send another code yet."),
    "invalid_channel": N_("We cannot send the code this way. Choose another one."),
    "no_call_yet": N_("We only call within an hour after a message. Ask for a message first."),
    "sms_unavailable": N_("The message could not be sent. Try again in a moment."),
    "storage_unavailable": N_("The service is unavailable right now. Try again in a moment."),
    "overloaded": N_("The service is unavailable right now. Try again in a moment."),
    "account_blocked": N_("This account is blocked. Contact support."),
    "invitation_required": N_(
        "You need an invitation to join. Enter the invite code of somebody who is already here."
    ),
    "sign_up_closed": N_("Sign-up is closed for now. Ask the team to add your phone number."),
    "unknown_invite_code": N_("There is no such invite code. Check its 6 characters."),
    "invalid_invite_code": N_("Enter the 6 characters of an invite code, or paste its link."),
    "own_invite_code": N_("This is your own invite code. Enter somebody else's."),
    "invite_already_activated": N_("You have used an invite code already. Only one is possible."),
    "invite_loop": N_(
        "You invited this person, directly or through others. Use somebody else's invite code."
    ),
    "invites_used_up": N_("This invite code has no places left. Ask somebody else for theirs."),
    "activation_too_late": N_(
        "It is too late to use an invite code: it works only in the first days after joining."
    ),
    "invalid_name": N_("Enter a name of 1 to 100 ordinary characters, on one line."),
    "invalid_email": N_("Enter an email address such as anna@example.com."),
    "invalid_sure": N_("Tick this box if you are sure: a deleted account cannot be restored."),
    "invalid_request": N_("This link or form does not work. Go back and try again."),
    "last_admin": N_("You are the last administrator. Make somebody else an administrator first."),
    "phone_taken": N_("Another account uses this phone number. Enter a different one."),
    "forbidden": N_("This page is only for administrators. Ask one of them for access."),
    "not_found": N_("There is no such page. Check the address, or go to the start page."),
    "method_not_allowed": N_("There is no such page. Check the address, or go to the start page."),
    "body_too_large": N_("This text is too long. Shorten it."),
    "unsupported_media_type": N_(
        "This form cannot be read. Go back, reload the page and try again."
    ),
    "unauthorized": N_("Sign in first."),
    "invalid_refresh_token": N_("Sign in first."),
    "sign_in_again": N_("To continue, confirm that it is you."),
    "invalid_from": N_(
        "Choose a day such as 2026-01-31, not after the last day and at most a year before it."
    ),
    "invalid_to": N_("Choose a day such as 2026-01-31."),
    "invalid_joined": N_("Choose days such as 2026-01-31, with the first not after the last."),
    "invalid_inviter": N_("Nobody has this invite code, phone or id. Check it and try again."),
    "invalid_user": N_("Nobody has this phone or id. A phone begins with + and its country code."),
    "invalid_order": N_("Choose one of these."),
    "invalid_search": N_("Shorten your search: at most 254 ordinary characters."),
    "invalid_key_name": N_("Enter a name of 1 to 100 characters that no other key has."),
    "invalid_rule_name": N_(
        "Enter 1 to 64 characters (A-Z a-z 0-9 _ -), and no name that a rule has or had."
    ),
    "invalid_rule_trigger": N_("Enter 1 to 64 characters (A-Z a-z 0-9 _ -)."),
    "invalid_rule_beneficiary": N_("Choose one of these."),
    "invalid_rule_unit": N_(
        "Enter 2 to 24 characters (A-Z a-z 0-9 _ -), from a letter to a letter or digit. Spell "
        "a unit as other rules do."
    ),
    "invalid_rule_occurs": N_(
        "Choose this only for the inviter, with a number of invitees from 1 to 1000."
    ),
    "invalid_rule_invitees": N_("Enter a whole number from 1 to 1000."),
    "invalid_rule_amount": N_("Enter a whole number from 1 to 1 000 000 000."),
    "invalid_rule_min_value": N_("Enter a whole number, at most 1 000 000 000 000 000."),
    "invalid_rule_cap_per_month": N_("Enter a whole number from 1 to 1 000 000 000 000 000."),
    "invalid_rule_cap_total": N_("Enter a whole number from 1 to 1 000 000 000 000 000."),
    "invalid_rule_hold_days": N_("Enter a whole number from 0 to 90."),
    "invalid_rule_review": N_("Choose one of these."),
    "invalid_rule_from": N_("Enter a day and time such as 2026-01-31T12:00."),
    "invalid_rule_until": N_("Enter a day and time after the start, such as 2026-01-31T12:00."),
    "invalid_client_name": N_("Enter a name of 1 to 60 characters that no other app has."),
    "invalid_client_redirect_uri": _REDIRECT_URIS,
    "invalid_client_post_logout_redirect_uri": _REDIRECT_URIS,
    "invalid_client_audience": N_("Enter a URI of your own, such as https://api.example.com."),
    "last_administrator": N_(
        "This is the last administrator. Make somebody else an administrator first."
    ),
    "never_administrator": N_(
        "A test phone cannot be an administrator, and nobody can in a demo. Choose another user."
    ),
    "no_activation": N_("This user has not used an invite code, so there is nothing to void."),
    "event_conflict": N_("Another event has this id. Give each event an id of its own."),
    "redemption_conflict": N_("Another redemption has this id, or it was reversed. Use a new id."),
    "insufficient_balance": N_("The balance is too low. Choose a smaller amount."),
    "review_conflict": N_("This reward is no longer in review. Reload the page."),
    "internal_error": N_("Something went wrong on our side. Try again later."),
    "other_site": N_(
        "This form did not come from this site. Go back, reload the page and try again."
    ),
}

# Refusals after which no code entered for the challenge can be right
NEEDS_NEW_CODE = frozenset(
    {"challenge_invalid", "challenge_expired", "challenge_spent", "too_many_attempts"}
)

# Refusals that only support, or the team, can help with
NEEDS_SUPPORT = frozenset({"account_blocked", "sign_up_closed", "internal_error"})

NOTICES: Mapping[str, str] = {
    "saved": N_("Saved."),
    "signed_out": N_("You are signed out."),
    "signed_out_everywhere": N_("You are signed out everywhere."),
    "session_ended": N_("That device is signed out."),
    "joined": N_("You joined by an invitation."),
    "phone_changed": N_("Your phone number is changed. Your other devices are signed out."),
    "account_deleted": N_("Your account is deleted."),
    "code_sent": N_("A new code is on its way. Use the newest one."),
    "user_blocked": N_("This user is blocked, and signed out everywhere."),
    "user_unblocked": N_("This user is unblocked, and can sign in again."),
    "user_deleted": N_("The user is deleted."),
    "admin_granted": N_("This user is now an administrator."),
    "admin_revoked": N_("This user is no longer an administrator."),
    "invite_voided": N_("The activation is voided. This user can use an invite code again."),
    "key_revoked": N_("The key is revoked. Programs that use it are refused from now on."),
    "client_rotation_finished": N_("The old secret no longer works."),
    "client_deleted": N_("The app is deleted, and everybody is signed out of it."),
    "reward_approved": N_("The reward is approved."),
    "reward_rejected": N_("The reward is rejected."),
    "not_in_review": N_("Nothing is changed: this was already decided or taken back."),
    "event_resent": N_("The event is sent again, with the same id."),
    "event_waits": N_("Nothing changed: this event is already waiting to be sent."),
    "rule_made": N_("The rule is made. It counts events from now on."),
    "rule_changed": N_("The rule is changed. It applies to events from now on."),
    "rule_deleted": N_("The rule is deleted. People keep what they have earned by it."),
    "sign_in_first": N_("Sign in first."),
    "sign_in_to_do": N_(
        "You were signed out before this was done. Sign in to continue where you were."
    ),
    "code_gone": N_("This code has expired. Ask for a new one."),
    "not_done": N_("Nothing is changed yet. Check it once more and send it again."),
}

# Notices that nothing is done, or that ask for something. The others confirm that something is done
PROMPTS = frozenset(
    {"sign_in_first", "sign_in_to_do", "code_gone", "not_done", "not_in_review", "event_waits"}
)

_WITH_WAIT = frozenset({"too_many_requests", "too_soon", "too_many_wrong_codes"})
_MINUTE, _HOUR = 60, 3600  # seconds


def refusal(
    code: str,
    *,
    language: Language,
    seconds: int | None,
    attempts_left: int | None,
    country: str = "",
) -> str:
    """Return one or two sentences: what is wrong, and what to do.

    code: the refusal's. seconds: until a retry can succeed. attempts_left: the challenge's.
    country: ISO code of the country that is not served.
    """
    if country:
        message = language.gettext(
            "We do not send codes to this country: %(country)s. Use a number of another country."
        )
        return message % {"country": countries.name(country, language.tag)}
    if code == "too_many_attempts" and (seconds or 0) > _MINUTE:
        # A new code would be refused too until then
        code = "too_many_wrong_codes"
    message = language.gettext(REFUSALS.get(code, REFUSALS["invalid_request"]))
    if attempts_left:
        tries = language.ngettext(
            "You have %(num)d try left.", "You have %(num)d tries left.", attempts_left
        )
        return f"{message} {tries % {'num': attempts_left}}"
    if code == "wrong_code" and attempts_left == 0:
        return language.gettext("Wrong code, and this was the last try. Ask for a new one.")
    if seconds and code in _WITH_WAIT:
        return f"{message} {wait(seconds, language=language)}"
    return message


def notice(code: str, *, language: Language) -> str:
    message = NOTICES.get(code)
    # gettext("") would return the catalogue's header
    return language.gettext(message) if message else ""


def number(value: int) -> str:
    """Group thousands with a narrow no-break space, as SI does in every language: `1 200`."""
    return f"{value:,}".replace(",", "\u202f")


def signed(value: int) -> str:
    """Write a number as `number` does, with its sign."""
    sign = "\u2212" if value < 0 else "+"
    return sign + number(abs(value))


def contrast(value: float) -> str:
    """Write a contrast ratio, rounded down."""
    return f"{colour.rounded_down(value)}:1"


def percent(value: int) -> str:
    """Write a change in percent with its sign."""
    return f"{signed(value) if value else value}\u202f%"


def wait(seconds: int, *, language: Language) -> str:
    """Say when to try again, rounded up to whole seconds, minutes or hours."""
    ngettext = language.ngettext
    minutes, hours = -(-seconds // _MINUTE), -(-seconds // _HOUR)
    if seconds < _MINUTE:
        num = seconds
        message = ngettext("Try again in %(num)d second.", "Try again in %(num)d seconds.", num)
    elif minutes * _MINUTE < _HOUR:
        num = minutes
        message = ngettext("Try again in %(num)d minute.", "Try again in %(num)d minutes.", num)
    else:
        num = hours
        message = ngettext("Try again in %(num)d hour.", "Try again in %(num)d hours.", num)
    return message % {"num": num}
