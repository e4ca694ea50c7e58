// The list of conversations: which is open, which has something new. What was read is kept in this browser.
import { post } from "./api.js";
import { byId, el, icon } from "./dom.js";
import { href, key, title } from "./place.js";

export class Sidebar {
  constructor(me, { opened }) {
    this.me = me;
    this.known = new Map();
    this.opened = opened;
    byId("my-name").textContent = me.name;
    this.storeKey = `homing-read:${me.id}`;
    try {
      this.read = JSON.parse(localStorage.getItem(this.storeKey) ?? "null");
    } catch {
      this.read = null;
    }
    this.isFirstVisit = this.read === null;
    this.read ??= {};
    byId("new-room").addEventListener("click", () => this.showForm(byId("room-form").hidden));
    byId("room-cancel").addEventListener("click", () => this.showForm(false));
    byId("room-form").addEventListener("submit", (event) => {
      event.preventDefault();
      this.openRoom();
    });
    byId("room-form").addEventListener("keydown", (event) => event.key === "Escape" && this.showForm(false));
  }

  load({ rooms, direct }) {
    for (const { name, newest } of rooms) this.note({ kind: "channel", room: name, thread: null }, newest);
    this.note({ kind: "direct", room: this.me.id, thread: null }, direct.newest);
    // Somebody's first visit is not to a wall of unread marks.
    if (this.isFirstVisit) for (const [name, { newest }] of this.known) this.read[name] = newest;
    this.isFirstVisit = false;
    this.show();
  }

  note({ kind, room }, newest) {
    const name = key({ kind, room });
    const before = this.known.get(name);
    this.known.set(name, { place: { kind, room, thread: null }, newest: Math.max(newest, before?.newest ?? 0) });
  }

  first() {
    const rooms = [...this.known.values()].map(({ place }) => place).filter(({ kind }) => kind === "channel");
    rooms.sort((one, other) => (other.room === "general") - (one.room === "general") || one.room.localeCompare(other.room));
    return rooms[0] ?? { kind: "direct", room: this.me.id, thread: null };
  }

  heard(entry, isMine) {
    const isNew = entry.id > (this.known.get(key(entry))?.newest ?? 0);
    this.note(entry, entry.id);
    if (isMine && isNew) this.markRead(entry);
    else if (isNew) this.show();
  }

  markRead(place) {
    const name = key(place);
    this.read[name] = this.known.get(name)?.newest ?? 0;
    try {
      localStorage.setItem(this.storeKey, JSON.stringify(this.read));
    } catch {
      // A browser without storage shows marks until the page is closed.
    }
    this.show();
  }

  show(current = this.current) {
    this.current = current;
    const lines = [...this.known.values()].sort((one, other) => title(one.place).localeCompare(title(other.place)));
    const line = ({ place, newest }) => {
      const name = key(place);
      const isOpen = current && key(current) === name;
      const isUnread = !isOpen && newest > (this.read[name] ?? 0);
      const words = place.kind === "direct" ? "Homing" : place.room;
      return el("li", {}, el("a", { href: href(place), class: isUnread ? "unread" : null, "aria-current": isOpen ? "page" : null },
        icon(place.kind === "direct" ? "person" : "hash"), el("span", { class: "name" }, words),
        isUnread ? el("span", { class: "mark" }, "new") : null));
    };
    const focused = document.activeElement?.getAttribute("href");
    byId("rooms").replaceChildren(...lines.filter(({ place }) => place.kind === "channel").map(line));
    byId("direct").replaceChildren(...lines.filter(({ place }) => place.kind === "direct").map(line));
    if (focused?.startsWith("#/") && document.activeElement === document.body) {
      byId("side").querySelector(`a[href="${CSS.escape(focused).replaceAll("\\", "\\\\")}"]`)?.focus();
    }
  }

  showForm(isShown) {
    byId("room-form").hidden = !isShown;
    byId("new-room").setAttribute("aria-expanded", String(isShown));
    byId("room-fault").textContent = "";
    (isShown ? byId("room-name") : byId("new-room")).focus();
  }

  async openRoom() {
    const field = byId("room-name");
    try {
      const { name } = await post("/web/rooms", { name: field.value.trim() });
      field.value = "";
      this.note({ kind: "channel", room: name }, 0);
      this.showForm(false);
      this.show();
      this.opened({ kind: "channel", room: name, thread: null });
    } catch (error) {
      byId("room-fault").textContent = error.message;
      field.focus();
    }
  }
}
