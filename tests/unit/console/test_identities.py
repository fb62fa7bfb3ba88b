"""Who a provider's claims say that somebody is."""

from typing import Any

import pytest

from tidings.console.openid.errors import SignInFailed
from tidings.console.openid.identity import found, identity_of
from tidings.operations.roles import ConsoleRole
from tidings.settings.console import ConsoleSettings

ROLES = {"ops": "operator", "help": "support", "root": "admin"}


def settings(**fields: Any) -> ConsoleSettings:
    return ConsoleSettings(oidc_name="Example Login", oidc_roles=ROLES, **fields)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("roles", ["ops"]),
        ("realm_access.roles", ["help"]),
        ("resource_access.tidings.example.com.roles", ["root"]),
        ("https://example.com/roles", "ops"),
        ("realm_access", {"roles": ["help"]}),
        ("realm_access.nothing", None),
        ("roles.ops", None),
        ("", None),
    ],
)
def test_a_claim_is_found_at_its_path_though_names_have_dots(path: str, value: Any) -> None:
    claims = {
        "roles": ["ops"],
        "realm_access": {"roles": ["help"]},
        "resource_access": {"tidings.example.com": {"roles": ["root"]}},
        "https://example.com/roles": "ops",
    }
    assert found(claims, path) == value


@pytest.mark.parametrize(
    ("roles", "role"),
    [
        ("ops", ConsoleRole.OPERATOR),
        (["help", "root", "ops"], ConsoleRole.ADMIN),
        (["help", 7, None, {}, ["root"]], ConsoleRole.SUPPORT),
    ],
)
def test_the_highest_role_of_a_string_or_a_list_counts(roles: Any, role: ConsoleRole) -> None:
    assert identity_of({"sub": "u-1", "roles": roles}, settings()).role is role


@pytest.mark.parametrize("roles", [None, "", [], "OPS", "ops help", ["admin"], {"ops": True}, 7])
def test_who_has_no_value_with_a_role_is_told_so(roles: Any) -> None:
    with pytest.raises(SignInFailed, match="have no role here: your claim `roles`"):
        identity_of({"sub": "u-1", "roles": roles}, settings())


@pytest.mark.parametrize("name", [None, "", " ", "a\nb", "eve\u202e", "x" * 129, 7, ["jane"]])
def test_a_name_that_would_forge_a_line_is_replaced_by_the_subject(name: Any) -> None:
    claims = {"sub": "u-1", "roles": "ops", "preferred_username": name}
    assert identity_of(claims, settings()).name == "u-1"


@pytest.mark.parametrize("subject", [None, "", "a\x00b", 7, "x" * 300])
def test_nobody_is_nobody(subject: Any) -> None:
    with pytest.raises(SignInFailed, match="did not say who you are"):
        identity_of({"sub": subject, "roles": "ops"}, settings())


@pytest.mark.parametrize(("value", "tenant"), [("shop", "shop"), ("*", "*")])
def test_a_claim_may_name_the_tenant(value: str, tenant: str) -> None:
    claims = {"sub": "u-1", "roles": "ops", "org": {"id": value}}
    assert identity_of(claims, settings(oidc_tenant_claim="org.id")).tenant == tenant


@pytest.mark.parametrize("value", [None, "", "Shop", ["*"], "a/b", {"*": 1}])
def test_who_has_no_tenant_is_not_given_all(value: Any) -> None:
    claims = {"sub": "u-1", "roles": "ops", "org": value}
    with pytest.raises(SignInFailed, match="your claim `org` names no tenant"):
        identity_of(claims, settings(oidc_tenant_claim="org"))


def test_people_of_the_same_name_are_told_apart_and_keep_their_mark_with_another() -> None:
    def of(subject: str, name: str, issuer: str = "https://login.example.com") -> str:
        claims = {"sub": subject, "preferred_username": name, "roles": "ops"}
        return identity_of(claims, settings(oidc_issuer=issuer)).in_history

    assert of("u-1", "jane") == of("u-1", "jane") != of("u-2", "jane")
    assert of("u-1", "jane").split()[1] == of("u-1", "jane married").split()[-1]
    assert of("u-1", "jane") != of("u-1", "jane", "https://other.example.com")
    assert of("u-9", "jane tk_live_5rlqhHlB").startswith("jane tk_live_5rlqhHlB #")
