"""Tokens prove one principal, and are stored only as digests."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.model.errors import InvalidInput
from tocsin.model.tenant import tenant_id
from tocsin.security.permissions import GRANTS, Permission, Role, allows
from tocsin.security.tokens import (
    ENTROPY_BYTES,
    Credential,
    Principal,
    TokenTable,
    digest,
    mint,
    well_formed,
)

ENTROPY = bytes(range(ENTROPY_BYTES))
ALICE = Principal("alice", Role.VIEWER, tenant_id("acme"))


@given(st.binary(min_size=ENTROPY_BYTES, max_size=ENTROPY_BYTES))
def test_every_minted_token_is_well_formed_and_one_wrong_character_shows(entropy: bytes) -> None:
    plain = mint(entropy).plain.reveal()
    assert well_formed(plain)
    assert len(plain) == len(mint(ENTROPY).plain.reveal())
    changed = plain[:-1] + ("0" if plain[-1] != "0" else "1")
    assert not well_formed(changed)


def test_a_token_never_prints_itself() -> None:
    minted = mint(ENTROPY)
    assert minted.plain.reveal() not in repr(minted)


def test_too_little_entropy_is_refused() -> None:
    with pytest.raises(InvalidInput, match="38 bytes"):
        mint(b"short")


def test_a_known_token_proves_its_principal_and_no_other_text_does() -> None:
    minted = mint(ENTROPY)
    table = TokenTable([Credential(minted.sha256, ALICE)])
    plain = minted.plain.reveal()
    assert table.authenticate(plain) == ALICE
    assert table.authenticate(plain + " ") is None
    assert table.authenticate(minted.sha256) is None
    assert table.authenticate("") is None


def test_one_token_for_two_principals_is_refused() -> None:
    twice = Credential(digest("x"), ALICE)
    with pytest.raises(InvalidInput, match="listed twice"):
        TokenTable([twice, twice])


@pytest.mark.parametrize("role", list(Role))
def test_every_role_may_do_what_the_table_says_and_nothing_else(role: Role) -> None:
    for permission in Permission:
        assert allows(role, permission) is (permission in GRANTS[role])


def test_a_platform_admin_sees_no_tenants_data() -> None:
    admin = Principal("root", Role.PLATFORM_ADMIN, None)
    assert admin.may(Permission.OPERATE)
    assert not admin.may(Permission.READ)
    assert not admin.may(Permission.QUERY)


def test_roles_of_people_grow() -> None:
    viewer, responder, editor = GRANTS[Role.VIEWER], GRANTS[Role.RESPONDER], GRANTS[Role.EDITOR]
    assert viewer < responder < editor <= GRANTS[Role.TENANT_ADMIN]
