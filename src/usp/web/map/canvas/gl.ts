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

/** A value for each point, from the buffer that is bound; bytes become shares of 255. */
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
