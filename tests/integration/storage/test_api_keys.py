"""API keys: shown once, proven in constant time, refused when unknown, expired or revoked."""

from datetime import timedelta

import pytest
from pydantic import SecretStr
from sqlalchemy import select

from agentflow.contracts.errors import BadInput
from agentflow.contracts.ids import TenantId
from agentflow.storage.api_keys import ApiKeys, NewKey
from agentflow.storage.engine import Database
from agentflow.storage.errors import NotFound
from agentflow.storage.settings import StorageSettings
from agentflow.storage.tables import api_keys
from agentflow.storage.tenancy import ALL_TENANTS
from tests.support.events import START

ACME, EVIL = TenantId("acme"), TenantId("evil")
HOUR = timedelta(hours=1)


@pytest.fixture
def store(database: Database, storage_settings: StorageSettings) -> ApiKeys:
    peppered = storage_settings.model_copy(update={"api_key_pepper": SecretStr("salt and")})
    return ApiKeys(database, peppered)


async def make(store: ApiKeys, **fields: object) -> NewKey:
    values = {"name": "ci", "user": "ann", "role": "developer", "now": START, **fields}
    return await store.create(ACME, **values)  # type: ignore[arg-type]  # shortened for tests


async def test_a_key_proves_its_tenant_user_and_role(store: ApiKeys) -> None:
    made = await make(store)
    check = await store.check(made.secret, START)
    assert check.refusal is None
    assert check.key == made.key
    assert (made.key.tenant, made.key.user, made.key.role) == ("acme", "ann", "developer")


async def test_two_keys_never_share_a_secret(store: ApiKeys) -> None:
    one, two = await make(store), await make(store)
    assert one.secret != two.secret
    assert len(one.secret.split(".", 1)[1]) >= 43  # 256 bits in base64


async def test_a_wrong_secret_under_a_known_prefix_is_refused(store: ApiKeys) -> None:
    one, two = await make(store), await make(store)
    prefix, other = one.secret.split(".", 1)[0], two.secret.split(".", 1)[1]
    assert (await store.check(f"{prefix}.{other}", START)).refusal == "unknown"
    assert (await store.check(one.secret[:-1], START)).refusal == "unknown"


NO_KEYS = ["", ".", "x", "a.b", "x" * 10_000, "a." + "x" * 10_000, "ä.ö", "a\0.b", "a b.c", "'--.x"]


async def test_what_is_no_key_is_refused_and_breaks_nothing(store: ApiKeys) -> None:
    for secret in NO_KEYS:
        check = await store.check(secret, START)
        assert check.key is None
        assert check.refusal in ("malformed", "unknown"), secret[:20]


async def test_an_expired_key_is_refused_from_that_moment(store: ApiKeys) -> None:
    made = await make(store, expires_at=START + HOUR)
    assert (await store.check(made.secret, START + HOUR - timedelta(seconds=1))).refusal is None
    assert (await store.check(made.secret, START + HOUR)).refusal == "expired"


async def test_a_revoked_key_is_refused(store: ApiKeys) -> None:
    made = await make(store)
    await store.revoke(ACME, made.key.key_id, START + HOUR)
    assert (await store.check(made.secret, START + HOUR)).refusal == "revoked"
    await store.revoke(ACME, made.key.key_id, START + 2 * HOUR)
    found = await store.get(ACME, made.key.key_id)
    assert found is not None
    assert found.revoked_at == START + HOUR


async def test_after_rotation_both_keys_work_until_the_grace_is_over(store: ApiKeys) -> None:
    old = await make(store)
    new = await store.rotate(ACME, old.key.key_id, now=START, grace=HOUR)
    assert new.key.replaces == old.key.key_id
    assert (new.key.user, new.key.role) == (old.key.user, old.key.role)
    soon, later = START + HOUR / 2, START + HOUR
    assert (await store.check(old.secret, soon)).refusal is None
    assert (await store.check(old.secret, later)).refusal == "expired"
    assert (await store.check(new.secret, later)).refusal is None


async def test_rotation_never_lengthens_the_old_keys_life(store: ApiKeys) -> None:
    old = await make(store, expires_at=START + HOUR)
    await store.rotate(ACME, old.key.key_id, now=START, grace=10 * HOUR)
    assert (await store.check(old.secret, START + HOUR)).refusal == "expired"


async def test_a_revoked_key_is_not_rotated(store: ApiKeys) -> None:
    old = await make(store)
    await store.revoke(ACME, old.key.key_id, START)
    with pytest.raises(NotFound):
        await store.rotate(ACME, old.key.key_id, now=START, grace=HOUR)


async def test_a_tenant_can_do_nothing_to_anothers_keys(store: ApiKeys) -> None:
    made = await make(store)
    key_id = made.key.key_id
    assert await store.get(EVIL, key_id) is None
    assert await store.list(EVIL) == ()
    with pytest.raises(NotFound):
        await store.revoke(EVIL, key_id, START)
    with pytest.raises(NotFound):
        await store.rotate(EVIL, key_id, now=START, grace=HOUR)
    assert (await store.check(made.secret, START)).refusal is None
    assert await store.list(ACME) == (made.key,)


async def test_the_secret_is_stored_nowhere(store: ApiKeys, database: Database) -> None:
    made = await make(store)
    async with database.read() as connection:
        rows = await connection.execute(
            select(api_keys), execution_options={ALL_TENANTS: "a test looks for the secret"}
        )
        stored = repr(rows.all())
    assert made.secret.split(".", 1)[1] not in stored
    assert made.secret.split(".", 1)[0] in stored  # the search does find what is there
    assert made.secret not in repr(made)


async def test_without_the_pepper_a_key_proves_nothing(
    store: ApiKeys, database: Database, storage_settings: StorageSettings
) -> None:
    made = await make(store)
    unpeppered = ApiKeys(database, storage_settings)
    assert (await unpeppered.check(made.secret, START)).refusal == "unknown"


async def test_a_role_that_is_none_and_a_tenant_no_subject_holds_are_refused(
    store: ApiKeys,
) -> None:
    with pytest.raises(BadInput, match="role"):
        await make(store, role="root")
    with pytest.raises(BadInput, match="tenant"):
        await store.create(TenantId("a.>"), name="x", user="x", role="admin", now=START)
