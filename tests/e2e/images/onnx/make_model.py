"""Writes the model that infer.py runs: y = x · w, with w = 1 everywhere; large enough that threads share the work."""

import sys

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SIZE = 256

x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [SIZE, SIZE])
y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [SIZE, SIZE])
w = numpy_helper.from_array(np.ones((SIZE, SIZE), np.float32), "w")
graph = helper.make_graph([helper.make_node("MatMul", ["x", "w"], ["y"])], "product", [x], [y], [w])
model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
onnx.checker.check_model(model)
onnx.save(model, sys.argv[1])
