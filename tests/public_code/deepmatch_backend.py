"""Adapter for DeepMatch 0.3.2: its CapsuleLayer and LabelAwareAttention, on tf_keras, float32.

The layer draws initial logits; a patch of tf.compat.v1.truncated_normal returns the given logits.
The layer uses counts, not masks: the adapter moves unmasked entries to the front and back. The
layer stops the gradient before the last iteration. It has one axis, one squash and one matrix.
"""

import os
from types import SimpleNamespace
from unittest import mock

os.environ["TF_USE_LEGACY_KERAS"] = "1"  # before TensorFlow is imported
import tensorflow as tf
from deepmatch.layers.core import CapsuleLayer, LabelAwareAttention

from mindref.backend import Capabilities


def move_to_front(mask):
    order = tf.argsort(tf.cast(mask, tf.int32), direction="DESCENDING", stable=True)
    return order, tf.argsort(order), tf.reduce_sum(tf.cast(mask, tf.int32), 1, keepdims=True)


def take(x, order, axis=1):
    return tf.gather(x, order, axis=axis, batch_dims=1)


def routing(e, mask, s, logits, active, *, iterations, gradient, axis="interests", kind="squash"):
    if (axis, kind, s.ndim) != ("interests", "squash", 2) or gradient not in ("all", "last"):
        raise ValueError(f"the layer has no axis {axis}, {kind}, {gradient}, matrices {s.shape}")
    layer = CapsuleLayer(e.shape[2], e.shape[2], e.shape[1], active.shape[1], iterations)
    layer.built, layer.bilinear_mapping_matrix = True, tf.transpose(s)  # it computes e @ matrix
    (order, inverse, lengths), (first, back, counts) = move_to_front(mask), move_to_front(active)
    drawn = take(take(logits, order), first, 2)[..., None]
    draw = mock.patch.object(tf.compat.v1, "truncated_normal", return_value=drawn)
    with draw, mock.patch.object(tf, "matmul", mock.Mock(wraps=tf.matmul)) as sums:
        capsules = layer([take(e, order), lengths, counts])
    weights = sums.call_args.args[0][..., 0]  # of the last call tf.matmul(weights, votes)
    saved = SimpleNamespace(couplings=take(take(weights, back, 2), inverse).numpy())
    return take(capsules, back), saved


def label_attention(interests, target, active, *, power):
    first, _, counts = move_to_front(active)
    layer = LabelAwareAttention(active.shape[1], power)
    return layer([take(interests, first), target[:, None], counts]), None


def numpy(operator):
    def forward(*arrays, **numbers):
        out, saved = operator(*map(tf.constant, arrays), **numbers)
        return out.numpy(), saved

    return SimpleNamespace(forward=forward, on_tensors=operator)


class Backend:
    name = "deepmatch"
    ops = SimpleNamespace(routing=numpy(routing), label_attention=numpy(label_attention))
    to_numpy = from_numpy = staticmethod(lambda x: x)

    def capabilities(self):
        claims = {"gradients": "automatic", "dtypes": (("float32", "float32"),), "options": ()}
        return Capabilities(("routing", "label_attention"), **claims)

    def differentiate(self, stem, arrays, numbers, d_out):
        if numbers.get("gradient") == "all":
            raise NotImplementedError("the layer stops the gradient before the last iteration")
        tensors = [tf.constant(x) for x in arrays]
        by = [x for x in tensors if x.dtype.is_floating]
        with tf.GradientTape() as tape:
            tape.watch(by)
            out, _ = getattr(self.ops, stem).on_tensors(*tensors, **numbers)
        gradients = tape.gradient(out, by, tf.constant(d_out))
        return tuple(None if g is None else tf.convert_to_tensor(g).numpy() for g in gradients)
