// A parking sensor of nobody's, written for the tests. Port 1: state; 2: state and temperature; 3: a history.
function decodeUplink(input) {
  var bytes = input.bytes;
  switch (input.fPort) {
    case 1:
      return { data: { occupied: (bytes[0] & 1) === 1 } };
    case 2:
      return {
        data: { occupied: (bytes[0] & 1) === 1, temperature: (bytes[1] << 24 >> 24) / 2 },
        warnings: bytes[0] & 2 ? ['battery low'] : [],
      };
    case 3:
      return {
        data: {
          history: bytes.map(function (minutes, number) {
            return { number: number, at: new Date(input.recvTime.getTime() - minutes * 60000), share: minutes / 3 };
          }),
          name: 'on',
          missing: undefined,
        },
      };
    default:
      return { errors: ['unknown FPort'] };
  }
}

function normalizeUplink(input) {
  return { data: { air: { temperature: input.data.temperature } } };
}
