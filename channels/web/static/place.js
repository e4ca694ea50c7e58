// Which conversation is open: read from and written to the part of the address behind `#`.

export const key = ({ kind, room }) => (kind === "direct" ? "direct" : `room:${room}`);
export const isSame = (one, other) => key(one) === key(other) && (one.thread ?? null) === (other.thread ?? null);
export const title = ({ kind, room }) => (kind === "direct" ? "Homing" : `#${room}`);

export function parse(hash, me) {
  const match = /^#\/(?:room\/([a-z0-9-]{1,40})|direct)(?:\/([1-9][0-9]{0,17}))?$/.exec(hash);
  if (!match) return null;
  return { kind: match[1] ? "channel" : "direct", room: match[1] ?? me, thread: match[2] ?? null };
}

export function href({ kind, room, thread }) {
  return `#/${kind === "direct" ? "direct" : `room/${room}`}${thread ? `/${thread}` : ""}`;
}
