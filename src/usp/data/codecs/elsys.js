// ELSYS sensors (ERS, ERS CO2, ERS Sound, ELT, EMS): a type byte and its value, one after the other.
// Source: ElektronikSystem i Umeå AB, "Sensor payload" (elsys.se/public/documents/Sensor_payload.pdf), table of types.
// The field names are those of the vendor's own decoder.

// type: [bytes of each value, sign, divisor, names]
var TYPES = {
  0x01: [2, true, 10, ["temperature"]], // °C
  0x02: [1, false, 1, ["humidity"]], // %
  0x03: [1, true, 1, ["x", "y", "z"]], // 63 is 1 g
  0x04: [2, false, 1, ["light"]], // lx
  0x05: [1, false, 1, ["motion"]],
  0x06: [2, false, 1, ["co2"]], // ppm
  0x07: [2, false, 1, ["vdd"]], // mV
  0x08: [2, false, 1, ["analog1"]], // mV
  0x09: [3, true, 10000, ["lat", "long"]],
  0x0a: [2, false, 1, ["pulse1"]],
  0x0b: [4, false, 1, ["pulseAbs"]],
  0x0c: [2, true, 10, ["externalTemperature"]],
  0x0d: [1, false, 1, ["digital"]],
  0x0e: [2, false, 1, ["distance"]], // mm
  0x0f: [1, false, 1, ["accMotion"]],
  0x10: [2, true, 10, ["irInternalTemperature", "irExternalTemperature"]],
  0x11: [1, false, 1, ["occupancy"]],
  0x12: [1, false, 1, ["waterleak"]],
  0x14: [4, false, 1000, ["pressure"]], // hPa
  0x15: [1, false, 1, ["soundPeak", "soundAvg"]], // dB
  0x16: [2, false, 1, ["pulse2"]],
  0x17: [4, false, 1, ["pulseAbs2"]],
  0x18: [2, false, 1, ["analog2"]],
  0x19: [2, true, 10, ["externalTemperature2"]],
  0x1a: [1, false, 1, ["digital2"]],
  0x1b: [4, true, 1, ["analogUv"]],
  0x1c: [2, false, 1, ["tvoc"]], // ppb
};

function number(bytes, at, length, signed) {
  var value = 0;
  for (var i = 0; i < length; i++) {
    value = value * 256 + bytes[at + i];
  }
  var half = Math.pow(2, 8 * length - 1);
  return signed && value >= half ? value - 2 * half : value;
}

function decodeUplink(input) {
  var bytes = input.bytes;
  var data = {};
  var at = 0;
  while (at < bytes.length) {
    var type = TYPES[bytes[at]];
    var shown = "type 0x" + bytes[at].toString(16) + " at byte " + at;
    // The length of an unknown type is unknown too, so nothing behind it can be read.
    if (!type) {
      return { data: data, warnings: [shown + " is not known; the rest is left out"] };
    }
    var length = type[0];
    var names = type[3];
    at += 1;
    if (at + length * names.length > bytes.length) {
      return { errors: [shown + " is cut off"] };
    }
    for (var i = 0; i < names.length; i++) {
      data[names[i]] = number(bytes, at, length, type[1]) / type[2];
      at += length;
    }
  }
  return { data: data };
}
