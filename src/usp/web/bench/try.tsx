import "@fontsource-variable/inter/wght.css";
import "../common/theme.css";

import { Map as GLMap } from "maplibre-gl";
import { render } from "preact";
import * as stream from "../common/stream";
import * as theme from "../common/theme";
import { Canvas } from "../map/canvas/canvas";
import * as city from "../map/canvas/city";
import * as choice from "../map/choice";
import * as look from "../map/look";
import * as store from "../map/store";

const add = GLMap.prototype.addLayer;
GLMap.prototype.addLayer = function (...given) {
  Object.assign(window, { glmap: this });
  return add.apply(this, given);
};
choice.keepInAddress();
store.load();
Object.assign(window, { choice, store, theme, look, city, stream });
render(
  <div style={{ position: "fixed", inset: "0" }}>
    <Canvas />
  </div>,
  document.getElementById("app") as HTMLElement,
);
