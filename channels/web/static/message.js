// One message of the list: made once, brought up to date in place.
import { newNonce, post } from "./api.js";
import { Blocks, mood } from "./blocks.js";
import { el, icon } from "./dom.js";
import { clockTime } from "./times.js";

const LABELS = { approve: "Allow once", always: "Always allow", deny: "Deny", stop: "Stop", again: "Run again", output: "Whole output",
  approveall: "Allow all", denyall: "Deny all", stopall: "Stop all" };
const DENIES = new Set(["deny", "denyall"]);

const SUBMITS = { approve: "Allow it once", always: "Allow it always", deny: "Deny it", approveall: "Allow all", denyall: "Deny all" };

// What may well be wanted twice is offered again, but not to the second half of a double click.
const REPEATABLE = new Set(["again", "output"]);
const REPEAT_AFTER_MS = 3000;

const executionOf = (button) => button.token.split(":")[2];

export const initials = (name) => name.trim().split(/\s+/u).slice(0, 2).map((word) => Array.from(word)[0] ?? "").join("").toUpperCase();

export class Message {
  constructor(entry, context) {
    this.context = context;
    this.entry = entry;
    this.pressed = "";
    this.memberNotes = new Map();
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
      this.blocks = new Blocks((buttons) => this.memberRow(buttons));
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
    const hadFocus = this.body.contains(document.activeElement);
    this.blocks.show(made);
    if (hadFocus && !this.body.contains(document.activeElement)) this.article.focus({ preventScroll: true });
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
    this.actions.replaceChildren(...buttons.map((button) => this.button(button, execution, this.actions)));
    // Never onto another button: a key that was meant for the old one must not press the new one.
    if (hadFocus) this.article.focus({ preventScroll: true });
  }

  // What can be done with one of several, below its command.
  memberRow(buttons) {
    if (!buttons.length) return el("div", { class: "member" });
    const execution = executionOf(buttons[0]);
    const row = el("div", { class: "member", role: "group", "aria-label": `What to do with ${execution}`, "data-execution": execution });
    row.append(...buttons.map((button) => this.button(button, execution, row)),
      el("p", { class: "member-note", role: "status" }, this.memberNotes.get(execution)));
    return row;
  }

  button(button, execution, holder) {
    const { action, asks } = button;
    const hasForm = DENIES.has(action) || asks.length > 0;
    const open = () => (hasForm ? this.ask(button, execution, holder) : this.press(button, {}));
    return el("button", { type: "button", class: `button ${action}`, "aria-label": `${LABELS[action]}: ${execution}`, onclick: open }, LABELS[action]);
  }

  ask(button, execution, holder) {
    const { action, asks, token } = button;
    for (const opened of this.article.querySelectorAll(".reason")) {
      if (opened.dataset.token === token) return;
      opened.remove();
    }
    const isNo = DENIES.has(action);
    const fields = [];
    if (isNo || asks.includes("reason")) fields.push(this.reasonField(isNo));
    if (asks.includes("code")) fields.push(this.codeField());
    const form = el("form", { class: "reason", "data-action": action, "data-token": token, "aria-label": `${LABELS[action]}: ${execution}` },
      ...fields.flatMap(({ label, field, hint }) => [label, field, hint].filter(Boolean)),
      el("div", { class: "row" }, el("button", { type: "submit", class: `button ${isNo ? "deny solid" : "approve"}` }, SUBMITS[action]),
        el("button", { type: "button", class: "button", onclick: () => this.closeForm(form, holder) }, "Cancel")));
    form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.press(button, Object.fromEntries(fields.map(({ name, field }) => [name, field.value])));
    });
    form.addEventListener("keydown", (event) => event.key === "Escape" && this.closeForm(form, holder));
    holder.append(form);
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

  closeForm(form, holder) {
    form.remove();
    holder.querySelector(`.button.${form.dataset.action}`)?.focus();
  }

  async press({ token, action }, filled) {
    // As it is shown now: a new sign-in has other proofs for the same buttons.
    const { buttons, blocks } = this.entry.post;
    const button = [...buttons, ...blocks.flatMap((block) => block.buttons ?? [])].find((each) => each.token === token);
    if (!button) return;
    const controls = [...this.article.querySelectorAll(".actions button, .actions input, .member button, .member input")];
    for (const control of controls) control.disabled = true;
    this.article.focus({ preventScroll: true });
    const say = (words, isFault = false) => this.sayAt(button, words, isFault);
    say("Sending…");
    const { kind, room, thread, id } = this.entry;
    // The same press may be repeated: one nonce for this button as it is shown now.
    this.pressNonce = this.pressToken === button.token ? this.pressNonce : newNonce();
    this.pressToken = button.token;
    try {
      const answer = await post("/web/presses", { kind, room, thread, message: String(id), button: button.token, proof: button.proof, ...filled, nonce: this.pressNonce });
      this.pressToken = "";
      say(answer.note ?? "Taken.");
      this.article.querySelector(".reason")?.remove();
      // A wrong code decides nothing, and another one may be tried; and the others of a card are still to be decided.
      if (button.asks.length || this.article.querySelector(".member")) controls.forEach((control) => { control.disabled = false; });
      if (REPEATABLE.has(action)) setTimeout(() => controls.forEach((control) => { control.disabled = false; }), REPEAT_AFTER_MS);
    } catch (error) {
      for (const control of controls) control.disabled = false;
      say(error.message, true);
      this.context.pressFailed(error);
    }
  }

  // Where it was pressed: on a long card the foot of it is out of sight.
  sayAt(button, words, isFault) {
    const row = [...this.article.querySelectorAll(".member")].find((each) => each.dataset.execution === executionOf(button));
    if (!row || this.entry.post.buttons.includes(button)) return this.say(words, isFault);
    this.memberNotes.set(executionOf(button), words);
    const note = row.querySelector(".member-note");
    note.textContent = words;
    note.classList.toggle("fault", isFault);
  }

  say(words, isFault = false) {
    this.note.textContent = words;
    this.note.classList.toggle("fault", isFault);
  }
}
