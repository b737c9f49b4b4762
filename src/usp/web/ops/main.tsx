import "@fontsource-variable/inter/wght.css";
import "../common/theme.css";
import "./ops.css";
import "./sections.css";
import "./narrow.css";
import { effect } from "@preact/signals";
import { render } from "preact";
import { t } from "../common/i18n";
import { Door } from "./door";
import { PageOfOperators } from "./page";
import { begin, session } from "./session";
import { keepWatching } from "./watching";

function App() {
  return session.value.state === "open" ? <PageOfOperators /> : <Door />;
}

effect(() => {
  document.title = t("ops.document");
});
keepWatching();
begin();
render(<App />, document.getElementById("app") as HTMLElement);
