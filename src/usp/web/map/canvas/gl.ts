/** What WebGL takes many words for. */

export type Uniforms = (name: string, value: number | readonly number[]) => void;

export function program(gl: WebGL2RenderingContext, vertex: string, fragment: string): WebGLProgram {
  const made = gl.createProgram();
  for (const [type, source] of [
    [gl.VERTEX_SHADER, vertex],
    [gl.FRAGMENT_SHADER, fragment],
  ] as const) {
    const shader = gl.createShader(type) as WebGLShader;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    if (!gl.getShaderParameter(shader, gl.COMPILE_STATUS) && !gl.isContextLost()) {
      throw new Error(gl.getShaderInfoLog(shader) ?? "shader");
    }
    gl.attachShader(made, shader);
  }
  gl.linkProgram(made);
  return made;
}

/** Sets a number or two or four of them by name, without its `u_`. */
export function uniforms(gl: WebGL2RenderingContext, of: WebGLProgram): Uniforms {
  const places = new Map<string, WebGLUniformLocation | null>();
  return (name, value) => {
    if (!places.has(name)) places.set(name, gl.getUniformLocation(of, `u_${name}`));
    const place = places.get(name) ?? null;
    if (typeof value === "number") gl.uniform1f(place, value);
    else if (value.length === 2) gl.uniform2fv(place, value as number[]);
    else gl.uniform4fv(place, value as number[]);
  };
}

/** A value for each vertex, from the buffer that is bound; bytes become shares of 255. */
export function attribute(
  gl: WebGL2RenderingContext,
  place: number,
  size: number,
  type: number,
  stride: number,
  offset: number,
): void {
  gl.enableVertexAttribArray(place);
  gl.vertexAttribPointer(place, size, type, type === gl.UNSIGNED_BYTE, stride, offset);
}

/** The same for all four corners of a square: each so many values of a row, four times. */
export function cornered<Row extends Float32Array<ArrayBuffer> | Uint8Array<ArrayBuffer>>(
  rows: Row,
  size: number,
): Row {
  const made = (
    rows instanceof Uint8Array ? new Uint8Array(4 * rows.length) : new Float32Array(4 * rows.length)
  ) as Row;
  for (let from = 0; from < rows.length; from += size) {
    const row = rows.subarray(from, from + size);
    for (let corner = 0; corner < 4; corner += 1) made.set(row, 4 * from + corner * size);
  }
  return made;
}

/** Two triangles for each four corners. Graphics cards are better at this than at many small instances. */
export function squares(count: number): Uint32Array<ArrayBuffer> {
  return Uint32Array.from({ length: 6 * count }, (_, n) => 4 * Math.floor(n / 6) + (CORNERS[n % 6] as number));
}

const CORNERS = [0, 1, 2, 1, 2, 3];
