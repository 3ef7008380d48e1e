from tfnets import tables

COLUMNS = {"network": ["FC", "GRU + Adam"], "accuracy": ["0.7", "0.9"]}


def test_text():
    assert tables.text(COLUMNS) == "network     accuracy\nFC          0.7\nGRU + Adam  0.9"
