// Shows what a device says of itself; the address is typed by whoever looks.
import "./panel.css";
import { lines } from "./lines.js";

const panel = document.querySelector("#panel");
const address = Object.assign(document.createElement("input"), { placeholder: "http://k1.local" });
const shown = document.createElement("pre");
panel.append(address, shown);

address.addEventListener("change", async () => {
  try {
    const answer = await fetch(new URL("/api/health", address.value));
    shown.textContent = lines(await answer.json()).join("\n");
  } catch (error) {
    shown.textContent = `no answer: ${error.message}`;
  }
});
