// The chat page: opens a conversation, follows the stream, keeps the list of messages in the order of their ids.
import { get, post } from "./api.js";
import { Composer } from "./composer.js";
import { byId, el, icon } from "./dom.js";
import { Live } from "./live.js";
import { Message, initials } from "./message.js";
import { href, isSame, parse, title } from "./place.js";
import { Sidebar } from "./sidebar.js";
import { dayKey, dayWords, elapsed } from "./times.js";

const MAX_SHOWN = 400; // messages kept in the page; the earlier ones are a press away
const NEAR_END_PX = 120;

class Chat {
  constructor({ me, rooms, direct, head }) {
    this.me = me;
    this.messages = new Map();
    this.waiting = new Set();
    this.threads = new Map();
    byId("my-avatar").textContent = initials(me.name);
    byId("menu").append(icon("menu"));
    byId("back").append(icon("back"));
    this.scroll = byId("scroll");
    this.sidebar = new Sidebar(me, { opened: (place) => { location.hash = href(place); } });
    this.composer = new Composer({ sent: (answer, place) => this.sent(answer, place) });
    this.sidebar.load({ rooms, direct });
    this.listen();
    this.live = new Live(head, {
      entry: (entry) => this.heard(entry),
      reset: () => this.reload(),
      state: (state) => this.showConnection(state),
      refused: () => this.refused(),
    });
    this.navigate();
    setInterval(() => this.tick(), 1000);
  }

  listen() {
    addEventListener("hashchange", () => this.navigate());
    addEventListener("focus", () => this.place && this.sidebar.markRead(this.place));
    byId("skip").addEventListener("click", (event) => {
      event.preventDefault();
      byId("composer-text").focus();
    });
    byId("sign-out").addEventListener("click", async () => {
      await post("/web/sign-out", {});
      location.replace("/");
    });
    byId("earlier").addEventListener("click", () => this.loadEarlier());
    byId("jump").addEventListener("click", () => this.toEnd());
    byId("menu").addEventListener("click", () => this.showMenu(byId("menu").getAttribute("aria-expanded") !== "true"));
    byId("shade").addEventListener("click", () => this.showMenu(false));
    addEventListener("keydown", (event) => event.key === "Escape" && byId("frame").classList.contains("menu-open") && this.showMenu(false));
    this.scroll.addEventListener("scroll", () => { if (this.isAtEnd()) byId("jump").hidden = true; });
  }

  showMenu(isOpen) {
    byId("frame").classList.toggle("menu-open", isOpen);
    byId("shade").hidden = !isOpen;
    byId("menu").setAttribute("aria-expanded", String(isOpen));
    if (isOpen) byId("side").querySelector("a[aria-current], a")?.focus();
    else byId("menu").focus();
  }

  // --- which conversation ---

  async navigate() {
    const place = parse(location.hash, this.me.id);
    if (!place) {
      history.replaceState(null, "", href(this.sidebar.first()));
      return this.navigate();
    }
    const isFirst = !this.place;
    this.place = place;
    if (byId("frame").classList.contains("menu-open")) this.showMenu(false);
    this.messages.clear();
    this.threads.clear();
    byId("messages").replaceChildren();
    byId("empty").hidden = true;
    byId("jump").hidden = true;
    this.showHeader();
    this.sidebar.show(place);
    this.composer.open(place, place.thread ? "Reply in this thread" : place.kind === "direct" ? "Write to the bot, just for you" : `Write in #${place.room}`);
    // A keyboard user starts where the conversation starts; a first load does not take the focus from anybody.
    if (!isFirst) byId("title").focus({ preventScroll: true });
    else if (matchMedia("(min-width: 800px)").matches) byId("composer-text").focus();
    await this.load();
    return undefined;
  }

  showHeader() {
    const { place } = this;
    const back = byId("back");
    back.hidden = !place.thread;
    byId("frame").classList.toggle("in-thread", Boolean(place.thread));
    if (place.thread) {
      back.href = href({ ...place, thread: null });
      back.setAttribute("aria-label", `Back to ${title(place)}`);
    }
    byId("title").textContent = place.thread ? "Thread" : title(place);
    byId("subtitle").textContent = place.thread ? `in ${title(place)}`
      : place.kind === "direct" ? "Only you can read this conversation." : "Everybody who is signed in can read this room.";
    this.showTitle();
  }

  async load(before = null) {
    const { place } = this;
    let found;
    try {
      found = await get("/web/messages", { kind: place.kind, room: place.kind === "direct" ? null : place.room, thread: place.thread, before });
    } catch (error) {
      if (this.place !== place) return;
      if (error.status === 401) location.reload();
      this.showEmpty(error.status === 404 ? "There is no such conversation." : error.message);
      return;
    }
    if (this.place !== place) return;
    for (const [root, at] of Object.entries(found.replies)) this.threads.set(Number(root), at);
    for (const entry of found.messages) this.put(entry);
    byId("earlier").hidden = !found.has_more;
    this.isLoaded = true;
    this.showDays();
    if (!before) this.toEnd();
    this.showEmpty();
    this.sidebar.markRead(place);
  }

  async loadEarlier() {
    const first = Math.min(...this.ids());
    const height = this.scroll.scrollHeight;
    await this.load(String(first));
    this.scroll.scrollTop += this.scroll.scrollHeight - height;
    this.messages.get(first)?.article.focus({ preventScroll: true });
  }

  async reload() {
    this.messages.clear();
    byId("messages").replaceChildren();
    await this.load();
  }

  ids() {
    return [...this.messages.keys()].filter((id) => String(id) !== this.place.thread);
  }

  // --- messages ---

  heard(entry) {
    this.sidebar.heard(entry, entry.author?.id === this.me.id);
    this.countWaiting(entry);
    if (entry.thread) this.heardReply(entry);
    const isHere = isSame(entry, this.place);
    const isRoot = this.place.thread === String(entry.id);
    if (!isHere && !isRoot) return;
    const isNew = !this.messages.has(entry.id);
    const before = this.messages.get(entry.id)?.entry.post?.status;
    const wasAtEnd = this.isAtEnd();
    this.put(entry);
    if (isNew) this.showDays();
    this.showEmpty();
    if (wasAtEnd) this.toEnd();
    else if (isNew) byId("jump").hidden = false;
    if (!document.hidden) this.sidebar.markRead(this.place);
    this.announce(entry, isNew, before);
    this.trim();
  }

  heardReply(entry) {
    const root = Number(entry.thread);
    this.threads.set(root, Math.max(entry.at, this.threads.get(root) ?? 0));
    this.messages.get(root)?.showThread(this.threads.get(root));
  }

  put(entry) {
    const shown = this.messages.get(entry.id);
    this.countWaiting(entry);
    if (shown) {
      // Reads and the stream overtake each other: the newest change wins, whichever way it came.
      if (entry.change >= shown.entry.change) shown.update(entry);
      return;
    }
    const message = new Message(entry, {
      me: this.me.id,
      isThread: Boolean(this.place.thread),
      threadHref: ({ kind, room, id }) => href({ kind, room, thread: String(id) }),
      visit: (id) => this.visit(id),
      pressFailed: (error) => this.pressFailed(error),
    });
    const lastReply = this.threads.get(entry.id);
    if (lastReply) message.showThread(lastReply);
    this.messages.set(entry.id, message);
    const next = [...byId("messages").children].find((item) => item.id && Number(item.id.slice(1)) > entry.id);
    byId("messages").insertBefore(message.element, next ?? null);
  }

  trim() {
    const surplus = this.ids().sort((one, other) => one - other).slice(0, -MAX_SHOWN);
    for (const id of surplus) {
      this.messages.get(id).element.remove();
      this.messages.delete(id);
      byId("earlier").hidden = false;
    }
  }

  showDays() {
    for (const line of byId("messages").querySelectorAll(".day")) line.remove();
    let last = null;
    for (const item of [...byId("messages").children]) {
      const { at } = this.messages.get(Number(item.id.slice(1))).entry;
      if (dayKey(at) !== last) item.before(el("li", { class: "day" }, el("span", {}, dayWords(at))));
      last = dayKey(at);
    }
  }

  showEmpty(fault = null) {
    const empty = byId("empty");
    empty.hidden = fault === null && (!this.isLoaded || this.ids().length > 0);
    if (empty.hidden) return;
    if (fault) {
      empty.replaceChildren(el("p", { role: "alert" }, fault));
      return;
    }
    if (this.place.thread) {
      empty.replaceChildren(el("p", {}, "No replies yet. What is asked here is answered here."));
      return;
    }
    const example = el("button", { type: "button", class: "button example", onclick: () => this.composer.fill("run uptime") }, "run uptime");
    empty.replaceChildren(el("img", { src: "/web/static/mark.svg", alt: "", width: 44, height: 44 }),
      el("h2", {}, "Nothing here yet"),
      el("p", {}, "Write a command for one of your machines. A card shows what would run, somebody allows it, and the result comes back to this place."),
      el("p", {}, "Begin with ", example));
  }

  visit(id) {
    const message = this.messages.get(Number(id));
    if (!message) return;
    message.element.scrollIntoView({ block: "center" });
    message.article.focus({ preventScroll: true });
  }

  sent({ message, note }, place) {
    if (!isSame(place, this.place)) return;
    this.put(message);
    this.showDays();
    this.showEmpty();
    this.toEnd();
    if (note) this.messages.get(message.id).say(`${note} (Only you see this.)`);
  }

  async pressFailed(error) {
    if (error.status === 401) location.reload();
    if (error.code !== "unproven") return;
    // Signed in anew elsewhere in this browser: the cards are shown again to the new sign-in.
    await this.load();
    this.live.reopen();
  }

  // --- around them ---

  announce(entry, isNew, statusBefore) {
    const status = entry.post?.status;
    if (entry.author?.id === this.me.id || (!isNew && status === statusBefore)) return;
    const from = entry.author ? entry.author.name : "Homing";
    const message = this.messages.get(entry.id);
    const words = (message?.body.querySelector(".block-heading, .text, .block-prose")?.textContent ?? "").slice(0, 160);
    const log = byId("announcer");
    log.append(el("p", {}, `${from}: ${words}`));
    while (log.children.length > 5) log.firstChild.remove();
  }

  countWaiting(entry) {
    if (entry.post?.kind !== "card" && entry.post?.kind !== "notice") return;
    // By what waits, not by card: copies of it stand in other rooms.
    const what = entry.post.execution || entry.id;
    if (entry.post.status === "awaiting_approval") this.waiting.add(what);
    else this.waiting.delete(what);
    this.showTitle();
  }

  showTitle() {
    const count = this.waiting.size;
    document.title = `${count ? `(${count}) ` : ""}${title(this.place ?? { kind: "direct" })} · Homing`;
    byId("waiting").hidden = count === 0;
    byId("waiting").replaceChildren(`${count} waiting`, el("span", { class: "long" }, " for approval"));
  }

  showConnection(state) {
    const banner = byId("banner");
    if (state === "live" && !banner.hidden) banner.hidden = true;
    if (state === "lost" && banner.hidden) {
      banner.textContent = "The connection is lost. Reconnecting…";
      banner.hidden = false;
    }
  }

  async refused() {
    try {
      this.sidebar.load(await get("/web/me"));
    } catch (error) {
      if (error.status === 401) {
        location.reload();
        return true;
      }
    }
    return false;
  }

  tick() {
    for (const line of document.querySelectorAll(".elapsed")) line.textContent = elapsed(Number(line.dataset.since));
  }

  isAtEnd() {
    return this.scroll.scrollHeight - this.scroll.scrollTop - this.scroll.clientHeight < NEAR_END_PX;
  }

  toEnd() {
    this.scroll.scrollTop = this.scroll.scrollHeight;
    byId("jump").hidden = true;
  }
}

async function begin(delayMs = 500) {
  try {
    new Chat(await get("/web/me"));
  } catch (error) {
    if (!(error instanceof Error) || error.status === undefined) throw error;
    if (error.status === 401) return location.reload();
    byId("banner").textContent = "The connection is lost. Reconnecting…";
    byId("banner").hidden = false;
    setTimeout(() => begin(Math.min(delayMs * 2, 10_000)), delayMs);
  }
  return undefined;
}

begin();
