"""Secrets in the database are opened with their key, at their place, and by nobody else."""

import base64

import pytest

from tidings.delivery.errors import ConfigurationError
from tidings.runtime.environment.reading import read
from tidings.runtime.sealing import Seals, key_of
from tidings.settings import LedgerSettings

OLD, NEW = bytes([1] * 32), bytes([2] * 32)
SECRET = "slack://T1/B2/token"


def test_a_secret_is_opened_with_its_key_and_at_its_place_only() -> None:
    sealed = Seals([OLD]).seal(SECRET, "rule 1")
    assert SECRET not in sealed
    assert sealed != Seals([OLD]).seal(SECRET, "rule 1")
    assert Seals([OLD]).open(sealed, "rule 1") == SECRET
    assert Seals([NEW, OLD]).open(sealed, "rule 1") == SECRET
    for seals, place in ((Seals([OLD]), "rule 2"), (Seals([NEW]), "rule 1"), (Seals(), "rule 1")):
        assert seals.open(sealed, place) == sealed
    for broken in (sealed[:-6], sealed[:-6] + "AAAAAA", f"{sealed.rpartition(':')[0]}:é"):
        assert Seals([OLD]).open(broken, "rule 1") == broken


def test_the_first_key_seals_and_without_one_nothing_is_sealed() -> None:
    assert Seals().seal(SECRET, "rule 1") == SECRET
    assert Seals([NEW]).open(SECRET, "rule 1") == SECRET
    assert Seals([NEW, OLD]).is_newest(Seals([NEW]).seal(SECRET, "rule 1"))
    assert not Seals([NEW, OLD]).is_newest(Seals([OLD]).seal(SECRET, "rule 1"))
    sealed = Seals([OLD]).seal(SECRET, "rule 1")
    assert Seals([NEW]).seal(sealed, "rule 1") == sealed  # what can't be opened stays


@pytest.mark.parametrize("text", ["", "short", base64.b64encode(b"x" * 16).decode(), "é" * 44])
def test_what_is_no_key_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(ValueError, match="openssl rand -base64 32") as refused:
        key_of(text)
    assert not text or text not in str(refused.value)


def test_keys_are_read_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [base64.b64encode(key).decode() for key in (NEW, OLD)]
    monkeypatch.setenv("TIDINGS_SEALING_KEYS", ",".join(keys))
    settings = read(LedgerSettings)
    assert settings.seals.open(Seals([OLD]).seal(SECRET, "rule 1"), "rule 1") == SECRET
    assert keys[0] not in repr(settings)
    monkeypatch.setenv("TIDINGS_SEALING_KEYS", "nonsense-of-a-key")
    with pytest.raises(ConfigurationError, match="TIDINGS_SEALING_KEYS") as refused:
        read(LedgerSettings)
    assert "nonsense-of-a-key" not in str(refused.value)
