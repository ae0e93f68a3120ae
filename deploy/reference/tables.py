"""The tables of the book of record."""

from sqlalchemy import Column, Table

from deploy.reference.markdown import code, head, table
from schema.columns import SealedJson, SealedText
from schema.tables import metadata

ABOUT = """The book of record in PostgreSQL. Migrations (`schema/migrations`) make it; `schema/tables` is how the code
names it. What is *sealed* is encrypted with the key ring before it reaches the database. Row-level security shows the
role `golden_tenant` the rows of one tenant only."""


def page() -> str:
    """Every table with its columns, by name."""
    parts = [head("Tables", ABOUT)]
    parts += [_table(metadata.tables[name]) for name in sorted(metadata.tables)]
    return "\n".join(parts)


def _table(of: Table) -> str:
    rows = [(code(column.name), _type(column), _notes(column)) for column in of.columns]
    return f"## `{of.name}`\n\n{of.comment}.\n\n{table(('column', 'type', ''), rows)}"


def _type(column: Column[object]) -> str:
    kind = column.type.impl if isinstance(column.type, SealedText | SealedJson) else column.type
    return str(kind).lower()


def _notes(column: Column[object]) -> str:
    notes = [
        "primary key" if column.primary_key else "",
        "sealed" if isinstance(column.type, SealedText | SealedJson) else "",
        "may be empty" if column.nullable else "",
    ]
    return ", ".join(filter(None, notes))
