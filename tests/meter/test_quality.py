"""Quality codes to and from those of other systems."""

import pytest

import smartdata_ts as sd
from smartdata_ts import formats
from smartdata_ts.errors import UsageError

SYSTEMS = ["elhub", "espi", "iec61968"]
EXPECTED = {
    "elhub": ["Målt", "Estimert", "Endelig estimert", None, "Midlertidig", None, "Avvist", "Manglende verdi"],
    "espi": ["0", "8", "8", "7", None, "10", None, None],
    "iec61968": ["3.0.0", "3.8.0", "3.8.0", "3.7.0", None, "3.5.258", "3.7.3", "3.5.259"],
}


@pytest.mark.parametrize("system", SYSTEMS)
def test_what_a_system_calls_each_status(system):
    assert [sd.quality_text(code, system) for code in range(8)] == EXPECTED[system]
    assert {sd.quality_text(code, system) for code in range(8, 16)} == {None}


@pytest.mark.parametrize("system", SYSTEMS)
def test_out_and_in_again_is_the_same_but_for_what_the_system_cannot_say(system):
    codes = sd.quality_codes(system)
    for code in range(256):
        text = sd.quality_text(code, system)
        if text is not None:
            again = codes[text]
            assert again & 15 == (1 if code & 15 == 2 and system != "elhub" else code & 15)
            assert again >> 4 in (0, code >> 4) or (system, text) == ("espi", "8")
    for text, code in codes.items():
        assert codes[sd.quality_text(code, system)] == code, text


def test_methods_where_a_system_has_them():
    assert sd.quality_text(sd.quality_code("estimated", "linear"), "espi") == "9"
    assert sd.quality_text(sd.quality_code("final_estimate", "linear"), "espi") == "9"
    assert sd.quality_text(sd.quality_code("estimated", "manual"), "elhub") == "Estimert"
    assert sd.quality_text(sd.quality_code("suspect", "linear"), "espi") == "10"


def test_a_file_with_the_codes_of_elhub(tmp_path):
    file = tmp_path / "export.csv"
    file.write_text(
        "series,time,value,quality\na,2024-01-01,1,Målt\na,2024-01-02,2,Endelig estimert\n"
        "a,2024-01-03,3,81\na,2024-01-04,4,Avvist\n",
        encoding="utf-8",
    )
    with sd.open(tmp_path / "s") as store:
        report = formats.import_file(
            store, file, tz="UTC", quality="quality", quality_codes=sd.quality_codes("elhub")
        )
        assert report.stored == 4
        assert store.query().to_arrow()["quality"].to_pylist() == [0, 2, 2, 6]


def test_another_system_is_refused():
    with pytest.raises(UsageError, match="elhub, espi, iec61968"):
        sd.quality_codes("ieee")
