"""Full-text search: an index of words beside the ledger, kept by triggers in the transaction of each row.

It stands in a table of its own, so that a change of a message's status does not touch it. Every word begins with a mark
of its organization: a tenant's search reads that tenant's part of the index and nothing else.

PostgreSQL has a GIN index over tsvectors, SQLite an FTS5 table. Words come from ``searchable``; they contain letters,
digits, marks and symbols only, and so cannot be read as operators by either.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple

from django.db import connection, models
from django.db.models.expressions import RawSQL

from config.api.problems import invalid
from config.ids import to_uuid
from messaging.finding.searchable import words_of

MOST_TERMS = 20
SHORTEST_PREFIX = 2
NEWEST = 10_000  # on SQLite: a search looks at so many of the messages with these words, the newest
_TERM = re.compile(r'"([^"]*)"?(\*?)|(\S+)')


class Term(NamedTuple):
    """Words that follow each other; of a prefix the last one may go on."""

    words: list[str]
    prefix: bool


def terms_of(query: str) -> list[Term]:
    """What a query asks for: all of its words, ``"phrases in quotes"``, and prefixes with a ``*`` at the end.

    Raises Problem ``invalid_request`` for a query without words, with too many, or with a prefix that is too short.
    """
    terms = []
    for quoted, star, bare in _TERM.findall(query):
        words = words_of(quoted or bare)
        prefix = bool(star) or bare.endswith("*")
        if words:
            terms.append(Term(words, prefix))
            if prefix and len(words[-1]) < SHORTEST_PREFIX and words[-1].isascii():
                raise invalid("/q", "prefix_too_short", f"A prefix has at least {SHORTEST_PREFIX} letters.")
    if not terms:
        raise invalid("/q", "no_words", "There is no word to search for.")
    if sum(len(term.words) for term in terms) > MOST_TERMS:
        raise invalid("/q", "too_many_words", f"A search has at most {MOST_TERMS} words.")
    return terms


def matching(organization_id: str, query: str) -> models.Q:
    """The messages of an organization with all that a query asks for. Raises Problem ``invalid_request``.

    It narrows a query by words only: who may see what is the caller's business.
    """
    terms, mark = terms_of(query), to_uuid(organization_id, "org").hex[-8:]
    if connection.vendor == "postgresql":
        sql = "SELECT message_id FROM messaging_words WHERE words @@ %s::tsquery"
        return models.Q(pk__in=RawSQL(sql, [_tsquery(terms, mark)]))  # noqa: S611 (no value is in the text)
    sql = """
        SELECT message_id FROM messaging_words WHERE docid IN (
          SELECT rowid FROM messaging_words_index WHERE messaging_words_index MATCH %s ORDER BY rowid DESC LIMIT %s)
    """
    return models.Q(pk__in=RawSQL(sql, [_fts5(terms, mark), NEWEST]))  # noqa: S611 (likewise)


def _tsquery(terms: list[Term], mark: str) -> str:
    def one(term: Term) -> str:
        return " <-> ".join(f"'{mark}{word}'" for word in term.words) + (":*" if term.prefix else "")

    return " & ".join(f"({one(term)})" for term in terms)


def _fts5(terms: list[Term], mark: str) -> str:
    def one(term: Term) -> str:
        return '"' + " ".join(f"{mark}{word}" for word in term.words) + '"' + ("*" if term.prefix else "")

    return " AND ".join(one(term) for term in terms)


_POSTGRESQL = """
CREATE TABLE messaging_words (message_id uuid PRIMARY KEY, words tsvector NOT NULL);
CREATE INDEX messaging_words_found ON messaging_words USING gin (words);
ALTER TABLE messaging_words ALTER COLUMN words SET STATISTICS 1000;

CREATE FUNCTION messaging_words_of(organization uuid, text text) RETURNS tsvector
LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
  SELECT string_agg('''' || right(organization::text, 8) || replace(replace(word, '\\', '\\\\'), '''', '''''')
                    || ''':' || place, ' ')::tsvector
  FROM unnest(string_to_array(text, ' ')) WITH ORDINALITY AS one(word, place)
  WHERE word <> '' AND place <= 16383
$$;

CREATE FUNCTION messaging_words_write() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
  IF TG_OP = 'INSERT' THEN
    INSERT INTO messaging_words
      SELECT id, messaging_words_of(organization_id, text) FROM fresh WHERE text <> '';
  ELSIF TG_OP = 'DELETE' THEN
    DELETE FROM messaging_words USING gone WHERE message_id = gone.id;
  ELSIF TG_OP = 'TRUNCATE' THEN
    TRUNCATE messaging_words;
  ELSE
    DELETE FROM messaging_words WHERE message_id = OLD.id;
    IF NEW.text <> '' THEN
      INSERT INTO messaging_words VALUES (NEW.id, messaging_words_of(NEW.organization_id, NEW.text));
    END IF;
  END IF;
  RETURN NULL;
END $$;

CREATE TRIGGER words_of_new AFTER INSERT ON messaging_message REFERENCING NEW TABLE AS fresh
  FOR EACH STATEMENT EXECUTE FUNCTION messaging_words_write();
CREATE TRIGGER words_of_changed AFTER UPDATE OF text ON messaging_message
  FOR EACH ROW WHEN (OLD.text IS DISTINCT FROM NEW.text) EXECUTE FUNCTION messaging_words_write();
CREATE TRIGGER words_of_gone AFTER DELETE ON messaging_message REFERENCING OLD TABLE AS gone
  FOR EACH STATEMENT EXECUTE FUNCTION messaging_words_write();
CREATE TRIGGER words_of_all AFTER TRUNCATE ON messaging_message
  FOR EACH STATEMENT EXECUTE FUNCTION messaging_words_write();
"""
_POSTGRESQL_FILL = """
INSERT INTO messaging_words SELECT id, messaging_words_of(organization_id, text) FROM messaging_message WHERE text <> ''
"""

_SQLITE_TABLES = (
    "CREATE TABLE messaging_words"
    " (docid INTEGER PRIMARY KEY, message_id char(32) NOT NULL UNIQUE, words text NOT NULL)",
    "CREATE VIRTUAL TABLE messaging_words_index"
    " USING fts5(words, content='messaging_words', content_rowid='docid', columnsize=0, tokenize='ascii')",
)
_SQLITE_ADD = """
INSERT INTO messaging_words (message_id, words)
  SELECT NEW.id, substr(NEW.organization_id, -8) || replace(NEW.text, ' ', ' ' || substr(NEW.organization_id, -8))
  WHERE NEW.text <> '';
INSERT INTO messaging_words_index (rowid, words) SELECT docid, words FROM messaging_words WHERE message_id = NEW.id;
"""
_SQLITE_REMOVE = """
INSERT INTO messaging_words_index (messaging_words_index, rowid, words)
  SELECT 'delete', docid, words FROM messaging_words WHERE message_id = OLD.id;
DELETE FROM messaging_words WHERE message_id = OLD.id;
"""
_SQLITE_TRIGGERS = (
    "CREATE TRIGGER IF NOT EXISTS words_of_new AFTER INSERT ON messaging_message"
    f" WHEN NEW.text <> '' BEGIN {_SQLITE_ADD} END",
    "CREATE TRIGGER IF NOT EXISTS words_of_changed AFTER UPDATE OF text ON messaging_message"
    f" WHEN OLD.text IS NOT NEW.text BEGIN {_SQLITE_REMOVE} {_SQLITE_ADD} END",
    f"CREATE TRIGGER IF NOT EXISTS words_of_gone AFTER DELETE ON messaging_message BEGIN {_SQLITE_REMOVE} END",
)


def create(editor_connection: Any) -> None:
    """Make the index, its triggers, and the entries of the messages that are there already."""
    with editor_connection.cursor() as cursor:
        if editor_connection.vendor == "postgresql":
            cursor.execute(_POSTGRESQL)
            cursor.execute(_POSTGRESQL_FILL)
            return
        for statement in _SQLITE_TABLES:
            cursor.execute(statement)
    keep_triggers(editor_connection)


def keep_triggers(editor_connection: Any) -> None:
    """Make the triggers that are missing: on SQLite a migration of messages rebuilds the table without them."""
    if editor_connection.vendor == "sqlite":
        with editor_connection.cursor() as cursor:
            cursor.execute("SELECT 1 FROM sqlite_master WHERE name = 'messaging_words'")
            if cursor.fetchone() is None:
                return  # migrated to a state before the search
            for statement in _SQLITE_TRIGGERS:
                cursor.execute(statement)
