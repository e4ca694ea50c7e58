// Redeems an invitation: only on a press, so that a preview of the link uses nothing up.
import { post } from "./api.js";

const form = document.getElementById("join");
const field = document.getElementById("secret");
const fault = document.getElementById("fault");
const enter = document.getElementById("enter");

let secret = location.hash.slice(1);
// The secret is not to stay in the address bar or in the history.
history.replaceState(null, "", "/join");
document.getElementById("by-hand").hidden = secret !== "";
(secret ? enter : field).focus();

form.addEventListener("submit", async (event) => {
  event.preventDefault();
  const given = secret || field.value.trim().split("#").pop();
  enter.disabled = true;
  fault.textContent = "";
  try {
    await post("/web/join", { secret: given });
    location.replace("/");
  } catch (error) {
    fault.textContent = error.message;
    secret = "";
    document.getElementById("by-hand").hidden = false;
    enter.disabled = false;
    field.focus();
  }
});
