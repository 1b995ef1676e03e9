"""Messages of the pages, for people who fill in a form: refusals, notices and waiting times.

The API's messages are for programmers. These are marked here for extraction and translated when
a page is rendered.
"""

from __future__ import annotations

from collections.abc import Mapping

from referral import i18n
from referral.core import countries


def N_(text: str) -> str:  # noqa: N802 - the conventional name, which pybabel looks for
    """Mark a message for extraction into the catalogues, without translating it yet."""
    return text


_REDIRECT_URIS = N_(
    "Give https URIs without # or @, http ones of localhost, or such as com.example.app:/done."
)
REFUSALS: Mapping[str, str] = {
    "invalid_phone": N_("This is not a phone number. Write it with + and the country's code."),
    "unsupported_phone": N_("We cannot send codes to this kind of number. Use a mobile one."),
    "invalid_code": N_("Enter the digits from the message."),
    "wrong_code": N_("This is not the code. Compare it with the message."),
    "challenge_invalid": N_("This code cannot be used any more. Ask for a new one."),
    "challenge_expired": N_("This code is too old. Ask for a new one."),
    "challenge_spent": N_("This code was used already. Ask for a new one."),
    "too_many_attempts": N_("Too many wrong codes. Ask for a new one."),
    "too_many_requests": N_("Too many tries."),
    "too_soon": N_("Another code cannot be sent yet."),
    "sms_unavailable": N_("The message could not be sent. Try again in a moment."),
    "storage_unavailable": N_("We cannot be reached just now. Try again in a moment."),
    "overloaded": N_("We cannot be reached just now. Try again in a moment."),
    "account_blocked": N_("This account is blocked. Ask support for help."),
    "invitation_required": N_(
        "You can join only by invitation: enter the invite code of somebody who is here already."
    ),
    "sign_up_closed": N_("Nobody new can join at present: ask the team to add your phone."),
    "unknown_invite_code": N_("There is no such invite code. Check its 6 characters."),
    "invalid_invite_code": N_("Enter an invite code of 6 characters, or its link."),
    "own_invite_code": N_("This is your own invite code. Enter somebody else's."),
    "invite_already_activated": N_("You have used an invite code already; only one is possible."),
    "invite_loop": N_("You invited this person yourself, directly or through others."),
    "invites_used_up": N_(
        "This invite code has admitted as many people as it may: ask somebody else for theirs."
    ),
    "activation_too_late": N_(
        "An invite code can be used only for some days after joining, and they are over."
    ),
    "invalid_name": N_("A name has 1 to 100 characters that can be seen, in one line."),
    "invalid_email": N_("This is not an email address such as anna@example.com."),
    "invalid_sure": N_("Tick this box to go on: a deleted account cannot be brought back."),
    "invalid_request": N_("This address or form is not one of ours. Go back and try again."),
    "last_admin": N_("You are the last administrator. Make somebody else one first."),
    "phone_taken": N_("Another account has this phone. Use another one."),
    "forbidden": N_("This page is for administrators alone."),
    "not_found": N_("There is nothing here."),
    "method_not_allowed": N_("There is nothing here."),
    "body_too_large": N_("This is too long. Write less."),
    "unsupported_media_type": N_("This cannot be read. Open the page anew and try again."),
    "unauthorized": N_("Sign in first."),
    "invalid_refresh_token": N_("Sign in first."),
    "sign_in_again": N_("Before this we make sure that it is you."),
    "invalid_from": N_(
        "Choose a day such as 2026-01-31, not after the last one and at most a year before."
    ),
    "invalid_to": N_("Choose a day, such as 2026-01-31."),
    "invalid_search": N_("Search for less: 254 characters that print at most."),
    "invalid_key_name": N_("Give a name of 1 to 100 characters that no other key has."),
    "invalid_rule_name": N_("Use 1 to 64 of A-Z a-z 0-9 _ -, and no name that a rule has or had."),
    "invalid_rule_trigger": N_("Use 1 to 64 of the characters A-Z a-z 0-9 _ -."),
    "invalid_rule_beneficiary": N_("Choose one of these."),
    "invalid_rule_unit": N_(
        "Use 2 to 24 of A-Z a-z 0-9 _ -, from a letter to a letter or digit, and write a unit as "
        "other rules do."
    ),
    "invalid_rule_occurs": N_(
        "A number of invitees is from 1 to 1000, and only possible for the inviter."
    ),
    "invalid_rule_invitees": N_("Give a whole number from 1 to 1000."),
    "invalid_rule_amount": N_("Give a whole number from 1 to 1 000 000 000."),
    "invalid_rule_min_value": N_("Give a whole number, at most 1 000 000 000 000 000."),
    "invalid_rule_cap_per_month": N_("Give a whole number from 1 to 1 000 000 000 000 000."),
    "invalid_rule_cap_total": N_("Give a whole number from 1 to 1 000 000 000 000 000."),
    "invalid_rule_hold_days": N_("Give a whole number from 0 to 90."),
    "invalid_rule_review": N_("Choose one of these."),
    "invalid_rule_from": N_("Give a day and time, such as 2026-01-31T12:00."),
    "invalid_rule_until": N_("Give a day and time after the first, such as 2026-01-31T12:00."),
    "invalid_client_name": N_("Give a name of 1 to 60 characters that no other app has."),
    "invalid_client_redirect_uri": _REDIRECT_URIS,
    "invalid_client_post_logout_redirect_uri": _REDIRECT_URIS,
    "invalid_client_audience": N_("Give a URI of your own such as https://api.example.com."),
    "last_administrator": N_("This is the last administrator. Make another one first."),
    "never_administrator": N_("This phone's code proves nothing, so it can be no administrator's."),
    "no_activation": N_("This user has activated no invite code."),
    "event_conflict": N_("Another event has this id. Give each event an id of its own."),
    "redemption_conflict": N_("Another redemption has this id, or it was reversed. Use a new id."),
    "insufficient_balance": N_("Less than this is available. Choose a smaller amount."),
    "review_conflict": N_("This reward is not in review any more. Reload the page."),
    "internal_error": N_("Something broke here. Try again later."),
    "other_site": N_("This form did not come from this site. Open the page anew and try again."),
}

# Refusals after which no code entered for the challenge can be right
NEEDS_NEW_CODE = frozenset(
    {"challenge_invalid", "challenge_expired", "challenge_spent", "too_many_attempts"}
)

NOTICES: Mapping[str, str] = {
    "saved": N_("Saved."),
    "signed_out": N_("You are signed out."),
    "signed_out_everywhere": N_("You are signed out everywhere."),
    "session_ended": N_("That device is signed out."),
    "invite_activated": N_("The invite code is activated."),
    "phone_changed": N_("Your phone is changed. Other devices are signed out."),
    "account_deleted": N_("Your account is deleted."),
    "code_sent": N_("A new code is on its way."),
    "user_blocked": N_("Blocked, and signed out everywhere."),
    "user_unblocked": N_("Unblocked: this user can sign in again."),
    "user_deleted": N_("The user is deleted."),
    "admin_granted": N_("This user is an administrator now."),
    "admin_revoked": N_("This user is no administrator any more."),
    "invite_voided": N_("The activation is void. This user can activate a code again."),
    "key_revoked": N_("The key has ended. Programs that use it are refused from now on."),
    "client_rotation_finished": N_("The old secret has ended."),
    "client_deleted": N_("The app is deleted, and its sessions have ended."),
    "reward_approved": N_("The reward is approved."),
    "reward_rejected": N_("The reward is rejected."),
    "not_in_review": N_("Nothing is changed: this was decided or taken back already."),
    "rule_made": N_("The rule is made. It counts events from now on."),
    "rule_changed": N_("The rule is changed, for events from now on."),
    "rule_deleted": N_("The rule is deleted. The rewards that it gave remain."),
    "welcome": N_("Welcome! You have earned %(earned)s."),
    "sign_in_first": N_("Sign in first."),
    "sign_in_to_do": N_("You were signed out before this was done. Sign in, and go on from there."),
    "code_gone": N_("This code is too old. Ask for a new one."),
    "not_done": N_("Nothing is changed yet. Look at it once more, and send it again."),
}

# Notices that nothing is done, or that ask for something. The others confirm that something is done
PROMPTS = frozenset({"sign_in_first", "sign_in_to_do", "code_gone", "not_done", "not_in_review"})

_WITH_WAIT = frozenset({"too_many_requests", "too_soon"})
_MINUTE, _HOUR = 60, 3600  # seconds


def refusal(
    code: str,
    *,
    language: str,
    seconds: int | None,
    attempts_left: int | None,
    country: str = "",
) -> str:
    """Return one or two sentences: what is wrong, and what to do.

    code: the refusal's. seconds: until a retry can succeed. attempts_left: the challenge's.
    country: ISO code of the country that is not served.
    """
    catalogue = i18n.catalogue(language)
    if country:
        message = catalogue.gettext(
            "We do not send codes to phones of this country: %(country)s. Use another phone."
        )
        return message % {"country": countries.name(country, language)}
    message = catalogue.gettext(REFUSALS.get(code, REFUSALS["invalid_request"]))
    if attempts_left:
        tries = catalogue.ngettext("%(num)d try is left.", "%(num)d tries are left.", attempts_left)
        return f"{message} {tries % {'num': attempts_left}}"
    if code == "wrong_code" and attempts_left == 0:
        return catalogue.gettext(
            "This is not the code, and it was the last try. Ask for a new one."
        )
    if seconds and (code in _WITH_WAIT or (code == "too_many_attempts" and seconds > _MINUTE)):
        return f"{message} {wait(seconds, language=language)}"
    return message


def notice(code: str, *, language: str) -> str:
    message = NOTICES.get(code)
    # gettext("") would return the catalogue's header
    return i18n.catalogue(language).gettext(message) if message else ""


def number(value: int) -> str:
    """Group thousands with a narrow no-break space, as SI does in every language: `1 200`."""
    return f"{value:,}".replace(",", "\u202f")


def signed(value: int) -> str:
    """Write a number as `number` does, with its sign."""
    sign = "\u2212" if value < 0 else "+"
    return sign + number(abs(value))


def wait(seconds: int, *, language: str) -> str:
    """Say when to try again, rounded up to whole seconds, minutes or hours."""
    ngettext = i18n.catalogue(language).ngettext
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
