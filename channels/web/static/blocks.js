// The blocks of a post, made and brought up to date in place, so that focus, selection and scrolling stay.
import { el, icon } from "./dom.js";
import { elapsed, time } from "./times.js";

const LOOKS = {
  preparing: ["waiting", "calm"],
  awaiting_approval: ["alert", "ask"],
  approved: ["done", "busy"],
  dispatched: ["waiting", "busy"],
  running: ["running", "busy"],
  lost: ["unknown", "bad"],
  denied: ["failed", "bad"],
  expired: ["waiting", "calm"],
  cancelled: ["stopped", "calm"],
  refused: ["failed", "bad"],
  finished: ["done", "calm"],
  succeeded: ["done", "good"],
  failed: ["failed", "bad"],
};

// A heading begins with a sign; where we know the status our own drawing stands for it.
const SIGN = /^[\p{Extended_Pictographic}\p{Emoji_Component}]+\s+/u;

export function mood(post) {
  return LOOKS[post.status]?.[1] ?? "calm";
}

function spans(list) {
  return list.map((span) => (typeof span === "string" ? document.createTextNode(span) : time(span.at)));
}

function heading(block, post) {
  const look = LOOKS[post.status];
  const [first, ...rest] = block.spans;
  const element = el("h2", { class: "block-heading" });
  if (!look || typeof first !== "string") {
    element.append(...spans(block.spans));
    return element;
  }
  const tail = ` · ${post.execution}`;
  const words = first.replace(SIGN, "");
  element.append(icon(look[0]));
  if (post.execution && words.endsWith(tail)) {
    element.append(el("span", { class: "state" }, words.slice(0, -tail.length)), el("span", { class: "hidden" }, " · "),
      el("span", { class: "execution" }, post.execution));
  } else {
    element.append(el("span", { class: "state" }, words, ...spans(rest)));
  }
  return element;
}

function prose(block, post, at) {
  const element = el("p", { class: "block-prose" }, ...spans(block.spans));
  if (post.since && at === 1) {
    element.append(" ", el("span", { class: "elapsed", "data-since": post.since }, elapsed(post.since)));
  }
  return element;
}

function facts(block) {
  const list = el("dl", { class: "block-facts" });
  for (const [label, value] of block.rows) list.append(el("div", {}, el("dt", {}, label), el("dd", {}, ...spans(value))));
  return list;
}

function code(block, post, at, memberRow) {
  const copy = el("button", { type: "button", class: "copy", "aria-label": `Copy: ${block.label}` }, icon("copy"), el("span", {}, "Copy"));
  const text = el("code", {}, block.text);
  copy.addEventListener("click", async () => {
    await navigator.clipboard?.writeText(text.textContent);
    copy.lastChild.textContent = "Copied";
    setTimeout(() => { copy.lastChild.textContent = "Copy"; }, 1500);
  });
  return el("figure", { class: "block-code" }, el("figcaption", {}, el("span", {}, block.label), copy),
    el("pre", { tabindex: "0", role: "region", "aria-label": block.label }, text),
    ...(block.buttons ? [memberRow(block.buttons)] : []));
}

const MAKERS = { heading, prose, facts, code };

export class Blocks {
  // `memberRow` makes the buttons of one of several from what the post says of them.
  constructor(memberRow) {
    this.memberRow = memberRow;
    this.element = el("div", { class: "blocks" });
    this.shown = [];
  }

  show(post) {
    post.blocks.forEach((block, at) => {
      // The look of a heading follows the status as well.
      const key = JSON.stringify([block, block.is === "heading" ? post.status : null, block.is === "prose" ? post.since : null]);
      const before = this.shown[at];
      if (before?.key === key) return;
      if (before && before.block.is === "code" && block.is === "code" && before.block.label === block.label && !block.buttons && !before.block.buttons) {
        this.growCode(before.node, block);
        this.shown[at] = { key, block, node: before.node };
        return;
      }
      const node = MAKERS[block.is](block, post, at, this.memberRow);
      if (before) before.node.replaceWith(node);
      else this.element.append(node);
      this.shown[at] = { key, block, node };
    });
    for (const left of this.shown.splice(post.blocks.length)) left.node.remove();
  }

  growCode(node, block) {
    const pre = node.querySelector("pre");
    const wasAtEnd = pre.scrollHeight - pre.scrollTop - pre.clientHeight < 24;
    node.querySelector("code").textContent = block.text;
    if (wasAtEnd) pre.scrollTop = pre.scrollHeight;
  }
}
