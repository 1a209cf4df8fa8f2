"""Rows of FOCUS as a file of Apache Parquet, where pyarrow is installed: `pip install 'suanli[parquet]'`."""

import io
from collections.abc import Iterable
from datetime import UTC, datetime
from decimal import Decimal

from suanli.base.clock import parse_time_ms
from suanli.base.errors import SuanliError
from suanli.base.reasons import Reason
from suanli.billing.focus import COLUMNS, PLACES, Row
from suanli.billing.focusrules import COSTS, MOMENTS

QUANTITIES = ("ConsumedQuantity", "PricingQuantity")
MOST_DIGITS = 38  # of a decimal of 128 bits


def focus_parquet(rows: Iterable[Row]) -> bytes:
    """A file with a column for each of FOCUS: costs and quantities as decimals, moments in UTC, all else text; null is null.

    Raises: SuanliError without pyarrow.
    """
    try:
        import pyarrow as pa
        from pyarrow import parquet
    except ImportError as error:
        raise SuanliError(
            Reason.INVALID_SPEC, "Parquet needs pyarrow: pip install 'suanli[parquet]', or take -o focus, which is CSV"
        ) from error
    number, moment = pa.decimal128(MOST_DIGITS, PLACES), pa.timestamp("ms", tz="UTC")
    types = {
        name: number if name in COSTS + QUANTITIES else moment if name in MOMENTS else pa.string() for name in COLUMNS
    }
    told = list(rows)
    columns = [pa.array([_value(row[name], name) for row in told], type=type_) for name, type_ in types.items()]
    file = io.BytesIO()
    parquet.write_table(pa.table(columns, names=list(types)), file, compression="zstd")
    return file.getvalue()


def _value(text: str, name: str) -> str | Decimal | datetime | None:
    """What a field of text means."""
    if not text:
        return None
    if name in COSTS + QUANTITIES:
        return Decimal(text)
    if name in MOMENTS:
        return datetime.fromtimestamp(parse_time_ms(text) / 1000, UTC)
    return text
