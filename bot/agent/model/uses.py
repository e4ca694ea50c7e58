"""What a model's service may hand us, before it is acted on or remembered: names, arguments and words that every
service takes back. A service refuses a history that holds others, and would do so with every later turn.

Deliberately absent: the service, and what the tools do.
"""

from __future__ import annotations

import json
import re

MAX_ARGUMENTS_CHARS = 20_000
"""Of one use of a tool, as JSON. A command has at most 8,000 characters, of which JSON may make some six each; what is
longer is no command that anybody could read."""
MAX_WORDS_CHARS = 200_000
"""Of one answer, before it is looked at further: ten times what is told of it."""
NO_NAME = "unknown"
"""For a tool whose name no service would take back."""
_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def name_of(written: str) -> str:
    return written if _NAME.fullmatch(written) else NO_NAME


def arguments_of(written: str) -> dict[str, object] | str:
    """The arguments; or what is wrong with them."""
    if not written.strip():
        return {}
    if len(written) > MAX_ARGUMENTS_CHARS:
        return f"the arguments have more than {MAX_ARGUMENTS_CHARS} characters"
    try:
        form = json.loads(written)
        # NaN, numbers beyond all bounds and halves of characters are read by Python and written by nobody.
        json.dumps(form, allow_nan=False, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as fault:
        return f"the arguments are no JSON object ({str(fault)[:80].encode('ascii', 'replace').decode()})"
    return form if isinstance(form, dict) else "the arguments are no JSON object (another kind of value)"


def words_of(written: str) -> str:
    """Two halves of a character are one, whatever is left of one is a mark; a text that shows nothing is none."""
    cut = written[:MAX_WORDS_CHARS].replace("\0", "")
    whole = cut.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
    return whole if whole.strip() else ""
