"""What makes the log append-only, on both databases."""

from __future__ import annotations

from typing import Any

_SQLITE = (
    """CREATE TRIGGER audit_entry_keep_update BEFORE UPDATE ON audit_entry
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_entry_keep_delete BEFORE DELETE ON audit_entry
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    # INSERT OR REPLACE removes the old row without asking the trigger above.
    """CREATE TRIGGER audit_entry_keep_replace BEFORE INSERT ON audit_entry WHEN EXISTS (
         SELECT 1 FROM audit_entry WHERE id = NEW.id
         OR (organization_id IS NEW.organization_id AND sequence = NEW.sequence))
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_chain_keep_update BEFORE UPDATE ON audit_chain
       WHEN NEW.name <> OLD.name OR NEW.sequence < OLD.sequence
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
    """CREATE TRIGGER audit_chain_keep_delete BEFORE DELETE ON audit_chain
       BEGIN SELECT RAISE(ABORT, 'the audit log is append-only'); END""",
)
_POSTGRESQL = (
    """CREATE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS
       $$ BEGIN RAISE EXCEPTION 'the audit log is append-only' USING ERRCODE = 'restrict_violation'; END $$""",
    """CREATE TRIGGER audit_entry_keep BEFORE UPDATE OR DELETE ON audit_entry
       FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_entry_keep_truncate BEFORE TRUNCATE ON audit_entry
       FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_chain_keep_update BEFORE UPDATE ON audit_chain
       FOR EACH ROW WHEN (NEW.name <> OLD.name OR NEW.sequence < OLD.sequence) EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_chain_keep_delete BEFORE DELETE ON audit_chain
       FOR EACH ROW EXECUTE FUNCTION audit_refuse()""",
    """CREATE TRIGGER audit_chain_keep_truncate BEFORE TRUNCATE ON audit_chain
       FOR EACH STATEMENT EXECUTE FUNCTION audit_refuse()""",
)
_COUNT = {
    "sqlite": "SELECT count(*) FROM sqlite_master WHERE type = 'trigger' AND name LIKE 'audit_%_keep%'",
    "postgresql": """SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'audit\\_%%\\_keep%%' AND tgenabled <> 'D'
        AND tgrelid IN ('audit_entry'::regclass, 'audit_chain'::regclass)""",
}


def create(connection: Any) -> None:
    """Make the triggers; they must not exist."""
    with connection.cursor() as cursor:
        for statement in _SQLITE if connection.vendor == "sqlite" else _POSTGRESQL:
            cursor.execute(statement)


def missing(connection: Any) -> int:
    """How many of the triggers are not there, or switched off."""
    wanted = len(_SQLITE) if connection.vendor == "sqlite" else len(_POSTGRESQL) - 1
    with connection.cursor() as cursor:
        cursor.execute(_COUNT[connection.vendor], [])
        return wanted - int(cursor.fetchone()[0])
