"""How migrations leave what they make to the tables' owner: a superuser may migrate, and theirs would have all rights."""

from alembic import op


def leave_to_owner(what: str) -> None:
    """Make the owner of the notifications that of `TABLE name` or the like too."""
    owner = op.get_bind().exec_driver_sql(
        "SELECT quote_ident(pg_get_userbyid(relowner)) FROM pg_class WHERE oid = 'notifications'::regclass"
    )
    op.execute(f"ALTER {what} OWNER TO {owner.scalar()}")


def define(signature: str, body: str, *, privileged: bool = True) -> None:
    """Create a function.

    Args:
        privileged: Whether it acts with its owner's rights; then no other role may call it until it is granted to.
    """
    op.execute(body)
    if privileged:
        schema = op.get_bind().exec_driver_sql("SELECT quote_ident(current_schema())").scalar()
        op.execute(f"ALTER FUNCTION {signature} SET search_path = {schema}, pg_temp")
        op.execute(f"ALTER FUNCTION {signature} SET lock_timeout = '2s'")
        op.execute(f"REVOKE EXECUTE ON FUNCTION {signature} FROM PUBLIC")
    leave_to_owner(f"FUNCTION {signature}")
