// Runs in each codec's context before the codec does; its value is the function that takes in the codec's script.
//
// The script may replace whatever it can reach, so everything used after it has run is taken hold of here, and no
// method of an array, string or object is called by name.
//
// `ours` is a line before which no line is ours.
(function (createBuffer, ours) {
  'use strict';
  const { parse, stringify } = JSON;
  const {
    apply, defineProperty, deleteProperty, getOwnPropertyDescriptor, getPrototypeOf, ownKeys, preventExtensions,
    setPrototypeOf,
  } = Reflect;
  const { create } = Object;
  const { isArray } = Array;
  const { join } = Array.prototype;
  const { test, exec } = RegExp.prototype;
  const { slice } = String.prototype;
  const [FunctionOf, DateOf, ErrorOf, InternalErrorOf, RangeErrorOf, StringOf] =
    [Function, Date, Error, InternalError, RangeError, String];
  const scope = globalThis;
  const MAX_TEXT = 500;
  const MAX_WARNINGS = 20;

  // What engines have and codecs' hosts do not: a name such as `performance` is a field that a sloppy script sets.
  for (const name of ['performance', 'queueMicrotask', 'DOMException', 'SharedArrayBuffer', 'Atomics', 'WeakRef',
    'FinalizationRegistry', 'DisposableStack', 'AsyncDisposableStack', 'SuppressedError', 'Iterator']) {
    delete scope[name];
  }
  // What hosts have and the engine does not. Nobody reads what a codec writes to the console.
  const noop = () => undefined;
  scope.console = {};
  for (const name of ['log', 'debug', 'info', 'warn', 'error', 'trace', 'dir', 'table', 'assert']) {
    scope.console[name] = noop;
  }
  const modules = createBuffer(scope);
  scope.require = function require(name) {
    if (typeof name === 'string' && getOwnPropertyDescriptor(modules, name)) {
      return modules[name];
    }
    throw new ErrorOf(`There is no module ${stringify(name)}; codecs may require buffer, base64-js and ieee754.`);
  };

  // What is built in moves to the prototype of the global object and cannot be replaced there. So the global object
  // itself holds nothing but what a script adds, which is found and taken away quickly after each frame.
  const builtIn = create(getPrototypeOf(scope));
  for (const name of ownKeys(scope)) {
    const { value, configurable } = getOwnPropertyDescriptor(scope, name);
    if (configurable) {
      defineProperty(builtIn, name, { value });
      delete scope[name];
    }
  }
  preventExtensions(builtIn);
  setPrototypeOf(scope, builtIn);
  const fixed = ownKeys(scope).length; // undefined, NaN, Infinity

  function tidied() {
    const names = ownKeys(scope);
    for (let i = names.length - 1; names.length !== fixed && i >= 0; i--) {
      const name = names[i];
      if (name !== 'undefined' && name !== 'NaN' && name !== 'Infinity' && !deleteProperty(scope, name)) {
        return false;
      }
    }
    return getPrototypeOf(scope) === builtIn;
  }

  // ES modules are functions of a kind for us: their exports become properties of `exports`.
  function asScript(source) {
    const rules = [
      [/^([ \t]*)import\s+\*\s+as\s+(\w+)\s+from\s*(['"][^'"\n]+['"])/gm, '$1var $2 = require($3)'],
      [/^([ \t]*)import\s+(\{[^}]*\})\s*from\s*(['"][^'"\n]+['"])/gm, (_, indent, names, from) =>
        `${indent}var ${names.replace(/\s+as\s+/g, ': ')} = require(${from})`],
      [/^([ \t]*)import\s+(\w+)\s+from\s*(['"][^'"\n]+['"])/gm, '$1var $2 = require($3)'],
      [/^([ \t]*)export\s+default\s+(async\s+function|function|class)\s+(\w+)/gm, '$1$2 $3'],
      [/^([ \t]*)export\s+default\b/gm, '$1module.exports ='],
      [/^([ \t]*)export\s+(?=(async\s+)?function\b|const\b|let\b|var\b|class\b)/gm, '$1'],
      [/^([ \t]*)export\s*\{([^}]*)\}/gm, (_, indent, names) =>
        `${indent}${names.split(',').filter((n) => n.trim()).map((n) => {
          const [from, to] = n.trim().split(/\s+as\s+/);
          return `exports.${to || from} = ${from}`;
        }).join('; ')}`],
    ];
    return rules.reduce((text, [pattern, by]) => text.replace(pattern, by), source);
  }

  // The script becomes a function that runs anew for each frame: codecs are written for hosts that start a new
  // engine each time, and some keep what they decode in a variable of the script. No more than `typeof` is asked of
  // names that it may not have.
  const NAMES = ['decodeUplink', 'normalizeUplink', 'Decoder', 'Decode'];
  const LAST = `\n;return {${NAMES.map((n) => `${n}: typeof ${n} === 'function' ? ${n} : undefined`).join()}};`;

  // Reads a script and runs nothing of it: it throws 0 before the script begins. The two lines make its lines those
  // that it has as a function, and the function's own is not taken for one of them.
  const read = new FunctionOf('source', `${'\n'.repeat(ours)}eval('throw 0;\\n\\n' + source)`);

  // A script that is none by itself may be one as a function's body: one that closes the body, and runs when it is read.
  function asFunction(source) {
    try {
      read(source);
    } catch (error) {
      if (error !== 0) {
        throw error;
      }
    }
    return new FunctionOf(source + LAST);
  }

  function compiled(source) {
    try {
      return asFunction(source);
    } catch (error) {
      if (!apply(test, /^[ \t]*(import|export)\b/m, [source])) {
        throw error;
      }
      return asFunction(asScript(source));
    }
  }

  function text(value) {
    const whole = typeof value === 'string' ? value : value instanceof ErrorOf ? `${value}` : stringify(value);
    return whole === undefined ? StringOf(value) : apply(slice, whole, [0, MAX_TEXT]);
  }

  function texts(values) {
    if (!values) {
      return [];
    }
    if (!isArray(values)) {
      return [text(values)];
    }
    const result = [];
    for (let i = 0; i < values.length && i < MAX_WARNINGS; i++) {
      // Not `push`: that may be the script's by now.
      defineProperty(result, i, { value: text(values[i]), enumerable: true, configurable: true, writable: true });
    }
    return result;
  }

  // A long sum of strings is a tree of them to the engine, which the binding to Python cannot read.
  function flat(one, other) {
    return apply(join, [one, other], ['']);
  }

  function refuse(message) {
    throw { refused: message };
  }

  // What the engine says where one of its own limits is broken.
  const isLimit = (error) => error instanceof InternalErrorOf || (error instanceof RangeErrorOf
    && apply(test, /^(Maximum call stack size exceeded|BigInt is too large.*|invalid string length)$/, [error.message]));

  // The first place in the script that the engine names; two lines are put before the function's body.
  function place(error, withColumn) {
    const pattern = /<input>:(\d+):(\d+)/g;
    let found = null;
    while (error instanceof ErrorOf && (found = apply(exec, pattern, [error.stack])) !== null) {
      if (found[1] > 2 && found[1] <= ours) {
        return ` (line ${found[1] - 2}${withColumn ? `, column ${found[2]}` : ''})`;
      }
    }
    return '';
  }

  function described(error, withColumn) {
    try {
      if (error instanceof InternalErrorOf && error.message === 'out of memory') {
        return 'L"It took more memory than a codec may."';
      }
      if (typeof error === 'object' && error !== null && getOwnPropertyDescriptor(error, 'refused')) {
        return `F${stringify(apply(slice, text(error.refused), [0, 2 * MAX_TEXT]))}`;
      }
      return `${isLimit(error) ? 'L' : 'F'}${stringify(text(error) + place(error, withColumn))}`;
    } catch {
      return `F"It threw something that cannot be shown."`;
    }
  }

  function found(functions, module) {
    const exported = module.exports;
    if (exported !== null && typeof exported === 'object') {
      for (let i = 0; i < NAMES.length; i++) {
        const exportedFunction = exported[NAMES[i]];
        if (typeof exportedFunction === 'function') {
          functions[NAMES[i]] = exportedFunction;
        }
      }
    } else if (typeof exported === 'function' && !functions.decodeUplink) {
      functions.decodeUplink = exported;
    }
    return functions;
  }

  function decoded({ decodeUplink, Decoder, Decode }, frame) {
    const { bytes, fPort, variables } = frame;
    if (decodeUplink) {
      const result = decodeUplink({ bytes, fPort, recvTime: new DateOf(frame.recvTime), variables });
      if (result === null || typeof result !== 'object') {
        refuse(`decodeUplink returned ${result === null ? 'null' : typeof result}, not {data}.`);
      }
      return result;
    }
    // The names of The Things Network v2 and of ChirpStack v3; their value is the data itself.
    if (Decoder) {
      return { data: Decoder(bytes, fPort) };
    }
    if (Decode) {
      return { data: Decode(fPort, bytes, variables) };
    }
    return refuse('The script has none of the functions decodeUplink, Decoder and Decode.');
  }

  function jsonOf(data, what) {
    if (data === undefined || data === null) {
      refuse(`${what} returned no data.`);
    }
    const json = typeof data === 'object' ? stringify(data) : undefined;
    if (json === undefined || (json[0] !== '{' && json[0] !== '[')) {
      refuse(`${what} returned ${typeof data === 'object' ? 'text or a number' : `a ${typeof data}`} as data, no object.`);
    }
    return json;
  }

  function normalised(normalizeUplink, data, warnings) {
    try {
      const result = normalizeUplink({ data, warnings });
      const errors = texts(result.errors);
      return errors.length > 0 ? stringify({ errors }) : `{"data":${jsonOf(result.data, 'normalizeUplink')}}`;
    } catch (error) {
      const told = described(error);
      if (told[0] === 'L') {
        throw error;
      }
      return `{"errors":[${apply(slice, told, [1])}]}`;
    }
  }

  return function load(source) {
    const exporting = /\bexports?\b/.test(source);
    let enter;
    try {
      enter = compiled(source);
    } catch (error) {
      return flat(described(error, true), '');
    }
    return function run(frameText) {
      const frame = parse(frameText);
      const module = { exports: {} };
      let answer;
      let clean = false;
      try {
        if (exporting) {
          defineProperty(scope, 'module', { value: module, writable: true, configurable: true });
          defineProperty(scope, 'exports', { value: module.exports, writable: true, configurable: true });
        }
        const functions = exporting ? found(enter(), module) : enter();
        const result = decoded(functions, frame);
        const { data } = result;
        const errors = texts(result.errors);
        if (errors.length > 0) {
          refuse(text(errors[0]) + (errors.length > 1 ? ` (and ${errors.length - 1} more)` : ''));
        }
        const warnings = texts(result.warnings);
        answer = `D{"data":${jsonOf(data, functions.decodeUplink ? 'decodeUplink' : 'The codec')}`;
        if (warnings.length > 0) {
          answer += `,"warnings":${stringify(warnings)}`;
        }
        if (functions.normalizeUplink) {
          answer += `,"normalized":${normalised(functions.normalizeUplink, data, warnings)}`;
        }
        answer += '}';
      } catch (error) {
        answer = described(error);
      }
      try {
        clean = tidied();
      } catch {
        clean = false;
      }
      // The dash asks for a new context: something was left behind that cannot be taken away.
      return flat(clean ? '' : '-', answer);
    };
  };
});
