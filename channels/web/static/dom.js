// Elements from data. Text only ever becomes textContent; nothing here parses markup.

export const byId = (id) => document.getElementById(id);

export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.filter((child) => child !== null && child !== undefined));
  return element;
}

const SVG = "http://www.w3.org/2000/svg";
const PATHS = {
  waiting: ["M12 7v5.5l3.5 2", "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z"],
  alert: ["M12 9v4.2", "M12 16.6v.1", "M10.4 4.2 2.9 17.4A1.9 1.9 0 0 0 4.5 20.2h15a1.9 1.9 0 0 0 1.6-2.8L13.6 4.2a1.9 1.9 0 0 0-3.2 0z"],
  done: ["m8 12.2 2.8 2.8L16.2 9.4", "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z"],
  failed: ["m9.2 9.2 5.6 5.6", "m14.8 9.2-5.6 5.6", "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z"],
  stopped: ["M9.5 9.5h5v5h-5z", "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z"],
  unknown: ["M9.6 9.4a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.2 1-1.2 1.8", "M12 16.6v.1", "M12 3a9 9 0 1 1 0 18 9 9 0 0 1 0-18z"],
  running: ["M12 3a9 9 0 1 0 9 9"],
  reply: ["M9 7 4.5 11.5 9 16", "M4.5 11.5H14a5.5 5.5 0 0 1 5.5 5.5v1"],
  menu: ["M4 7h16", "M4 12h16", "M4 17h16"],
  back: ["M14.5 5.5 8 12l6.5 6.5"],
  send: ["M12 19V5.5", "M6 11l6-6 6 6"],
  hash: ["M9.5 4 7.5 20", "M16.5 4l-2 16", "M4.5 9h16", "M3.5 15h16"],
  person: ["M12 12.2a3.9 3.9 0 1 0 0-7.8 3.9 3.9 0 0 0 0 7.8z", "M4.8 20c.9-3 3.6-4.8 7.2-4.8s6.300 1.800 7.200 4.800"],
  copy: ["M9 9h10v11H9z", "M5 15V4h10"],
};

export function icon(name) {
  const svg = document.createElementNS(SVG, "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("class", `icon icon-${name}`);
  svg.setAttribute("aria-hidden", "true");
  for (const shape of PATHS[name]) {
    const path = document.createElementNS(SVG, "path");
    path.setAttribute("d", shape);
    svg.append(path);
  }
  return svg;
}
