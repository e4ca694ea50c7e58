// The message box. What is written stays in it until the server has recorded it; a repeat is the same message.
import { newNonce, post } from "./api.js";
import { byId, icon } from "./dom.js";
import { href } from "./place.js";

const MAX_CHARS = 8500;

export class Composer {
  constructor({ sent }) {
    this.sent = sent;
    this.text = byId("composer-text");
    this.fault = byId("send-fault");
    byId("send").prepend(icon("send"));
    byId("composer").addEventListener("submit", (event) => {
      event.preventDefault();
      this.send();
    });
    this.text.addEventListener("keydown", (event) => {
      // An Enter that ends the composition of a character sends nothing.
      if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
        event.preventDefault();
        this.send();
      }
    });
    this.text.addEventListener("input", () => {
      this.keep();
      this.fit();
    });
  }

  open(place, label) {
    this.place = place;
    this.draftKey = `homing-draft:${href(place)}`;
    byId("composer-label").textContent = label;
    this.text.placeholder = label;
    this.text.value = sessionStorage.getItem(this.draftKey) ?? "";
    this.nonce = null;
    this.fault.textContent = "";
    this.fit();
  }

  keep() {
    // Other words are another message.
    if (this.text.value !== this.tried) this.nonce = null;
    if (this.text.value) sessionStorage.setItem(this.draftKey, this.text.value);
    else sessionStorage.removeItem(this.draftKey);
    const over = Array.from(this.text.value).length - MAX_CHARS;
    this.fault.textContent = over > 0 ? `${over} characters too many: a message has at most ${MAX_CHARS}.` : "";
  }

  fit() {
    this.text.style.height = "auto";
    this.text.style.height = `${Math.min(this.text.scrollHeight, 220)}px`;
  }

  fill(words) {
    this.text.value = words;
    this.keep();
    this.fit();
    this.text.focus();
  }

  async send() {
    const text = this.text.value;
    const { place } = this;
    if (!text.trim() || this.isSending) return;
    this.isSending = true;
    this.text.readOnly = true;
    this.tried = text;
    this.nonce ??= newNonce();
    this.fault.textContent = "";
    try {
      const answer = await post("/web/messages", { kind: place.kind, room: place.room, thread: place.thread, text, nonce: this.nonce });
      sessionStorage.removeItem(`homing-draft:${href(place)}`);
      if (this.place === place) {
        this.text.value = "";
        this.nonce = null;
      }
      this.sent(answer, place);
    } catch (error) {
      this.fault.textContent = `Not sent: ${error.message} Your words are still here, send them again when you like.`;
      if (error.status === 401) location.reload();
    } finally {
      this.isSending = false;
      this.text.readOnly = false;
      this.fit();
    }
  }
}
