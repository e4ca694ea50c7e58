// The stream of what happens. The browser's EventSource comes back by itself after a cut; what it gives up we reopen.

const SILENCE_MS = 40_000; // the server sends a beat each 15 s: two have been missed
const FIRST_DELAY_MS = 500;
const LAST_DELAY_MS = 10_000;

export class Live {
  constructor(after, { entry, reset, state, refused }) {
    this.lastChange = after;
    this.on = { entry, reset, state, refused };
    this.delay = FIRST_DELAY_MS;
    this.open();
    addEventListener("online", () => this.reopen());
    document.addEventListener("visibilitychange", () => document.hidden || this.checkSilence());
  }

  open() {
    this.source = new EventSource(`/web/stream?after=${this.lastChange}`);
    this.source.addEventListener("entry", (event) => {
      this.heard(event);
      this.on.entry(JSON.parse(event.data));
    });
    this.source.addEventListener("beat", (event) => this.heard(event));
    this.source.addEventListener("reset", (event) => {
      this.lastChange = Number(event.lastEventId);
      this.on.reset();
    });
    this.source.onerror = () => {
      this.on.state("lost");
      if (this.source.readyState === EventSource.CLOSED) this.later();
    };
    this.expectBeat();
  }

  heard(event) {
    this.lastChange = Math.max(this.lastChange, Number(event.lastEventId));
    this.delay = FIRST_DELAY_MS;
    this.on.state("live");
    this.expectBeat();
  }

  expectBeat() {
    this.heardAt = Date.now();
    clearTimeout(this.watch);
    this.watch = setTimeout(() => this.checkSilence(), SILENCE_MS + 100);
  }

  checkSilence() {
    if (Date.now() - this.heardAt > SILENCE_MS) {
      this.on.state("lost");
      this.reopen();
    }
  }

  reopen() {
    this.source.close();
    clearTimeout(this.timer);
    this.open();
  }

  later() {
    clearTimeout(this.timer);
    this.timer = setTimeout(async () => {
      // Closed for good by an answer that is no stream: signed out, too many tabs, or a server that is just starting.
      if (!(await this.on.refused())) this.reopen();
    }, this.delay * (0.75 + Math.random() / 2));
    this.delay = Math.min(this.delay * 2, LAST_DELAY_MS);
  }
}
