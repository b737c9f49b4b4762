import "@fontsource-variable/inter/wght.css";
import { render } from "preact";
import { t } from "../common/i18n";

function App() {
  return <h1>{t("ops.title")}</h1>;
}
render(<App />, document.getElementById("app") as HTMLElement);
