import { render } from "preact";
import { App } from "./app";
import { listen } from "./lib/route";
import { start } from "./lib/session";
import "./style.css";

listen();
void start();
const root = document.getElementById("app");
if (root) render(<App />, root);
