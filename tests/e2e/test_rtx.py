"""NVIDIA's parser and builder accept and compile every exported graph, without a GPU."""

import graphs
import onnx
import pytest
import rtx
from conftest import REFERENCES

pytestmark = pytest.mark.skipif(rtx.trt is None, reason=rtx.REASON)


@pytest.mark.parametrize("file", graphs.FILES.values())
@pytest.mark.parametrize("semantics, name", REFERENCES[:1] + REFERENCES[2:4])
def test_tensorrt_rtx_compiles_the_graph(exported, semantics, name, file):
    assert rtx.compile_graph(exported(semantics, name) / file) > 0


def test_a_graph_that_tensorrt_cannot_run_is_noticed(exported, tmp_path):
    model = onnx.load(str(exported("hf", "tiny_a") / graphs.FILES["text_encoder"]))
    model.graph.node[-1].op_type = "NoSuchOperator"
    onnx.save(model, str(tmp_path / "broken.onnx"))
    with pytest.raises(rtx.CompileError, match="NoSuchOperator"):
        rtx.compile_graph(tmp_path / "broken.onnx")
