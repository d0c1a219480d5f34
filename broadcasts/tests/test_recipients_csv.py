"""Recipients as a table: whatever comes, each line is judged by itself or the table is refused with its line."""

from __future__ import annotations

import csv
import io
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from broadcasts import importing
from broadcasts.importing import MAX_ERRORS, Report, judged, rows_of_csv
from broadcasts.models import Recipient
from broadcasts.tests.conftest import HELLO, Make, feed, number
from config.api.problems import Problem
from conftest import Person, assert_problem

pytestmark = pytest.mark.django_db


@pytest.fixture
def post(alice: Person, make: Make) -> Any:
    """Posts a table to a new draft."""
    draft = make(draft=True, recipients=None)

    def post(table: str | bytes, content_type: str = "text/csv") -> Any:
        return alice.client.post(f"/api/broadcasts/{draft['id']}/recipients", table, content_type=content_type)

    return post


@pytest.mark.parametrize(
    "table",
    [
        "to,name\n{1},Carla\n{2},\n",
        "to;name\r\n{1};Carla\r\n{2};\r\n",
        "\ufeffto,name\n+1 555 020 0001,Carla\n{2}",
        '"to","name"\n"{1}","Carla"\n\n\n"{2}",""\n',
        " to ,name\n{1},Carla\n{2}\n",
    ],
)
def test_the_usual_spellings_of_tables_are_read(post: Any, table: str) -> None:
    answer = post(table.replace("{1}", number(1)).replace("{2}", number(2)), "text/csv; charset=utf-8")
    assert answer.status_code == 202
    assert answer.json() == {"accepted": 2, "duplicate": 0, "invalid": 0, "opted_out": 0, "errors": []}
    rows = Recipient.objects.order_by("id").values_list("to", "variables")
    assert list(rows) == [(f"{number(1)}@s.whatsapp.net", {"name": "Carla"}), (f"{number(2)}@s.whatsapp.net", {})]


def test_errors_name_their_lines(post: Any) -> None:
    table = f'to,name,client_ref\n{number(1)},"two\nlines",ref-1\nnobody,x,\n{number(1)},y,\n{number(2)},a,b,c\n'
    answer = post(table).json()
    assert (answer["accepted"], answer["duplicate"], answer["invalid"]) == (1, 1, 2)
    assert [(one["pointer"], one["code"]) for one in answer["errors"]] == [
        ("/4/to", "invalid_recipient"),
        ("/6", "invalid"),
    ]
    assert Recipient.objects.get().client_ref == "ref-1"


def test_so_many_errors_are_told_and_all_are_counted(post: Any) -> None:
    answer = post("to\n" + "nobody\n" * (MAX_ERRORS + 50)).json()
    assert (answer["invalid"], len(answer["errors"])) == (MAX_ERRORS + 50, MAX_ERRORS)


@pytest.mark.parametrize(
    ("table", "code"),
    [
        ("", "invalid_csv"),
        ("name\nCarla\n", "invalid_csv"),
        ("to,to\n1,2\n", "invalid_csv"),
        ("to,Name\n1,2\n", "invalid_variable"),
        ('to\n"15550200001\n', "invalid_csv"),
        ('to\n"15550200001"x\n', "invalid_csv"),
        ("to\n" + "1" * 200_000, "invalid_csv"),
        (b"to,name\n15550200001,M\xfcller\n", "not_utf8"),
        ("to\r15550200001\r", "invalid_csv"),
    ],
)
def test_what_is_no_table_is_refused(post: Any, table: str | bytes, code: str) -> None:
    problem = assert_problem(post(table), 400, "invalid_request")
    assert [error["code"] for error in problem["errors"]] == [code]


def test_a_column_that_the_message_does_not_have_is_an_error(post: Any) -> None:
    (error,) = post(f"to,nmae\n{number(1)},Carla\n").json()["errors"]
    assert (error["pointer"], error["code"]) == ("/2/variables/nmae", "unknown_variable")


def test_the_same_table_may_be_sent_again(post: Any) -> None:
    table = "to\n" + "".join(f"{number(serial)}\n" for serial in range(1500))
    assert post(table).json()["accepted"] == 1500
    again = post(table).json()
    assert (again["accepted"], again["duplicate"]) == (0, 1500)


def test_there_is_a_limit(post: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_RECIPIENTS", 2)
    assert post(f"to\n{number(1)}\n{number(2)}\n").json()["accepted"] == 2
    problem = assert_problem(post(f"to\n{number(3)}\n"), 400, "invalid_request")
    assert problem["errors"][0]["code"] == "max_length"


def test_other_types_of_bodies_are_refused(post: Any) -> None:
    assert_problem(post("to\n", "text/plain"), 415, "unsupported_media_type")


def test_the_report_is_a_table_that_no_spreadsheet_takes_for_formulas(alice: Person, make: Make) -> None:
    made = make(recipients=[{"to": number(1), "variables": {"name": "=1+1"}}, {"to": number(2), "client_ref": "@x"}])
    feed()
    answer = alice.client.get(f"/api/broadcasts/{made['id']}/report.csv")
    assert answer["Content-Type"] == "text/csv; charset=utf-8"
    first, second = csv.DictReader(io.StringIO(answer.getvalue().decode()))
    assert (first["to"], first["state"], first["name"]) == (f"{number(1)}@s.whatsapp.net", "queued", "'=1+1")
    assert (second["client_ref"], second["name"], second["sent_at"]) == ("'@x", "", "")


_TABLES = st.one_of(
    st.binary(max_size=200),
    st.text(alphabet=st.sampled_from("to,;\n\r\"' 15é\ufeff\x00name"), max_size=200).map(str.encode),
    st.lists(st.lists(st.text(max_size=10), max_size=4), max_size=6).map(
        lambda rows: "\n".join(",".join(row) for row in [["to", "name"], *rows]).encode(errors="replace")
    ),
)


def _read(table: bytes) -> tuple[str, int]:
    """The code of the refusal if there is one, and how many recipients were judged."""
    report = Report()
    try:
        chunks = list(judged(HELLO, rows_of_csv(io.BytesIO(table)), report))
    except Problem as problem:
        return problem.code, 0
    return "", sum(map(len, chunks)) + report.duplicate + report.invalid


@given(table=_TABLES)
def test_no_table_is_too_strange(table: bytes) -> None:
    code, judged = _read(table)
    assert code in ("", "invalid_request")
    assert judged <= table.count(b"\n") + 1


def test_a_table_has_an_end(post: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importing, "MAX_RECIPIENTS", 2000)
    problem = assert_problem(post("to\n" + "nobody\n" * 2001), 400, "invalid_request")
    assert problem["errors"][0]["code"] == "max_length"
    assert post("to\n" + "nobody\n" * 2000).json()["invalid"] == 2000
