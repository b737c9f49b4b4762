import "@fontsource-variable/inter/wght.css";
import "../common/theme.css";
import "./map.css";
import "./search.css";
import "./panel/panel.css";
import "./panel/overview.css";
import "./panel/lists.css";
import "./panel/values.css";
import "./chart/chart.css";
import { render } from "preact";
import { App } from "./app";
import { keepInAddress } from "./choice";
import { load } from "./store";

keepInAddress();
void load();
render(<App />, document.getElementById("app") as HTMLElement);
