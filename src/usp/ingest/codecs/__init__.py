"""Payload bytes -> fields: vendors' JavaScript in a child process of its own, and Cayenne LPP."""

from usp.ingest.codecs.codec import BUILT_IN, Codec, Decoded, Frame, Limits, read_codec
from usp.ingest.codecs.runtime import CodecRuntime

__all__ = ["BUILT_IN", "Codec", "CodecRuntime", "Decoded", "Frame", "Limits", "read_codec"]
