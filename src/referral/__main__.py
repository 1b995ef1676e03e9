"""`python -m referral`, the same as `referral`."""

from referral.cli import main

if __name__ == "__main__":
    main()
