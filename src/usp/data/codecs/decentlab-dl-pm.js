// Decentlab DL-PM: particulate matter, temperature, humidity and pressure.
// Source: Decentlab, "DL-PM Datasheet", chapter "Sensor data message": header, then the values of each sensor whose flag
// is set, all of them big endian with 16 bits. The field names are those of the vendor's own decoder.

// One list for each flag, from the lowest bit on: [name, title, unit, value of the raw number]
var SENSORS = [
  [["battery_voltage", "Battery voltage", "V", function (x) { return x / 1000; }]],
  [
    ["pm1_0_mass_concentration", "PM1.0 mass concentration", "µg⋅m⁻³", tenth],
    ["pm2_5_mass_concentration", "PM2.5 mass concentration", "µg⋅m⁻³", tenth],
    ["pm4_mass_concentration", "PM4 mass concentration", "µg⋅m⁻³", tenth],
    ["pm10_mass_concentration", "PM10 mass concentration", "µg⋅m⁻³", tenth],
    ["typical_particle_size", "Typical particle size", "nm", function (x) { return x; }],
    ["pm0_5_number_concentration", "PM0.5 number concentration", "1⋅cm⁻³", tenth],
    ["pm1_0_number_concentration", "PM1.0 number concentration", "1⋅cm⁻³", tenth],
    ["pm2_5_number_concentration", "PM2.5 number concentration", "1⋅cm⁻³", tenth],
    ["pm4_number_concentration", "PM4 number concentration", "1⋅cm⁻³", tenth],
    ["pm10_number_concentration", "PM10 number concentration", "1⋅cm⁻³", tenth],
  ],
  [
    ["air_temperature", "Air temperature", "°C", function (x) { return (175.72 * x) / 65536 - 46.85; }],
    ["air_humidity", "Air humidity", "%", function (x) { return (125 * x) / 65536 - 6; }],
  ],
  [["barometric_pressure", "Barometric pressure", "Pa", function (x) { return x * 2; }]],
];

function tenth(x) {
  return x / 10;
}

function decodeUplink(input) {
  var bytes = input.bytes;
  function word(at) {
    return (bytes[at] << 8) | bytes[at + 1];
  }
  if (bytes.length < 5 || bytes[0] !== 2) {
    return { errors: ["expected a header of 5 bytes that begins with protocol version 2"] };
  }
  var data = { protocol_version: bytes[0], device_id: word(1) };
  var flags = word(3);
  var at = 5;
  for (var sensor = 0; sensor < SENSORS.length; sensor++) {
    if (!((flags >> sensor) & 1)) {
      continue;
    }
    var values = SENSORS[sensor];
    if (at + 2 * values.length > bytes.length) {
      return { errors: ["sensor " + sensor + " is cut off at byte " + at] };
    }
    for (var i = 0; i < values.length; i++, at += 2) {
      data[values[i][0]] = { displayName: values[i][1], value: values[i][3](word(at)), unit: values[i][2] };
    }
  }
  return { data: data };
}
