"""The Retry-After header: a number of seconds, or a date."""

import email.utils

_LONGEST = 3600.0


def parse_retry_after(text: str | None, now: float) -> float | None:
    """Seconds to wait, at most an hour; None when the header says nothing usable.

    `now` is the Unix time.
    """
    if not text:
        return None
    seconds = number_of(text)
    if seconds is None:
        try:
            seconds = email.utils.parsedate_to_datetime(text).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST)


def number_of(text: str) -> float | None:
    """A finite number that is not negative, or None."""
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None
