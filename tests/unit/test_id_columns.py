import pyarrow as pa
import pytest

from tapetum.id_columns import column_values, id_column


@pytest.mark.parametrize(
    ("ids", "kind"),
    [
        ([3, None, -1], pa.int64()),
        (["a", None, "3"], pa.string()),
        ([3, "3", None], pa.string()),
        ([2**70, 1], pa.string()),
        ([None, None], pa.string()),
        ([], pa.string()),
    ],
)
def test_identifiers_come_back_as_they_were(ids, kind):
    values, field = id_column("person_id", ids)
    assert field.type == kind
    table = pa.Table.from_arrays([pa.array(values, field.type)], schema=pa.schema([field]))
    assert column_values(table, "person_id") == ids


def test_missing_column_is_named():
    with pytest.raises(KeyError, match="camera_id"):
        column_values(pa.table({"person_id": [1]}), "camera_id")
