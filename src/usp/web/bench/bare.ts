/** What the map's page is measured against (`make bench`): MapLibre as it comes, as many circles, a plain background.
 *
 * Where it looks is in its address, as in the map's: `?at=lon,lat,zoom`; the places come from `places.json`.
 */

import "maplibre-gl/dist/maplibre-gl.css";
import "./bare.css";
import { Map as GLMap, setWorkerUrl } from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";

setWorkerUrl(workerUrl);

const [lon = 0, lat = 0, zoom = 0] = (new URLSearchParams(location.search).get("at") ?? "").split(",").map(Number);
const places: [number, number][] = await (await fetch("/places.json")).json();

const map = new GLMap({
  container: "map",
  center: [lon, lat],
  zoom,
  attributionControl: false,
  style: {
    version: 8,
    sources: {
      places: {
        type: "geojson",
        data: {
          type: "FeatureCollection",
          features: places.map((coordinates) => ({
            type: "Feature",
            properties: {},
            geometry: { type: "Point", coordinates },
          })),
        },
      },
    },
    layers: [
      { id: "background", type: "background", paint: { "background-color": "#eef1f3" } },
      { id: "circles", type: "circle", source: "places", paint: { "circle-radius": 4, "circle-color": "#00795a" } },
    ],
  },
});
map.once("idle", () => document.body.setAttribute("data-ready", ""));
