"""Parquet parts in duckdb and pandas."""

import duckdb
import pandas
import pytest
from conftest import TEXTS
from pycocotools import mask as coco
from sam3trt import parquet


@pytest.fixture
def folder(segmenter, drawn, tmp_path):
    results = segmenter([str(path) for path in drawn], text=TEXTS)
    parquet.write_parquet([*results, {"path": "broken.jpg", "error": "no image"}], tmp_path, 2)
    assert len(parquet.parts_of(tmp_path)) == 2
    return tmp_path, results


def test_duckdb_counts_and_filters(folder):
    path, results = folder
    found = duckdb.sql(
        f"select prompt, count(*) from '{path}/*.parquet' where score > 0.9 group by prompt"
    ).fetchall()
    expected = {text: 0 for text in TEXTS}
    for result in results:
        for instance in result:
            expected[instance.name] += instance.score > 0.9
    assert dict(found) == {name: count for name, count in expected.items() if count}
    failed = duckdb.sql(f"select path, error from '{path}/*.parquet' where error is not null")
    assert failed.fetchall() == [("broken.jpg", "no image")]
    width = duckdb.sql(f"select max(box[3] - box[1]) from '{path}/*.parquet'").fetchall()[0][0]
    assert width == pytest.approx(max((r.boxes[:, 2] - r.boxes[:, 0]).max() for r in results))


def test_pandas_rows_give_masks(folder):
    path, results = folder
    frame = pandas.read_parquet(path)
    assert len(frame) == sum(len(result) for result in results) + 1
    row = frame[frame.path == str(results[0].path)].iloc[0]
    mask = {"size": row["mask"]["size"].tolist(), "counts": row["mask"]["counts"]}
    assert (coco.decode(mask).astype(bool) == results[0].masks[0]).all()
