// Bosch TPS110, parking lot sensor.
// Source: Bosch Connected Devices and Solutions, "Parking Lot Sensor: Communication Interface, Technical Description",
// rev. 1, V0.29.4 (2019-11-27), chapter on uplink messages. The field names are those of the vendor's own decoder.

var RESET_CAUSES = { 1: "watchdog", 2: "power on", 3: "system request", 4: "other" };

function decodeUplink(input) {
  var bytes = input.bytes;
  var lengths = { 1: 1, 2: 1, 3: 17 };
  if (!(input.fPort in lengths)) {
    return { errors: ["port " + input.fPort + " carries no reading; 1, 2 and 3 do"] };
  }
  if (bytes.length < lengths[input.fPort]) {
    return { errors: [bytes.length + " bytes on port " + input.fPort + " are too few"] };
  }
  if (input.fPort === 1) {
    return { data: { type: "parking status", occupied: (bytes[0] & 1) === 1 } };
  }
  if (input.fPort === 2) {
    var heartbeat = { type: "heartbeat", occupied: (bytes[0] & 1) === 1 };
    // Older firmware sends the status alone.
    if (bytes.length > 1) {
      heartbeat.temperature = (bytes[1] << 24) >> 24;
    }
    return { data: heartbeat };
  }
  var codes = [];
  for (var i = 0; i < 12; i += 4) {
    var code = (bytes[i] | (bytes[i + 1] << 8) | (bytes[i + 2] << 16) | (bytes[i + 3] << 24)) >>> 0;
    if (code !== 0) {
      codes.push(code);
    }
  }
  return {
    data: {
      type: "startup",
      debugCodes: codes,
      firmwareVersion: bytes[12] + "." + bytes[13] + "." + bytes[14],
      resetCause: RESET_CAUSES[bytes[15]] || "unknown",
      occupied: (bytes[16] & 1) === 1,
    },
  };
}
