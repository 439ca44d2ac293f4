"""Writes .caffemodel files by Google's protocol buffers: field numbers and types as in caffe.proto."""

import functools

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

FIELD = descriptor_pb2.FieldDescriptorProto
MESSAGES = {
    "BlobShape": [("dim", 1, FIELD.TYPE_INT64, True)],
    "BlobProto": [
        *((name, i, FIELD.TYPE_INT32, False) for i, name in enumerate(("num", "channels", "height", "width"), 1)),
        ("data", 5, FIELD.TYPE_FLOAT, True), ("shape", 7, "BlobShape", False),
    ],
    "V1LayerParameter": [
        ("bottom", 2, FIELD.TYPE_STRING, True), ("name", 4, FIELD.TYPE_STRING, False),
        ("type", 5, FIELD.TYPE_INT32, False), ("blobs", 6, "BlobProto", True),
    ],
    "LayerParameter": [
        ("name", 1, FIELD.TYPE_STRING, False), ("type", 2, FIELD.TYPE_STRING, False),
        ("loss_weight", 5, FIELD.TYPE_FLOAT, True), ("blobs", 7, "BlobProto", True),
    ],
    "NetParameter": [
        ("name", 1, FIELD.TYPE_STRING, False), ("layers", 2, "V1LayerParameter", True),
        ("force_backward", 5, FIELD.TYPE_BOOL, False), ("layer", 100, "LayerParameter", True),
    ],
}  # fmt: skip
PACKED = {"dim", "data"}


@functools.cache
def net_parameter():
    file = descriptor_pb2.FileDescriptorProto(name="caffe.proto", package="caffe", syntax="proto2")
    for message, fields in MESSAGES.items():
        described = file.message_type.add(name=message)
        for name, number, kind, repeated in fields:
            field = described.field.add(name=name, number=number, label=3 if repeated else 1)
            if isinstance(kind, str):
                field.type, field.type_name = FIELD.TYPE_MESSAGE, f".caffe.{kind}"
            else:
                field.type = kind
            field.options.packed = name in PACKED
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("caffe.NetParameter"))


def caffemodel(blobs, *, v1):
    """The bytes of a network with blobs named `layer.place`; in the older form all blobs have four dimensions."""
    net, layers = net_parameter()(name="net", force_backward=True), {}
    for name, array in blobs.items():
        layer = name.rpartition(".")[0]
        if layer not in layers:
            layers[layer] = (net.layers if v1 else net.layer).add(name=layer, type=4 if v1 else "Convolution")
        blob = layers[layer].blobs.add(data=array.ravel().tolist())
        if v1:
            blob.num, blob.channels, blob.height, blob.width = (1,) * (4 - array.ndim) + array.shape
        else:
            blob.shape.dim.extend(array.shape)
    return net.SerializeToString()
