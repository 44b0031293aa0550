"""The tags and the searchable values that occur in a collection. They are noted when an artifact is written, by
triggers of the database: gathering them from a hundred thousand artifacts takes half a second.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import Connection, Text, bindparam, delete, func, literal_column, select, true, tuple_
from sqlalchemy.dialects.postgresql import ARRAY

from luml_app.core import tables as t
from luml_app.core.prepared import Prepared
from luml_app.jobs.chores import Errand, chore

MOST = 5_000
"""So many of each kind are told, the first by alphabet."""
_AT_ONCE = 500


def words_of(db: Connection, collection_id: UUID) -> tuple[list[str], list[str]]:
    """Tags and names of values, each sorted."""
    row = _WORDS.one(db, collection_id=collection_id)
    return sorted(row.tags), sorted(row.values)


@chore("collections.forget", every=24 * 3600)
def forget_words(errand: Errand) -> int:
    """Forget what occurs in no artifact of its collection any more, one collection at a time; how many words."""
    after, total = UUID(int=0), 0
    while not errand.is_lost():
        with errand.database.read() as db:
            c = t.collections.c
            some = list(db.scalars(select(c.id).where(c.id > after).order_by(c.id).limit(_AT_ONCE)))
        for collection_id in some:
            total += _forget(errand, collection_id)
        if len(some) < _AT_ONCE:
            break
        after = some[-1]
    return total


def _forget(errand: Errand, collection_id: UUID) -> int:
    w, a = t.collection_words, t.artifacts
    found = func.luml_words(a.c.tags, a.c.extra_values).table_valued("kind", "word").render_derived()
    occurring = (
        select(found.c.kind, found.c.word).select_from(a.join(found, true())).where(a.c.collection_id == collection_id)
    )
    gone = delete(w).where(w.c.collection_id == collection_id, tuple_(w.c.kind, w.c.word).not_in(occurring))
    with errand.database.write() as db:
        # Held alone: a word that an artifact brings in this moment is noted after this, or seen by it.
        db.execute(select(t.collections.c.id).where(t.collections.c.id == collection_id).with_for_update())
        return db.execute(gone).rowcount


def _words() -> Any:
    w = t.collection_words

    def some(kind: str) -> Any:
        mine = (w.c.collection_id == bindparam("collection_id"), w.c.kind == literal_column(f"'{kind}'"))
        words = select(w.c.word).where(*mine).order_by(w.c.word).limit(literal_column(str(MOST)))
        return func.array(words.scalar_subquery(), type_=ARRAY(Text))

    return select(some("tag").label("tags"), some("value").label("values"))


_WORDS = Prepared(_words())
