// `Buffer` as Node.js has it, as far as codecs use it, and the modules that ChirpStack offers to codecs.
(function (scope) {
  'use strict';
  const HEX = '0123456789abcdef';
  const view = (bytes) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

  function utf8Encoded(text) {
    const bytes = [];
    for (const character of text) {
      let code = character.codePointAt(0);
      if (code >= 0xd800 && code <= 0xdfff) {
        code = 0xfffd;
      }
      if (code < 0x80) {
        bytes.push(code);
      } else if (code < 0x800) {
        bytes.push(0xc0 | (code >> 6), 0x80 | (code & 63));
      } else if (code < 0x10000) {
        bytes.push(0xe0 | (code >> 12), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      } else {
        bytes.push(0xf0 | (code >> 18), 0x80 | ((code >> 12) & 63), 0x80 | ((code >> 6) & 63), 0x80 | (code & 63));
      }
    }
    return bytes;
  }

  // The WHATWG rules: what is no UTF-8 becomes U+FFFD, one for each part that could have begun a character.
  function utf8Decoded(bytes) {
    let text = '';
    for (let i = 0; i < bytes.length; ) {
      const first = bytes[i++];
      const more = first < 0x80 ? 0 : first >= 0xc2 && first < 0xe0 ? 1 : first >= 0xe0 && first < 0xf0 ? 2
        : first >= 0xf0 && first < 0xf5 ? 3 : -1;
      let code = more < 0 ? 0xfffd : more === 0 ? first : first & (0x3f >> more);
      for (let n = 0; n < more; n++, i++) {
        const low = n > 0 ? 0x80 : first === 0xe0 ? 0xa0 : first === 0xf0 ? 0x90 : 0x80;
        const high = n > 0 ? 0xbf : first === 0xed ? 0x9f : first === 0xf4 ? 0x8f : 0xbf;
        if (i >= bytes.length || bytes[i] < low || bytes[i] > high) {
          code = 0xfffd;
          break;
        }
        code = (code << 6) | (bytes[i] & 63);
      }
      text += String.fromCodePoint(code);
    }
    return text;
  }

  function base64Decoded(text) {
    const clean = text.replace(/-/g, '+').replace(/_/g, '/').replace(/[^A-Za-z0-9+/]/g, '');
    const whole = clean.length % 4 === 1 ? clean.slice(0, -1) : clean;
    return Array.from(atob(whole + '='.repeat((4 - (whole.length % 4)) % 4)), (c) => c.charCodeAt(0));
  }

  const base64Encoded = (bytes) => btoa(Array.from(bytes, (b) => String.fromCharCode(b)).join(''));

  function hexDecoded(text) {
    const bytes = [];
    for (let i = 0; i + 1 < text.length; i += 2) {
      const pair = text.slice(i, i + 2);
      if (!/^[0-9a-fA-F]{2}$/.test(pair)) {
        break;
      }
      bytes.push(parseInt(pair, 16));
    }
    return bytes;
  }

  function utf16Encoded(text) {
    return Array.from({ length: text.length * 2 }, (_, i) => (text.charCodeAt(i >> 1) >> (8 * (i & 1))) & 255);
  }

  const utf16Decoded = (bytes) =>
    Array.from({ length: bytes.length >> 1 }, (_, i) => String.fromCharCode(bytes[2 * i] | (bytes[2 * i + 1] << 8))).join('');
  const latinDecoded = (mask) => (bytes) => Array.from(bytes, (b) => String.fromCharCode(b & mask)).join('');
  const latinEncoded = (text) => Array.from({ length: text.length }, (_, i) => text.charCodeAt(i) & 255);
  const encodings = {
    __proto__: null,
    utf8: [utf8Encoded, utf8Decoded],
    hex: [hexDecoded, (bytes) => Array.from(bytes, (b) => HEX[b >> 4] + HEX[b & 15]).join('')],
    base64: [base64Decoded, base64Encoded],
    base64url: [base64Decoded, (b) => base64Encoded(b).replace(/\+/g, '-').replace(/\//g, '_').replace(/=/g, '')],
    ascii: [latinEncoded, latinDecoded(127)],
    latin1: [latinEncoded, latinDecoded(255)],
    utf16le: [utf16Encoded, utf16Decoded],
  };
  encodings['utf-8'] = encodings.utf8;
  encodings.binary = encodings.latin1;
  encodings.ucs2 = encodings['ucs-2'] = encodings['utf-16le'] = encodings.utf16le;

  function encoding(name) {
    const known = encodings[String(name === undefined ? 'utf8' : name).toLowerCase()];
    if (!known) {
      throw new TypeError(`Unknown encoding: ${name}`);
    }
    return known;
  }

  class Buffer extends Uint8Array {
    static from(value, offsetOrEncoding, length) {
      if (typeof value === 'string') {
        return new Buffer(encoding(offsetOrEncoding)[0](value));
      }
      if (value instanceof ArrayBuffer) {
        return new Buffer(value, offsetOrEncoding, length);
      }
      if (value && value.type === 'Buffer' && Array.isArray(value.data)) {
        return new Buffer(value.data);
      }
      if (value && typeof value === 'object' && value.length !== undefined) {
        return new Buffer(Array.from(value));
      }
      throw new TypeError('Buffer.from takes a string, an ArrayBuffer, an array or a Buffer.');
    }
    static alloc(size, fill, name) {
      const made = new Buffer(size);
      return fill === undefined ? made : made.fill(fill, 0, size, name);
    }
    static allocUnsafe(size) {
      return new Buffer(size);
    }
    static isBuffer(value) {
      return value instanceof Buffer;
    }
    static isEncoding(name) {
      return String(name).toLowerCase() in encodings;
    }
    static byteLength(value, name) {
      return typeof value === 'string' ? encoding(name)[0](value).length : value.byteLength;
    }
    static concat(list, total) {
      const size = total === undefined ? list.reduce((sum, part) => sum + part.length, 0) : total;
      const whole = new Buffer(size);
      let at = 0;
      for (const part of list) {
        whole.set(part.length > size - at ? part.slice(0, size - at) : part, at);
        at = Math.min(size, at + part.length);
      }
      return whole;
    }
    static compare(one, other) {
      for (let i = 0; i < one.length && i < other.length; i++) {
        if (one[i] !== other[i]) {
          return one[i] < other[i] ? -1 : 1;
        }
      }
      return Math.sign(one.length - other.length);
    }
    toString(name, start, end) {
      return encoding(name)[1](this.subarray(start === undefined ? 0 : start, end === undefined ? this.length : end));
    }
    toJSON() {
      return { type: 'Buffer', data: Array.from(this) };
    }
    equals(other) {
      return Buffer.compare(this, other) === 0;
    }
    compare(other) {
      return Buffer.compare(this, other);
    }
    slice(start, end) {
      return this.subarray(start, end); // shares its bytes, unlike Uint8Array's
    }
    fill(value, start, end, name) {
      if (typeof value !== 'string') {
        return super.fill(value, start, end);
      }
      const bytes = encoding(typeof start === 'string' ? start : name)[0](value);
      const from = typeof start === 'number' ? start : 0;
      const to = typeof end === 'number' ? end : this.length;
      for (let i = from; i < to; i++) {
        this[i] = bytes.length === 0 ? 0 : bytes[(i - from) % bytes.length];
      }
      return this;
    }
    copy(target, targetStart = 0, start = 0, end = this.length) {
      const part = this.subarray(start, Math.min(end, start + target.length - targetStart));
      target.set(part, targetStart);
      return part.length;
    }
    write(text, offset = 0, length = this.length - offset, name = 'utf8') {
      const bytes = encoding([offset, length, name].find((one) => typeof one === 'string'))[0](text);
      const from = typeof offset === 'number' ? offset : 0;
      return Buffer.from(bytes).copy(this, from, 0, typeof length === 'number' ? Math.min(length, bytes.length) : bytes.length);
    }
    indexOf(value, start = 0, name = 'utf8') {
      if (typeof value === 'number') {
        return super.indexOf(value & 255, start);
      }
      const wanted = typeof value === 'string' ? encoding(name)[0](value) : value;
      for (let i = start; i + wanted.length <= this.length; i++) {
        if (wanted.every((byte, n) => this[i + n] === byte)) {
          return i;
        }
      }
      return -1;
    }
    includes(value, start, name) {
      return this.indexOf(value, start, name) !== -1;
    }
    readUIntBE(offset, size) {
      this.#check(offset, size);
      let value = 0;
      for (let i = 0; i < size; i++) {
        value = value * 256 + this[offset + i];
      }
      return value;
    }
    readUIntLE(offset, size) {
      this.#check(offset, size);
      let value = 0;
      for (let i = size - 1; i >= 0; i--) {
        value = value * 256 + this[offset + i];
      }
      return value;
    }
    readIntBE(offset, size) {
      return signed(this.readUIntBE(offset, size), size);
    }
    readIntLE(offset, size) {
      return signed(this.readUIntLE(offset, size), size);
    }
    writeUIntBE(value, offset, size) {
      this.#check(offset, size);
      for (let i = size - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 256)) {
        this[offset + i] = rest;
      }
      return offset + size;
    }
    writeUIntLE(value, offset, size) {
      this.#check(offset, size);
      for (let i = 0, rest = value; i < size; i++, rest = Math.floor(rest / 256)) {
        this[offset + i] = rest;
      }
      return offset + size;
    }
    writeIntBE(value, offset, size) {
      return this.writeUIntBE(value < 0 ? value + 2 ** (8 * size) : value, offset, size);
    }
    writeIntLE(value, offset, size) {
      return this.writeUIntLE(value < 0 ? value + 2 ** (8 * size) : value, offset, size);
    }
    #check(offset, size) {
      if (typeof offset !== 'number' || offset < 0 || offset + size > this.length) {
        throw new RangeError(`Offset ${offset} with ${size} bytes lies outside a buffer of ${this.length}.`);
      }
    }
    #swap(size) {
      if (this.length % size !== 0) {
        throw new RangeError(`Buffer size must be a multiple of ${8 * size} bits`);
      }
      for (let i = 0; i < this.length; i += size) {
        this.subarray(i, i + size).reverse();
      }
      return this;
    }
    swap16() {
      return this.#swap(2);
    }
    swap32() {
      return this.#swap(4);
    }
    swap64() {
      return this.#swap(8);
    }
  }

  const signed = (value, size) => (value >= 2 ** (8 * size - 1) ? value - 2 ** (8 * size) : value);

  // readInt16BE and its kin: Node's name, DataView's name, size.
  for (const [name, type, size] of [
    ['Int8', 'Int8', 1], ['UInt8', 'Uint8', 1], ['Int16', 'Int16', 2], ['UInt16', 'Uint16', 2],
    ['Int32', 'Int32', 4], ['UInt32', 'Uint32', 4], ['Float', 'Float32', 4], ['Double', 'Float64', 8],
    ['BigInt64', 'BigInt64', 8], ['BigUInt64', 'BigUint64', 8],
  ]) {
    for (const [suffix, little] of size === 1 ? [['', false]] : [['BE', false], ['LE', true]]) {
      const methods = {
        [`read${name}${suffix}`](offset = 0) {
          return view(this)[`get${type}`](offset, little);
        },
        [`write${name}${suffix}`](value, offset = 0) {
          view(this)[`set${type}`](offset, value, little);
          return offset + size;
        },
      };
      for (const method of Object.keys(methods)) {
        const alias = method.replace('UInt', 'Uint'); // Node has both spellings
        for (const spelling of new Set([method, alias])) {
          Object.defineProperty(Buffer.prototype, spelling, { value: methods[method], writable: true, configurable: true });
        }
      }
    }
  }
  for (const name of ['readUIntBE', 'readUIntLE', 'writeUIntBE', 'writeUIntLE']) {
    const value = Buffer.prototype[name];
    Object.defineProperty(Buffer.prototype, name.replace('UInt', 'Uint'), { value, writable: true, configurable: true });
  }

  // `Buffer(x)` and `new Buffer(x)` of old scripts: strings and numbers as well.
  scope.Buffer = new Proxy(Buffer, {
    apply: (target, self, [value, ...rest]) => made(value, rest),
    construct: (target, [value, ...rest], as) =>
      typeof value === 'string' || Array.isArray(value) ? made(value, rest)
        : Reflect.construct(target, [value, ...rest], as === scope.Buffer ? target : as),
  });
  const made = (value, rest) => (typeof value === 'number' ? Buffer.alloc(value) : Buffer.from(value, ...rest));

  scope.TextEncoder = class TextEncoder {
    encode(text = '') {
      return new Uint8Array(utf8Encoded(String(text)));
    }
  };
  scope.TextDecoder = class TextDecoder {
    constructor(name = 'utf-8') {
      this.encoding = String(name).toLowerCase();
      encoding(this.encoding === 'windows-1252' || this.encoding === 'iso-8859-1' ? 'latin1' : this.encoding);
    }
    decode(bytes = []) {
      const name = this.encoding === 'windows-1252' || this.encoding === 'iso-8859-1' ? 'latin1' : this.encoding;
      return encoding(name)[1](ArrayBuffer.isView(bytes) ? Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength)
        : bytes instanceof ArrayBuffer ? new Buffer(bytes) : bytes);
    }
  };

  const floats = (bytes, offset, little, mantissa, size) =>
    view(Uint8Array.from(Array.from({ length: size }, (_, i) => bytes[offset + i])))[`getFloat${size * 8}`](0, little);
  return {
    __proto__: null,
    buffer: { Buffer: scope.Buffer, atob: scope.atob, btoa: scope.btoa },
    'base64-js': {
      toByteArray: (text) => new Uint8Array(base64Decoded(text)),
      fromByteArray: base64Encoded,
      byteLength: (text) => base64Decoded(text).length,
    },
    ieee754: {
      read: floats,
      write(bytes, value, offset, little, mantissa, size) {
        const part = new Uint8Array(size);
        view(part)[`setFloat${size * 8}`](0, value, little);
        for (let i = 0; i < size; i++) {
          bytes[offset + i] = part[i];
        }
      },
    },
  };
});
