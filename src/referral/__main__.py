"""Run the command line: `python -m referral` is the same as `referral`."""

from __future__ import annotations


def main() -> None:
    # Not at the top: the script `referral` imports this module again in each worker process,
    # which needs no commands
    from referral.cli import main as run_commands  # noqa: PLC0415 - the comment above

    run_commands()


if __name__ == "__main__":
    main()
