"""`python -m referral`, the same as `referral`."""

from __future__ import annotations


def main() -> None:
    # Not at the top: the script `referral` imports this module again in each worker process
    from referral.cli import main as commands  # noqa: PLC0415 - as said

    commands()


if __name__ == "__main__":
    main()
