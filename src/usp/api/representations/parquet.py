"""Parquet: everything, column by column with their types, in a stream of row groups."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing
from typing import Any, cast

import pyarrow as pa  # type: ignore[import-untyped]
import pyarrow.compute  # type: ignore[import-untyped]
import pyarrow.csv  # type: ignore[import-untyped]
import pyarrow.parquet  # type: ignore[import-untyped]

from usp.api.database import Database
from usp.api.representations.copying import Copy
from usp.api.selection import Column, ColumnType, Selection

#: What PostgreSQL calls a column's type -> how it is stored; numbers of other types as double precision.
_NUMBERS = {"float4": pa.float32(), "int2": pa.int64(), "int4": pa.int64(), "int8": pa.int64()}
_TYPES = {
    ColumnType.TIME: pa.timestamp("us", tz="UTC"),
    ColumnType.BOOLEAN: pa.bool_(),
    ColumnType.TEXT: pa.string(),
    ColumnType.LIST: pa.list_(pa.string()),
}
#: A row group is encoded in some tens of milliseconds, by a thread, while the next one comes in.
_GROUP_ROWS = 64 * 1024
_CHUNK_BYTES = 512 * 1024


class Parquet:
    """Apache Parquet with zstd; times are UTC, in microseconds.

    Each field's metadata has `title` and `unit`, the schema's what is known about the answer: `title`, `licence`,
    `attribution`, and of buckets `from`, `to` and `bucket`.
    """

    name = "parquet"
    media_type = "application/vnd.apache.parquet"
    content_type = "application/vnd.apache.parquet"
    paged = False
    spatial = False

    async def chunks(
        self,
        selection: Selection,
        database: Database,
        link: Callable[[str], str],  # noqa: ARG002 - Parquet has no pages
    ) -> AsyncIterator[bytes]:
        """Copy out as CSV, which pyarrow reads faster than any decoder of binary COPY reads that."""
        sql = selection.rendered({})
        async with database.connection() as connection:
            attributes = (await connection.prepare(sql)).get_attributes()
        file = _File(_schema(selection, [attribute.type.name for attribute in attributes]))
        copied = Copy(sql, chunk_bytes=_CHUNK_BYTES).chunks(selection, database)
        async with aclosing(cast("AsyncGenerator[bytes]", copied)) as incoming:
            async for chunk in incoming:
                if encoded := await asyncio.to_thread(file.add, chunk):
                    yield encoded
        yield await asyncio.to_thread(file.end)


def _schema(selection: Selection, types: list[str]) -> pa.Schema:
    fields = [_field(column, type_) for column, type_ in zip(selection.columns, types, strict=True)]
    return pa.schema(fields, metadata=dict(selection.about))


def _field(column: Column, type_: str) -> pa.Field:
    told = {"title": column.title, "unit": column.unit}
    metadata = {name: text for name, text in told.items() if text}
    stored = _TYPES.get(column.type) or _NUMBERS.get(type_, pa.float64())
    return pa.field(column.name, stored, metadata=metadata or None)


class _File:
    """A Parquet file that is taken away piece by piece while it is written."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._rows: list[pa.Table] = []
        self._sink = _Sink()
        times = [f.name for f in schema if pa.types.is_timestamp(f.type)]
        self._writer = pyarrow.parquet.ParquetWriter(
            pa.PythonFile(self._sink, mode="w"),
            schema,
            compression="zstd",
            use_dictionary=[name for name in schema.names if name not in times],
            column_encoding=dict.fromkeys(times, "DELTA_BINARY_PACKED"),
        )
        self._as_text = [
            pa.field(f.name, pa.string() if pa.types.is_list(f.type) else f.type, metadata=f.metadata) for f in schema
        ]

    def add(self, chunk: bytes) -> bytes:
        """Take whole lines of CSV; return what of the file is ready."""
        self._rows.append(self._read(chunk))
        if sum(map(len, self._rows)) >= _GROUP_ROWS:
            rows = pa.concat_tables(self._rows)
            whole = len(rows) - len(rows) % _GROUP_ROWS
            self._write(rows.slice(0, whole))
            self._rows = [rows.slice(whole)]
        return self._sink.take()

    def end(self) -> bytes:
        """Return the rest of the file."""
        self._write(pa.concat_tables([self._schema.empty_table(), *self._rows]))
        self._writer.close()
        return self._sink.take()

    def _write(self, rows: pa.Table) -> None:
        if len(rows):
            self._writer.write_table(rows, row_group_size=_GROUP_ROWS)

    def _read(self, chunk: bytes) -> pa.Table:
        table = pyarrow.csv.read_csv(
            pa.BufferReader(chunk),
            pyarrow.csv.ReadOptions(column_names=self._schema.names, use_threads=False, block_size=len(chunk) + 1),
            pyarrow.csv.ParseOptions(newlines_in_values=True),
            pyarrow.csv.ConvertOptions(
                column_types=pa.schema(self._as_text),
                null_values=[""],
                strings_can_be_null=True,
                # COPY writes "" for a text that is there but empty.
                quoted_strings_can_be_null=False,
                true_values=["t"],
                false_values=["f"],
            ),
        )
        columns = [
            _split(column) if pa.types.is_list(field.type) else column
            for field, column in zip(self._schema, table.columns, strict=True)
        ]
        return pa.table(columns, schema=self._schema)


def _split(words: pa.ChunkedArray) -> pa.ChunkedArray:
    """Lists of words; an empty one where there is none."""
    split = pa.compute.split_pattern(words.combine_chunks(), ";")
    return pa.chunked_array([pa.ListArray.from_arrays(split.offsets, split.values)])


class _Sink:
    """A file to write to, as far as pyarrow needs one."""

    closed = False

    def __init__(self) -> None:
        self._parts: list[bytes] = []
        self._written = 0

    def write(self, data: Any) -> int:
        """Keep a copy."""
        part = bytes(data)
        self._parts.append(part)
        self._written += len(part)
        return len(part)

    def tell(self) -> int:
        """How much was ever written."""
        return self._written

    def flush(self) -> None:
        """Nothing is held back."""

    def close(self) -> None:
        """What was written can still be taken."""

    def take(self) -> bytes:
        """What was written since the last time."""
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken
