"""Names of fallback providers, and what they share with the preferred one."""

import re
from collections.abc import Collection
from typing import Annotated, Final

from pydantic import AfterValidator

from tidings.delivery.ports import PRIMARY
from tidings.runtime.environment.formats import Words
from tidings.runtime.environment.reading import Section

_NAME: Final = re.compile(r"[a-z][a-z0-9]{0,30}")


def _names(names: tuple[str, ...]) -> tuple[str, ...]:
    for name in names:
        if not _NAME.fullmatch(name) or name in RESERVED:
            raise ValueError(
                f"{name[:40]!r} can't be a name: write letters and digits, like backup or relay2, "
                f"but none of {', '.join(sorted(RESERVED))}"
            )
    if len(set(names)) < len(names):
        raise ValueError("a name is there twice")
    return names


RESERVED: Final = frozenset(
    {PRIMARY, "account", "allow", "api", "auth", "ca", "circuit", "low", "max", "messages"}
    | {"messaging", "send", "base", "status"}
)
"""Would make two variables of one name."""
Fallbacks = Annotated[Words, AfterValidator(_names)]


def prefix_of(channel: str, provider: str) -> str:
    """What the variables of a fallback begin with, e.g. `TIDINGS_EMAIL_BACKUP_`."""
    return f"TIDINGS_{channel}_{provider}_".upper()


def inherit(own: Section, preferred: Section, *, but: Collection[str]) -> Section:
    """What is not set for a fallback is as for the preferred provider."""
    missing = type(own).model_fields.keys() - own.model_fields_set - set(but)
    whole = own.model_copy(update={name: getattr(preferred, name) for name in missing})
    whole.model_fields_set.difference_update(missing)
    return whole
