/** The pictures of kinds and categories as one texture. */

import { GLYPHS } from "./glyphs";

/** Pixels of a cell, and how many are across. */
export const CELL = 64;
export const ACROSS = 4;
const BOX = 24;

export const PICTURES = Object.keys(GLYPHS);
export const DOWN = Math.ceil(PICTURES.length / ACROSS);

/** Drawn once, with its smaller copies, for the reader's eye to be spared of flicker. */
export function atlas(gl: WebGL2RenderingContext): WebGLTexture {
  const canvas = document.createElement("canvas");
  canvas.width = ACROSS * CELL;
  canvas.height = DOWN * CELL;
  const pen = canvas.getContext("2d", { willReadFrequently: true }) as CanvasRenderingContext2D;
  for (const [index, name] of PICTURES.entries()) {
    pen.setTransform(CELL / BOX, 0, 0, CELL / BOX, (index % ACROSS) * CELL, Math.floor(index / ACROSS) * CELL);
    pen.fill(new Path2D(GLYPHS[name]), "evenodd");
  }
  const { data } = pen.getImageData(0, 0, canvas.width, canvas.height);
  const alpha = Uint8Array.from({ length: data.length / 4 }, (_, pixel) => data[4 * pixel + 3] as number);
  const texture = gl.createTexture();
  gl.bindTexture(gl.TEXTURE_2D, texture);
  gl.pixelStorei(gl.UNPACK_ALIGNMENT, 1);
  gl.pixelStorei(gl.UNPACK_FLIP_Y_WEBGL, false);
  gl.pixelStorei(gl.UNPACK_PREMULTIPLY_ALPHA_WEBGL, false);
  gl.texImage2D(gl.TEXTURE_2D, 0, gl.R8, canvas.width, canvas.height, 0, gl.RED, gl.UNSIGNED_BYTE, alpha);
  gl.generateMipmap(gl.TEXTURE_2D);
  gl.texParameteri(gl.TEXTURE_2D, gl.TEXTURE_MIN_FILTER, gl.LINEAR_MIPMAP_LINEAR);
  return texture;
}
