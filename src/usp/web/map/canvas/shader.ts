/** How the graphics card draws a spot: all in one call, each a point, which is a square of pixels. */

export const VERTEX = `#version 300 es
precision highp float;
uniform vec2 u_size;     // of the map, px
uniform vec2 u_origin;   // where the spots' origin is on the map, px
uniform float u_world;   // of the whole world, px
uniform float u_between; // how far from one zoom to the next
uniform float u_radius;  // px
uniform float u_now;     // s
uniform float u_sharp;   // device pixels per px
uniform float u_most;    // device pixels that a point may have

in vec2 a_place;         // in worlds, from the origin
in vec4 a_shape;         // size, roundness, whether it stands on its corner, picture
in vec4 a_away;          // px, at one zoom and at the next
in vec4 a_fill;
in vec4 a_ring;
in vec4 a_ink;
in vec2 a_state;         // whether it is seen, how it is marked
in float a_changed;      // s

flat out vec4 v_form;    // how far to the edge, to where its corners begin to be round, how round; width of the ring; px
flat out vec3 v_fill;
flat out vec3 v_ring;
flat out vec3 v_ink;
flat out vec4 v_more;    // whether it is turned, its picture, how it is marked, how far its pulse is
flat out float v_reach;  // px

void main() {
  float radius = u_radius * a_shape.x;
  float pulse = clamp((u_now - a_changed) / 1.6, 0.0, 1.0);
  float reach = radius * (a_shape.z > 0.5 ? 1.25 : 1.0) + (a_state.y > 0.0 ? 7.0 : 1.6);
  if (pulse < 1.0) reach = max(reach, radius * 2.8 + 4.0);
  v_reach = min(reach, u_most / u_sharp / 2.0);
  v_form = vec4(radius, radius * (1.0 - a_shape.y), radius * a_shape.y, clamp(radius * 0.2, 1.1, 2.2));
  v_fill = a_fill.rgb;
  v_ring = a_ring.rgb;
  v_ink = a_ink.rgb;
  v_more = vec4(a_shape.z, a_shape.w, a_state.y, pulse);
  vec2 middle = a_place * u_world + u_origin + mix(a_away.xy, a_away.zw, u_between);
  vec2 place = middle / u_size * 2.0 - 1.0;
  gl_Position = a_state.x > 0.5 ? vec4(place.x, -place.y, 0.0, 1.0) : vec4(2.0, 2.0, 2.0, 1.0);
  gl_PointSize = 2.0 * v_reach * u_sharp;
}`;

export const FRAGMENT = `#version 300 es
precision highp float;
uniform sampler2D u_pictures;
uniform vec2 u_cells;    // across, down
uniform float u_cell;    // device pixels of a picture's cell
uniform float u_glyphs;  // how visible pictures are
uniform float u_news;    // 1 while any is marked or pulses
uniform float u_sharp;   // device pixels per px
uniform vec4 u_halo;
uniform vec4 u_accent;

flat in vec4 v_form;
flat in vec3 v_fill;
flat in vec3 v_ring;
flat in vec3 v_ink;
flat in vec4 v_more;
flat in float v_reach;
out vec4 colour;

float covered(float outside) { return clamp(0.5 - outside * u_sharp, 0.0, 1.0); }

void main() {
  vec2 upright = (gl_PointCoord - 0.5) * (2.0 * v_reach);
  vec2 at = v_more.x > 0.5 ? vec2(upright.x + upright.y, upright.y - upright.x) * 0.70711 : upright;
  vec2 beyond = abs(at) - v_form.y;
  float outside = length(max(beyond, 0.0)) + min(max(beyond.x, beyond.y), 0.0) - v_form.z;
  vec3 inner = mix(v_ring, v_fill, covered(outside + v_form.w));

  if (u_glyphs > 0.0) {
    float size = v_form.x * 1.36;
    vec2 within = upright / size + 0.5;
    if (all(greaterThan(within, vec2(0.0))) && all(lessThan(within, vec2(1.0)))) {
      vec2 cell = vec2(mod(v_more.y, u_cells.x), floor(v_more.y / u_cells.x));
      float ink = textureLod(u_pictures, (cell + within) / u_cells, log2(u_cell / (size * u_sharp))).r;
      inner = mix(inner, v_ink, ink * u_glyphs);
    }
  }
  // A narrow edge of the ground's colour keeps one spot apart from the next.
  float share = covered(outside - 1.1);
  colour = vec4(mix(u_halo.rgb, inner, covered(outside)) * share, share);

  if (u_news > 0.0) {
    float ring = v_more.z * covered(abs(outside - 4.2) - 1.4);
    colour = u_accent * ring + colour * (1.0 - ring);
    float wave = length(upright) - v_form.x * (1.0 + 1.7 * v_more.w * (2.0 - v_more.w));
    float fading = (1.0 - v_more.w) * (1.0 - v_more.w);
    float seen = fading * (0.85 * covered(abs(wave) - 2.2) + 0.25 * covered(wave)) * (1.0 - colour.a);
    colour += vec4(v_ring, 1.0) * min(seen, 1.0 - colour.a);
  }
}`;
