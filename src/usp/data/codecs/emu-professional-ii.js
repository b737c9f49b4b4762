// EMU Professional II LoRa: three-phase energy meter.
// Source: EMU Electronic AG, value numbers and example frames that the vendor publishes with its payload formatter
// "profii-lp" (2021, The Things Network's device repository). A frame: 4 bytes time of the record, then a number and a
// value, one after the other, and a CRC-8 (polynomial 0x07) over all that. Values are little endian. Names are EMU's.

// number: [bytes, sign, divisor, name, unit]
var VALUES = {
  0x00: [4, false, 1, "data-logger-index"],
  0x01: [4, false, 1, "timestamp", "seconds"],
  0x02: [4, false, 1, "timestamp-previous", "seconds"],
  0x03: [4, false, 1, "ActiveEnergyImportT1", "Wh"],
  0x04: [4, false, 1, "ActiveEnergyImportT2", "Wh"],
  0x05: [4, false, 1, "ActiveEnergyExportT1", "Wh"],
  0x06: [4, false, 1, "ActiveEnergyExportT2", "Wh"],
  0x07: [4, false, 1, "ReactiveEnergyImportT1", "varh"],
  0x08: [4, false, 1, "ReactiveEnergyImportT2", "varh"],
  0x09: [4, false, 1, "ReactiveEnergyExportT1", "varh"],
  0x0a: [4, false, 1, "ReactiveEnergyExportT2", "varh"],
  0x0b: [4, true, 1, "ActivePowerL123", "W"],
  0x0c: [4, true, 1, "ActivePowerL1", "W"],
  0x0d: [4, true, 1, "ActivePowerL2", "W"],
  0x0e: [4, true, 1, "ActivePowerL3", "W"],
  0x0f: [4, true, 1, "CurrentL123", "mA"],
  0x10: [4, true, 1, "CurrentL1", "mA"],
  0x11: [4, true, 1, "CurrentL2", "mA"],
  0x12: [4, true, 1, "CurrentL3", "mA"],
  0x13: [4, true, 1, "CurrentN", "mA"],
  0x14: [4, true, 10, "VoltageL1-N", "V"],
  0x15: [4, true, 10, "VoltageL2-N", "V"],
  0x16: [4, true, 10, "VoltageL3-N", "V"],
  0x17: [1, true, 100, "PowerfactorL1", "Cos"],
  0x18: [1, true, 100, "PowerfactorL2", "Cos"],
  0x19: [1, true, 100, "PowerfactorL3", "Cos"],
  0x1a: [2, true, 10, "Frequency", "Hz"],
  0x1b: [4, true, 1, "ActivePoweraverage", "W"],
  0xf0: [1, false, 1, "errorcode"],
};

function number(bytes, at, length, signed) {
  var value = 0;
  for (var i = length - 1; i >= 0; i--) {
    value = value * 256 + bytes[at + i];
  }
  var half = Math.pow(2, 8 * length - 1);
  return signed && value >= half ? value - 2 * half : value;
}

function crc8(bytes, length) {
  var crc = 0;
  for (var i = 0; i < length; i++) {
    crc ^= bytes[i];
    for (var bit = 0; bit < 8; bit++) {
      crc = crc & 0x80 ? ((crc << 1) ^ 0x07) & 0xff : crc << 1;
    }
  }
  return crc;
}

function decodeUplink(input) {
  var bytes = input.bytes;
  var end = bytes.length - 1;
  if (bytes.length <= 2) {
    return { data: {}, warnings: ["a mere sign of life"] };
  }
  if (bytes.length < 5 || crc8(bytes, end) !== bytes[end]) {
    return { errors: ["the CRC-8 at the end is wrong; some of it is missing"] };
  }
  var data = { timeStamp: number(bytes, 0, 4, false), medium: { type: 1, desc: "Electricity" } };
  var at = 4;
  while (at < end) {
    var value = VALUES[bytes[at]];
    // On port 100 the meter tells about itself once after joining, under numbers that are no readings.
    if (!value || at + 1 + value[0] > end) {
      return { data: data, warnings: ["value 0x" + bytes[at].toString(16) + " is not known; the rest is left out"] };
    }
    data[value[3]] = { value: number(bytes, at + 1, value[0], value[1]) / value[2] };
    if (value[4]) {
      data[value[3]].unit = value[4];
    }
    at += 1 + value[0];
  }
  return { data: data };
}
