"""What codecs' hosts have beside the language: Buffer as Node.js documents it, modules, text encodings."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from usp.ingest.codecs import Codec, CodecRuntime, Decoded, Frame


@pytest.fixture(scope="module")
async def runtime() -> AsyncIterator[CodecRuntime]:
    """One runtime for all tests of this file."""
    made = CodecRuntime()
    yield made
    await made.close()


#: Expression -> its value in Node.js 20.
KNOWN: dict[str, object] = {
    "Buffer.from([0xff, 0x01]).readInt16BE(0)": -255,
    "Buffer.from([0xff, 0x01]).readInt16LE(0)": 511,
    "Buffer.from([0xff, 0x01]).readUInt16BE()": 65281,
    "Buffer.from([0xff, 0x01]).readUint16LE(0)": 511,
    "Buffer.from([0x80, 0, 0, 1]).readInt32BE(0)": -2147483647,
    "Buffer.from([0x80, 0, 0, 1]).readUInt32BE(0)": 2147483649,
    "Buffer.from([1, 0, 0, 0x80]).readInt32LE(0)": -2147483647,
    "Buffer.from([0x80]).readInt8(0)": -128,
    "Buffer.from([0x80]).readUInt8(0)": 128,
    "Buffer.from([0x42, 0x28, 0, 0]).readFloatBE(0)": 42,
    "Buffer.from([0, 0, 0x28, 0x42]).readFloatLE(0)": 42,
    "Buffer.from('4045000000000000', 'hex').readDoubleBE(0)": 42,
    "Buffer.from([0xff, 0xff, 0xfe]).readIntBE(0, 3)": -2,
    "Buffer.from([0xfe, 0xff, 0xff]).readIntLE(0, 3)": -2,
    "Buffer.from([1, 2, 3, 4, 5, 6]).readUIntBE(0, 6)": 1108152157446,
    "Number(Buffer.from([0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe]).readBigInt64BE(0))": -2,
    "Buffer.from('68656c6c6f', 'hex').toString()": "hello",
    "Buffer.from('héllo €😀').toString('hex')": "68c3a96c6c6f20e282acf09f9880",
    "Buffer.from('68c3a9e282acf09f9880', 'hex').toString('utf8')": "hé€😀",
    "Buffer.from([0x61, 0xff, 0xe2, 0x82, 0x62]).toString()": "a\ufffd\ufffdb",
    "Buffer.from('aGVsbG8=', 'base64').toString()": "hello",
    "Buffer.from('aGVsbG8', 'base64').toString('latin1')": "hello",
    "Buffer.from([0xfb, 0xff]).toString('base64')": "+/8=",
    "Buffer.from([0xfb, 0xff]).toString('base64url')": "-_8",
    "Buffer.from('abc').toString('utf8', 1, 2)": "b",
    "Buffer.from('0a0bxx0c', 'hex').length": 2,
    "Buffer.from([0xe9, 0x41]).toString('ascii')": "iA",
    "Buffer.from('é', 'latin1')[0]": 233,
    "Buffer.from('ab', 'utf16le').toString('hex')": "61006200",
    "Buffer.from([1, 2, 3]).slice(1).toString('hex')": "0203",
    "Buffer.from([1, 2, 3, 4]).slice(-3, -1).toString('hex')": "0203",
    "(() => { const b = Buffer.from([1, 2]); b.slice(0)[0] = 9; return b[0] })()": 9,
    "Buffer.concat([Buffer.from([1]), Buffer.from([2, 3])]).toString('hex')": "010203",
    "Buffer.concat([Buffer.from([1]), Buffer.from([2, 3])], 2).toString('hex')": "0102",
    "Buffer.alloc(3).toString('hex')": "000000",
    "Buffer.alloc(3, 0xab).toString('hex')": "ababab",
    "Buffer.alloc(5, 'ab').toString()": "ababa",
    "new Buffer([1, 2]).length + new Buffer('abc').length + new Buffer(4).length": 9,
    "Buffer([1, 2])[1]": 2,
    "Buffer.from(new Uint8Array([1, 2]).buffer)[1]": 2,
    "Buffer.from(Buffer.from([7]))[0]": 7,
    "Buffer.isBuffer(Buffer.from('')) && !Buffer.isBuffer([1])": True,
    "Buffer.from([1]) instanceof Buffer && Buffer.from([1]) instanceof Uint8Array": True,
    "Buffer.byteLength('€')": 3,
    "Buffer.from([1, 2]).equals(Buffer.from([1, 2]))": True,
    "Buffer.compare(Buffer.from([1]), Buffer.from([1, 0]))": -1,
    "Buffer.from('hello').indexOf('llo')": 2,
    "Buffer.from('hello').includes('x')": False,
    "Buffer.from([1, 2, 3, 4]).swap16().toString('hex')": "02010403",
    "Buffer.from([1, 2, 3, 4]).reverse()[0]": 4,
    "JSON.stringify(Buffer.from([1]))": '{"type":"Buffer","data":[1]}',
    "(() => { const b = Buffer.alloc(4); b.writeInt16BE(-2, 1); return b.toString('hex') })()": "00fffe00",
    "(() => { const b = Buffer.alloc(4); b.writeFloatLE(42); return b.toString('hex') })()": "00002842",
    "(() => { const b = Buffer.alloc(3); b.writeUIntBE(0x010203, 0, 3); return b.toString('hex') })()": "010203",
    "(() => { const b = Buffer.alloc(3); b.writeIntLE(-2, 0, 3); return b.toString('hex') })()": "feffff",
    "(() => { const b = Buffer.alloc(4); return b.write('0102', 1, 'hex') + b.toString('hex') })()": "200010200",
    "(() => { try { Buffer.from([1]).readInt16BE(0) } catch (e) { return e.name } })()": "RangeError",
    "(() => { try { Buffer.from('a', 'rot13') } catch (e) { return e.message } })()": "Unknown encoding: rot13",
    "[...Buffer.from([5, 6])].map(x => x + 1).join()": "6,7",
    "Array.from(Buffer.from([5, 6])).length": 2,
    "require('buffer').Buffer === Buffer": True,
    "require('base64-js').fromByteArray([104, 105])": "aGk=",
    "Array.from(require('base64-js').toByteArray('aGk=')).join()": "104,105",
    "require('ieee754').read([0x42, 0x28, 0, 0], 0, false, 23, 4)": 42,
    "(() => { const b = []; require('ieee754').write(b, 42, 0, true, 23, 4); return b.join() })()": "0,0,40,66",
    "atob('aGk=') + btoa('hi')": "hiaGk=",
    "new TextDecoder().decode(new Uint8Array([0xe2, 0x82, 0xac]))": "€",
    "new TextDecoder('utf-8').decode(new Uint8Array([1, 0x61, 0x62]).subarray(1))": "ab",
    "new TextEncoder().encode('€').length": 3,
    "String.fromCharCode.apply(null, [104, 105])": "hi",
    "decodeURIComponent(escape('\\xe2\\x82\\xac'))": "€",
    "typeof setTimeout + typeof process + typeof window + typeof std + typeof os": "undefined" * 5,
}  # fmt: skip


async def test_known_values(runtime: CodecRuntime) -> None:
    """Each expression has the value that Node.js gives it."""
    for expression, expected in KNOWN.items():
        codec = Codec.of("buffer.js", f"function decodeUplink() {{ return {{ data: {{ value: {expression} }} }} }}")
        (result,) = await runtime.decode(codec, [Frame(b"", 1, datetime.now(UTC))])
        assert result == Decoded({"value": expected}), expression
