"""Makes reports of trades and ledgers as zip files (docs/kraken.md §1b). A report is ready at once."""

from __future__ import annotations

import csv
import io
import zipfile
from collections.abc import Iterable, Mapping

from signer.sandbox.queries import trade_json
from signer.sandbox.records import Export
from signer.sandbox.rejected import invalid
from signer.sandbox.state import Methods, SimulatedAccount, SimulatedCall
from signer.sandbox.statements import entry_json

_REPORTS = ("trades", "ledgers")
_SEPARATORS = {"CSV": ",", "TSV": "\t"}
_KEPT = 14 * 86_400


def _add_export(call: SimulatedCall) -> object:
    fields, now = call.fields, call.state.now()
    report = fields.one_of("report", _REPORTS)
    fmt = fields.one_of("format", tuple(_SEPARATORS), "CSV")
    start, end = fields.time("starttm", now), fields.time("endtm", now) or now
    rows = _rows(call.account, report, start, end)
    made = Export(
        id=call.state.ids.export(),
        report=report,
        description=fields.required("description"),
        format=fmt,
        fields=fields.text("fields", "all"),
        created=now,
        start=start,
        end=end,
        content=_zipped(f"{report}.{fmt.lower()}", rows, _SEPARATORS[fmt], fields.words("fields")),
    )
    call.account.exports[made.id] = made
    return {"id": made.id}


def _rows(account: SimulatedAccount, report: str, start: float, end: float) -> list[dict[str, object]]:
    if report == "trades":
        return [
            {"txid": trade.id} | trade_json(trade, ledgers=False)
            for trade in account.trades.values()
            if start <= trade.time <= end
        ]
    return [
        {"txid": entry.id} | entry_json(entry)
        for entry in account.wallet.entries.values()
        if start <= entry.time <= end
    ]


def _zipped(name: str, rows: Iterable[Mapping[str, object]], separator: str, wanted: list[str]) -> bytes:
    """Answer a zip of one file: a heading and a line for each row, with all columns or the ``wanted`` ones."""
    rows = list(rows)
    columns = [column for column in (rows[0] if rows else {"txid": ""}) if wanted in ([], ["all"]) or column in wanted]
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, extrasaction="ignore", delimiter=separator, lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        # The date is fixed, so that the same calls give the same bytes.
        archive.writestr(zipfile.ZipInfo(name), text.getvalue(), zipfile.ZIP_DEFLATED)
    return packed.getvalue()


def _export_status(call: SimulatedCall) -> object:
    report = call.fields.one_of("report", _REPORTS)
    return [_export_json(made) for made in call.account.exports.values() if made.report == report]


def _export_json(made: Export) -> dict[str, object]:
    return {
        "id": made.id,
        "descr": made.description,
        "format": made.format,
        "report": made.report,
        "subtype": "all",
        "status": "Processed",
        "error": "0",
        "flags": "0",
        "fields": made.fields,
        "createdtm": str(int(made.created)),
        "expiretm": str(int(made.created) + _KEPT),
        "starttm": str(int(made.created)),
        "completedtm": str(int(made.created)),
        "datastarttm": str(int(made.start)),
        "dataendtm": str(int(made.end)),
        "aclass": "forex",
        "asset": "all",
    }


def _named(call: SimulatedCall) -> Export:
    made = call.account.exports.get(call.fields.required("id"))
    if made is None:
        raise invalid("id")
    return made


def _retrieve_export(call: SimulatedCall) -> object:
    return _named(call).content


def _remove_export(call: SimulatedCall) -> object:
    kind = call.fields.one_of("type", ("cancel", "delete"))
    del call.account.exports[_named(call).id]
    return {kind: True}


METHODS: Methods = {
    "AddExport": _add_export,
    "ExportStatus": _export_status,
    "RetrieveExport": _retrieve_export,
    "RemoveExport": _remove_export,
}
