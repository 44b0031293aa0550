"""`POST /invocations`: MLflow's scoring protocol. Rows or columns in, `{"predictions": …}` out; JSON, CSV or Arrow."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping
from typing import Any

from . import arrow
from .compression import plain_body
from .contract import read_json
from .exchange import ENCODE, Call, Outputs, Protocol, Refusal, Reply, Request
from .inputs import InvalidInput, checked_attributes, checked_inputs
from .model import LoadedModel
from .outputs import ENCODER, check_finite, plain
from .tables import columns_of, inputs_of_columns, inputs_of_rows, matrix_input

FORMS = ("dataframe_split", "dataframe_records", "instances", "inputs")
MISSING = {"", "NA", "N/A", "n/a", "NULL", "null", "None", "nan", "<NA>"}
TRUTHS = {"true": True, "false": False}
Given = dict[str, Any]


def prepare(model: LoadedModel, request: Request, defaults: Mapping[str, str]) -> Call:
    """The call that a scoring request asks for; raises Refusal."""
    given, params, answer = read(model, request)
    if arrow.wanted(request):
        answer = arrow.answer
    return Call(checked_inputs(model, given), checked_attributes(model, texts(params), defaults), answer)


def read(model: LoadedModel, request: Request) -> tuple[Given, Any, Callable[[Outputs], Reply]]:
    """Inputs by name, parameters, and how the answer is told, by the kind of body."""
    kind, body = request.content_type, plain_body(request)
    if kind == "text/csv":
        return of_csv(model, body), None, answer_rows
    if kind == arrow.MEDIA_TYPE:
        columns, params = arrow.read(body)
        return inputs_of_columns(model, columns), params, answer_rows
    if kind not in {"", "application/json"}:
        kinds = f"application/json, text/csv or {arrow.MEDIA_TYPE}"
        raise Refusal(415, f"The body is {kind}; send {kinds} and say so in Content-Type")
    return of_json(model, read_json(body))


def of_json(model: LoadedModel, body: Any) -> tuple[Given, Any, Callable[[Outputs], Reply]]:
    """The one of the four forms that is there. Rows are answered with rows, columns with columns, as they came."""
    forms = [form for form in FORMS if form in body] if isinstance(body, dict) else []
    if len(forms) != 1:
        raise InvalidInput([], f"The body must be an object with exactly one of {', '.join(FORMS)}")
    form, value = forms[0], body[forms[0]]
    read_form = {"dataframe_split": of_split, "dataframe_records": of_records, "instances": of_instances}.get(form)
    given = read_form(model, value) if read_form else of_inputs(model, value)
    return given, body.get("params"), answer_columns if form == "inputs" else answer_rows


def of_split(model: LoadedModel, value: Any) -> Given:
    """`{"columns": […], "data": [[…], …]}`, what pandas calls "split"; an index is of no interest."""
    here: list[str | int] = ["dataframe_split"]
    if not isinstance(value, dict) or not isinstance(value.get("data"), list):
        raise InvalidInput(here, "`dataframe_split` must be an object with `columns` and `data`, a list of rows")
    rows = value["data"]
    if not all(isinstance(row, list) for row in rows):
        raise InvalidInput([*here, "data"], "`data` must be a list of rows, each of them a list")
    names = value.get("columns")
    if names is None:
        specs = [spec["name"] for spec in model.manifest["inputs"]]
        names = range(len(rows[0]) if rows else 0) if matrix_input(model) else specs
    names = [str(name) for name in names] if isinstance(names, list | range) else []
    if len(set(names)) < len(names):
        raise InvalidInput([*here, "columns"], "`columns` must be a list of different names")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            message = f"Row {number} has {len(row)} values for {len(names)} columns"
            raise InvalidInput([*here, "data", number], message)
    return inputs_of_rows(model, names, rows)


def of_records(model: LoadedModel, value: Any, form: str = "dataframe_records") -> Given:
    """A list of objects, one for each row; what a row lacks is missing."""
    if not isinstance(value, list) or not all(isinstance(row, dict) for row in value):
        raise InvalidInput([form], f"`{form}` must be a list of objects, one for each row")
    names = list(dict.fromkeys(name for row in value for name in row))
    if not value:
        names = [spec["name"] for spec in model.manifest["inputs"]]
    return inputs_of_columns(model, {name: [row.get(name) for row in value] for name in names})


def of_instances(model: LoadedModel, value: Any) -> Given:
    """Rows as objects, or as the values of the model's only input."""
    if isinstance(value, list) and value and all(isinstance(row, dict) for row in value):
        return of_records(model, value, "instances")
    return {only_input(model, "instances"): value}


def of_inputs(model: LoadedModel, value: Any) -> Given:
    """Values by the name of their input, or those of the model's only input."""
    return value if isinstance(value, dict) else {only_input(model, "inputs"): value}


def only_input(model: LoadedModel, form: str) -> str:
    """The name that needs not be said."""
    names = [str(spec["name"]) for spec in model.manifest["inputs"]]
    if len(names) != 1:
        raise InvalidInput([form], f"`{form}` must name the inputs of the model: {', '.join(names)}")
    return names[0]


def of_csv(model: LoadedModel, body: bytes) -> Given:
    """A table with a line of names, whose cells are read as what the inputs are."""
    try:
        lines = [line for line in csv.reader(io.StringIO(body.decode("utf-8-sig"), newline=""), strict=True) if line]
    except (csv.Error, UnicodeDecodeError) as error:
        raise InvalidInput([], f"The body is not CSV: {error}", "csv_invalid") from None
    names, rows = (lines[0], lines[1:]) if lines else ([], [])
    if len(set(names)) < len(names) or not names:
        raise InvalidInput([], "The first line must be a list of different names", "csv_invalid")
    for number, row in enumerate(rows):
        if len(row) != len(names):
            raise InvalidInput([], f"Row {number} has {len(row)} values for {len(names)} columns", "csv_invalid")
    kinds = {spec["name"]: spec["dtype"] for spec in model.manifest["inputs"]}
    matrix = matrix_input(model)
    readers = [reader_of(kinds.get(name) or kinds.get(matrix or "") or "") for name in names]
    return inputs_of_rows(model, names, [[read(cell) for read, cell in zip(readers, row, strict=True)] for row in rows])


def reader_of(dtype: str) -> Callable[[str], Any]:
    """How a cell is read. What cannot be read stays a text, which the check will name."""
    element = dtype.partition("[")[2].removesuffix("]")
    if element.startswith(("float", "int")):
        return number_in
    if element.startswith("bool"):
        return lambda cell: TRUTHS.get(cell.strip().lower(), cell)
    return lambda cell: cell or None


def number_in(cell: str) -> Any:
    """A whole number where it is one, so that long ones keep all their digits."""
    if cell.strip() in MISSING:
        return None
    for read_number in (int, float):
        try:
            return read_number(cell)
        except ValueError:
            continue
    return cell


def texts(params: Any) -> Any:
    """Parameters as the texts that dynamic attributes are; numbers and truths become what they are in JSON."""
    if not isinstance(params, dict):
        return params
    return {name: ENCODE(value).decode() if isinstance(value, int | float) else value for name, value in params.items()}


def answer_columns(outputs: Outputs) -> Reply:
    """The outputs by name, or the only one."""
    check_finite(outputs)
    predictions = next(iter(outputs.values())) if len(outputs) == 1 else outputs
    return Reply(200, ENCODER.encode({"predictions": predictions}))


def answer_rows(outputs: Outputs) -> Reply:
    """One prediction for each row: the only output's value, or an object of all outputs."""
    columns = columns_of(outputs) if len(outputs) > 1 else None
    if columns is None:
        return answer_columns(outputs)
    check_finite(outputs)
    lists = [column if isinstance(column, list) else plain(column) for column in columns.values()]
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*lists, strict=True)]
    return Reply(200, ENCODER.encode({"predictions": rows}))


def refuse(refusal: Refusal) -> Reply:
    """What MLflow's clients read, beside what the contract says."""
    code = "BAD_REQUEST" if refusal.status < 500 else "INTERNAL_ERROR"
    told = {"error_code": code, "message": refusal.message, "detail": refusal.detail}
    return Reply(refusal.status, ENCODE(told))


INVOCATIONS = Protocol(prepare, refuse)
