// One message of the list: made once, brought up to date in place.
import { newNonce, post } from "./api.js";
import { Blocks, mood } from "./blocks.js";
import { el, icon } from "./dom.js";
import { clockTime } from "./times.js";

const LABELS = { approve: "Allow once", always: "Always allow", deny: "Deny", stop: "Stop", again: "Run again", output: "Whole output" };

const SUBMITS = { approve: "Allow it once", always: "Allow it always", deny: "Deny it" };

// What may well be wanted twice is offered again, but not to the second half of a double click.
const REPEATABLE = new Set(["again", "output"]);
const REPEAT_AFTER_MS = 3000;

export const initials = (name) => name.trim().split(/\s+/u).slice(0, 2).map((word) => Array.from(word)[0] ?? "").join("").toUpperCase();

export class Message {
  constructor(entry, context) {
    this.context = context;
    this.entry = entry;
    this.pressed = "";
    this.build();
    this.update(entry);
  }

  build() {
    const { entry } = this;
    const name = entry.author ? entry.author.name : "Homing";
    const avatar = entry.author ? el("span", { class: "avatar", "aria-hidden": "true" }, initials(name))
      : el("span", { class: "avatar bot", "aria-hidden": "true" }, el("img", { src: "/web/static/mark.svg", alt: "", width: 36, height: 36 }));
    this.who = el("header", { class: "who", id: `m${entry.id}-who` }, el("span", { class: "author" }, name), " ", clockTime(entry.at));
    this.body = el("div", { class: "body" });
    this.actions = el("div", { class: "actions", role: "group" });
    this.note = el("p", { class: "note", role: "status" });
    this.thread = el("a", { class: "thread", href: this.context.threadHref(entry) });
    this.article = el("article", { tabindex: "-1", "aria-labelledby": `m${entry.id}-who` }, this.who, this.body, this.actions, this.note);
    if (!this.context.isThread) this.article.append(el("footer", {}, this.thread));
    this.element = el("li", { class: "message", id: `m${entry.id}` }, avatar, this.article);
    this.showThread(null);
    if (entry.answers) this.showAnswered(entry.answers);
    if (entry.post) {
      this.blocks = new Blocks();
      this.body.append(this.blocks.element);
    } else {
      this.body.append(el("p", { class: "text" }, entry.text));
    }
  }

  showAnswered(answers) {
    const link = el("a", { class: "answers", href: `#m${answers.id}` }, icon("reply"), el("span", { class: "hidden" }, "In reply to "),
      el("b", {}, answers.name || "Homing"), el("span", { class: "excerpt" }, answers.excerpt));
    link.addEventListener("click", (event) => {
      event.preventDefault();
      this.context.visit(answers.id);
    });
    this.who.after(link);
  }

  showThread(lastReplyAt) {
    if (lastReplyAt) this.thread.replaceChildren(icon("reply"), "Open thread, last reply ", clockTime(lastReplyAt));
    else this.thread.replaceChildren(icon("reply"), "Reply in thread");
    this.thread.classList.toggle("has-replies", Boolean(lastReplyAt));
  }

  update(entry) {
    this.entry = entry;
    if (!entry.post) return;
    const made = entry.post;
    this.element.className = `message ${made.kind} ${mood(made)}`;
    this.element.classList.toggle("framed", made.status !== null);
    this.blocks.show(made);
    if (made.mention && !this.mention) {
      this.mention = el("span", { class: "mention" }, `@${made.mention.name}`);
      this.who.append(" ", this.mention);
      this.element.classList.toggle("for-me", made.mention.id === this.context.me);
    }
    const tokens = made.buttons.map((button) => button.token).join(" ");
    if (tokens !== this.tokens) {
      this.tokens = tokens;
      this.showButtons();
    }
  }

  showButtons() {
    const hadFocus = this.actions.contains(document.activeElement);
    const { execution, buttons } = this.entry.post;
    this.actions.setAttribute("aria-label", `What to do with ${execution ?? "this message"}`);
    this.actions.replaceChildren(...buttons.map((button) => this.button(button)));
    // Never onto another button: a key that was meant for the old one must not press the new one.
    if (hadFocus) this.article.focus({ preventScroll: true });
  }

  button({ action, asks }) {
    const execution = this.entry.post.execution;
    const hasForm = action === "deny" || asks.length > 0;
    const open = () => (hasForm ? this.ask(action, asks) : this.press(action, {}));
    return el("button", { type: "button", class: `button ${action}`, "aria-label": `${LABELS[action]}: ${execution}`, onclick: open }, LABELS[action]);
  }

  ask(action, asks) {
    const opened = this.actions.querySelector(".reason");
    if (opened?.dataset.action === action) return;
    opened?.remove();
    const isNo = action === "deny";
    const fields = [];
    if (isNo || asks.includes("reason")) fields.push(this.reasonField(isNo));
    if (asks.includes("code")) fields.push(this.codeField());
    const form = el("form", { class: "reason", "data-action": action, "aria-label": `${LABELS[action]}: ${this.entry.post.execution}` },
      ...fields.flatMap(({ label, field, hint }) => [label, field, hint].filter(Boolean)),
      el("div", { class: "row" }, el("button", { type: "submit", class: `button ${isNo ? "deny solid" : "approve"}` }, SUBMITS[action]),
        el("button", { type: "button", class: "button", onclick: () => this.closeForm(form) }, "Cancel")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.press(action, Object.fromEntries(fields.map(({ name, field }) => [name, field.value])));
    });
    form.addEventListener("keydown", (event) => event.key === "Escape" && this.closeForm(form));
    this.actions.append(form);
    fields[0].field.focus();
    form.scrollIntoView({ block: "nearest" });
  }

  reasonField(isNo) {
    const field = el("input", { type: "text", maxlength: 500, id: `m${this.entry.id}-reason`, autocomplete: "off", placeholder: isNo ? "Not during the freeze" : "The disk is full" });
    field.required = !isNo;
    const words = isNo ? "Why not? The one who asked reads it." : "Why? It is kept with your yes.";
    return { name: "reason", field, label: el("label", { for: field.id }, words) };
  }

  codeField() {
    const id = `m${this.entry.id}-code`;
    const field = el("input", { type: "text", class: "code", maxlength: 20, id, autocomplete: "one-time-code", inputmode: "numeric", spellcheck: "false", autocapitalize: "off", "aria-describedby": `${id}-hint` });
    field.required = true;
    return { name: "code", field, label: el("label", { for: id }, "Code of your own device"), hint: el("p", { class: "hint", id: `${id}-hint` }, "Six digits, or a recovery code. Nobody else sees it.") };
  }

  closeForm(form) {
    form.remove();
    this.actions.querySelector(`.button.${form.dataset.action}`)?.focus();
  }

  async press(action, filled) {
    const button = this.entry.post.buttons.find((each) => each.action === action);
    if (!button) return;
    const controls = [...this.actions.querySelectorAll("button, input")];
    for (const control of controls) control.disabled = true;
    this.article.focus({ preventScroll: true });
    this.say("Sending…");
    const { kind, room, thread, id } = this.entry;
    // The same press may be repeated: one nonce for this button as it is shown now.
    this.pressNonce = this.pressToken === button.token ? this.pressNonce : newNonce();
    this.pressToken = button.token;
    try {
      const answer = await post("/web/presses", { kind, room, thread, message: String(id), button: button.token, proof: button.proof, ...filled, nonce: this.pressNonce });
      this.pressToken = "";
      this.say(answer.note ?? "Taken.");
      this.actions.querySelector(".reason")?.remove();
      // A wrong code decides nothing, and another one may be tried.
      if (button.asks.length) controls.forEach((control) => { control.disabled = false; });
      if (REPEATABLE.has(action)) setTimeout(() => controls.forEach((control) => { control.disabled = false; }), REPEAT_AFTER_MS);
    } catch (error) {
      for (const control of controls) control.disabled = false;
      this.say(error.message, true);
      this.context.pressFailed(error);
    }
  }

  say(words, isFault = false) {
    this.note.textContent = words;
    this.note.classList.toggle("fault", isFault);
  }
}
